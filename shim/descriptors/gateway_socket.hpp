// What a handshake asks of the kernel for the program's socket, besides octets.
#ifndef SOCKS64_SHIM_GATEWAY_SOCKET_HPP
#define SOCKS64_SHIM_GATEWAY_SOCKET_HPP

#include <optional>
#include <sys/socket.h>
#include <sys/time.h>

#include "descriptors/connection.hpp"

namespace socks64::shim {

/// SO_RCVTIMEO or SO_SNDTIMEO as an end of waiting; `never` when there is none.
[[nodiscard]] Nanoseconds end_of_wait(int fd, int timeout_option) noexcept;

[[nodiscard]] bool is_non_blocking(int fd) noexcept;

/// What a connect needs to know of the program's socket. The kernel is asked once a connect.
struct SocketManner {
  bool non_blocking = true;
  std::optional<timeval> send_timeout;  ///< SO_SNDTIMEO of a blocking socket
  int domain = 0;                       ///< of the file that is there now; 0: not known

  /// When a blocking connect that begins now has waited long enough, or `never`.
  [[nodiscard]] Nanoseconds end_of_connect() const noexcept;
};
/// Asks for all of it but the domain.
[[nodiscard]] SocketManner manner_of(int fd) noexcept;

/// IPV6_V6ONLY has to go for a mapped address; getsockopt() goes on telling what the program set.
/// False when it is still on: the kernel refuses on a socket that is bound. `cleared` becomes true
/// when it was on and is off now.
[[nodiscard]] bool clear_v6only(int fd, bool& cleared) noexcept;
void give_back_v6only(int fd, const Connection& connection) noexcept;

/// connect(2) that does not wait, also on a blocking socket: O_NONBLOCK is the program's own and
/// seen by all who share the socket, so it is SO_SNDTIMEO that is set, to the shortest time there
/// is (one tick), and put back.
int connect_without_waiting(int fd, const sockaddr_storage& address, socklen_t length,
                            const SocketManner& manner) noexcept;

/// connect(AF_UNSPEC): the kernel takes the connection apart and leaves the socket alive.
void disconnect(int fd) noexcept;

/// Whether the kernel holds an error for the socket. Asked before any I/O, which would consume it
/// and with it POLLERR.
[[nodiscard]] bool has_kernel_error(int fd) noexcept;
/// What can be read at once.
[[nodiscard]] int octets_waiting(int fd) noexcept;
/// Whether both directions are closed.
[[nodiscard]] bool is_hung_up(int fd) noexcept;

}  // namespace socks64::shim

#endif
