// What one connect has tried of the gateways. Plain data: it lies in the handshake's slot, in
// memory shared over fork. All-zero is a walk that has tried nothing.
#ifndef SOCKS64_SHIM_GATEWAY_WALK_HPP
#define SOCKS64_SHIM_GATEWAY_WALK_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace socks64::shim {

/// Nanoseconds of CLOCK_MONOTONIC.
using Nanoseconds = std::int64_t;
inline constexpr Nanoseconds nanoseconds_per_second = 1'000'000'000;
inline constexpr Nanoseconds never = std::numeric_limits<Nanoseconds>::max();
[[nodiscard]] Nanoseconds now() noexcept;

/// One address of one gateway.
struct Candidate {
  std::uint8_t gateway = 0;  ///< its place in the configuration
  std::uint8_t address = 0;  ///< of those that its name has; else 0
};

struct GatewayWalk {
  static constexpr std::size_t max_addresses = 8;  ///< of one name
  static constexpr std::size_t max_candidates = 128;

  std::array<std::uint64_t, max_candidates / 64> tried_bits{};
  std::uint8_t start = 0;  ///< the gateway to begin with
  bool dialled = false;    ///< the socket is connected to `current`, or connecting
  bool waiting = false;    ///< `current` is to be dialled once more, a little later
  bool used = false;       ///< connect(2) has been called on the file that is there now
  Candidate current{};

  [[nodiscard]] static constexpr std::size_t index_of(Candidate candidate) noexcept {
    return candidate.gateway * max_addresses + candidate.address;
  }
  [[nodiscard]] constexpr bool tried(Candidate candidate) const noexcept {
    const std::size_t index = index_of(candidate);
    return (tried_bits[index / 64] >> (index % 64) & 1U) != 0;
  }
  /// Another number for each gateway that is dialled.
  [[nodiscard]] constexpr std::size_t place() const noexcept {
    return dialled ? 1 + index_of(current) : 0;
  }
  constexpr void note_tried(Candidate candidate) noexcept {
    const std::size_t index = index_of(candidate);
    tried_bits[index / 64] |= std::uint64_t{1} << (index % 64);
  }
};

}  // namespace socks64::shim

#endif
