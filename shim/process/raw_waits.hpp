// Signs that a program waits in epoll sets by system calls of its own. See raw_waits.cpp.
#ifndef SOCKS64_SHIM_RAW_WAITS_HPP
#define SOCKS64_SHIM_RAW_WAITS_HPP

namespace socks64::shim {

/// Whether the program or library that holds the code at `caller` imports one of libc's waits for
/// epoll sets, or syscall(), with which it could make one. Also true where that cannot be told.
[[nodiscard]] bool imports_epoll_wait(const void* caller) noexcept;

/// Whether another thread of the process is inside an epoll wait right now that it made neither
/// through libc nor through us, or was when this was last asked. False where /proc does not tell.
/// Leaves errno alone.
[[nodiscard]] bool some_thread_waits_raw() noexcept;

}  // namespace socks64::shim

#endif
