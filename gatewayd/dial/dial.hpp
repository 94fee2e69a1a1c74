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
#include <optional>

#include "socks64/address.hpp"

#include "base/failure.hpp"
#include "dial/dial_wishes.hpp"
#include "dial/family_memory.hpp"
#include "loop/net.hpp"
#include "resolve/resolve.hpp"
#include "settings/dial_config.hpp"

namespace socks64::gateway {

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
