// What becomes of an exception that nothing catches in a coroutine or a callback of the loop: it is
// reported, and goes no further.
#ifndef SOCKS64_GATEWAYD_ESCAPE_REPORT_HPP
#define SOCKS64_GATEWAYD_ESCAPE_REPORT_HPP

#include <exception>
#include <string_view>

namespace socks64::gateway {

/// Called with what escaped from a coroutine or a callback: a defect, never a network failure. Set
/// once, at start-up, by main.
using EscapeHandler = void (*)(std::string_view where, std::string_view what) noexcept;
void set_escape_handler(EscapeHandler handler) noexcept;
void report_escape(std::string_view where, std::exception_ptr escaped) noexcept;

}  // namespace socks64::gateway

#endif
