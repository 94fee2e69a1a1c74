// The addresses of one target on their way into the Race (race.hpp): asked for, judged, and with
// what RFC 6724 needs to know of them. What a dial and a RESOLVE have in common.
#ifndef SOCKS64_GATEWAYD_CANDIDATES_HPP
#define SOCKS64_GATEWAYD_CANDIDATES_HPP

#include <array>
#include <optional>
#include <vector>

#include "socks64/address.hpp"

#include "base/failure.hpp"
#include "base/route.hpp"
#include "dial/dial_wishes.hpp"
#include "dial/race.hpp"
#include "loop/net.hpp"
#include "resolve/resolve.hpp"
#include "settings/dial_config.hpp"

namespace socks64::gateway {

/// The configuration with the wishes of one request put over it.
struct Way {
  Way(const DialConfig& config, const DialWishes& wishes);

  [[nodiscard]] bool has(Family family) const noexcept {
    return family == Family::ipv4 ? ipv4 : ipv6;
  }

  RaceTimes times;
  FamilyPreference prefer;
  bool ipv4;
  bool ipv6;
  Source source;
  const SourceChoice* source_for;
};

/// The address that a target is, or was written as.
[[nodiscard]] std::optional<IpAddress> literal_of(const Target& target) noexcept;

/// Lives on one executor; the Resolver calls it there until it is destroyed.
class Candidates {
 public:
  /// `permit` outlives it. `start_with`: see Race.
  Candidates(const Executor& executor, Way way, Port port, const AddressFilter& permit,
             std::optional<Family> start_with);
  Candidates(const Candidates&) = delete;
  Candidates& operator=(const Candidates&) = delete;

  /// Answers go into the race, and `wake` is cancelled.
  void ask(Resolver& resolver, const DomainName& name);
  void literal(const IpAddress& literal);

  Race race;
  Timer wake;  ///< the wait for the next event

 protected:
  [[nodiscard]] bool permits(const Endpoint& endpoint) const;
  [[nodiscard]] Source source_for(const Endpoint& endpoint) const;
  /// No answer is awaited any more.
  void withdraw() noexcept;

  Executor executor_;
  const Way way_;
  const Port port_;

 private:
  void take(Family family, Failure failure, const std::vector<IpAddress>& addresses);

  const AddressFilter& permit_;
  std::array<Resolver::Inquiry, 2> inquiries_;
};

}  // namespace socks64::gateway

#endif
