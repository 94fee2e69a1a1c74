// RFC 8305 as a state machine that does no I/O and reads no clock: what to do next, given the
// answers and the failures so far. dial.cpp moves the sockets.
#ifndef SOCKS64_GATEWAYD_RACE_HPP
#define SOCKS64_GATEWAYD_RACE_HPP

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "socks64/address.hpp"

#include "base/failure.hpp"
#include "dial/order.hpp"

namespace socks64::gateway {

struct RaceTimes {
  std::chrono::milliseconds budget{10'000};
  std::chrono::milliseconds resolution_delay{50};
  std::chrono::milliseconds attempt_delay{250};
};

class Race {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// Start an attempt at this address now, then ask again.
  struct Start {
    IpAddress address;
  };
  /// As many attempts are under way as may be: give up the oldest, report it as timed out, then ask
  /// again.
  struct Abandon {};
  /// Nothing to do until then, or until the next event.
  struct Wait {
    Time until;
  };
  /// No attempt succeeded and none will.
  struct GiveUp {
    Failure failure;
  };
  using Step = std::variant<Start, Abandon, Wait, GiveUp>;

  /// Whoever owns a name decides how many addresses it has: without a bound, one small request
  /// makes this gateway send more than a hundred SYNs, and hold dozens of descriptors till the
  /// budget is gone. Six attempts 250 ms apart leave each 1.5 s, time enough for the answer to the
  /// SYN that TCP sends again after 1 s (RFC 6298 section 2). Sixteen addresses, both families in
  /// turn, are more than any service needs that works.
  static constexpr unsigned max_under_way = 6;
  static constexpr unsigned max_addresses = 16;

  /// `start_with`: the family of the first attempt, if it has an address that could be reached,
  /// whatever the order says; nothing else of the order changes.
  Race(const RaceTimes& times, FamilyPreference prefer, Time now,
       std::optional<Family> start_with = std::nullopt) noexcept;

  /// From now on next() expects an answer for this family.
  void asked(Family family) noexcept;
  /// `destinations`: what is left of the answer after the filter. `failure`: none if there was an
  /// answer with addresses; denied if the filter took all of them.
  void answered(Family family, Failure failure, std::vector<Destination> destinations, Time now);
  void attempt_failed(Failure failure, Time now) noexcept;

  [[nodiscard]] Step next(Time now);

  /// When the first usable address came in.
  [[nodiscard]] std::optional<Time> first_answer() const noexcept { return first_answer_; }

 private:
  [[nodiscard]] bool& pending(Family family) noexcept;
  [[nodiscard]] bool any_pending() const noexcept { return pending_[0] || pending_[1]; }
  [[nodiscard]] Time earliest_start() noexcept;

  RaceTimes times_;
  FamilyPreference prefer_;
  std::optional<Family> start_with_;
  Time deadline_;
  std::array<bool, 2> pending_{};
  std::vector<Destination> candidates_;  ///< not yet tried, the next first
  std::optional<Time> first_answer_;
  std::optional<Family> last_family_;
  Time next_attempt_{};
  unsigned running_ = 0;
  unsigned started_ = 0;
  Failure failure_ = Failure::none;  ///< the most telling so far
};

/// Which of two failures says more to the client; none says nothing. From the most telling:
///
///   refused                the destination itself said no
///   host-unreachable       a router on the way said no
///   timed-out              a packet was sent, nobody said anything
///   network-unreachable    nothing was sent: this gateway has no route. Below the timeout, because
///                          it is the normal case for one family of a dual-stack name
///   no-resources, denied   this gateway's own doing
///   name failures          from "perhaps" to "no": a server that failed or kept silent may have
///                          had an address, so it outranks the other family's "no such name"
[[nodiscard]] Failure more_telling(Failure a, Failure b) noexcept;

}  // namespace socks64::gateway

#endif
