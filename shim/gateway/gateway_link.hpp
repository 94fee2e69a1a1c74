// The handshake with the gateway, on the program's own socket. See gateway_link.cpp.
#ifndef SOCKS64_SHIM_GATEWAY_LINK_HPP
#define SOCKS64_SHIM_GATEWAY_LINK_HPP

#include <cstdint>
#include <string_view>

#include "descriptors/fd_table.hpp"

namespace socks64::shim {

/// The longest a wait on a descriptor may last before it looks at the handshake again. Several
/// threads, or relatives after a fork, may wait for the same one, each for the gateway's next
/// octets: who reads them moves the handshake on, and the kernel has nothing to wake the others
/// with.
inline constexpr Nanoseconds glance = 50'000'000;

/// How far a descriptor's handshake is.
struct Progress {
  enum class State : std::uint8_t {
    none,         ///< no handshake, or the program knows its failure: the kernel has the truth
    pending,      ///< wait for `events`, at most until `deadline`, and drive again
    established,  ///< the destination is reached
    failed,       ///< take_error() has the reason
  };
  State state = State::none;
  short events = 0;  ///< POLLIN or POLLOUT; 0: nothing of the socket's, the deadline alone
  Nanoseconds deadline = never;
  bool unresolved = false;  ///< between drive() and its lock: `candidate` has a name to resolve
  Candidate candidate{};
};

/// What who drives knows already, so that the kernel is not asked once more.
struct Seen {
  bool no_error = false;  ///< the kernel has just shown the socket's state, and no error
  /// Octets that arrive from now on wake the caller, or keep it from waiting: no read is tried
  /// right behind a write, when the gateway can hardly have answered.
  bool input_wakes = false;
};

/// Advances the handshake of `fd` as far as it goes without waiting. Cheap when there is none.
/// Leaves errno alone. (A gateway's name that has to be resolved is waited for.)
Progress drive(int fd, Seen seen = {}) noexcept;

/// The same for who has just dialled and still holds the handshake's lock. What has to be resolved
/// is left to drive().
Progress drive_dialled(int fd, Connection& connection, PendingHandshake& handshake,
                       Seen seen) noexcept;

/// Fails the handshakes that have run out of time; cheap when none has.
void serve_deadlines() noexcept;

/// A wait in an epoll set looks after the pending handshakes so often.
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

}  // namespace socks64::shim

#endif
