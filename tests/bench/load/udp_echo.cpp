#include "udp_echo.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "options.hpp"

namespace load {
namespace {
constexpr std::size_t most = 64;
constexpr std::size_t longest = 65536;

/// Turns the UDP_GRO of what was received into the UDP_SEGMENT of what is sent, or into nothing.
void mirror_segment(msghdr& header) {
  cmsghdr* part = CMSG_FIRSTHDR(&header);
  if (part == nullptr || part->cmsg_level != SOL_UDP || part->cmsg_type != UDP_GRO) {
    header.msg_control = nullptr;
    header.msg_controllen = 0;
    return;
  }
  int received = 0;
  std::memcpy(&received, CMSG_DATA(part), sizeof received);
  const auto segment = static_cast<std::uint16_t>(received);
  part->cmsg_type = UDP_SEGMENT;
  part->cmsg_len = CMSG_LEN(sizeof segment);
  std::memcpy(CMSG_DATA(part), &segment, sizeof segment);
  header.msg_controllen = CMSG_SPACE(sizeof segment);
}

}  // namespace

struct UdpEcho::Batch {
  std::array<mmsghdr, most> messages{};
  std::array<iovec, most> pieces{};
  std::array<sockaddr_storage, most> peers{};
  struct alignas(cmsghdr) Control {
    std::array<char, CMSG_SPACE(sizeof(int))> octets;
  };
  std::array<Control, most> controls{};
  std::array<std::array<char, longest>, most> octets;
};

UdpEcho::UdpEcho(Loop& loop, const std::string& host, std::uint16_t port)
    : batch_(std::make_unique<Batch>()) {
  const Address address = address_of(host, port);
  fd_ =
      Descriptor(::socket(address.storage.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  // Beyond net.core.rmem_max only root may go; otherwise what the limit allows.
  const int room = 8 << 20;
  if (::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) != 0) {
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  }
  const int on = 1;
  ::setsockopt(fd_.get(), SOL_UDP, UDP_GRO, &on, sizeof on);  // without it runs come in pieces
  if (::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.length) != 0) {
    fail_errno(host + " UDP port " + std::to_string(port));
  }
  for (std::size_t i = 0; i < most; ++i) {
    batch_->messages[i].msg_hdr.msg_name = &batch_->peers[i];
    batch_->messages[i].msg_hdr.msg_iov = &batch_->pieces[i];
    batch_->messages[i].msg_hdr.msg_iovlen = 1;
    batch_->pieces[i].iov_base = batch_->octets[i].data();
  }
  loop.add(fd_.get(), EPOLLIN, *this);
}

UdpEcho::~UdpEcho() = default;

void UdpEcho::ready(std::uint32_t) {
  for (std::size_t i = 0; i < most; ++i) {
    batch_->messages[i].msg_hdr.msg_namelen = sizeof(sockaddr_storage);
    batch_->messages[i].msg_hdr.msg_control = batch_->controls[i].octets.data();
    batch_->messages[i].msg_hdr.msg_controllen = batch_->controls[i].octets.size();
    batch_->pieces[i].iov_len = longest;
  }
  const int count = ::recvmmsg(fd_.get(), batch_->messages.data(), most, 0, nullptr);
  if (count <= 0) {
    return;  // an ICMP error is the sender's affair
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    batch_->pieces[i].iov_len = batch_->messages[i].msg_len;
    mirror_segment(batch_->messages[i].msg_hdr);
  }
  for (int sent = 0; sent < count;) {
    const int now = ::sendmmsg(fd_.get(), batch_->messages.data() + sent,
                               static_cast<unsigned>(count - sent), 0);
    sent += now > 0 ? now : 1;  // what cannot be sent is lost, as datagrams are
  }
}

}  // namespace load
