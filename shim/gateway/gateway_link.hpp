// The handshake with the gateway, on the program's own socket. See gateway_link.cpp.
#ifndef SOCKS64_SHIM_GATEWAY_LINK_HPP
#define SOCKS64_SHIM_GATEWAY_LINK_HPP

#include <cstdint>
#include <string_view>

#include "descriptors/fd_table.hpp"
#include "descriptors/progress.hpp"

namespace socks64::shim {

/// The longest a wait on a descriptor may last before it looks at the handshake again. Several
/// threads, or relatives after a fork, may wait for the same one, each for the gateway's next
/// octets: who reads them moves the handshake on, and the kernel has nothing to wake the others
/// with.
inline constexpr Nanoseconds glance = 50'000'000;

/// Advances the handshake of `fd` as far as it goes without waiting. Cheap when there is none.
/// Leaves errno alone. (A gateway's name that has to be resolved is waited for.)
Progress drive(int fd, Seen seen = {}) noexcept;

/// The same for who has just dialled and still holds the handshake's lock. What has to be resolved
/// is left to drive().
Progress drive_dialled(int fd, Connection& connection, PendingHandshake& handshake,
                       Seen seen) noexcept;

/// Fails the handshakes that have run out of time; cheap when none has.
void serve_deadlines() noexcept;

/// How often a wait in an epoll set looks after the pending handshakes.
inline constexpr Nanoseconds patience = 4 * glance;

/// Advances some of the pending handshakes, others with each call, if the last time was more than
/// `patience` ago: for wake-ups that were lost to somebody else who waits in the same epoll set.
/// Leaves errno alone.
void look_after_handshakes() noexcept;

/// One line of diagnostics on how a handshake ended; `error` 0 for success.
void log_outcome(const PendingHandshake& handshake, int error, std::string_view who) noexcept;

/// The errno of a failed connect, once; 0 when another thread was faster. As SO_ERROR.
/// Precondition: the connection is verified.
int take_error(int fd, Connection& connection) noexcept;
/// The same, but the kernel goes on to show the socket as one whose connection was reset.
int tell_error(int fd, Connection& connection) noexcept;

}  // namespace socks64::shim

#endif
