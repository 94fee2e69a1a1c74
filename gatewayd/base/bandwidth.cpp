#include "base/bandwidth.hpp"

#include <algorithm>

namespace socks64::gateway {
namespace {

// A turn is about 4 ms of the whole rate, within what is worth a system call and what the relays'
// buffer holds.
constexpr std::uint64_t turns_per_second = 256;
constexpr std::uint64_t least_turn = std::uint64_t{1} << 10U;
constexpr std::uint64_t most_turn = std::uint64_t{256} << 10U;

}  // namespace

Bandwidth::Reservation Bandwidth::reserve(std::size_t most, Clock::time_point now) noexcept {
  const std::uint64_t rate = this->rate();
  if (rate == 0) {
    return {most, now};
  }
  const std::uint64_t turn = std::clamp(rate / turns_per_second, least_turn, most_turn);
  const std::size_t octets = std::min<std::uint64_t>(most, turn);
  return {octets, std::max(bucket_.reserve(octets, rate, now), now)};
}

void Bandwidth::give_back(std::size_t octets) noexcept {
  const std::uint64_t rate = this->rate();
  if (rate != 0) {
    bucket_.give_back(octets, rate);
  }
}

void Bandwidth::charge(std::size_t octets, Clock::time_point now) noexcept {
  const std::uint64_t rate = this->rate();
  if (rate != 0) {
    bucket_.reserve(octets, rate, now);
  }
}

bool Bandwidth::take(std::size_t octets, Clock::time_point now) noexcept {
  const std::uint64_t rate = this->rate();
  return rate == 0 || bucket_.take_on_credit(octets, rate, now);
}

}  // namespace socks64::gateway
