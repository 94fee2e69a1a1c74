// A socket that speaks DNS, without a resolver.
//
// The program's own socket carries the answer, so that poll, epoll, select, FIONREAD, SO_RCVTIMEO
// and whatever else the kernel does are right without any help, and no descriptor is added: the
// socket is connected to *itself*, over loopback. What is sent arrives in its own receive queue; so
// the send hooks send, instead of a query, its answer. A datagram socket that is not connected
// sends the answer to its own port. For TCP this is the simultaneous open of RFC 9293 section 3.5
// (figure 7), both ends of which are one socket.
//
// What is left to do:
//
// 1. The resolver is shown as peer and as sender, to getpeername and to the calls that tell where a
// datagram came from. Calls that do not ask for it need no hook.
//
// 2. A stream has its queries put together from whatever pieces it is written in.
//
// 3. Some programs may send past the hooks, by system calls of their own. What a connected socket
// sends so reaches nobody but itself, and is answered when it is read.
//
// The table of descriptors refers to a link as it does to a connection: duplicates share it, a
// close drops it, and the socket's inode shows when a close was not seen.
#include "dns/dns_link.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "socks64/sockaddr.hpp"

#include "descriptors/fd_table.hpp"
#include "descriptors/socket_kind.hpp"
#include "dns/dns_route.hpp"
#include "dns/self_address.hpp"
#include "host/hook_table.hpp"
#include "host/host_guard.hpp"
#include "process/runtime.hpp"

namespace socks64::shim {

DnsLink* find_dns_link(int fd) noexcept {
  if (!any_dns_link()) {
    return nullptr;
  }
  const FdEntry* entry = fd_table().find(fd);
  DnsLink* link = entry == nullptr ? nullptr : entry->dns.load(std::memory_order_acquire);
  if (link == nullptr || link->inode.load(std::memory_order_relaxed) == inode_of(fd)) {
    return link;
  }
  fd_table().release_stale(fd);
  return nullptr;
}

DnsLink* make_dns_link(int fd, bool stream) noexcept {
  if (DnsLink* link = find_dns_link(fd)) {
    return link;
  }
  const ino_t inode = inode_of(fd);
  FdEntry* entry = fd_table().make(fd);
  const SignalBlock signals;
  const WordGuard guard(fd_table().lock());
  if (entry == nullptr || !guard.held()) {
    return nullptr;
  }
  if (DnsLink* link = entry->dns.load(std::memory_order_relaxed)) {
    return link;  // another thread's
  }
  DnsLink* link = allocate_dns_link(stream);
  if (link == nullptr) {
    return nullptr;
  }
  link->inode.store(inode, std::memory_order_relaxed);
  fd_table().for_each_duplicate(fd, [&](int, FdEntry& each) {
    if (each.dns.load(std::memory_order_relaxed) == nullptr) {
      ++link->references;
      each.dns.store(link, std::memory_order_release);
    }
  });
  return link;
}

namespace {

/// The socket is an ordinary one again.
void remove_link(int fd) noexcept {
  const SignalBlock signals;
  const WordGuard guard(fd_table().lock());
  if (guard.held()) {
    fd_table().for_each_duplicate(fd, [](int, FdEntry& each) {
      if (DnsLink* link = each.dns.exchange(nullptr, std::memory_order_acq_rel)) {
        drop(*link);
      }
    });
  }
}

int connect_to_own(int fd, DnsLink& link, const IpAddress& home) noexcept {
  const Result<Endpoint> local = local_endpoint(fd);
  if (!local) {
    return -1;
  }
  const Endpoint own = own_endpoint(*local, home);
  link.own_address = own.address;
  link.own_port.store(own.port, std::memory_order_relaxed);
  return connect_to(fd, own);
}

/// bind() gives no port to a socket with IP_BIND_ADDRESS_NO_PORT (dig 9.20 sets it), so that is off
/// meanwhile.
int bind_to_a_port(int fd, const IpAddress& home) noexcept {
  const int off = 0;
  int set = 0;
  socklen_t size = sizeof set;
  const bool without_port =
      libc::getsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &set, &size) == 0 && set != 0 &&
      libc::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &off, sizeof off) == 0;
  const int result = bind_to(fd, {home, 0});
  if (without_port) {
    const ErrnoGuard guard;
    libc::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &set, sizeof set);
  }
  return result;
}

/// Gives a socket a port, unless it has one. A datagram socket gets it by a connect, because what
/// bind() says would outlast a disconnect. Nothing is sent.
bool has_port(int fd, bool stream, const IpAddress& home) noexcept {
  constexpr Port discard = 9;
  const Result<Endpoint> local = local_endpoint(fd);
  return local && (local->port != 0 ||
                   (stream ? bind_to_a_port(fd, home) : connect_to(fd, {home, discard})) == 0);
}

int connect_to_itself(int fd, DnsLink& link, const IpAddress& resolver) noexcept {
  ErrnoGuard guard;
  int first_error = 0;
  if (!loopback_is_up(fd)) {
    guard.set(ENETUNREACH);
    return -1;
  }
  for (const IpAddress& home : ways_home(resolver)) {
    if (resolver.is_v6() && first_error != 0) {
      const int off = 0;  // fails on a socket that is bound: then there is no other way
      libc::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    }
    const int result = has_port(fd, link.stream, home) ? connect_to_own(fd, link, home) : -1;
    if (result == 0) {
      return 0;
    }
    if (!is_no_way(errno)) {
      guard.set(errno);
      return -1;
    }
    first_error = first_error == 0 ? errno : first_error;
  }
  guard.set(first_error);
  return -1;
}

int connect_link(int fd, const Endpoint& resolver, const sockaddr* address, socklen_t length,
                 bool stream) noexcept {
  const bool is_new = find_dns_link(fd) == nullptr;
  DnsLink* link = make_dns_link(fd, stream);
  if (link == nullptr) {
    errno = ENOMEM;
    return -1;
  }
  if (stream && !is_new) {
    // A second connect(): the kernel says how the first one is getting on.
    return connect_to(fd, {link->own_address, link->own_port.load(std::memory_order_relaxed)});
  }
  ErrnoGuard guard;
  link->resolver = DialledAddress::of(address, length);
  link->bare.store(false, std::memory_order_relaxed);
  link->connected.store(true, std::memory_order_release);
  const int result = connect_to_itself(fd, *link, resolver.address);
  if (result != 0) {
    if (!stream && is_no_way(errno) && resolver.address.unmapped().is_v4() && loopback_is_up(fd)) {
      // Without 127.0.0.1 no IPv4 socket can be connected on this host, to 0.0.0.0 neither; but a
      // datagram to 0.0.0.0 arrives, so each is sent by itself.
      link->own_port.store(0, std::memory_order_relaxed);
      link->bare.store(true, std::memory_order_release);
      return 0;
    }
    guard.set(errno);
    if (errno != EINPROGRESS && errno != EINTR) {
      link->connected.store(false, std::memory_order_relaxed);
      if (is_new) {
        remove_link(fd);
      }
    }
  }
  return result;
}

/// The program's socket speaks with somebody else from now on, or with nobody.
void leave_resolver(int fd, DnsLink& link) noexcept {
  if (!link.connected.load(std::memory_order_relaxed)) {
    return;
  }
  if (!link.stream) {
    sockaddr nobody{};
    nobody.sa_family = AF_UNSPEC;
    const ErrnoGuard guard;
    libc::connect(fd, &nobody, sizeof(nobody));
  }
  remove_link(fd);
}

}  // namespace

std::optional<int> dns_connect(int fd, const sockaddr* address, socklen_t length) noexcept {
  const Result<Endpoint> destination = from_sockaddr(address, length);
  DnsLink* link = find_dns_link(fd);
  if (!destination) {
    if (link != nullptr && address->sa_family == AF_UNSPEC) {
      leave_resolver(fd, *link);
    }
    return std::nullopt;
  }
  if (destination->port != dns_port && link == nullptr) {
    return std::nullopt;
  }
  const bool stream = is_tcp(fd);
  const DnsRoute route = stream || is_udp(fd)
                             ? dns_route(config(), fake_ips(), *destination,
                                         stream ? DnsTransport::stream : DnsTransport::datagram)
                             : DnsRoute::none;
  if (route == DnsRoute::answer) {
    return connect_link(fd, *destination, address, length, stream);
  }
  if (link != nullptr && stream) {
    // Connected as it is, the kernel has the word for it.
    return connect_to(fd, {link->own_address, link->own_port.load(std::memory_order_relaxed)});
  }
  if (link != nullptr) {
    leave_resolver(fd, *link);
  }
  if (route == DnsRoute::refuse) {
    errno = no_datagram_errno;
    return -1;
  }
  if (route == DnsRoute::direct) {
    fd_table().unfollow(fd);
    return libc::connect(fd, address, length);
  }
  return std::nullopt;
}

std::optional<int> dns_getpeername(int fd, sockaddr* address, socklen_t* length) noexcept {
  const DnsLink* link = find_dns_link(fd);
  if (link == nullptr || !link->connected.load(std::memory_order_acquire) || address == nullptr ||
      length == nullptr) {
    return std::nullopt;
  }
  if (!can_read(length, sizeof(*length))) {
    errno = EFAULT;
    return -1;
  }
  // The kernel judges what it is to write to.
  const socklen_t room = *length;
  const auto judge =
      link->bare.load(std::memory_order_acquire) ? libc::getsockname : libc::getpeername;
  if (judge(fd, address, length) != 0) {
    return -1;
  }
  *length = link->resolver.give(address, room);
  return 0;
}

}  // namespace socks64::shim
