// syscall(2), for two calls: libuv sends and receives batches of datagrams by their numbers, past
// libc's functions, and what a program sends so must not leave either. Everything else goes to the
// kernel as it came.
#include <cerrno>
#include <cstdarg>
#include <sys/syscall.h>
#include <unistd.h>

#include "hook_table.hpp"

using namespace socks64::shim;

namespace {

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

// What the caller did not pass is read from where it would have stood, as libc does: from among the
// caller's own variables, which a sanitizer would rather keep apart.
S64_EXPORT __attribute__((no_sanitize("address"), no_sanitize("thread"))) long syscall(
    long number, ...) noexcept {
  va_list arguments;
  va_start(arguments, number);
  const long a = va_arg(arguments, long);
  const long b = va_arg(arguments, long);
  const long c = va_arg(arguments, long);
  const long d = va_arg(arguments, long);
  const long e = va_arg(arguments, long);
  const long f = va_arg(arguments, long);
  va_end(arguments);
#if defined(SYS_sendmmsg) && defined(SYS_recvmmsg)
  if (number == SYS_sendmmsg) {
    return sendmmsg(static_cast<int>(a), reinterpret_cast<mmsghdr*>(b), static_cast<unsigned>(c),
                    static_cast<int>(d));
  }
  if (number == SYS_recvmmsg) {
    return recvmmsg(static_cast<int>(a), reinterpret_cast<mmsghdr*>(b), static_cast<unsigned>(c),
                    static_cast<int>(d), reinterpret_cast<timespec*>(e));
  }
#endif
  return by_kernel(number, a, b, c, d, e, f);
}
