// Variables that look like settings but are not: a misspelt one would be ignored without a word.
#ifndef SOCKS64_SHIM_UNKNOWN_VARIABLE_HPP
#define SOCKS64_SHIM_UNKNOWN_VARIABLE_HPP

#include <string_view>

namespace socks64::shim {

struct UnknownVariable {
  std::string_view name;  ///< empty: `entry` is a setting, or none of our business
  std::string_view
      meant;  ///< the setting that it was probably meant to be; empty when none is near
};

/// `entry`: NAME=VALUE, as in `environ`. Ours is what begins with SOCKS64_.
[[nodiscard]] UnknownVariable unknown_variable(std::string_view entry) noexcept;

}  // namespace socks64::shim

#endif
