// socksify --test: the way to a destination walked step by step, on a socket of our own.
#ifndef SOCKS64_SHIM_SOCKSIFY_PATH_CHECK_HPP
#define SOCKS64_SHIM_SOCKSIFY_PATH_CHECK_HPP

#include <optional>
#include <string>
#include <string_view>

#include "socks64/address.hpp"

#include "settings/config.hpp"

namespace socks64::socksify {

/// "HOST:PORT", an IPv6 HOST in brackets. Nothing and `problem` when it is wrong.
[[nodiscard]] std::optional<Target> parse_destination(std::string_view text, std::string& problem);

/// Walks configuration, gateway, authentication and request; tells each step and its time on
/// standard output, and where it breaks what can be done. True when a program would get through:
/// when no rule refuses it and at least one gateway reached the destination. `origin`: where the
/// gateway is from.
[[nodiscard]] bool test_destination(const shim::Config& config, const std::string& origin,
                                    const Target& destination);

}  // namespace socks64::socksify

#endif
