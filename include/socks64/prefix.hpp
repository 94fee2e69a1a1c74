// CIDR prefixes, and the one place where IPv4-mapped addresses are normalised for comparison.
#ifndef SOCKS64_PREFIX_HPP
#define SOCKS64_PREFIX_HPP

#include <cstdint>
#include <string_view>

#include "socks64/address.hpp"

namespace socks64 {

/// An address block. Host bits are zeroed on construction. ::ffff:a.b.c.d/96+n is stored as
/// a.b.c.d/n, so that a rule written for IPv4 also matches what a dual-stack socket reports. An
/// IPv6 block, ::/0 included, therefore never contains an IPv4 address in either form.
class Prefix {
 public:
  using Text = TextBuffer<64>;

  /// 0.0.0.0/0
  constexpr Prefix() noexcept = default;
  /// A zone is dropped. Errors: bad_prefix when `length` exceeds 32 (IPv4) or 128 (IPv6).
  [[nodiscard]] static Result<Prefix> make(const IpAddress& address, unsigned length) noexcept;
  /// "192.0.2.0/24", "2001:db8::/32", or an address alone (a /32 or /128). Host bits must be
  /// zero, and a %zone is refused: both say that the author meant something else.
  /// Errors: bad_address, bad_prefix.
  [[nodiscard]] static Result<Prefix> parse(std::string_view text) noexcept;

  /// True when `address`, unmapped, lies in the block. Zones are ignored.
  [[nodiscard]] bool contains(const IpAddress& address) const noexcept;

  [[nodiscard]] const IpAddress& network() const noexcept { return network_; }
  [[nodiscard]] unsigned length() const noexcept { return length_; }
  [[nodiscard]] Text text() const noexcept;

  friend bool operator==(const Prefix&, const Prefix&) noexcept = default;

 private:
  IpAddress network_;
  std::uint8_t length_ = 0;
};

/// Number of equal leading bits (CommonPrefixLen of RFC 6724 section 2.2); 0 when families differ.
[[nodiscard]] unsigned common_prefix_length(const IpAddress& a, const IpAddress& b) noexcept;

}  // namespace socks64

#endif
