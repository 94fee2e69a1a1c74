// A token bucket, the one reckoning behind every "so many a second": new sessions (event_rate.hpp),
// octets (bandwidth.hpp) and datagrams (udp_datagram.hpp).
//
// The bucket is one number: the time at which everything that was taken is paid off. Each token
// moves that time on by its share of a second. A bucket that was left alone is paid off long ago,
// but counts as if it were so only since the length of its burst: that is what may be taken at
// once. A share is a whole number of nanoseconds, rounded down: of a million tokens a second the
// rate is exact to a thousandth, and no rate is less than it says. Any thread; nobody holds a lock.
#ifndef SOCKS64_GATEWAYD_TOKEN_BUCKET_HPP
#define SOCKS64_GATEWAYD_TOKEN_BUCKET_HPP

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>

namespace socks64::gateway {

/// The rate comes with each call, in tokens a second, and is never 0: a reload may change it, and
/// the bucket stays as full as it was, in proportion.
class TokenBucket {
 public:
  using Clock = std::chrono::steady_clock;

  /// `burst`: a full bucket holds the tokens of so long a time. It begins full.
  explicit constexpr TokenBucket(std::chrono::nanoseconds burst) noexcept : burst_(burst.count()) {}
  TokenBucket(const TokenBucket&) = delete;
  TokenBucket& operator=(const TokenBucket&) = delete;

  /// Takes them if all of them are there.
  [[nodiscard]] bool take(std::uint64_t tokens, std::uint64_t rate,
                          Clock::time_point now) noexcept {
    const std::int64_t time = nanoseconds(now);
    return move_on(tokens, rate, time,
                   [time](std::int64_t, std::int64_t after) { return after <= time; })
        .done;
  }
  /// Takes them unless the bucket is in debt, which it may be afterwards: for what is larger than a
  /// bucket.
  [[nodiscard]] bool take_on_credit(std::uint64_t tokens, std::uint64_t rate,
                                    Clock::time_point now) noexcept {
    const std::int64_t time = nanoseconds(now);
    return move_on(tokens, rate, time,
                   [time](std::int64_t before, std::int64_t) { return before <= time; })
        .done;
  }
  /// Takes them whatever the bucket holds, and says from when on they may be used: in the past if
  /// it holds enough.
  Clock::time_point reserve(std::uint64_t tokens, std::uint64_t rate,
                            Clock::time_point now) noexcept {
    const Move moved =
        move_on(tokens, rate, nanoseconds(now), [](std::int64_t, std::int64_t) { return true; });
    return Clock::time_point(std::chrono::nanoseconds(moved.from));
  }
  void give_back(std::uint64_t tokens, std::uint64_t rate) noexcept {
    paid_off_.fetch_sub(price(tokens, rate), std::memory_order_relaxed);
  }

  /// Nothing is remembered: as good as new.
  [[nodiscard]] bool full(Clock::time_point now) const noexcept {
    return paid_off_.load(std::memory_order_relaxed) <= nanoseconds(now) - burst_;
  }

 private:
  struct Move {
    bool done;
    std::int64_t from;  ///< what was paid off before, no longer ago than the burst
  };

  [[nodiscard]] static std::int64_t nanoseconds(Clock::time_point time) noexcept {
    return std::chrono::nanoseconds(time.time_since_epoch()).count();
  }

  [[nodiscard]] static std::int64_t price(std::uint64_t tokens, std::uint64_t rate) noexcept {
    constexpr double most = 3600e9;  // an hour: sums stay far from the end of the range
    return static_cast<std::int64_t>(
        std::min(static_cast<double>(tokens) * 1e9 / static_cast<double>(rate), most));
  }

  template <class May>
  Move move_on(std::uint64_t tokens, std::uint64_t rate, std::int64_t now, May may) noexcept {
    const std::int64_t cost = price(tokens, rate);
    std::int64_t before = paid_off_.load(std::memory_order_relaxed);
    std::int64_t from = 0;
    do {
      from = std::max(before, now - burst_);
      if (!may(from, from + cost)) {
        return {false, from};
      }
    } while (!paid_off_.compare_exchange_weak(before, from + cost, std::memory_order_relaxed));
    return {true, from};
  }

  std::int64_t burst_;
  /// Nanoseconds of the clock. At first it is before any time, with room for what is given back.
  std::atomic<std::int64_t> paid_off_{std::numeric_limits<std::int64_t>::min() / 2};
};

}  // namespace socks64::gateway

#endif
