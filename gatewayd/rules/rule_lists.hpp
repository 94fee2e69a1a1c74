// Which rules list something, found by what it is: a text, or an address that lies in a block.
// Filled once, then only read.
#ifndef SOCKS64_GATEWAYD_RULE_LISTS_HPP
#define SOCKS64_GATEWAYD_RULE_LISTS_HPP

#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "socks64/address.hpp"
#include "socks64/prefix.hpp"

namespace socks64::gateway {

using RuleNumber = std::uint32_t;
/// In ascending order, each once.
using RuleNumbers = std::span<const RuleNumber>;

class TextRules {
 public:
  /// `text` must outlive this.
  void add(std::string_view text, RuleNumber rule) { entries_.emplace_back(text, rule); }
  /// After the last add() and before the first find().
  void seal();

  [[nodiscard]] bool empty() const noexcept { return slices_.empty(); }
  [[nodiscard]] RuleNumbers find(std::string_view text) const noexcept;

 private:
  std::vector<std::pair<std::string_view, RuleNumber>> entries_;  ///< until sealed
  std::vector<RuleNumber> numbers_;
  std::unordered_map<std::string_view, RuleNumbers> slices_;  ///< of `numbers_`
};

/// Two blocks are disjoint, or one lies within the other: so those around an address are the
/// innermost one and, from each to the next, what that one lies in.
class BlockRules {
 public:
  void add(const Prefix& block, RuleNumber rule) { entries_.push_back({key_of(block), rule}); }
  /// After the last add() and before the first look-up.
  void seal();

  [[nodiscard]] RuleNumbers find(const Prefix& block) const noexcept;
  /// Calls visit(RuleNumbers) for each block around `address`, the innermost first. Zones are
  /// ignored; an IPv4-mapped address is the IPv4 address inside.
  template <class Visit>
  void for_each_around(const IpAddress& address, Visit visit) const {
    for (std::uint32_t at = innermost(address); at != none; at = nodes_[at].around) {
      visit(nodes_[at].rules);
    }
  }

 private:
  /// An address as a number; one of IPv4 comes before all of IPv6.
  struct Place {
    bool v6 = false;
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    friend auto operator<=>(const Place&, const Place&) noexcept = default;
  };
  struct Key {
    Place first;
    unsigned length = 0;  ///< of two that begin alike, the wider one comes first
    friend auto operator<=>(const Key&, const Key&) noexcept = default;
  };
  struct Entry {
    Key key;
    RuleNumber rule;
    friend auto operator<=>(const Entry&, const Entry&) noexcept = default;
  };
  struct Node {
    Place last;
    std::uint32_t around;  ///< the node of the block around this one, or `none`
    RuleNumbers rules;     ///< of `numbers_`
  };
  static constexpr std::uint32_t none = UINT32_MAX;

  [[nodiscard]] static Place place_of(const IpAddress& address) noexcept;
  [[nodiscard]] static Key key_of(const Prefix& block) noexcept;
  [[nodiscard]] static Place last_of(const Key& key) noexcept;
  [[nodiscard]] std::uint32_t innermost(const IpAddress& address) const noexcept;

  std::vector<Entry> entries_;  ///< until sealed
  std::vector<RuleNumber> numbers_;
  std::vector<Place> firsts_;  ///< of the nodes: what a look-up searches
  std::vector<Node> nodes_;
};

}  // namespace socks64::gateway

#endif
