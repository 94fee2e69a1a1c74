// connect() through the gateway, and what follows it.
#ifndef SOCKS64_SHIM_GATEWAY_CONNECT_HPP
#define SOCKS64_SHIM_GATEWAY_CONNECT_HPP

#include <sys/socket.h>

#include "socks64/address.hpp"

#include "descriptors/connection.hpp"
#include "descriptors/fd_table.hpp"

namespace socks64::shim {

/// connect() to a target through the gateway, blocking or not as the socket is. `address` is what
/// the program dialled. As connect(2): 0, or -1 and errno (EINPROGRESS on a non-blocking socket).
int connect_through_gateway(int fd, const Target& target, const sockaddr* address,
                            socklen_t length) noexcept;

/// connect() on a socket that has a connection already: EALREADY, EISCONN, the failure, or the wait
/// goes on.
int connect_again(int fd, Connection& connection, const sockaddr* address,
                  socklen_t length) noexcept;

/// Before I/O on a socket: true when the call may go on. Otherwise errno says why not (EAGAIN, the
/// failure of the connect, ...): a blocking socket waits for its handshake here, within SO_RCVTIMEO
/// or SO_SNDTIMEO (`timeout_option`).
bool settle_before_io(int fd, bool dont_wait, int timeout_option) noexcept;

/// Waits until the handshake of a descriptor is over, whatever comes of it and whatever the
/// socket's flags. False when a signal interrupted the wait: errno is EINTR.
bool finish_handshake(int fd) noexcept;

/// A pending socket is registered in, or about to be put into, a set for which the program waits as
/// `waits` says. Finishes its handshake where no hook will see that wait; where that is not known,
/// waits for a moment that is short, and granted once. Leaves errno alone.
void finish_for_raw_wait(int fd, SetWaits waits) noexcept;

/// A call of the program's that usually follows an event, on a socket that is pending or has
/// failed: where no hooked wait can have given that event, a raw one did. Then the handshake is
/// finished here, and the set is known to be waited for raw. True in that case. Leaves errno alone.
bool heed_raw_wait(int fd) noexcept;

/// Gives up a pending handshake: the socket is disconnected, as by connect(AF_UNSPEC).
void abandon(int fd, Connection& connection) noexcept;

}  // namespace socks64::shim

#endif
