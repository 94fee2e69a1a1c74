// What the kernel tells of a registration in an epoll set, beyond its events.
#ifndef SOCKS64_SHIM_EPOLL_INFO_HPP
#define SOCKS64_SHIM_EPOLL_INFO_HPP

#include <cstdint>

namespace socks64::shim {

/// Whether the EPOLLONESHOT registration of `fd` with `data` in `epfd` has fired and was not armed
/// again. False also when it cannot be told (no /proc, no descriptor left). Leaves errno alone;
/// asks /proc through raw system calls, with a descriptor that is closed again.
[[nodiscard]] bool is_spent_oneshot(int epfd, int fd, std::uint64_t data) noexcept;

}  // namespace socks64::shim

#endif
