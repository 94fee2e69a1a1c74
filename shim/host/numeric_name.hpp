// Addresses in the numeric forms that libc takes for names.
#ifndef SOCKS64_SHIM_NUMERIC_NAME_HPP
#define SOCKS64_SHIM_NUMERIC_NAME_HPP

#include <string_view>

#include "socks64/address.hpp"

namespace socks64::shim {

/// The numeric forms that libc takes: inet_aton's ("1.2.3", "0x7f.1"), and IPv6 with a %zone that
/// may be an interface's name.
[[nodiscard]] Result<IpAddress> parse_numeric(std::string_view text) noexcept;

}  // namespace socks64::shim

#endif
