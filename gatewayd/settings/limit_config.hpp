// How much of the gateway everybody may have, one client, one user: [limits] of the configuration.
#ifndef SOCKS64_GATEWAYD_LIMIT_CONFIG_HPP
#define SOCKS64_GATEWAYD_LIMIT_CONFIG_HPP

#include <cstddef>
#include <cstdint>

#include "settings/udp_config.hpp"

namespace socks64::gateway {

/// Of one client: a block of addresses, or a user of this host on a UNIX socket.
struct ClientLimits {
  std::uint32_t sessions = 0;  ///< at once; 0: unlimited
  std::uint32_t rate = 0;      ///< new ones a second; 0: unlimited
  unsigned prefix_v4 = 32;     ///< leading bits of an address that make a client
  unsigned prefix_v6 = 64;

  [[nodiscard]] bool any() const noexcept { return sessions != 0 || rate != 0; }
};

/// Of one user, by whatever clients.
struct UserLimits {
  std::uint32_t sessions = 0;   ///< at once; 0: unlimited
  std::uint32_t rate = 0;       ///< new ones a second; 0: unlimited
  std::uint64_t bandwidth = 0;  ///< octets a second, each way; 0: unlimited

  [[nodiscard]] bool any() const noexcept { return sessions != 0 || rate != 0 || bandwidth != 0; }
};

struct LimitConfig {
  std::size_t sessions = 0;  ///< 0: what the descriptor limit allows
  ClientLimits client;
  UserLimits user;
  UdpLimits udp;
};

}  // namespace socks64::gateway

#endif
