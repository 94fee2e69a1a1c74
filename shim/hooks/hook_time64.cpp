// 32-bit glibc has two names for each call that takes or gives a time: the plain one for programs
// with 32-bit times, and one that programs call which are built with _TIME_BITS=64. Both end in the
// same hooks: here the times are translated, and nothing else happens.
#include "host/hook_table.hpp"

#if defined(__GLIBC__) && __TIMESIZE == 32

#include <algorithm>
#include <cstdarg>
#include <limits>
#include <sys/ioctl.h>

#include "gateway/gateway_connect.hpp"
#include "gateway/progress_wait.hpp"

using namespace socks64::shim;

namespace {

/// 68 years instead of more. What is not valid stays so.
time_t narrow(std::int64_t seconds) noexcept {
  return static_cast<time_t>(std::clamp<std::int64_t>(seconds, std::numeric_limits<time_t>::min(),
                                                      std::numeric_limits<time_t>::max()));
}

timespec narrow(const Timespec64* time) noexcept {
  return time == nullptr ? timespec{} : timespec{narrow(time->tv_sec), time->tv_nsec};
}

/// The hooks' own calls would be the program's, were it built otherwise.
const timespec* pointer_to(const timespec& time, const Timespec64* given) noexcept {
  return given == nullptr ? nullptr : &time;
}

}  // namespace

S64_EXPORT int __ppoll64(pollfd* fds, nfds_t count, const Timespec64* timeout,
                         const sigset_t* mask) {
  const timespec narrowed = narrow(timeout);
  return ppoll(fds, count, pointer_to(narrowed, timeout), mask);
}

S64_EXPORT int __ppoll64_chk(pollfd* fds, nfds_t count, const Timespec64* timeout,
                             const sigset_t* mask, std::size_t room) {
  return room / sizeof(pollfd) >= count ? __ppoll64(fds, count, timeout, mask)
                                        : libc::__ppoll64_chk(fds, count, timeout, mask, room);
}

S64_EXPORT int __select64(int count, fd_set* reads, fd_set* writes, fd_set* excepts,
                          Timeval64* timeout) {
  if (timeout == nullptr) {
    return select(count, reads, writes, excepts, nullptr);
  }
  constexpr std::int64_t million = 1'000'000;
  const bool valid = timeout->tv_sec >= 0 && timeout->tv_usec >= 0;
  timeval narrowed{valid ? narrow(timeout->tv_sec + timeout->tv_usec / million) : -1,
                   valid ? static_cast<suseconds_t>(timeout->tv_usec % million) : 0};
  const int result = select(count, reads, writes, excepts, &narrowed);
  if (valid) {
    *timeout = {narrowed.tv_sec, narrowed.tv_usec};
  }
  return result;
}

S64_EXPORT int __pselect64(int count, fd_set* reads, fd_set* writes, fd_set* excepts,
                           const Timespec64* timeout, const sigset_t* mask) {
  const timespec narrowed = narrow(timeout);
  return pselect(count, reads, writes, excepts, pointer_to(narrowed, timeout), mask);
}

S64_EXPORT int __epoll_pwait2_time64(int epfd, epoll_event* events, int count,
                                     const Timespec64* timeout, const sigset_t* mask) {
  const timespec narrowed = narrow(timeout);
  return epoll_pwait2(epfd, events, count, pointer_to(narrowed, timeout), mask);
}

namespace {

/// A sleep with narrow times, whose rest is given as the program expects; `rest` begins as it was.
template <class Call>
int sleep_narrowed(const Timespec64* time, Timespec64* left, Call call) noexcept {
  const timespec narrowed = narrow(time);
  timespec rest = narrow(left);
  const int result = call(&narrowed, left == nullptr ? nullptr : &rest);
  if (left != nullptr) {
    left->tv_sec = rest.tv_sec;
    left->tv_nsec = rest.tv_nsec;
  }
  return result;
}

}  // namespace

S64_EXPORT int __nanosleep64(const Timespec64* time, Timespec64* left) {
  return any_to_drive() ? sleep_narrowed(time, left, nanosleep) : libc::__nanosleep64(time, left);
}

S64_EXPORT int __clock_nanosleep_time64(clockid_t clock, int flags, const Timespec64* time,
                                        Timespec64* left) {
  if (!any_to_drive()) {
    return libc::__clock_nanosleep_time64(clock, flags, time, left);
  }
  return sleep_narrowed(time, left, [&](const timespec* narrowed, timespec* rest) {
    return clock_nanosleep(clock, flags, narrowed, rest);
  });
}

S64_EXPORT int __thrd_sleep64(const Timespec64* time, Timespec64* left) {
  return any_to_drive() ? sleep_narrowed(time, left, thrd_sleep) : libc::__thrd_sleep64(time, left);
}

S64_EXPORT int __sigtimedwait64(const sigset_t* signals, siginfo_t* info,
                                const Timespec64* timeout) {
  if (!any_to_drive()) {
    return libc::__sigtimedwait64(signals, info, timeout);
  }
  const timespec narrowed = narrow(timeout);
  return sigtimedwait(signals, info, pointer_to(narrowed, timeout));
}

// The ancillary data of a received message may hold times: libc's own call of this name gives them
// as the program expects.
S64_EXPORT ssize_t __recvmsg64(int fd, msghdr* message, int flags) {
  return settle_before_io(fd, (flags & MSG_DONTWAIT) != 0, SO_RCVTIMEO)
             ? libc::__recvmsg64(fd, message, flags)
             : -1;
}

S64_EXPORT int __recvmmsg64(int fd, mmsghdr* messages, unsigned count, int flags,
                            Timespec64* timeout) {
  return settle_before_io(fd, (flags & MSG_DONTWAIT) != 0, SO_RCVTIMEO)
             ? libc::__recvmmsg64(fd, messages, count, flags, timeout)
             : -1;
}

S64_EXPORT ssize_t __sendmsg64(int fd, const msghdr* message, int flags) {
  return sendmsg(fd, message, flags);
}

S64_EXPORT int __sendmmsg64(int fd, mmsghdr* messages, unsigned count, int flags) {
  return sendmmsg(fd, messages, count, flags);
}

// Only the timeouts of a socket (SO_RCVTIMEO, ...) have a time in them, and those are not ours.
S64_EXPORT int __getsockopt64(int fd, int level, int name, void* value, socklen_t* length) {
  const bool has_time = level == SOL_SOCKET && name != SO_ERROR;
  return has_time ? libc::__getsockopt64(fd, level, name, value, length)
                  : getsockopt(fd, level, name, value, length);
}

S64_EXPORT int __fcntl_time64(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  return fcntl64(fd, command, argument);
}

S64_EXPORT int __ioctl_time64(int fd, IoctlRequest request, ...) {
  va_list arguments;
  va_start(arguments, request);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  return ioctl(fd, request, argument);
}

#endif
