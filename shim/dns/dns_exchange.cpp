// The two directions of a socket that speaks DNS: queries are sent as their answers, and what is
// read is shown as the resolver's. See dns_link.cpp.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <poll.h>

#include "socks64/sockaddr.hpp"

#include "descriptors/fd_table.hpp"
#include "descriptors/socket_kind.hpp"
#include "dns/dns_link.hpp"
#include "dns/dns_route.hpp"
#include "dns/self_address.hpp"
#include "host/hook_table.hpp"
#include "host/host_guard.hpp"
#include "process/runtime.hpp"

namespace socks64::shim {
namespace {

constexpr std::uint8_t bit_response = 0x80;

/// Remembers who was asked.
void note_asked(DnsLink& link, std::uint16_t id, const DialledAddress& resolver) noexcept {
  const SignalBlock signals;
  const WordGuard guard(fd_table().lock());
  if (guard.held()) {
    link.asked[link.asked_count++ % link.asked.size()] = {resolver, id, true};
  }
}

/// Who is to have sent the answer `id`: of those asked under it, the one that has waited longest;
/// else the one that the socket is connected to, or that was asked last.
DialledAddress sender_of(DnsLink& link, std::uint16_t id, bool peek) noexcept {
  const SignalBlock signals;
  const WordGuard guard(fd_table().lock());
  const std::size_t size = link.asked.size();
  const std::uint32_t end = link.asked_count;
  const std::uint32_t begin = end < size ? 0 : end - static_cast<std::uint32_t>(size);
  for (std::uint32_t i = begin; guard.held() && i < end; ++i) {
    DnsLink::Asked& each = link.asked[i % size];
    if (each.open && each.id == id) {
      each.open = peek;
      return each.resolver;
    }
  }
  if (link.connected.load(std::memory_order_relaxed) || end == 0) {
    return link.resolver;
  }
  return link.asked[(end - 1) % size].resolver;
}

/// The port of a socket that is not connected; one is chosen as sendto() would have it chosen. 0,
/// and errno: there is none.
Port own_port(int fd, DnsLink& link) noexcept {
  if (const Port known = link.own_port.load(std::memory_order_acquire); known != 0) {
    return known;
  }
  Result<Endpoint> local = local_endpoint(fd);
  if (local && local->port == 0) {
    if (bind_to(fd, *local) != 0 && errno != EINVAL) {  // EINVAL: another thread was faster
      return 0;
    }
    local = local_endpoint(fd);
  }
  if (!local) {
    return 0;
  }
  link.own_address = local->address;
  link.own_port.store(local->port, std::memory_order_release);
  return local->port;
}

/// The octets of a message, one after the other. 0 or an errno.
template <std::size_t N>
int gather(const msghdr& message, std::array<std::uint8_t, N>& out, std::size_t& size) noexcept {
  constexpr std::size_t most_parts = 1024;  // UIO_MAXIOV
  size = 0;
  if (message.msg_iovlen > most_parts) {
    return EMSGSIZE;
  }
  if (!can_read(message.msg_iov, message.msg_iovlen * sizeof(iovec))) {
    return EFAULT;
  }
  for (std::size_t i = 0; i < message.msg_iovlen; ++i) {
    const iovec& one = message.msg_iov[i];
    if (one.iov_len > out.size() - size) {
      return EMSGSIZE;
    }
    if (!can_read(one.iov_base, one.iov_len)) {
      return EFAULT;
    }
    if (one.iov_len != 0) {
      std::memcpy(out.data() + size, one.iov_base, one.iov_len);
    }
    size += one.iov_len;
  }
  return 0;
}

constexpr int kept_flags = MSG_DONTWAIT | MSG_NOSIGNAL;

ssize_t ask_by_datagram(int fd, DnsLink& link, const msghdr& message, const DialledAddress& to,
                        int flags) noexcept {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): as many octets as are counted
  std::array<std::uint8_t, DnsLink::max_query> query;
  std::size_t size = 0;
  if (const int error = gather(message, query, size); error != 0) {
    errno = error;
    return -1;
  }
  const Result<Endpoint> resolver =
      from_sockaddr(reinterpret_cast<const sockaddr*>(to.octets.data()), to.size);
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): as many octets as are counted
  std::array<std::uint8_t, dns_max_answer> answer;
  const std::size_t answer_size =
      resolver ? answer_query(Bytes(query).first(size), DnsTransport::datagram, resolver->address,
                              answer)
               : 0;
  if (answer_size == 0) {
    errno = no_datagram_errno;  // it is no query
    return -1;
  }
  ErrnoGuard guard;
  const bool connected = link.connected.load(std::memory_order_acquire);
  if (!connected || message.msg_name != nullptr) {
    note_asked(link, static_cast<std::uint16_t>(query[0] << 8U | query[1]), to);
  }
  ssize_t sent = -1;
  if (connected && !link.bare.load(std::memory_order_acquire)) {
    sent = libc::send(fd, answer.data(), answer_size, flags & kept_flags);
  } else if (const Port port = own_port(fd, link); port != 0) {
    errno = ENETUNREACH;
    for (const IpAddress& home : ways_home(resolver->address)) {
      if (!loopback_is_up(fd)) {
        break;
      }
      const SocketAddress own(own_endpoint({link.own_address, port}, home));
      sent =
          libc::sendto(fd, answer.data(), answer_size, flags & kept_flags, own.get(), own.length);
      if (sent >= 0 || !is_no_way(errno)) {
        break;
      }
    }
  }
  if (sent < 0) {
    guard.set(errno);
    return -1;
  }
  return static_cast<ssize_t>(size);
}

/// Sends what is left of an answer. False, and errno: some of it is still left.
bool flush(int fd, DnsLink& link, int flags) noexcept {
  while (link.answer_sent < link.answer_size) {
    const ssize_t sent = libc::send(fd, link.answer.data() + link.answer_sent,
                                    link.answer_size - link.answer_sent, flags & kept_flags);
    if (sent < 0) {
      return false;
    }
    link.answer_sent += static_cast<std::size_t>(sent);
  }
  link.answer_size = 0;
  link.answer_sent = 0;
  return true;
}

/// As a resolver that will have no more of this client.
bool hang_up(int fd) noexcept {
  libc::shutdown(fd, SHUT_RDWR);
  errno = ECONNRESET;
  return false;
}

/// Takes octets of the stream, up to the end of a query; that is then answered. False, and errno.
bool take_some(int fd, DnsLink& link, Bytes& octets, int flags) noexcept {
  const auto wanted = [&link]() noexcept -> std::size_t {
    return link.query_size < 2 ? 2 : 2 + (std::size_t{link.query[0]} << 8U | link.query[1]);
  };
  while (!octets.empty()) {
    const std::size_t goal = std::min(wanted(), link.query.size());
    const std::size_t count = std::min(octets.size(), goal - std::min(link.query_size, goal));
    std::memcpy(link.query.data() + link.query_size, octets.data(), count);
    link.query_size += count;
    octets = octets.subspan(count);
    if (link.query_size < 2) {
      return true;
    }
    if (wanted() > link.query.size()) {
      return hang_up(fd);
    }
    if (link.query_size >= wanted()) {
      break;
    }
  }
  if (link.query_size < 2 || link.query_size < wanted()) {
    return true;
  }
  const Result<Endpoint> resolver = from_sockaddr(
      reinterpret_cast<const sockaddr*>(link.resolver.octets.data()), link.resolver.size);
  const std::size_t size =
      answer_query(Bytes(link.query).subspan(2, link.query_size - 2), DnsTransport::stream,
                   resolver ? resolver->address : IpAddress(),
                   std::span(link.answer).subspan<2, dns_max_answer>());
  link.query_size = 0;
  if (size == 0) {
    return hang_up(fd);
  }
  link.answer[0] = static_cast<std::uint8_t>(size >> 8U);
  link.answer[1] = static_cast<std::uint8_t>(size & 0xffU);
  link.answer_size = 2 + size;
  link.answer_sent = 0;
  return flush(fd, link, flags);
}

/// As the kernel: a blocking socket waits until it is connected, another one says EAGAIN.
bool is_established(int fd, DnsLink& link, int flags) noexcept {
  sockaddr_storage peer{};
  for (; !link.established;) {
    socklen_t length = sizeof(peer);
    if (libc::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) == 0) {
      link.established = true;
      break;
    }
    const int status = libc::fcntl(fd, F_GETFL);
    if ((flags & MSG_DONTWAIT) != 0 || status < 0 || (status & O_NONBLOCK) != 0) {
      errno = EAGAIN;
      return false;
    }
    pollfd wait{fd, POLLOUT, 0};
    if (libc::poll(&wait, 1, -1) < 0) {
      return false;
    }
    if ((wait.revents & (POLLERR | POLLHUP)) != 0) {
      errno = EPIPE;
      return false;
    }
  }
  return true;
}

/// What cannot be answered at once, because the program does not read, waits in the link, and the
/// next write sends it first: one answer at most.
ssize_t ask_by_stream(int fd, DnsLink& link, const msghdr& message, int flags) noexcept {
  ErrnoGuard guard;
  if (!is_established(fd, link, flags) || !flush(fd, link, flags)) {
    guard.set(errno);
    return -1;
  }
  if (!can_read(message.msg_iov, message.msg_iovlen * sizeof(iovec))) {
    guard.set(EFAULT);
    return -1;
  }
  ssize_t taken = 0;
  for (std::size_t i = 0; i < message.msg_iovlen; ++i) {
    const iovec& one = message.msg_iov[i];
    if (!can_read(one.iov_base, one.iov_len)) {
      guard.set(EFAULT);
      return taken != 0 ? taken : -1;
    }
    Bytes octets(static_cast<const std::uint8_t*>(one.iov_base), one.iov_len);
    while (!octets.empty()) {
      const std::size_t before = octets.size();
      const bool good = take_some(fd, link, octets, flags);
      taken += static_cast<ssize_t>(before - octets.size());
      if (!good) {
        const bool later = errno == EAGAIN || errno == EINTR;
        guard.set(errno);
        return later && taken != 0 ? taken : -1;
      }
    }
  }
  return taken;
}

}  // namespace

std::optional<ssize_t> dns_sendmsg(int fd, const msghdr& message, int flags) noexcept {
  DnsLink* link = find_dns_link(fd);
  if (link != nullptr && link->stream) {
    return ask_by_stream(fd, *link, message, flags);
  }
  if (message.msg_name == nullptr) {
    return link != nullptr && link->connected.load(std::memory_order_acquire)
               ? std::optional(ask_by_datagram(fd, *link, message, link->resolver, flags))
               : std::nullopt;
  }
  if (message.msg_namelen < static_cast<socklen_t>(sizeof(sockaddr_in))) {
    return std::nullopt;
  }
  // The kernel takes AF_UNSPEC for AF_INET here.
  DialledAddress to = DialledAddress::of(message.msg_name, message.msg_namelen);
  sockaddr family{};
  std::memcpy(&family, to.octets.data(), sizeof(family));
  if (family.sa_family == AF_UNSPEC) {
    family.sa_family = AF_INET;
    std::memcpy(to.octets.data(), &family, sizeof(family));
  }
  const Result<Endpoint> destination =
      from_sockaddr(reinterpret_cast<const sockaddr*>(to.octets.data()), to.size);
  if (!destination || destination->port != dns_port) {
    return std::nullopt;
  }
  if ((flags & MSG_FASTOPEN) != 0 && is_tcp(fd)) {
    const auto* where = static_cast<const sockaddr*>(message.msg_name);
    const std::optional<int> connected = dns_connect(fd, where, message.msg_namelen);
    link = find_dns_link(fd);
    if (!connected || *connected != 0 || link == nullptr) {
      return connected
                 ? std::optional<ssize_t>(
                       *connected != 0 ? -1 : libc::sendmsg(fd, &message, flags & ~MSG_FASTOPEN))
                 : std::nullopt;
    }
    return ask_by_stream(fd, *link, message, flags);
  }
  const DnsRoute route = dns_route(config(), fake_ips(), *destination, DnsTransport::datagram);
  if (route == DnsRoute::none || !is_udp(fd)) {
    return std::nullopt;
  }
  if (route == DnsRoute::direct) {
    return libc::sendmsg(fd, &message, flags);
  }
  if (route == DnsRoute::refuse) {
    errno = no_datagram_errno;
    return -1;
  }
  link = make_dns_link(fd, false);
  if (link == nullptr) {
    errno = ENOMEM;
    return -1;
  }
  return ask_by_datagram(fd, *link, message, to, flags);
}

std::optional<ssize_t> dns_write(int fd, const void* buffer, std::size_t size, int flags) noexcept {
  // sendmsg() does not write to what it sends.
  iovec part{const_cast<void*>(buffer), size};  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  return dns_sendmsg(fd, message, flags);
}

namespace {

/// Whether a socket sent this to itself.
bool is_from(const DnsLink& link, const Endpoint& sender) noexcept {
  return sender.port == link.own_port.load(std::memory_order_relaxed) &&
         (sender.address.is_loopback() || sender.address.unmapped() == link.own_address.unmapped());
}

/// A query that nobody turned into its answer: it got past the hooks for sending.
ssize_t answer_late(const DnsLink& link, msghdr& message, ssize_t size) noexcept {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): as many octets as are counted
  std::array<std::uint8_t, DnsLink::max_query> query;
  std::size_t room = 0;
  for (std::size_t i = 0; i < message.msg_iovlen; ++i) {
    const iovec& one = message.msg_iov[i];
    const std::size_t read =
        std::min(one.iov_len, static_cast<std::size_t>(size) -
                                  std::min<std::size_t>(room, static_cast<std::size_t>(size)));
    if (room + read > query.size()) {
      return size;
    }
    if (read != 0) {
      std::memcpy(query.data() + room, one.iov_base, read);
    }
    room += read;
  }
  const Result<Endpoint> resolver = from_sockaddr(
      reinterpret_cast<const sockaddr*>(link.resolver.octets.data()), link.resolver.size);
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): as many octets as are counted
  std::array<std::uint8_t, dns_max_answer> answer;
  const std::size_t whole = answer_query(Bytes(query).first(room), DnsTransport::datagram,
                                         resolver ? resolver->address : IpAddress(), answer);
  std::size_t given = 0;
  for (std::size_t i = 0; i < message.msg_iovlen && given < whole; ++i) {
    const iovec& one = message.msg_iov[i];
    const std::size_t count = std::min(one.iov_len, whole - given);
    if (count != 0) {
      std::memcpy(one.iov_base, answer.data() + given, count);
    }
    given += count;
  }
  if (given < whole) {
    message.msg_flags |= MSG_TRUNC;
  }
  return static_cast<ssize_t>(given);
}

}  // namespace

ssize_t dns_received(int fd, msghdr& message, socklen_t room, ssize_t size, int flags) noexcept {
  constexpr ssize_t header = 3;  // identifier, and the octet with QR
  if (size < header || (flags & MSG_ERRQUEUE) != 0) {
    return size;
  }
  const ErrnoGuard guard;
  DnsLink* link = find_dns_link(fd);
  if (link == nullptr || link->stream) {
    return size;
  }
  std::array<std::uint8_t, header> first{};
  std::size_t read = 0;
  for (std::size_t i = 0; i < message.msg_iovlen && read < first.size(); ++i) {
    const std::size_t count = std::min(message.msg_iov[i].iov_len, first.size() - read);
    if (count != 0) {
      std::memcpy(first.data() + read, message.msg_iov[i].iov_base, count);
    }
    read += count;
  }
  const bool connected = link->connected.load(std::memory_order_acquire);
  const bool peek = (flags & MSG_PEEK) != 0;
  if (message.msg_name != nullptr) {
    const Result<Endpoint> sender = from_sockaddr(static_cast<const sockaddr*>(message.msg_name),
                                                  std::min(room, message.msg_namelen));
    if (sender ? !is_from(*link, *sender) : !connected) {
      return size;
    }
    const auto id = static_cast<std::uint16_t>(first[0] << 8U | first[1]);
    message.msg_namelen = sender_of(*link, id, peek).give(message.msg_name, room);
  }
  const bool is_query = connected && !peek && (message.msg_flags & MSG_TRUNC) == 0 &&
                        size >= static_cast<ssize_t>(dns_header_size) &&
                        (first[2] & bit_response) == 0;
  return is_query ? answer_late(*link, message, size) : size;
}

}  // namespace socks64::shim
