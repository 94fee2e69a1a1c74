// What a handshake asks of the kernel for the program's socket, besides octets.
#ifndef SOCKS64_SHIM_GATEWAY_SOCKET_HPP
#define SOCKS64_SHIM_GATEWAY_SOCKET_HPP

#include <sys/socket.h>

#include "connection.hpp"

namespace socks64::shim {

/// SO_RCVTIMEO or SO_SNDTIMEO as an end of waiting; `never` when there is none.
[[nodiscard]] Nanoseconds end_of_wait(int fd, int timeout_option) noexcept;

[[nodiscard]] bool is_non_blocking(int fd) noexcept;

/// The gateway as this socket can dial it: an AF_INET6 socket reaches an IPv4 gateway by its mapped
/// address. 0 when it cannot: an AF_INET socket and an IPv6 gateway.
[[nodiscard]] socklen_t gateway_address(int fd, sockaddr_storage& out) noexcept;

/// IPV6_V6ONLY has to go for a mapped address; getsockopt() goes on telling what the program set.
/// True when it was on and is off now. The kernel refuses on a socket that is bound: then its
/// connect fails with ENETUNREACH.
[[nodiscard]] bool clear_v6only(int fd) noexcept;
void give_back_v6only(int fd, const Connection& connection) noexcept;

/// connect(2) that does not wait, also on a blocking socket: O_NONBLOCK is the program's own and
/// seen by all who share the socket, so it is SO_SNDTIMEO that is set, to the shortest time there
/// is (one tick), and put back.
int connect_without_waiting(int fd, const sockaddr_storage& address, socklen_t length,
                            bool non_blocking) noexcept;

/// connect(AF_UNSPEC): the kernel takes the connection apart and leaves the socket alive.
void disconnect(int fd) noexcept;

/// Whether the kernel holds an error for the socket. Asked before any I/O, which would consume it
/// and with it POLLERR.
[[nodiscard]] bool has_kernel_error(int fd) noexcept;

}  // namespace socks64::shim

#endif
