// What a configuration can fix of the gateway's own end of a connection or an association: an
// address of each family, and the ports that a firewall lets through.
#ifndef SOCKS64_GATEWAYD_OWN_END_HPP
#define SOCKS64_GATEWAYD_OWN_END_HPP

#include <optional>
#include <string>
#include <string_view>

#include "socks64/address.hpp"

namespace socks64::gateway {

/// At most one address of each family.
struct AddressPair {
  std::optional<IpAddress> v4;
  std::optional<IpAddress> v6;

  [[nodiscard]] const std::optional<IpAddress>& of(Family family) const noexcept {
    return family == Family::ipv4 ? v4 : v6;
  }
};

struct PortRange {
  Port first = 0;  ///< 0: whichever the kernel picks
  Port last = 0;

  [[nodiscard]] bool any() const noexcept { return first == 0; }
  [[nodiscard]] bool contains(Port port) const noexcept {
    return first != 0 && first <= port && port <= last;
  }
};

/// What is wrong with the text, or nothing: "192.0.2.1" or "2001:db8::1" that a peer can connect
/// to, the first of its family.
[[nodiscard]] std::string add_address(std::string_view text, AddressPair& pair);
/// "40000-40999" or "40000"; "" for any.
[[nodiscard]] std::string parse_port_range(std::string_view text, PortRange& range);

}  // namespace socks64::gateway

#endif
