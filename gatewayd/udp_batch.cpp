#include "udp_batch.hpp"

#include <cerrno>

#include "socks64/sockaddr.hpp"

namespace socks64::gateway {
namespace {

UdpDrop cause_of(int error) noexcept {
  switch (error) {
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
      return UdpDrop::congested;
    case EMSGSIZE:
      return UdpDrop::oversized;
    case EACCES:  // a broadcast address, which needs a socket option that is never set
      return UdpDrop::destination;
    default:
      return UdpDrop::unreachable;
  }
}

}  // namespace

// Not zeroed: the kernel gives the pages when datagrams of that length come in.
ReceivedBatch::ReceivedBatch() : memory_(new std::uint8_t[udp_batch_size * stride]) {
  for (std::size_t i = 0; i < udp_batch_size; ++i) {
    pieces_[i] = {&memory_[i * stride + room_in_front], stride - room_in_front};
    messages_[i].msg_hdr.msg_name = &names_[i];
    messages_[i].msg_hdr.msg_iov = &pieces_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
  }
}

std::size_t ReceivedBatch::receive(int socket) noexcept {
  for (mmsghdr& message : messages_) {
    message.msg_hdr.msg_namelen = sizeof(sockaddr_storage);
  }
  int got = -1;
  do {
    got = ::recvmmsg(socket, messages_.data(), udp_batch_size, MSG_DONTWAIT, nullptr);
  } while (got < 0 && errno == EINTR);
  return got < 0 ? 0 : static_cast<std::size_t>(got);
}

Endpoint ReceivedBatch::from(std::size_t index) const noexcept {
  const msghdr& header = messages_[index].msg_hdr;
  const Result<Endpoint> from =
      from_sockaddr(static_cast<const sockaddr*>(header.msg_name), header.msg_namelen);
  return from ? Endpoint{from->address.unmapped(), from->port} : Endpoint{};
}

std::span<std::uint8_t> ReceivedBatch::octets(std::size_t index) noexcept {
  return {static_cast<std::uint8_t*>(pieces_[index].iov_base), messages_[index].msg_len};
}

SendBatch::SendBatch() {
  for (std::size_t i = 0; i < udp_batch_size; ++i) {
    messages_[i].msg_hdr.msg_name = &names_[i];
    messages_[i].msg_hdr.msg_iov = &pieces_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
  }
}

void SendBatch::add(const Endpoint& to, Bytes datagram, std::size_t header) noexcept {
  messages_[size_].msg_hdr.msg_namelen = to_sockaddr(to, names_[size_]);
  pieces_[size_] = {const_cast<std::uint8_t*>(datagram.data()), datagram.size()};
  headers_[size_] = header;
  ++size_;
}

SendBatch::Sent SendBatch::flush(int socket, UdpCounts& counts) noexcept {
  Sent sent;
  std::size_t next = 0;
  while (next < size_) {
    const int taken = ::sendmmsg(socket, &messages_[next], static_cast<unsigned>(size_ - next),
                                 MSG_DONTWAIT | MSG_NOSIGNAL);
    if (taken > 0) {
      for (const std::size_t end = next + static_cast<std::size_t>(taken); next < end; ++next) {
        ++sent.datagrams;
        sent.octets += pieces_[next].iov_len - headers_[next];
      }
    } else if (errno == EAGAIN) {
      counts.drop(UdpDrop::congested, size_ - next);
      next = size_;
    } else if (errno != EINTR) {
      // The call stops at the first datagram that fails; those behind it are no worse for that.
      counts.drop(cause_of(errno));
      ++next;
    }
  }
  size_ = 0;
  return sent;
}

}  // namespace socks64::gateway
