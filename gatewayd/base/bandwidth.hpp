// Octets a second for all relays that share one limit, on whichever threads they run.
//
// A reader reserves what it is going to read before it reads, and waits for its turn: reservations
// follow each other in time at the configured rate, so relays are served in the order in which they
// asked, and none that pushes harder gets more. Nobody holds a lock, and nobody sleeps: a relay
// that has to wait stops reading, and TCP makes its sender wait (relay.hpp).
#ifndef SOCKS64_GATEWAYD_BANDWIDTH_HPP
#define SOCKS64_GATEWAYD_BANDWIDTH_HPP

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/token_bucket.hpp"

namespace socks64::gateway {

class Bandwidth {
 public:
  using Clock = TokenBucket::Clock;

  /// The most that may go out at once after a silence.
  static constexpr std::chrono::milliseconds burst{100};

  explicit Bandwidth(std::uint64_t octets_per_second = 0) noexcept : rate_(octets_per_second) {}
  Bandwidth(const Bandwidth&) = delete;
  Bandwidth& operator=(const Bandwidth&) = delete;

  /// 0: unlimited. Holds for what is reserved from now on.
  void set_rate(std::uint64_t octets_per_second) noexcept {
    rate_.store(octets_per_second, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t rate() const noexcept {
    return rate_.load(std::memory_order_relaxed);
  }

  struct Reservation {
    std::size_t octets = 0;
    Clock::time_point from;  ///< not before this time
  };
  /// At most `most` octets, and little enough that others get their turn soon.
  [[nodiscard]] Reservation reserve(std::size_t most, Clock::time_point now) noexcept;
  /// What of a reservation was not used.
  void give_back(std::size_t octets) noexcept;
  /// For what could not wait: a datagram, say, or what a dead peer left behind.
  void charge(std::size_t octets, Clock::time_point now) noexcept;
  /// Whether there is room for `octets` now, which are then taken; for datagrams, which are dropped
  /// otherwise.
  [[nodiscard]] bool take(std::size_t octets, Clock::time_point now) noexcept;

  /// Nothing is owed and nothing reserved.
  [[nodiscard]] bool idle(Clock::time_point now) const noexcept { return bucket_.full(now); }

 private:
  std::atomic<std::uint64_t> rate_;
  TokenBucket bucket_{burst};
};

/// Of the two directions of a relay; null: unlimited.
struct BandwidthPair {
  Bandwidth* up = nullptr;    ///< client to destination
  Bandwidth* down = nullptr;  ///< destination to client
};

}  // namespace socks64::gateway

#endif
