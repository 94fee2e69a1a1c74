// Waits. While a handshake is pending anywhere in the process, poll and select go through
// wait_driving() (progress_wait.cpp); epoll has marks for that (wait_set.cpp). A wait returns when
// the program's own events are there, and never for ours.
//
// The signal mask of ppoll, pselect and epoll_pwait is in force in every one of these waits, since
// each is the kernel's own atomic call: a signal that arrives while we advance stays blocked, if
// the program blocked it, and ends the next wait with EINTR.
#include <algorithm>
#include <array>
#include <cerrno>
#include <sys/syscall.h>

#include "descriptors/fd_table.hpp"
#include "descriptors/wait_set.hpp"
#include "gateway/gateway_connect.hpp"
#include "gateway/gateway_link.hpp"
#include "gateway/progress_wait.hpp"
#include "host/hook_table.hpp"
#include "host/scratch.hpp"
#include "process/raw_waits.hpp"

using namespace socks64;
using namespace socks64::shim;

namespace {

constexpr Nanoseconds second = 1'000'000'000;
constexpr Nanoseconds millisecond = 1'000'000;

/// The end of a wait; never for a missing or endless timeout. An invalid timespec is the kernel's
/// to refuse.
Nanoseconds end_of(const timespec* timeout) noexcept {
  if (timeout == nullptr || timeout->tv_sec > never / second / 4) {
    return never;
  }
  return now() + timeout->tv_sec * second + timeout->tv_nsec;
}

Nanoseconds end_of_milliseconds(int timeout) noexcept {
  return timeout < 0 ? never : now() + timeout * millisecond;
}

bool is_valid(const timespec* timeout) noexcept {
  return timeout == nullptr ||
         (timeout->tv_sec >= 0 && timeout->tv_nsec >= 0 && timeout->tv_nsec < second);
}

Nanoseconds left_until(Nanoseconds end) noexcept {
  return end == never ? never : std::max<Nanoseconds>(end - now(), 0);
}

/// Whether a wait for these has to advance handshakes. A wild array is the kernel's to refuse.
bool drives(pollfd* fds, nfds_t count) noexcept {
  constexpr nfds_t most = 1U << 20U;
  return any_to_drive() && count <= most &&
         (count == 0 || is_readable(fds, count * sizeof(pollfd)));
}

int poll_with(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask) noexcept {
  return wait_driving(fds, count, end_of(timeout), mask);
}

/// The three sets of select(2) as one list for poll(2), and back.
class SelectSets {
 public:
  SelectSets(int count, fd_set* reads, fd_set* writes, fd_set* excepts) noexcept
      : count_(bounded(count)), sets_{reads, writes, excepts} {}

  /// Descriptors to look at: programs pass numbers larger than their sets (getdtablesize()), which
  /// the kernel cuts to the descriptors that there are.
  [[nodiscard]] int count() const noexcept { return count_; }

  [[nodiscard]] nfds_t fill(pollfd* out) const noexcept {
    nfds_t used = 0;
    for (int fd = 0; fd < count_; ++fd) {
      if (listed(fd)) {
        out[used++] = {fd, events_of(fd), 0};
      }
    }
    return used;
  }

  /// Writes the answer into the sets. As select(2): how many bits are set, or -1 and EBADF.
  [[nodiscard]] int give(const pollfd* polled, nfds_t used) noexcept {
    for (nfds_t i = 0; i < used; ++i) {
      if ((polled[i].revents & POLLNVAL) != 0) {
        errno = EBADF;
        return -1;
      }
    }
    int bits = 0;
    for (nfds_t i = 0; i < used; ++i) {
      // What the kernel's select counts: POLLIN_SET, POLLOUT_SET, POLLEX_SET.
      constexpr std::array<short, 3> meaning{POLLIN | POLLRDHUP | POLLHUP | POLLERR,
                                             POLLOUT | POLLERR, POLLPRI};
      for (std::size_t which = 0; which < sets_.size(); ++which) {
        if (!has(which, polled[i].fd)) {
          continue;
        }
        if ((polled[i].revents & meaning[which]) != 0) {
          ++bits;
        } else {
          word(which, polled[i].fd) &= ~bit(polled[i].fd);
        }
      }
    }
    return bits;
  }

 private:
  [[nodiscard]] static int bounded(int count) noexcept {
    constexpr int classic = FD_SETSIZE;
    return std::min(count, std::max(classic, fd_table().highest() + 1));
  }

  // Not FD_ISSET: programs with many descriptors pass sets larger than fd_set, which the fortified
  // macros would abort.
  using Word = unsigned long;
  static constexpr int word_bits = 8 * sizeof(Word);
  [[nodiscard]] Word& word(std::size_t which, int fd) const noexcept {
    return reinterpret_cast<Word*>(sets_[which])[fd / word_bits];
  }
  [[nodiscard]] static Word bit(int fd) noexcept {
    return Word{1} << (static_cast<unsigned>(fd) % word_bits);
  }
  [[nodiscard]] bool has(std::size_t which, int fd) const noexcept {
    return sets_[which] != nullptr && (word(which, fd) & bit(fd)) != 0;
  }
  [[nodiscard]] bool listed(int fd) const noexcept {
    return has(0, fd) || has(1, fd) || has(2, fd);
  }
  [[nodiscard]] short events_of(int fd) const noexcept {
    return static_cast<short>((has(0, fd) ? POLLIN : 0) | (has(1, fd) ? POLLOUT : 0) |
                              (has(2, fd) ? POLLPRI : 0));
  }

  int count_;
  std::array<fd_set*, 3> sets_;
};

int select_through(SelectSets sets, Nanoseconds end, const sigset_t* mask) noexcept {
  const Scratch<pollfd, 128> scratch(static_cast<std::size_t>(std::max(sets.count(), 0)));
  if (scratch.data() == nullptr) {
    errno = ENOMEM;
    return -1;
  }
  const nfds_t used = sets.fill(scratch.data());
  const int result = wait_driving(scratch.data(), used, end, mask);
  return result < 0 ? result : sets.give(scratch.data(), used);
}

/// An epoll wait in `epfd` until `end`; `wait(left)` is the kernel's own, where `left` is `never`
/// or nanoseconds. While a handshake is pending anywhere, its deadline is served here, since the
/// kernel has no event for it; and it is looked after, since another process that waits in the same
/// set may have taken the event that was for us. What is pending without a mark is watched beside
/// the set.
template <class Wait>
int epoll_through(int epfd, epoll_event* events, Nanoseconds end, const sigset_t* mask,
                  Wait wait) noexcept {
  wait_set().serve(epfd);
  for (;;) {
    Nanoseconds left = left_until(end);
    bool whole = true;
    if (fd_table().any_unsettled()) {
      serve_deadlines();
      look_after_handshakes();
      const Nanoseconds deadline = left_until(fd_table().next_deadline());
      const Nanoseconds longest = deadline == never ? never : std::min(deadline, patience);
      whole = left <= longest;
      left = std::min(left, longest);
      if (left != 0 && any_unmarked()) {
        const int ready = wait_beside_set(epfd, left == never ? never : now() + left, mask);
        if (ready < 0) {
          return ready;
        }
        left = 0;
        whole = now() >= end;
      }
    }
    const int count = wait(left);
    if (count < 0 || (count == 0 && whole)) {
      return count;
    }
    const int kept = wait_set().filter(epfd, events, count, drive);
    if (kept > 0) {
      return kept;
    }
  }
}

int to_milliseconds(Nanoseconds time) noexcept {
  return time == never ? -1
                       : static_cast<int>(std::min<Nanoseconds>(
                             (time + millisecond - 1) / millisecond, 0x7fffffff));
}

}  // namespace

S64_EXPORT int poll(pollfd* fds, nfds_t count, int timeout) {
  return drives(fds, count) ? wait_driving(fds, count, end_of_milliseconds(timeout), nullptr)
                            : libc::poll(fds, count, timeout);
}

S64_EXPORT int ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  return is_valid(timeout) && drives(fds, count) ? poll_with(fds, count, timeout, mask)
                                                 : libc::ppoll(fds, count, timeout, mask);
}

S64_EXPORT int select(int count, fd_set* reads, fd_set* writes, fd_set* excepts, timeval* timeout) {
  const SelectSets sets(count, reads, writes, excepts);
  if (!any_to_drive() || (timeout != nullptr && (timeout->tv_sec < 0 || timeout->tv_usec < 0))) {
    return libc::select(count, reads, writes, excepts, timeout);
  }
  const timespec precise{timeout == nullptr ? 0 : timeout->tv_sec,
                         timeout == nullptr ? 0 : timeout->tv_usec % 1'000'000 * 1000};
  const Nanoseconds end = timeout == nullptr ? never : end_of(&precise);
  const int result = select_through(sets, end, nullptr);
  if (timeout != nullptr && end != never) {
    // Linux tells the time that was left.
    const Nanoseconds left = left_until(end);
    timeout->tv_sec = static_cast<time_t>(left / second);
    timeout->tv_usec = static_cast<suseconds_t>(left % second / 1000);
  }
  return result;
}

S64_EXPORT int pselect(int count, fd_set* reads, fd_set* writes, fd_set* excepts,
                       const timespec* timeout, const sigset_t* mask) {
  const SelectSets sets(count, reads, writes, excepts);
  if (!any_to_drive() || !is_valid(timeout)) {
    return libc::pselect(count, reads, writes, excepts, timeout, mask);
  }
  return select_through(sets, end_of(timeout), mask);
}

namespace {

/// epoll_ctl for a descriptor that is followed, in a set that no hooked wait has served. `caller`
/// is where the program called it from.
int control_unserved(int epfd, int operation, int fd, epoll_event* event,
                     const void* caller) noexcept {
  if (operation != EPOLL_CTL_DEL && wait_set().waits_of(epfd) == SetWaits::unknown &&
      !imports_epoll_wait(caller)) {
    wait_set().note_raw(epfd);
  }
  // Who no longer waits until a socket is writable has been told that it is.
  if (operation == EPOLL_CTL_MOD && fd_table().connection(fd) != nullptr &&
      is_readable(event, sizeof(*event)) && (event->events & EPOLLOUT) == 0) {
    static_cast<void>(heed_raw_wait(fd));
  }
  const SetWaits waits = wait_set().waits_of(epfd);
  if (operation != EPOLL_CTL_DEL && waits == SetWaits::raw) {
    finish_for_raw_wait(fd, waits);  // before the kernel can report anything of it
  }
  const int result = wait_set().control(epfd, operation, fd, event);
  if (result == 0 && fd_table().any_unsettled()) {
    finish_for_raw_wait(fd, wait_set().waits_for_bare(fd));
  }
  return result;
}

}  // namespace

S64_EXPORT int epoll_ctl(int epfd, int operation, int fd, epoll_event* event) noexcept {
  const FdEntry* entry = fd_table().find(fd);
  if (entry == nullptr || !entry->is_followed()) {
    return libc::epoll_ctl(epfd, operation, fd, event);
  }
  if (wait_set().waits_of(epfd) == SetWaits::hooked) {
    return wait_set().control(epfd, operation, fd, event);
  }
  return control_unserved(epfd, operation, fd, event, __builtin_return_address(0));
}

S64_EXPORT int epoll_wait(int epfd, epoll_event* events, int count, int timeout) {
  return epoll_through(epfd, events, end_of_milliseconds(timeout), nullptr, [&](Nanoseconds left) {
    return libc::epoll_wait(epfd, events, count, to_milliseconds(left));
  });
}

S64_EXPORT int epoll_pwait(int epfd, epoll_event* events, int count, int timeout,
                           const sigset_t* mask) {
  return epoll_through(epfd, events, end_of_milliseconds(timeout), mask, [&](Nanoseconds left) {
    return libc::epoll_pwait(epfd, events, count, to_milliseconds(left), mask);
  });
}

namespace {

/// Where libc has no such function (musl, glibc before 2.35) the kernel's call may come by
/// syscall(2) all the same. Not by its name: that is our own hook, which would lead back here.
int wait_precisely(int epfd, epoll_event* events, int count, const timespec* timeout,
                   const sigset_t* mask) noexcept {
#ifdef SYS_epoll_pwait2
  if (is_missing(Hook::epoll_pwait2)) {
    constexpr long mask_size = 8;
    const std::int64_t precise[2] = {timeout == nullptr ? 0 : timeout->tv_sec,
                                     timeout == nullptr ? 0 : timeout->tv_nsec};
    return static_cast<int>(libc::syscall(SYS_epoll_pwait2, epfd, reinterpret_cast<long>(events),
                                          count,
                                          timeout == nullptr ? 0 : reinterpret_cast<long>(&precise),
                                          reinterpret_cast<long>(mask), mask_size));
  }
#endif
  return libc::epoll_pwait2(epfd, events, count, timeout, mask);
}

}  // namespace

S64_EXPORT int epoll_pwait2(int epfd, epoll_event* events, int count, const timespec* timeout,
                            const sigset_t* mask) {
  if (!is_valid(timeout)) {
    return wait_precisely(epfd, events, count, timeout, mask);
  }
  return epoll_through(epfd, events, end_of(timeout), mask, [&](Nanoseconds left) {
    const timespec slice = left == never ? timespec{} : to_timespec(left);
    return wait_precisely(epfd, events, count, left == never ? nullptr : &slice, mask);
  });
}

#ifdef __GLIBC__
// _FORTIFY_SOURCE's forms know the size of the array. Too small a one ends the program in the real
// function, as it must.
S64_EXPORT int __poll_chk(pollfd* fds, nfds_t count, int timeout, std::size_t room) {
  return room / sizeof(pollfd) >= count && drives(fds, count)
             ? wait_driving(fds, count, end_of_milliseconds(timeout), nullptr)
             : libc::__poll_chk(fds, count, timeout, room);
}

S64_EXPORT int __ppoll_chk(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask,
                           std::size_t room) {
  return room / sizeof(pollfd) >= count && is_valid(timeout) && drives(fds, count)
             ? poll_with(fds, count, timeout, mask)
             : libc::__ppoll_chk(fds, count, timeout, mask, room);
}

// libc's other names for the same calls.
S64_EXPORT int __poll(pollfd* fds, nfds_t count, int timeout) {
  return poll(fds, count, timeout);
}

S64_EXPORT int __select(int count, fd_set* reads, fd_set* writes, fd_set* excepts,
                        timeval* timeout) {
  return select(count, reads, writes, excepts, timeout);
}
#endif
