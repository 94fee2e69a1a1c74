// Which of our own addresses a destination would see, and how to make it another.
#ifndef SOCKS64_GATEWAYD_ROUTE_HPP
#define SOCKS64_GATEWAYD_ROUTE_HPP

#include <optional>
#include <string>
#include <system_error>

#include "socks64/address.hpp"

namespace socks64::gateway {

/// What our end towards a destination has to be; what is not set is the kernel's choice.
struct Source {
  std::optional<IpAddress> v4;
  std::optional<IpAddress> v6;
  std::string interface;  ///< the only way out there is; empty: any

  [[nodiscard]] const std::optional<IpAddress>& of(Family family) const noexcept {
    return family == Family::ipv4 ? v4 : v6;
  }
};

/// Asks the routing table, without sending anything: a datagram socket is "connected" to the
/// address, and the kernel says which source it chose (RFC 6724 section 6). Nothing: no route, or
/// none from `source`, or no descriptor to ask with; errno says which.
[[nodiscard]] std::optional<IpAddress> source_towards(const Endpoint& remote,
                                                      const Source& source = {}) noexcept;

/// Gives a socket that is not connected yet the address and the interface of `source`. The port is
/// left for connect(2) to choose: bind(2) would take one for itself, so that all destinations
/// together had no more ports than one of them has.
[[nodiscard]] std::error_code bind_source(int socket, Family family, const Source& source) noexcept;

}  // namespace socks64::gateway

#endif
