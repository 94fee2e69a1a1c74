// SipHash-2-4 (Aumasson and Bernstein, 2012): a hash under a key. Who does not know the key can
// neither foresee a value nor look for two texts with the same one.
#ifndef SOCKS64_GATEWAYD_SIPHASH_HPP
#define SOCKS64_GATEWAYD_SIPHASH_HPP

#include <array>
#include <cstdint>
#include <string_view>

namespace socks64::gateway {

struct SipKey {
  std::uint64_t low = 0;
  std::uint64_t high = 0;

  /// From getrandom(2). Throws std::system_error: without randomness nothing may start.
  [[nodiscard]] static SipKey random();
};

[[nodiscard]] std::uint64_t siphash(const SipKey& key, std::string_view text) noexcept;

/// The hash of several texts, of which each is told from the next: ("ab", "c") is not ("a", "bc").
/// Nothing of a text stays in memory but a register's worth, which is wiped by finish().
class SipHasher {
 public:
  explicit SipHasher(const SipKey& key) noexcept;
  void add(std::string_view text) noexcept;  ///< its length, then its octets
  [[nodiscard]] std::uint64_t finish() noexcept;

 private:
  friend std::uint64_t siphash(const SipKey& key, std::string_view text) noexcept;

  void octet(std::uint8_t value) noexcept;
  void octets(std::string_view text) noexcept;
  void round() noexcept;

  std::array<std::uint64_t, 4> state_;
  std::uint64_t word_ = 0;
  std::uint64_t size_ = 0;
};

}  // namespace socks64::gateway

#endif
