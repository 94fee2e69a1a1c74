// Opt-in diagnostics (SOCKS64_LOG): one line each on standard error, by one write(2), without stdio
// or allocation.
#ifndef SOCKS64_SHIM_DIAG_HPP
#define SOCKS64_SHIM_DIAG_HPP

#include <initializer_list>
#include <string_view>

#include "settings/config.hpp"

namespace socks64::shim {

/// Whether lines of this level are written; ask first where building the line costs something.
[[nodiscard]] bool diagnoses(LogLevel level) noexcept;

/// "socks64[PID]: " and the parts; control characters become '?'. Leaves errno alone.
void diagnose(LogLevel level, std::initializer_list<std::string_view> parts) noexcept;

/// A decimal number as text, for diagnose().
[[nodiscard]] TextBuffer<24> decimal(long long value) noexcept;

}  // namespace socks64::shim

#endif
