// IPv4 addresses that hide inside IPv6 ones. Pure.
#ifndef SOCKS64_GATEWAYD_DISGUISE_HPP
#define SOCKS64_GATEWAYD_DISGUISE_HPP

#include <array>
#include <cstddef>
#include <cstdint>

#include "socks64/address.hpp"

namespace socks64::gateway {

/// Where a packet to an address may end besides that address: at the IPv4 address that a tunnel or
/// a translator takes out of it.
class Disguise {
 public:
  /// The most readings that one address has.
  static constexpr std::size_t most = 8;

  /// Any address; an IPv4 one hides nothing.
  explicit Disguise(const IpAddress& address) noexcept;

  [[nodiscard]] const IpAddress* begin() const noexcept { return inside_.data(); }
  [[nodiscard]] const IpAddress* end() const noexcept { return inside_.data() + count_; }

 private:
  void add(std::uint32_t address) noexcept;

  std::array<IpAddress, most> inside_;
  std::size_t count_ = 0;
};

}  // namespace socks64::gateway

#endif
