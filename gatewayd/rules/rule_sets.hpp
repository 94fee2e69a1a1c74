// What one rule lists, in a form that stays fast with ten thousand entries: a look-up costs the
// logarithm of their number for an address, the number of labels for a name.
#ifndef SOCKS64_GATEWAYD_RULE_SETS_HPP
#define SOCKS64_GATEWAYD_RULE_SETS_HPP

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "socks64/address.hpp"
#include "socks64/prefix.hpp"

namespace socks64::gateway {

/// Address blocks. Call seal() after the last add() and before the first look-up.
class NetworkSet {
 public:
  void add(const Prefix& block) { blocks_.push_back(block); }
  /// Sorts them and drops what lies within another.
  void seal();
  /// Zones are ignored; an IPv4-mapped address is the IPv4 address inside.
  [[nodiscard]] bool contains(const IpAddress& address) const noexcept;
  [[nodiscard]] bool empty() const noexcept { return blocks_.empty(); }
  /// Sorted and disjoint once sealed.
  [[nodiscard]] const std::vector<Prefix>& blocks() const noexcept { return blocks_; }

 private:
  std::vector<Prefix> blocks_;
};

/// Whether a sealed set holds so much of a family that it names nobody: half of the addresses that
/// clients on the Internet can have, or more, in whatever pieces. Those of IPv6 are 2000::/3.
[[nodiscard]] bool is_everybody(const NetworkSet& networks, Family family);

class TextSet {
 public:
  void add(std::string_view text) { texts_.emplace(text); }
  [[nodiscard]] bool contains(std::string_view text) const noexcept {
    return texts_.find(text) != texts_.end();
  }
  [[nodiscard]] bool empty() const noexcept { return texts_.empty(); }
  /// In no order.
  [[nodiscard]] auto begin() const noexcept { return texts_.begin(); }
  [[nodiscard]] auto end() const noexcept { return texts_.end(); }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };
  std::unordered_set<std::string, Hash, std::equal_to<>> texts_;
};

/// Names, in lower case and without the trailing dot: both those that are added and those that are
/// looked up.
class NameSet {
 public:
  /// "example.com" is that name; ".example.com" every name below it, and not itself.
  void add(std::string_view name);
  [[nodiscard]] bool contains(std::string_view name) const noexcept;
  [[nodiscard]] bool empty() const noexcept { return exact_.empty() && below_.empty(); }
  [[nodiscard]] const TextSet& exact() const noexcept { return exact_; }
  /// Without the leading dot.
  [[nodiscard]] const TextSet& below() const noexcept { return below_; }

 private:
  TextSet exact_;
  TextSet below_;  ///< without the leading dot
};

}  // namespace socks64::gateway

#endif
