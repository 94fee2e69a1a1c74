// At most so many events a second, with room for a burst: a token bucket.
#ifndef SOCKS64_GATEWAYD_EVENT_RATE_HPP
#define SOCKS64_GATEWAYD_EVENT_RATE_HPP

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace socks64::gateway {

/// The bucket as one number, the time at which it will be full again: each event moves that on by
/// its share of a second. Not for several threads at once.
class EventRate {
 public:
  using Clock = std::chrono::steady_clock;

  /// Who was quiet may do as much at once as this allows in all.
  static constexpr std::chrono::seconds burst{2};

  /// Whether one more is allowed now, which it then is charged for. `per_second` 0: always, free of
  /// charge.
  [[nodiscard]] bool take(std::uint32_t per_second, Clock::time_point now) noexcept {
    if (per_second == 0) {
      return true;
    }
    const auto charged =
        std::max(full_at_, now) + std::chrono::nanoseconds(std::chrono::seconds{1}) / per_second;
    if (charged > now + burst) {
      return false;
    }
    full_at_ = charged;
    return true;
  }

  /// Nothing is remembered: as good as new.
  [[nodiscard]] bool full(Clock::time_point now) const noexcept { return full_at_ <= now; }

 private:
  Clock::time_point full_at_{};
};

}  // namespace socks64::gateway

#endif
