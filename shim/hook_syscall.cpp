// syscall(2), for waits: a program that waits in an epoll set by raw call would be handed our marks
// (wait_set.cpp) as its own data. Everything else goes straight on, and is not ours to see: I/O and
// connects by raw call are out of reach, see docs/limits.md.
#include <cstdarg>
#include <cstdint>
#include <sys/syscall.h>

#include "hook_table.hpp"

namespace {

template <class T>
T* pointer(long argument) noexcept {
  return reinterpret_cast<T*>(static_cast<std::intptr_t>(argument));
}

}  // namespace

S64_EXPORT long syscall(long number, ...) {
  va_list list;
  va_start(list, number);
  long a[6];
  for (long& argument : a) {
    argument = va_arg(list, long);
  }
  va_end(list);
  const auto first = static_cast<int>(a[0]);
  switch (number) {
    case SYS_epoll_ctl:
      return epoll_ctl(first, static_cast<int>(a[1]), static_cast<int>(a[2]),
                       pointer<epoll_event>(a[3]));
#ifdef SYS_epoll_wait
    case SYS_epoll_wait:
      return epoll_wait(first, pointer<epoll_event>(a[1]), static_cast<int>(a[2]),
                        static_cast<int>(a[3]));
#endif
    case SYS_epoll_pwait:
      return epoll_pwait(first, pointer<epoll_event>(a[1]), static_cast<int>(a[2]),
                         static_cast<int>(a[3]), pointer<const sigset_t>(a[4]));
#ifdef SYS_epoll_pwait2
    case SYS_epoll_pwait2:
      return epoll_pwait2(first, pointer<epoll_event>(a[1]), static_cast<int>(a[2]),
                          pointer<const timespec>(a[3]), pointer<const sigset_t>(a[4]));
#endif
    default:
      return socks64::shim::libc::syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  }
}
