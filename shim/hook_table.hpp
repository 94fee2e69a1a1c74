// The real libc entry points behind the hooks, each looked up once: `libc::connect(...)` is the
// function the program would have called without us. Works before our constructor has run, and from
// any thread.
#ifndef SOCKS64_SHIM_HOOK_TABLE_HPP
#define SOCKS64_SHIM_HOOK_TABLE_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

// A hook is exported under the C name; everything else of the library is hidden.
#define S64_EXPORT extern "C" __attribute__((visibility("default")))

namespace socks64::shim {

/// The type of ioctl's second parameter: glibc and musl differ.
#ifdef __GLIBC__
using IoctlRequest = unsigned long;
#else
using IoctlRequest = int;
#endif

enum class Hook : std::uint16_t {
#define S64_HOOK(result, name, parameters, arguments) name,
#define S64_HOOK_VARIADIC(result, name, parameters, arguments) name,
#include "hooks.inc"
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
#include "hooks.inc"
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
