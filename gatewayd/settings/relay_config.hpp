// How relays move octets: [relay] of the configuration.
#ifndef SOCKS64_GATEWAYD_RELAY_CONFIG_HPP
#define SOCKS64_GATEWAYD_RELAY_CONFIG_HPP

#include <cstdint>

namespace socks64::gateway {

/// How octets cross the gateway: relay.engine of the configuration, where `adaptive` is "auto".
enum class RelayPath : std::uint8_t { adaptive, copy, splice };

struct RelayConfig {
  /// `splice` copies, too, while no pipe is to be had and around urgent data.
  RelayPath engine = RelayPath::adaptive;
  /// "sockmap": the kernel relays small messages (sockmap.hpp), and `engine` is for the rest.
  bool kernel = false;
};

}  // namespace socks64::gateway

#endif
