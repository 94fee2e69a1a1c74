// Stage 7: reach the target over whichever family works. Addresses are ordered by RFC 6724
// (order.hpp), attempts are staggered by RFC 8305 (race.hpp), the first *successful* connect wins,
// the losers are closed at once.
//
// A dial has at most 6 connects under way, the oldest of which makes room for the next, and tries
// at most 16 addresses (Race::max_under_way, Race::max_addresses). So a session holds up to 7
// descriptors while it dials, and 2 once it is connected.
#ifndef SOCKS64_GATEWAYD_DIAL_HPP
#define SOCKS64_GATEWAYD_DIAL_HPP

#include <chrono>
#include <functional>
#include <optional>
#include <type_traits>

#include "socks64/address.hpp"

#include "base/failure.hpp"
#include "base/route.hpp"
#include "dial/family_memory.hpp"
#include "dial/order.hpp"
#include "loop/net.hpp"
#include "resolve/resolve.hpp"
#include "settings/dial_config.hpp"

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

struct DialResult {
  std::optional<Socket>
      socket;  ///< connected, non-blocking, TCP_NODELAY; set exactly when failure is none
  Failure failure = Failure::internal;
  Endpoint remote;        ///< the address that was reached
  Endpoint local;         ///< the gateway's end towards it: the truthful BND.ADDR
  unsigned attempts = 0;  ///< connects started
  std::chrono::microseconds resolve_time{0};  ///< until the first usable answer
  std::chrono::microseconds connect_time{0};  ///< from then to the winner, or to giving up
};

class Dialer {
 public:
  Dialer(Resolver& resolver, const DialConfig& config)
      : resolver_(resolver), config_(config), memory_(config.family_memory) {}

  /// A name that is an IP literal ("2001:db8::1", "[2001:db8::1]", "192.0.2.1", "fe80::1%eth0") is
  /// dialled as that address (RFC 3089 section 3). Port 0 gives bad_port. When all attempts fail,
  /// the most telling failure is reported (more_telling() in race.hpp). Runs on, and resumes on,
  /// the caller's executor. Cancelled - be it before it began - it closes every socket and gives
  /// shutting_down.
  ///
  /// A family that may not be used is not asked for, so a name without addresses of the other one
  /// is name_not_found; a literal of it is denied.
  ///
  /// `target` and `permit` must live until the coroutine ends.
  [[nodiscard]] Task<DialResult> dial(const Target& target, const AddressFilter& permit,
                                      DialWishes wishes = {}) const;

 private:
  Resolver& resolver_;
  DialConfig config_;
  mutable FamilyMemory memory_;  ///< of all workers
};

}  // namespace socks64::gateway

#endif
