// At most so many events a second, with room for a burst.
#ifndef SOCKS64_GATEWAYD_EVENT_RATE_HPP
#define SOCKS64_GATEWAYD_EVENT_RATE_HPP

#include <chrono>
#include <cstdint>

#include "base/token_bucket.hpp"

namespace socks64::gateway {

class EventRate {
 public:
  using Clock = TokenBucket::Clock;

  /// Who was quiet may do as much at once as this allows in all.
  static constexpr std::chrono::seconds burst{2};

  /// Whether one more is allowed now, which it then is charged for. `per_second` 0: always, free of
  /// charge.
  [[nodiscard]] bool take(std::uint32_t per_second, Clock::time_point now) noexcept {
    return per_second == 0 || bucket_.take(1, per_second, now);
  }

  /// Nothing is remembered: as good as new.
  [[nodiscard]] bool full(Clock::time_point now) const noexcept { return bucket_.full(now); }

 private:
  TokenBucket bucket_{burst};
};

}  // namespace socks64::gateway

#endif
