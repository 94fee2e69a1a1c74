// syscall(2), for a handful of calls. A program that waits in an epoll set by raw call would be
// handed our marks (wait_set.cpp) as its own data; libuv sends and receives batches of datagrams by
// their numbers, and what a program sends so must not leave either. Everything else goes to the
// kernel as it came, and is not ours to see: see docs/limits.md.
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <sys/syscall.h>
#include <unistd.h>

#include "hooks/io_uring_gate.hpp"
#include "host/hook_table.hpp"

using namespace socks64::shim;

#if defined(__GLIBC__) && __TIMESIZE == 32
S64_EXPORT int __epoll_pwait2_time64(int epfd, epoll_event* events, int count,
                                     const Timespec64* timeout, const sigset_t* mask);
#endif

namespace {

template <class T>
T* pointer(long argument) noexcept {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): the kernel's calls take pointers as words
  return reinterpret_cast<T*>(static_cast<std::intptr_t>(argument));
}

// Without libc where that is possible: allocators call syscall() while they start, and looking up
// libc's may not suit them then.
inline long by_kernel(long number, long a, long b, long c, long d, long e, long f) noexcept {
#if defined(__x86_64__) && defined(__LP64__)
  long result = number;
  register long fourth asm("r10") = d;
  register long fifth asm("r8") = e;
  register long sixth asm("r9") = f;
  asm volatile("syscall"
               : "+a"(result)
               : "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth), "r"(sixth)
               : "rcx", "r11", "memory");
#elif defined(__aarch64__) && defined(__LP64__)
  register long which asm("x8") = number;
  register long result asm("x0") = a;
  register long second asm("x1") = b;
  register long third asm("x2") = c;
  register long fourth asm("x3") = d;
  register long fifth asm("x4") = e;
  register long sixth asm("x5") = f;
  asm volatile("svc 0"
               : "+r"(result)
               : "r"(which), "r"(second), "r"(third), "r"(fourth), "r"(fifth), "r"(sixth)
               : "memory");
#else
  return reinterpret_cast<long (*)(long, ...)>(real_entry(Hook::syscall))(number, a, b, c, d, e, f);
#endif
#if defined(__LP64__) && (defined(__x86_64__) || defined(__aarch64__))
  constexpr long highest_errno = 4095;
  if (result < 0 && result >= -highest_errno) {
    errno = static_cast<int>(-result);
    return -1;
  }
  return result;
#endif
}

}  // namespace

// What the caller did not pass is read from where it would have stood, as libc does:
// AddressSanitizer must not look.
S64_EXPORT __attribute__((no_sanitize("address"), no_sanitize("thread"))) long syscall(long number,
                                                                                       ...) {
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
#if defined(__GLIBC__) && __TIMESIZE == 32
      // The kernel's own times have 64 bits in every call that is younger than they are.
      return __epoll_pwait2_time64(first, pointer<epoll_event>(a[1]), static_cast<int>(a[2]),
                                   pointer<const Timespec64>(a[3]), pointer<const sigset_t>(a[4]));
#else
      return epoll_pwait2(first, pointer<epoll_event>(a[1]), static_cast<int>(a[2]),
                          pointer<const timespec>(a[3]), pointer<const sigset_t>(a[4]));
#endif
#endif
#ifdef SYS_sendmmsg
    case SYS_sendmmsg:
      return sendmmsg(first, pointer<mmsghdr>(a[1]), static_cast<unsigned>(a[2]),
                      static_cast<BatchFlags>(a[3]));
#endif
#ifdef SYS_recvmmsg
    case SYS_recvmmsg:
      return recvmmsg(first, pointer<mmsghdr>(a[1]), static_cast<unsigned>(a[2]),
                      static_cast<BatchFlags>(a[3]), pointer<timespec>(a[4]));
#endif
#ifdef SYS_io_uring_setup
    case SYS_io_uring_setup:
    case SYS_io_uring_enter:
    case SYS_io_uring_register:
      if (refuses_io_uring()) {
        errno = ENOSYS;
        return -1;
      }
      return by_kernel(number, a[0], a[1], a[2], a[3], a[4], a[5]);
#endif
    default:
      return by_kernel(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  }
}
