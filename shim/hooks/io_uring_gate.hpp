// Whether the program may have io_uring: what is submitted to a ring passes no hook, and current
// event loops register their sockets that way. See docs/decisions/0011-io-uring.md.
#ifndef SOCKS64_SHIM_IO_URING_GATE_HPP
#define SOCKS64_SHIM_IO_URING_GATE_HPP

namespace socks64::shim {

/// True unless the configuration allows it; during start-up, too.
[[nodiscard]] bool refuses_io_uring() noexcept;

/// Whether `name` is a function of liburing's that is hooked, and refused.
[[nodiscard]] bool is_refused_ring_call(const char* name) noexcept;

}  // namespace socks64::shim

#endif
