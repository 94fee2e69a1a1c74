// What one request brings to its dial, or its look-up, besides its target: where it departs from
// the configuration, and which addresses it may have.
#ifndef SOCKS64_GATEWAYD_DIAL_WISHES_HPP
#define SOCKS64_GATEWAYD_DIAL_WISHES_HPP

#include <functional>
#include <optional>
#include <type_traits>

#include "socks64/address.hpp"

#include "base/family_preference.hpp"

namespace socks64::gateway {

/// Our own address towards one destination; nothing: the configured one.
using SourceChoice = std::function<std::optional<IpAddress>(const Endpoint&)>;

/// Where one request departs from the configuration: the part of a rule that is about dialling. It
/// cannot bring back a family that the configuration has switched off.
struct DialWishes {
  std::optional<FamilyPreference> prefer;
  bool ipv4 = true;
  bool ipv6 = true;
  std::optional<IpAddress> source_v4;  ///< an address of this host
  std::optional<IpAddress> source_v6;
  const SourceChoice* source_for = nullptr;  ///< comes before both; lives until the coroutine ends
};
// It is a parameter of coroutines, by value and with a default.
static_assert(std::is_trivially_destructible_v<DialWishes>);

/// Judges an address before it joins the candidates and again right before it is dialled; false
/// drops it. Literal targets are judged too. It never sees an IPv4-mapped IPv6 address: that is
/// dialled, and judged, as the IPv4 address inside. An empty filter permits everything.
using AddressFilter = std::function<bool(const Endpoint&)>;

}  // namespace socks64::gateway

#endif
