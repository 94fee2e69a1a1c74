// What the configuration file may hold, as the reader itself has it: the defaults of the settings
// and the bounds that it checks. The documentation is compared with this.
#ifndef SOCKS64_GATEWAYD_CONFIG_KEYS_HPP
#define SOCKS64_GATEWAYD_CONFIG_KEYS_HPP

#include <optional>
#include <string>
#include <vector>

namespace socks64::gateway {

struct ConfigKey {
  std::string heading;  ///< "", "[dial]", "[[listener.clients]]"
  std::string name;
  std::optional<std::string> initial;  ///< its default as the file would have it; none: it has none
  std::string bounds;                  ///< "100ms to 2s"; empty: it has none
  std::vector<std::string> words;      ///< the only values that it can have; empty: others
};

/// In the order in which they are read.
[[nodiscard]] std::vector<ConfigKey> config_keys();

}  // namespace socks64::gateway

#endif
