// Waiting for a call's own readiness while every pending handshake of the process advances. See
// progress_wait.cpp.
#ifndef SOCKS64_SHIM_PROGRESS_WAIT_HPP
#define SOCKS64_SHIM_PROGRESS_WAIT_HPP

#include <csignal>
#include <poll.h>

#include "descriptors/fd_table.hpp"
#include "host/host_guard.hpp"

namespace socks64::shim {

/// How many pending handshakes are watched at a time. Where there are more, they take turns.
inline constexpr nfds_t watched_at_once = 96;

/// Whether a blocking call has handshakes to advance. False in the child of a vfork, which runs in
/// its parent's memory.
[[nodiscard]] inline bool any_to_drive() noexcept {
  return fd_table().any_unsettled() && !in_unseen_child();
}

/// Whether a handshake is pending.
[[nodiscard]] bool any_pending() noexcept;

/// Whether a handshake is pending that no epoll set has a mark for.
[[nodiscard]] bool any_unmarked() noexcept;

/// poll(2) of `fds` until `end`, with `mask` in force as in ppoll(2) (null: the thread's own),
/// while all pending handshakes advance, those of `fds` among them: each is shown to the program
/// once it is over. As ppoll(2): a signal's handler that runs at any moment of the wait ends it
/// with EINTR. Without descriptors it is a sleep.
int wait_driving(pollfd* fds, nfds_t count, Nanoseconds end, const sigset_t* mask) noexcept;

/// Waits until an epoll set is readable, be it for marks, or a handshake without a mark has
/// advanced, at most until `end`. Negative with errno: EINTR.
int wait_beside_set(int epfd, Nanoseconds end, const sigset_t* mask) noexcept;

/// One ppoll(2) of `list`, `own` long with room for `watched_at_once` more, until `end` or earlier,
/// with the pending handshakes beside it; advances those that have something to do. `has_pending`:
/// one of them is in `list`. How many of `list` have events, or as ppoll(2).
int poll_beside(pollfd* list, nfds_t own, bool has_pending, Nanoseconds end,
                const sigset_t* mask) noexcept;

/// Advances what can be advanced now. Leaves errno alone.
void drive_ready() noexcept;

/// Before a call that may block on `fd` until it shows `events`: waits for that while handshakes
/// advance. True when the call may go on. Otherwise errno says why not: EINTR, or EAGAIN when the
/// socket's own timeout is over (`timeout_option`: SO_RCVTIMEO or SO_SNDTIMEO).
[[nodiscard]] bool wait_for_own(int fd, short events, bool dont_wait, int timeout_option) noexcept;

/// Whether a call that a signal has interrupted is to go on, as SA_RESTART says.
[[nodiscard]] bool restarts_after_signals() noexcept;

}  // namespace socks64::shim

#endif
