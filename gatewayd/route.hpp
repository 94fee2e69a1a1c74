// Which of our own addresses a destination would see.
#ifndef SOCKS64_GATEWAYD_ROUTE_HPP
#define SOCKS64_GATEWAYD_ROUTE_HPP

#include <optional>

#include "socks64/address.hpp"

namespace socks64::gateway {

/// Asks the routing table, without sending anything: a datagram socket is "connected" to the
/// address, and the kernel says which source it chose (RFC 6724 section 6). Nothing: no route.
[[nodiscard]] std::optional<IpAddress> source_towards(const Endpoint& remote) noexcept;

}  // namespace socks64::gateway

#endif
