// IPv4 addresses that hide inside IPv6 ones. Pure.
#ifndef SOCKS64_GATEWAYD_DISGUISE_HPP
#define SOCKS64_GATEWAYD_DISGUISE_HPP

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "socks64/address.hpp"

namespace socks64::gateway {

/// Where a packet to an address may end besides that address: at the IPv4 address that a tunnel or
/// a translator takes out of it.
class Disguise {
 public:
  /// Where RFC 6052 section 2.2 may put an IPv4 address.
  static constexpr std::size_t nat64_places = 4;
  /// The most readings that an address may have: those of one prefix, none of which has more than
  /// NAT64, and that of an ISATAP interface identifier.
  static constexpr std::size_t most = nat64_places + 1;

  /// Any address; an IPv4 one hides nothing.
  explicit Disguise(const IpAddress& address) noexcept;

  /// Makes addresses of numbers as they are looked at: nearly always there are none.
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = IpAddress;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = IpAddress;

    explicit Iterator(const std::uint32_t* at) noexcept : at_(at) {}
    [[nodiscard]] IpAddress operator*() const noexcept { return IpAddress::v4(*at_); }
    Iterator& operator++() noexcept {
      ++at_;
      return *this;
    }
    Iterator operator++(int) noexcept { return Iterator(at_++); }
    [[nodiscard]] bool operator==(const Iterator&) const noexcept = default;

   private:
    const std::uint32_t* at_;
  };
  [[nodiscard]] Iterator begin() const noexcept { return Iterator(inside_.data()); }
  [[nodiscard]] Iterator end() const noexcept { return Iterator(inside_.data() + count_); }

 private:
  void add(std::uint32_t address) noexcept {
    assert(count_ < most);
    inside_[count_++] = address;
  }

  std::array<std::uint32_t, most> inside_;  ///< in host byte order
  std::size_t count_ = 0;
};

}  // namespace socks64::gateway

#endif
