// Another open file in the place of the program's socket, when its own cannot dial the gateway. See
// socket_swap.cpp.
#ifndef SOCKS64_SHIM_SOCKET_SWAP_HPP
#define SOCKS64_SHIM_SOCKET_SWAP_HPP

#include <sys/socket.h>

#include "socks64/address.hpp"

#include "descriptors/connection.hpp"

namespace socks64::shim {

/// What is remembered of the program's socket, when the file behind the connection's descriptors is
/// of another family; else null.
[[nodiscard]] SwappedSocket* swapped_socket(const Connection& connection) noexcept;
[[nodiscard]] inline bool is_swapped(const Connection& connection) noexcept {
  return swapped_socket(connection) != nullptr;
}
/// Whether there are such connections; false lets the hooks go straight on.
[[nodiscard]] bool any_swapped() noexcept;

/// AF_INET or AF_INET6, as the program made it; `current` is that of the file that is there now.
[[nodiscard]] int own_domain(const Connection& connection, int current) noexcept;

/// Puts a new, unconnected socket of `domain` (AF_INET, AF_INET6, AF_UNIX) under the descriptor and
/// its duplicates. 0 or an errno: EMFILE or ENFILE when there is no descriptor for a moment, and
/// everything is as it was.
/// Precondition: the connection is published, and its handshake's lock is held if it has one.
[[nodiscard]] int swap_socket(int fd, Connection& connection, int domain) noexcept;

/// The socket leaves the gateway: unconnected, and of the program's own kind again. With a note,
/// the kernel reports POLLERR and POLLHUP on it, as after a failed connect. Leaves errno alone.
void leave_gateway(int fd, Connection& connection, bool with_note) noexcept;

/// Before a socket whose connect failed is dialled again: it is given its own file, if it could not
/// be when the connect failed (no descriptor was left); and a new one where the destination is IPv6
/// and the old one cannot dial that any more. 0 or an errno.
[[nodiscard]] int revive(int fd, const Endpoint& destination) noexcept;

/// A connection ends: what was remembered of its socket is let go. Precondition: the table's lock
/// is held.
void forget_swap(Connection& connection) noexcept;

/// Whether a connected stream is a UNIX socket by now, which unlike TCP minds an address in
/// sendto().
[[nodiscard]] bool minds_addresses(int fd) noexcept;

/// The local address of a swapped socket in the program's own family: as it was bound, or all zero.
socklen_t local_address_of(const SwappedSocket& record, sockaddr_storage& out) noexcept;

}  // namespace socks64::shim

#endif
