// What kind of socket a descriptor is, asked of the kernel.
#ifndef SOCKS64_SHIM_SOCKET_KIND_HPP
#define SOCKS64_SHIM_SOCKET_KIND_HPP

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "host/hook_table.hpp"
#include "host/host_guard.hpp"

namespace socks64::shim {

/// An integer option; `fallback` when the kernel does not tell. Leaves errno alone.
inline int option(int fd, int level, int name, int fallback) noexcept {
  int value = fallback;
  socklen_t length = sizeof(value);
  const ErrnoGuard guard;
  return libc::getsockopt(fd, level, name, &value, &length) == 0 ? value : fallback;
}

/// An integer option of SOL_SOCKET, or -1.
inline int socket_option(int fd, int name) noexcept {
  return option(fd, SOL_SOCKET, name, -1);
}

inline bool is_socket(int fd) noexcept {
  return socket_option(fd, SO_TYPE) >= 0;
}

/// AF_INET or AF_INET6.
inline bool is_internet(int fd) noexcept {
  const int domain = socket_option(fd, SO_DOMAIN);
  return domain == AF_INET || domain == AF_INET6;
}

/// A datagram socket of UDP, not of ICMP.
inline bool is_udp(int fd) noexcept {
  return socket_option(fd, SO_TYPE) == SOCK_DGRAM && socket_option(fd, SO_PROTOCOL) == IPPROTO_UDP;
}

/// The state of a TCP socket (TCP_CLOSE: unconnected), or 0: for another kind of descriptor, and
/// where a kernel before 5.16 has Multipath TCP. One question that says socket, stream and TCP
/// where it is answered. Leaves errno alone.
inline int tcp_state(int fd) noexcept {
  unsigned char state = 0;  // tcpi_state is the first octet
  socklen_t length = sizeof(state);
  const ErrnoGuard guard;
  return libc::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &length) == 0 ? state : 0;
}

/// A byte stream that SOCKS can carry: TCP, or Multipath TCP.
inline bool is_tcp(int fd) noexcept {
  constexpr int multipath_tcp = 262;
  const int protocol = socket_option(fd, SO_PROTOCOL);
  return socket_option(fd, SO_TYPE) == SOCK_STREAM &&
         (protocol == IPPROTO_TCP || protocol == multipath_tcp);
}

}  // namespace socks64::shim

#endif
