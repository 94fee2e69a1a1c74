// How associations are served: [udp] of the configuration, and their limits.
#ifndef SOCKS64_GATEWAYD_UDP_CONFIG_HPP
#define SOCKS64_GATEWAYD_UDP_CONFIG_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "socks64/address.hpp"

#include "base/own_end.hpp"

namespace socks64::gateway {

struct UdpConfig {
  std::chrono::seconds idle{7'200};  ///< 0: for ever
  PortRange ports;                   ///< of the client's side
  AddressPair advertise;             ///< for BND.ADDR, in place of the address that we see
};

/// Of limits; a reload replaces them.
struct UdpLimits {
  std::size_t associations = 1024;         ///< at once, in all; fewer where descriptors are few
  std::uint64_t datagrams_per_second = 0;  ///< of one association, each way; 0: any number
};

/// As many associations as `limit` says, but no more than one for sixteen files that may be open:
/// each has up to three sockets besides its TCP connection.
[[nodiscard]] constexpr std::size_t associations_for_descriptors(std::size_t limit,
                                                                 std::size_t descriptors) noexcept {
  const std::size_t most = descriptors / 16 > 0 ? descriptors / 16 : 1;
  return limit < most ? limit : most;
}

}  // namespace socks64::gateway

#endif
