#include "dial/race.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace socks64::gateway {
namespace {

int weight(Failure failure) noexcept {
  switch (failure) {
    case Failure::none:
      return 0;
    case Failure::name_not_found:
      return 1;
    case Failure::name_invalid:
      return 2;
    case Failure::name_timeout:
      return 3;
    case Failure::name_failed:
      return 4;
    case Failure::bad_port:
      return 5;
    case Failure::internal:
      return 6;
    case Failure::denied:
      return 7;
    case Failure::no_resources:
      return 8;
    case Failure::network_unreachable:
      return 9;
    case Failure::timed_out:
      return 10;
    case Failure::host_unreachable:
      return 11;
    case Failure::refused:
      return 12;
    case Failure::shutting_down:
      return 13;
  }
  return 0;
}

Family other(Family family) noexcept {
  return family == Family::ipv4 ? Family::ipv6 : Family::ipv4;
}

}  // namespace

Failure more_telling(Failure a, Failure b) noexcept {
  return weight(b) > weight(a) ? b : a;
}

Race::Race(const RaceTimes& times, FamilyPreference prefer, Time now,
           std::optional<Family> start_with) noexcept
    : times_(times), prefer_(prefer), start_with_(start_with), deadline_(now + times.budget) {}

bool& Race::pending(Family family) noexcept {
  return pending_[family == Family::ipv4 ? 0 : 1];
}

void Race::asked(Family family) noexcept {
  pending(family) = true;
}

void Race::answered(Family family, Failure failure, std::vector<Destination> destinations,
                    Time now) {
  pending(family) = false;
  if (destinations.empty()) {
    failure_ = more_telling(failure_, failure);
    return;
  }
  if (!first_answer_) {
    first_answer_ = now;
  }
  // RFC 8305 section 5: late answers join what has not been tried yet, as if they had been known.
  std::ranges::move(destinations, std::back_inserter(candidates_));
  order_destinations(candidates_, prefer_);
  std::optional<Family> before = last_family_;
  if (!before && start_with_) {
    before = other(*start_with_);
  }
  interleave_families(candidates_, before);
}

void Race::attempt_failed(Failure failure, Time now) noexcept {
  --running_;
  failure_ = more_telling(failure_, failure);
  next_attempt_ = std::min(next_attempt_, now);
}

/// RFC 8305 section 3: an answer of the family we would rather use starts the race at once; one of
/// the other family gives it a short head start. That an answer was negative counts as an answer.
Race::Time Race::earliest_start() noexcept {
  if (last_family_) {
    return next_attempt_;
  }
  const Family usual = prefer_ == FamilyPreference::ipv4 ? Family::ipv4 : Family::ipv6;
  const Family awaited = start_with_.value_or(usual);
  return pending(awaited) ? *first_answer_ + times_.resolution_delay : *first_answer_;
}

Race::Step Race::next(Time now) {
  if (now >= deadline_) {
    if (running_ > 0) {
      return GiveUp{more_telling(failure_, Failure::timed_out)};
    }
    if (any_pending()) {
      return GiveUp{more_telling(failure_, Failure::name_timeout)};
    }
    return GiveUp{more_telling(failure_, Failure::timed_out)};
  }
  const bool exhausted = started_ == max_addresses;
  if (!candidates_.empty() && !exhausted) {
    const Time start = earliest_start();
    if (now < start) {
      return Wait{std::min(start, deadline_)};
    }
    // RFC 8305 section 5 lets us stop an attempt that is under way. The oldest has had the most
    // time; to wait for it instead would let a few dead addresses hide the good one behind them.
    if (running_ == max_under_way) {
      return Abandon{};
    }
    const IpAddress address = candidates_.front().address;
    candidates_.erase(candidates_.begin());
    last_family_ = address.family();
    next_attempt_ = now + times_.attempt_delay;
    ++running_;
    ++started_;
    return Start{address};
  }
  if (running_ == 0 && (exhausted || !any_pending())) {
    return GiveUp{failure_};
  }
  return Wait{deadline_};
}

}  // namespace socks64::gateway
