// The keys that the configuration knows: see config.hpp for their meaning.
#ifndef SOCKS64_SHIM_CONFIG_OPTIONS_HPP
#define SOCKS64_SHIM_CONFIG_OPTIONS_HPP

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>

namespace socks64::shim {

struct Site;

struct Option {
  const char* key;       ///< in the file
  const char* variable;  ///< in the environment
  /// Reads a value into site.config; false and site.problem() when it is wrong.
  bool (*set)(const Site& site, std::string_view value) noexcept;
  bool repeatable;  ///< may stand in the file more than once; each adds to what is there
};

/// A set of options, a bit for each in the order of options().
using OptionSet = std::uint32_t;
constexpr std::size_t most_options = std::numeric_limits<OptionSet>::digits;

/// In the order of the table in config.hpp, at most `most_options`.
[[nodiscard]] std::span<const Option> options() noexcept;

}  // namespace socks64::shim

#endif
