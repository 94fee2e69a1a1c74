// The real libc entry points behind the hooks, each looked up once: `libc::connect(...)` is the
// function the program would have called without us. Works before our constructor has run, and from
// any thread.
#ifndef SOCKS64_SHIM_HOOK_TABLE_HPP
#define SOCKS64_SHIM_HOOK_TABLE_HPP

#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>

#ifndef __GLIBC__  // hooks of ours that musl's headers do not declare
extern "C" int epoll_pwait2(int epfd, epoll_event* events, int count, const timespec* timeout,
                            const sigset_t* mask);
extern "C" int close_range(unsigned first, unsigned last, int flags);
#endif

#ifndef NETDB_INTERNAL  // musl has h_errno without the names of these two outcomes
#define NETDB_INTERNAL (-1)
#define NETDB_SUCCESS 0
#endif

// A hook is exported under the C name; everything else of the library is hidden.
#define S64_EXPORT extern "C" __attribute__((visibility("default")))

#ifdef __GLIBC__
struct __res_state;  // NOLINT(bugprone-reserved-identifier): the system's
struct gaicb;
#endif
struct sigevent;

namespace socks64::shim {

/// Parameters whose type is not the same in glibc and in musl: ioctl's second, and the flags of
/// recvmmsg and sendmmsg.
#ifdef __GLIBC__
using IoctlRequest = unsigned long;
using BatchFlags = int;
#else
using IoctlRequest = int;
using BatchFlags = unsigned;
#endif

#if defined(__GLIBC__) && __TIMESIZE == 32
// What struct timespec and struct timeval are for a 32-bit program that is built with 64-bit times.
struct Timespec64 {
  std::int64_t tv_sec;
  std::int32_t tv_nsec;
  std::int32_t padding;
};
struct Timeval64 {
  std::int64_t tv_sec;
  std::int64_t tv_usec;
};
#endif

enum class Hook : std::uint16_t {
#define S64_HOOK(result, name, parameters, arguments) name,
#define S64_HOOK_VARIADIC(result, name, parameters, arguments) name,
#include "host/hooks.inc"
#undef S64_HOOK
#undef S64_HOOK_VARIADIC
  count,
};

// NOLINTNEXTLINE(bugprone-dynamic-static-initializers): constant-initialised in hook_table.cpp
extern std::atomic<void*> real_entries[static_cast<std::size_t>(Hook::count)];

/// The slow half of real_entry(): dlsym(RTLD_NEXT). Where libc has no such function, an entry that
/// fails with ENOSYS.
void* look_up(Hook hook) noexcept;

inline void* real_entry(Hook hook) noexcept {
  void* entry = real_entries[static_cast<std::size_t>(hook)].load(std::memory_order_relaxed);
  return entry != nullptr ? entry : look_up(hook);
}

/// Whether libc has no such function.
[[nodiscard]] bool is_missing(Hook hook) noexcept;

/// Looks everything up, so that no hook has to later, in a signal handler perhaps.
void look_up_all() noexcept;

/// The name as exported, for diagnostics and tests.
const char* name_of(Hook hook) noexcept;

namespace libc {
// NOLINTBEGIN(bugprone-macro-parentheses): types and parameter lists cannot stand in parentheses.
#define S64_HOOK(result, name, parameters, arguments)                                \
  inline result name parameters {                                                    \
    return reinterpret_cast<result(*) parameters>(real_entry(Hook::name)) arguments; \
  }
#define S64_HOOK_VARIADIC(result, name, parameters, arguments)
#include "host/hooks.inc"
#undef S64_HOOK
#undef S64_HOOK_VARIADIC
// NOLINTEND(bugprone-macro-parentheses)

// Variadic calls pass one optional pointer-sized argument, as libc itself reads it.
inline int fcntl(int fd, int command, void* argument = nullptr) {
  return reinterpret_cast<int (*)(int, int, ...)>(real_entry(Hook::fcntl))(fd, command, argument);
}
inline int ioctl(int fd, IoctlRequest request, void* argument = nullptr) {
  return reinterpret_cast<int (*)(int, IoctlRequest, ...)>(real_entry(Hook::ioctl))(fd, request,
                                                                                    argument);
}
inline long syscall(long number, long a, long b, long c, long d, long e, long f) {
  return reinterpret_cast<long (*)(long, ...)>(real_entry(Hook::syscall))(number, a, b, c, d, e, f);
}
#ifdef __GLIBC__
inline int fcntl64(int fd, int command, void* argument = nullptr) {
  return reinterpret_cast<int (*)(int, int, ...)>(real_entry(Hook::fcntl64))(fd, command, argument);
}
#endif
}  // namespace libc

}  // namespace socks64::shim

#endif
