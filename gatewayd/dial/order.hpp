// Stage 7a: in which order to try the addresses of a name. Pure: which source address the kernel
// would use is an input, so every rule can be tested without a network.
#ifndef SOCKS64_GATEWAYD_ORDER_HPP
#define SOCKS64_GATEWAYD_ORDER_HPP

#include <optional>
#include <vector>

#include "socks64/address.hpp"

#include "base/family_preference.hpp"

namespace socks64::gateway {

struct Destination {
  IpAddress address;
  std::optional<IpAddress> source;  ///< what the kernel would send from; nothing: no route to it

  friend bool operator==(const Destination&, const Destination&) = default;
};

/// Destination address selection, RFC 6724 section 6, with the default policy table of section 2.1.
/// Equal destinations keep their order, so a server's rotation is respected. `prefer` puts one
/// family before the other where neither is useless: behind rules 1 (avoid unusable destinations)
/// and 2 (prefer matching scope), as precedence does in the examples of section 10.3, but before
/// rule 5. A host whose IPv6 is translated from unique local addresses differs in label from every
/// destination, and is one of those that this wish is for.
void order_destinations(std::vector<Destination>& destinations, FamilyPreference prefer);

/// RFC 8305 section 4, with a First Address Family Count of 1: the families alternate. The first
/// family is that of the first destination, or the other one of `after`, the family that was tried
/// last. Destinations without a source come last, in their order.
void interleave_families(std::vector<Destination>& destinations, std::optional<Family> after);

}  // namespace socks64::gateway

#endif
