#include "rules/rule_lists.hpp"

#include <algorithm>

namespace socks64::gateway {
namespace {

/// What follows the first `length` bits of 64.
constexpr std::uint64_t behind(unsigned length) noexcept {
  return length == 0 ? ~std::uint64_t{0} : length >= 64 ? 0 : ~std::uint64_t{0} >> length;
}

/// Moves the numbers out of sorted entries, and calls group(first entry, RuleNumbers) for each run
/// of entries with one key.
template <class Entries, class KeyOf, class NumberOf, class Group>
void take_groups(Entries& entries, std::vector<RuleNumber>& numbers, KeyOf key_of,
                 NumberOf number_of, Group group) {
  std::sort(entries.begin(), entries.end());
  entries.erase(std::unique(entries.begin(), entries.end()), entries.end());
  numbers.reserve(entries.size());  // the groups point into it: it must not grow
  for (auto entry = entries.begin(); entry != entries.end();) {
    const auto first = entry;
    const RuleNumber* const begin = numbers.data() + numbers.size();
    for (; entry != entries.end() && key_of(*entry) == key_of(*first); ++entry) {
      numbers.push_back(number_of(*entry));
    }
    group(*first, RuleNumbers(begin, static_cast<std::size_t>(entry - first)));
  }
  entries = {};
}

}  // namespace

void TextRules::seal() {
  slices_.reserve(entries_.size());
  take_groups(
      entries_, numbers_, [](const auto& entry) { return entry.first; },
      [](const auto& entry) { return entry.second; },
      [this](const auto& entry, RuleNumbers rules) { slices_.emplace(entry.first, rules); });
}

RuleNumbers TextRules::find(std::string_view text) const noexcept {
  const auto found = slices_.find(text);
  return found == slices_.end() ? RuleNumbers() : found->second;
}

BlockRules::Place BlockRules::place_of(const IpAddress& address) noexcept {
  if (address.is_v4()) {
    return {false, 0, address.v4_value()};
  }
  Place place{true, 0, 0};
  const auto octets = address.bytes();
  for (std::size_t i = 0; i < 8; ++i) {
    place.high = place.high << 8U | octets[i];
    place.low = place.low << 8U | octets[i + 8];
  }
  return place;
}

BlockRules::Key BlockRules::key_of(const Prefix& block) noexcept {
  return {place_of(block.network()), block.length()};
}

BlockRules::Place BlockRules::last_of(const Key& key) noexcept {
  Place last = key.first;
  if (!last.v6) {
    last.low |= behind(32 + key.length);
  } else {
    last.high |= behind(key.length);
    last.low |= behind(key.length < 64 ? 0 : key.length - 64);
  }
  return last;
}

void BlockRules::seal() {
  take_groups(
      entries_, numbers_, [](const Entry& entry) { return entry.key; },
      [](const Entry& entry) { return entry.rule; },
      [this](const Entry& entry, RuleNumbers rules) {
        // The block before this one is around it, or lies in what is around it, or none is.
        std::uint32_t around =
            nodes_.empty() ? none : static_cast<std::uint32_t>(nodes_.size() - 1);
        while (around != none && nodes_[around].last < entry.key.first) {
          around = nodes_[around].around;
        }
        firsts_.push_back(entry.key.first);
        nodes_.push_back({last_of(entry.key), around, rules});
      });
}

RuleNumbers BlockRules::find(const Prefix& block) const noexcept {
  const Key wanted = key_of(block);
  const Place last = last_of(wanted);
  const auto [begin, end] = std::equal_range(firsts_.begin(), firsts_.end(), wanted.first);
  for (auto first = begin; first != end; ++first) {
    const Node& node = nodes_[static_cast<std::size_t>(first - firsts_.begin())];
    if (node.last == last) {
      return node.rules;
    }
  }
  return {};
}

std::uint32_t BlockRules::innermost(const IpAddress& address) const noexcept {
  if (nodes_.empty()) {
    return none;
  }
  const Place place = place_of(address.unmapped());
  const auto after = std::upper_bound(firsts_.begin(), firsts_.end(), place);
  auto at = static_cast<std::uint32_t>(after - firsts_.begin());
  if (at == 0) {
    return none;
  }
  for (--at; at != none && nodes_[at].last < place; at = nodes_[at].around) {
  }
  return at;
}

}  // namespace socks64::gateway
