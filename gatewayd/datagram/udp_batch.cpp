#include "datagram/udp_batch.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <netinet/in.h>
#include <netinet/udp.h>

#include "socks64/sockaddr.hpp"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace socks64::gateway {
namespace {

/// How long the datagrams of a message are, but for the last: what the kernel says when it holds
/// several, and otherwise what it is long.
std::size_t segment_of(msghdr& header, std::size_t size) noexcept {
  for (cmsghdr* control = CMSG_FIRSTHDR(&header); control != nullptr;
       control = CMSG_NXTHDR(&header, control)) {
    if (control->cmsg_level != IPPROTO_UDP || control->cmsg_type != UDP_GRO) {
      continue;
    }
    int segment = 0;
    std::memcpy(&segment, CMSG_DATA(control), sizeof segment);
    if (segment > 0) {
      return static_cast<std::size_t>(segment);
    }
  }
  return std::max<std::size_t>(size, 1);
}

}  // namespace

// Not zeroed: the kernel gives the pages when datagrams of that length come in.
ReceivedBatch::ReceivedBatch() : memory_(new std::uint8_t[most_messages * stride]) {
  for (std::size_t i = 0; i < most_messages; ++i) {
    pieces_[i] = {&memory_[i * stride], room};
    msghdr& header = messages_[i].msg_hdr;
    header.msg_name = &names_[i];
    header.msg_iov = &pieces_[i];
    header.msg_iovlen = 1;
    header.msg_control = controls_[i].data();
  }
}

ReceivedBatch::Got ReceivedBatch::receive(int socket, std::size_t messages) noexcept {
  for (std::size_t i = 0; i < messages; ++i) {
    messages_[i].msg_hdr.msg_namelen = sizeof(sockaddr_storage);
    messages_[i].msg_hdr.msg_controllen = controls_[i].size();
  }
  int taken = -1;
  do {
    taken = ::recvmmsg(socket, messages_.data(), static_cast<unsigned>(messages), MSG_DONTWAIT,
                       nullptr);
  } while (taken < 0 && errno == EINTR);
  got_ = taken < 0 ? 0 : static_cast<std::size_t>(taken);
  message_ = 0;
  segment_ = 0;
  Got got{got_, 0, 0};
  for (std::size_t i = 0; i < got_; ++i) {
    const std::size_t size = messages_[i].msg_len;
    const std::size_t segment = segment_of(messages_[i].msg_hdr, size);
    got.octets += size;
    got.datagrams += size == 0 ? 1 : (size + segment - 1) / segment;
  }
  return got;
}

void ReceivedBatch::begin_message(std::size_t index) noexcept {
  msghdr& header = messages_[index].msg_hdr;
  rest_ = {static_cast<const std::uint8_t*>(pieces_[index].iov_base), messages_[index].msg_len};
  segment_ = segment_of(header, rest_.size());
  const bool same_sender = index > 0 &&
                           header.msg_namelen == messages_[index - 1].msg_hdr.msg_namelen &&
                           std::memcmp(&names_[index], &names_[index - 1], header.msg_namelen) == 0;
  if (same_sender) {
    return;
  }
  const Result<Endpoint> from =
      from_sockaddr(static_cast<const sockaddr*>(header.msg_name), header.msg_namelen);
  datagram_.from = from ? Endpoint{from->address.unmapped(), from->port} : Endpoint{};
}

const ReceivedDatagram* ReceivedBatch::next() noexcept {
  if (segment_ == 0) {
    if (message_ == got_) {
      return nullptr;
    }
    begin_message(message_);
  }
  datagram_.octets = rest_.first(std::min(segment_, rest_.size()));
  rest_ = rest_.subspan(datagram_.octets.size());
  if (rest_.empty()) {
    ++message_;
    segment_ = 0;
  }
  return &datagram_;
}

}  // namespace socks64::gateway
