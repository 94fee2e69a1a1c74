// Sleeps, and waits for signals and children. With a handshake pending each becomes a wait that
// drives it (progress_wait.cpp); with none it is the kernel's own.
//
// A child's end and a signal that is fetched cannot be polled for without a descriptor of ours:
// those are asked for again every few milliseconds, and only while something is pending.
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <sys/wait.h>

#include "gateway/gateway_link.hpp"
#include "gateway/progress_wait.hpp"
#include "host/hook_table.hpp"

using namespace socks64;
using namespace socks64::shim;

namespace {

constexpr Nanoseconds second = nanoseconds_per_second;
/// How soon a child's end, or a signal, is seen.
constexpr Nanoseconds look_again = 5'000'000;

bool is_valid(const timespec* time) noexcept {
  return time != nullptr && is_readable(time, sizeof(*time)) && time->tv_sec >= 0 &&
         time->tv_nsec >= 0 && time->tv_nsec < second;
}

Nanoseconds nanoseconds_of(const timespec& time) noexcept {
  return time.tv_sec > never / second / 4 ? never : time.tv_sec * second + time.tv_nsec;
}

Nanoseconds time_of(clockid_t clock) noexcept {
  timespec time{};
  clock_gettime(clock, &time);
  return nanoseconds_of(time);
}

/// Sleeps for so long. What is left when a signal ends it, else 0. Leaves errno alone.
Nanoseconds sleep_for(Nanoseconds time) noexcept {
  const ErrnoGuard guard;
  const Nanoseconds end = time == never ? never : now() + time;
  if (wait_driving(nullptr, 0, end, nullptr) == 0 || errno != EINTR) {
    return 0;
  }
  return end == never ? never : std::max<Nanoseconds>(end - now(), 1);
}

/// Until a clock shows a time, which somebody may set meanwhile. False when a signal ends it.
bool sleep_until(clockid_t clock, Nanoseconds end) noexcept {
  for (;;) {
    const Nanoseconds left = end - time_of(clock);
    if (left <= 0) {
      return true;
    }
    if (sleep_for(clock == CLOCK_REALTIME ? std::min(left, second) : left) != 0) {
      return false;
    }
  }
}

/// nanosleep(2) as an errno.
int sleep_as_told(const timespec& time, timespec* left) noexcept {
  const Nanoseconds rest = sleep_for(nanoseconds_of(time));
  if (rest == 0) {
    return 0;
  }
  if (left != nullptr) {
    *left = to_timespec(rest);
  }
  return EINTR;
}

/// One of the waits for a signal, until `end`; `ask(timeout)` is the kernel's own. As
/// sigtimedwait(2).
template <class Ask>
int await_signal(Nanoseconds end, Ask ask) noexcept {
  for (;;) {
    constexpr timespec at_once{};
    const int found = ask(&at_once);
    const Nanoseconds time = now();
    if (found >= 0 || errno != EAGAIN || time >= end) {
      return found;
    }
    if (!any_pending()) {
      const timespec left = to_timespec(end == never ? 0 : end - time);
      return ask(end == never ? nullptr : &left);
    }
    if (wait_driving(nullptr, 0, std::min(end, now() + look_again), nullptr) < 0) {
      return -1;
    }
  }
}

/// One of the waits for a child; `ask(more)` is the call with more options. With WNOHANG 0 means
/// that none has ended.
template <class Result, class Ask>
Result await_child(Ask ask) noexcept {
  const int saved = errno;
  for (bool interrupted = false;;) {
    errno = saved;
    const Result found = ask(any_pending() || interrupted ? WNOHANG : 0);
    if (found != 0) {
      return found;
    }
    if (interrupted && !restarts_after_signals()) {
      errno = EINTR;
      return -1;
    }
    interrupted = wait_driving(nullptr, 0, now() + look_again, nullptr) < 0 && errno == EINTR;
  }
}

}  // namespace

S64_EXPORT int nanosleep(const timespec* time, timespec* left) {
  if (!any_to_drive() || !is_valid(time)) {
    return libc::nanosleep(time, left);
  }
  const int error = sleep_as_told(*time, left);
  if (error != 0) {
    errno = error;
    return -1;
  }
  return 0;
}

S64_EXPORT int clock_nanosleep(clockid_t clock, int flags, const timespec* time, timespec* left) {
  const bool known = clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME;
  if (!any_to_drive() || !known || !is_valid(time)) {
    return libc::clock_nanosleep(clock, flags, time, left);
  }
  if ((flags & TIMER_ABSTIME) == 0) {
    return sleep_as_told(*time, left);
  }
  return sleep_until(clock, nanoseconds_of(*time)) ? 0 : EINTR;
}

S64_EXPORT int usleep(useconds_t time) {
  if (!any_to_drive()) {
    return libc::usleep(time);
  }
  if (sleep_for(Nanoseconds{time} * 1000) != 0) {
    errno = EINTR;
    return -1;
  }
  return 0;
}

S64_EXPORT unsigned sleep(unsigned seconds) {
  return any_to_drive() ? static_cast<unsigned>(sleep_for(seconds * second) / second)
                        : libc::sleep(seconds);
}

S64_EXPORT int thrd_sleep(const timespec* time, timespec* left) {
  if (!any_to_drive() || !is_valid(time)) {
    return libc::thrd_sleep(time, left);
  }
  return sleep_as_told(*time, left) == 0 ? 0 : -1;
}

S64_EXPORT int pause() {
  return any_to_drive() ? wait_driving(nullptr, 0, never, nullptr) : libc::pause();
}

S64_EXPORT int sigsuspend(const sigset_t* mask) {
  return any_to_drive() && is_readable(mask, sizeof(std::uint64_t))
             ? wait_driving(nullptr, 0, never, mask)
             : libc::sigsuspend(mask);
}

S64_EXPORT int sigtimedwait(const sigset_t* signals, siginfo_t* info, const timespec* timeout) {
  if (!any_to_drive() || (timeout != nullptr && !is_valid(timeout))) {
    return libc::sigtimedwait(signals, info, timeout);
  }
  const Nanoseconds time = timeout == nullptr ? never : nanoseconds_of(*timeout);
  return await_signal(time == never ? never : now() + time, [&](const timespec* left) {
    return libc::sigtimedwait(signals, info, left);
  });
}

S64_EXPORT int sigwaitinfo(const sigset_t* signals, siginfo_t* info) {
  return any_to_drive() ? sigtimedwait(signals, info, nullptr) : libc::sigwaitinfo(signals, info);
}

// Never EINTR, which POSIX does not know here.
S64_EXPORT int sigwait(const sigset_t* signals, int* found) {
  if (!any_to_drive()) {
    return libc::sigwait(signals, found);
  }
  const ErrnoGuard guard;
  for (;;) {
    const int signal = sigtimedwait(signals, nullptr, nullptr);
    if (signal >= 0) {
      *found = signal;
      return 0;
    }
    if (errno != EINTR) {
      return errno;
    }
  }
}

S64_EXPORT pid_t waitpid(pid_t pid, int* status, int options) {
  if ((options & WNOHANG) != 0 || !any_to_drive()) {
    return libc::waitpid(pid, status, options);
  }
  return await_child<pid_t>([&](int more) { return libc::waitpid(pid, status, options | more); });
}

S64_EXPORT pid_t wait(int* status) {
  return any_to_drive() ? waitpid(-1, status, 0) : libc::wait(status);
}

S64_EXPORT pid_t wait4(pid_t pid, int* status, int options, rusage* usage) noexcept {
  if ((options & WNOHANG) != 0 || !any_to_drive()) {
    return libc::wait4(pid, status, options, usage);
  }
  return await_child<pid_t>(
      [&](int more) { return libc::wait4(pid, status, options | more, usage); });
}

S64_EXPORT pid_t wait3(int* status, int options, rusage* usage) noexcept {
  return any_to_drive() ? wait4(-1, status, options, usage) : libc::wait3(status, options, usage);
}

#if defined(__GLIBC__) && __TIMESIZE == 32
S64_EXPORT pid_t __wait4_time64(pid_t pid, int* status, int options, void* usage) {
  if ((options & WNOHANG) != 0 || !any_to_drive()) {
    return libc::__wait4_time64(pid, status, options, usage);
  }
  return await_child<pid_t>(
      [&](int more) { return libc::__wait4_time64(pid, status, options | more, usage); });
}

S64_EXPORT pid_t __wait3_time64(int* status, int options, void* usage) {
  return any_to_drive() ? __wait4_time64(-1, status, options, usage)
                        : libc::__wait3_time64(status, options, usage);
}
#endif

S64_EXPORT int waitid(idtype_t kind, id_t id, siginfo_t* info, int options) {
  if ((options & WNOHANG) != 0 || !any_to_drive()) {
    return libc::waitid(kind, id, info, options);
  }
  siginfo_t own{};
  siginfo_t* found = info != nullptr ? info : &own;
  const int result = await_child<int>([&](int more) {
    found->si_pid = 0;
    const int done = libc::waitid(kind, id, found, options | more);
    return done == 0 && found->si_pid != 0 ? 1 : done;
  });
  return result > 0 ? 0 : result;
}

#ifdef __GLIBC__
// libc's other names for the same calls.
S64_EXPORT int __nanosleep(const timespec* time, timespec* left) {
  return nanosleep(time, left);
}

S64_EXPORT int __sigsuspend(const sigset_t* mask) {
  return sigsuspend(mask);
}

S64_EXPORT pid_t __wait(int* status) {
  return wait(status);
}

S64_EXPORT pid_t __waitpid(pid_t pid, int* status, int options) {
  return waitpid(pid, status, options);
}
#endif
