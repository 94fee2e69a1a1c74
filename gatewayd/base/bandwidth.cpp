#include "base/bandwidth.hpp"

#include <algorithm>
#include <limits>

namespace socks64::gateway {
namespace {

std::int64_t nanoseconds(Bandwidth::Clock::time_point time) noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

constexpr std::int64_t burst_nanoseconds = std::chrono::nanoseconds(Bandwidth::burst).count();

// A turn is about 4 ms of the whole rate, within what is worth a system call and what the relays'
// buffer holds.
constexpr std::uint64_t turns_per_second = 256;
constexpr std::uint64_t least_turn = std::uint64_t{1} << 10U;
constexpr std::uint64_t most_turn = std::uint64_t{256} << 10U;

}  // namespace

std::int64_t Bandwidth::price(std::size_t octets, std::uint64_t rate) const noexcept {
  constexpr double most = 3600e9;  // an hour: sums stay far from the end of the range
  const double time = static_cast<double>(octets) * 1e9 / static_cast<double>(rate);
  return static_cast<std::int64_t>(std::min(time, most));
}

Bandwidth::Reservation Bandwidth::reserve(std::size_t most, Clock::time_point now) noexcept {
  const std::uint64_t rate = this->rate();
  if (rate == 0) {
    return {most, now};
  }
  const std::uint64_t turn = std::clamp(rate / turns_per_second, least_turn, most_turn);
  const std::size_t octets = std::min<std::uint64_t>(most, turn);
  const std::int64_t cost = price(octets, rate);
  const std::int64_t time = nanoseconds(now);
  std::int64_t before = paid_off_.load(std::memory_order_relaxed);
  std::int64_t from = 0;
  do {
    from = std::max(before, time - burst_nanoseconds);
  } while (!paid_off_.compare_exchange_weak(before, from + cost, std::memory_order_relaxed));
  return {octets, now + std::chrono::nanoseconds(std::max<std::int64_t>(from - time, 0))};
}

void Bandwidth::give_back(std::size_t octets) noexcept {
  const std::uint64_t rate = this->rate();
  if (rate != 0) {
    paid_off_.fetch_sub(price(octets, rate), std::memory_order_relaxed);
  }
}

void Bandwidth::charge(std::size_t octets, Clock::time_point now) noexcept {
  const std::uint64_t rate = this->rate();
  if (rate == 0) {
    return;
  }
  const std::int64_t least = nanoseconds(now) - burst_nanoseconds;
  std::int64_t before = paid_off_.load(std::memory_order_relaxed);
  while (!paid_off_.compare_exchange_weak(before, std::max(before, least) + price(octets, rate),
                                          std::memory_order_relaxed)) {
  }
}

bool Bandwidth::take(std::size_t octets, Clock::time_point now) noexcept {
  const std::uint64_t rate = this->rate();
  if (rate == 0) {
    return true;
  }
  const std::int64_t time = nanoseconds(now);
  std::int64_t before = paid_off_.load(std::memory_order_relaxed);
  std::int64_t after = 0;
  do {
    if (before > time) {
      return false;
    }
    after = std::max(before, time - burst_nanoseconds) + price(octets, rate);
  } while (!paid_off_.compare_exchange_weak(before, after, std::memory_order_relaxed));
  return true;
}

bool Bandwidth::idle(Clock::time_point now) const noexcept {
  return paid_off_.load(std::memory_order_relaxed) <= nanoseconds(now) - burst_nanoseconds;
}

}  // namespace socks64::gateway
