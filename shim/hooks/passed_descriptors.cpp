// A socket whose connect is pending may be sent to another process, which knows nothing of the
// handshake on it. So the sending waits for the handshake, whatever the flags of the call and of
// the socket: a wait of a few round trips that nobody asked for is better than a stream that begins
// with the gateway's words. A failed handshake is passed on as what it is, an unconnected socket.
#include "hooks/passed_descriptors.hpp"

#include <cerrno>
#include <cstring>

#include "descriptors/fd_table.hpp"
#include "gateway/gateway_connect.hpp"
#include "host/host_guard.hpp"

namespace socks64::shim {
namespace {

bool settle_all(const cmsghdr& header) noexcept {
  const auto* data = reinterpret_cast<const unsigned char*>(&header) + CMSG_LEN(0);
  for (std::size_t at = CMSG_LEN(0); at + sizeof(int) <= header.cmsg_len; at += sizeof(int)) {
    int fd = -1;
    std::memcpy(&fd, data, sizeof(fd));
    data += sizeof(fd);
    if (!finish_handshake(fd)) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool settle_passed_descriptors(const msghdr* message) noexcept {
  // Wrong memory is the kernel's to refuse.
  if (!fd_table().any_unsettled() || !is_readable(message, sizeof(*message)) ||
      message->msg_controllen < sizeof(cmsghdr) ||
      !is_readable(message->msg_control, message->msg_controllen)) {
    return true;
  }
  const auto* at = static_cast<const unsigned char*>(message->msg_control);
  std::size_t left = message->msg_controllen;
  while (left >= sizeof(cmsghdr)) {
    const auto& header = *reinterpret_cast<const cmsghdr*>(at);
    if (header.cmsg_len < sizeof(cmsghdr) || header.cmsg_len > left) {
      return true;
    }
    if (header.cmsg_level == SOL_SOCKET && header.cmsg_type == SCM_RIGHTS && !settle_all(header)) {
      return false;
    }
    const std::size_t step = CMSG_ALIGN(header.cmsg_len);
    if (step >= left) {
      return true;
    }
    at += step;
    left -= step;
  }
  return true;
}

}  // namespace socks64::shim
