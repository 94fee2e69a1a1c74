// What goes direct, through the gateway, or nowhere: the rules of a configuration, their syntax and
// which of them matches.
//
//   rule    ACTION TARGET
//   ACTION  direct | gateway | refuse
//   TARGET  HOST[:PORT] or HOST[:LOW-HIGH], ports from 1 to 65535
//   HOST    *                any name and any address
//           example.com      the name and every name below it
//           .example.com     only the names below it
//           10.0.0.0/8       an IPv4 block; 192.0.2.1 is a block of one
//           2001:db8::/32    an IPv6 block; in brackets where a port follows: [2001:db8::/32]:443
//
// The first rule that matches wins. Names are compared without case and without a dot at their end,
// addresses with IPv4-mapped ones seen as IPv4 (prefix.hpp). Pure; no heap.
#ifndef SOCKS64_SHIM_RULES_HPP
#define SOCKS64_SHIM_RULES_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "socks64/address.hpp"
#include "socks64/prefix.hpp"

namespace socks64::shim {

enum class RuleAction : std::uint8_t { direct, gateway, refuse };

struct Rule {
  enum class Host : std::uint8_t { any, block, name, below };

  RuleAction action = RuleAction::gateway;
  Host host = Host::any;
  Port low = 0;  ///< 0 to 65535: every port
  Port high = 65535;
  std::uint16_t name_at = 0;  ///< where the name stands in the text of its list
  std::uint16_t name_size = 0;
  Prefix block;

  [[nodiscard]] bool every_port() const noexcept { return low == 0; }
  [[nodiscard]] bool has(Port port) const noexcept { return low <= port && port <= high; }
};

/// A list of rules, with the text of their names; copied as a value.
class Rules {
 public:
  static constexpr std::size_t max_rules = 512;
  static constexpr std::size_t max_text = std::size_t{32} * 1024;

  /// Reads one rule and appends it. Empty when it was added, else what was expected.
  [[nodiscard]] std::string_view add(std::string_view text) noexcept;
  /// The rules from the `count`th on come before the others.
  void bring_forward(std::size_t count) noexcept;

  [[nodiscard]] std::span<const Rule> all() const noexcept { return {rules_.data(), count_}; }
  [[nodiscard]] std::string_view name_of(const Rule& rule) const noexcept;
  /// As it can be written: "direct 10.0.0.0/8".
  [[nodiscard]] TextBuffer<288> text_of(const Rule& rule) const noexcept;

  /// The first rule for a connection, null when there is none: the default then counts.
  [[nodiscard]] const Rule* find(const IpAddress& address, Port port) const noexcept;
  [[nodiscard]] const Rule* find(std::string_view name, Port port) const noexcept;
  /// The first rule for a look-up, when nobody knows the port yet. A rule for some ports of just
  /// this host is found, since what it says depends on the host staying recognisable; one for some
  /// ports of any host ("*:22") is passed over, since it can be judged on the address later.
  [[nodiscard]] const Rule* find(const IpAddress& address) const noexcept;
  [[nodiscard]] const Rule* find(std::string_view name) const noexcept;
  /// The first rule made for loopback addresses: its block lies within 127.0.0.0/8 or ::1/128.
  /// `address` is a loopback address.
  [[nodiscard]] const Rule* find_loopback(const IpAddress& address, Port port) const noexcept;
  /// A name, not everything, is direct.
  [[nodiscard]] bool has_direct_name() const noexcept;
  /// No name and no address is anything but direct.
  [[nodiscard]] bool everything_direct() const noexcept;

 private:
  [[nodiscard]] bool fits(const Rule& rule, std::string_view name) const noexcept;
  std::string_view read_name(std::string_view host, Rule& rule) noexcept;
  std::string_view read_target(std::string_view target, Rule& rule) noexcept;

  std::uint16_t count_ = 0;
  std::uint16_t text_size_ = 0;
  std::array<Rule, max_rules> rules_{};
  std::array<char, max_text> text_{};
};

}  // namespace socks64::shim

#endif
