// Which address family comes first where a name has both. An operator sets it, for all requests or
// for those of a rule; dial/order.hpp says what it changes.
#ifndef SOCKS64_GATEWAYD_FAMILY_PREFERENCE_HPP
#define SOCKS64_GATEWAYD_FAMILY_PREFERENCE_HPP

#include <cstdint>

namespace socks64::gateway {

enum class FamilyPreference : std::uint8_t {
  ipv6,
  ipv4,
  system,  ///< as RFC 6724 orders them
};

}  // namespace socks64::gateway

#endif
