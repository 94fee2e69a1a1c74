// Which family to start with, for destinations whose usual first family did not work last time
// (RFC 6555 section 4.2). A black hole costs every connect the attempt delay, 250 ms; so it is paid
// once, and again after some minutes, to see whether it is still there.
//
// Destinations that work are not in here: for them the order is that of RFC 6724, untouched. And
// only the first family is ever chosen from memory, never the order within one.
//
// Asked and told by every worker for every name that is dialled, so there is no lock: a slot is one
// word. A destination has one slot; another destination that falls on the same one takes it over,
// which costs the former owner one attempt delay.
#ifndef SOCKS64_GATEWAYD_FAMILY_MEMORY_HPP
#define SOCKS64_GATEWAYD_FAMILY_MEMORY_HPP

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "socks64/address.hpp"

namespace socks64::gateway {

class FamilyMemory {
 public:
  using Time = std::chrono::steady_clock::time_point;

  static constexpr std::size_t capacity = 4096;

  /// `lifetime`: how long something is remembered; 0: nothing is.
  explicit FamilyMemory(std::chrono::seconds lifetime) noexcept;

  /// Where a destination is kept. Name and port, because one service of a host may have both
  /// families and another one only one.
  using Key = std::uint64_t;
  /// Expects a canonical name (dns_name.hpp).
  [[nodiscard]] Key key(std::string_view canonical, Port port) const noexcept;

  /// The other family failed, or did not succeed in time, and this one did.
  void learn(Key key, Family family, Time now) noexcept;
  [[nodiscard]] std::optional<Family> recall(Key key, Time now) const noexcept;

 private:
  [[nodiscard]] std::uint32_t seconds(Time now) const noexcept;

  std::uint64_t seed_;  ///< so that nobody can choose names that share a slot with another's
  Time began_;
  std::chrono::seconds lifetime_;
  std::array<std::atomic<std::uint64_t>, capacity> slots_{};
};

}  // namespace socks64::gateway

#endif
