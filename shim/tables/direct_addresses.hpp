// The addresses that libc gave for names which a rule makes direct: a connect to one of them is
// direct by that rule. Shared over fork, as the table of fake addresses is; lock-free, bounded, and
// never emptied. An address that finds no room is judged as one that nobody asked for.
#ifndef SOCKS64_SHIM_DIRECT_ADDRESSES_HPP
#define SOCKS64_SHIM_DIRECT_ADDRESSES_HPP

#include <cstddef>
#include <cstdint>
#include <optional>

#include "socks64/address.hpp"

namespace socks64::shim {

class DirectAddresses {
 public:
  static constexpr std::size_t capacity = 4096;

  /// Maps the memory, which forks made from now on share. Once, before other threads.
  void configure() noexcept;
  /// `rule` is the place of the rule in its list. Of two rules the earlier counts. Mapped addresses
  /// count as IPv4.
  void add(const IpAddress& address, std::uint16_t rule) noexcept;
  [[nodiscard]] std::optional<std::uint16_t> rule_of(const IpAddress& address) const noexcept;

 private:
  struct Slot;
  Slot* slots_ = nullptr;
};

/// Of this process and its forks.
[[nodiscard]] DirectAddresses& direct_addresses() noexcept;

}  // namespace socks64::shim

#endif
