#include "rules/rule_sets.hpp"

#include <algorithm>
#include <cmath>

namespace socks64::gateway {

void NetworkSet::seal() {
  // Blocks are either disjoint or one within the other; the wider of two that begin alike comes
  // first.
  std::sort(blocks_.begin(), blocks_.end(), [](const Prefix& a, const Prefix& b) {
    return a.network() != b.network() ? a.network() < b.network() : a.length() < b.length();
  });
  std::vector<Prefix> widest;
  for (const Prefix& block : blocks_) {
    const bool within = !widest.empty() && widest.back().length() <= block.length() &&
                        widest.back().contains(block.network());
    if (!within) {
      widest.push_back(block);
    }
  }
  blocks_ = std::move(widest);
}

bool NetworkSet::contains(const IpAddress& address) const noexcept {
  const IpAddress plain = address.unmapped();
  const auto after = std::upper_bound(
      blocks_.begin(), blocks_.end(), plain,
      [](const IpAddress& wanted, const Prefix& block) { return wanted < block.network(); });
  return after != blocks_.begin() && std::prev(after)->contains(plain);
}

bool is_everybody(const NetworkSet& networks, Family family) {
  constexpr unsigned global_bits = 3;
  constexpr double too_much = 0.5;
  const IpAddress::V6Bytes octets{0x20};
  const Prefix global = Prefix::make(IpAddress::v6(octets), global_bits).value_or(Prefix{});
  double share = 0;  // sums of powers of two: exact as far as it matters
  for (const Prefix& block : networks.blocks()) {
    if (block.network().family() != family) {
      continue;
    }
    if (family == Family::ipv4) {
      share += std::ldexp(1.0, -static_cast<int>(block.length()));
    } else if (block.length() <= global_bits) {
      if (block.contains(global.network())) {
        share = 1;
      }
    } else if (global.contains(block.network())) {
      share += std::ldexp(1.0, static_cast<int>(global_bits) - static_cast<int>(block.length()));
    }
  }
  return share >= too_much;
}

void NameSet::add(std::string_view name) {
  if (name.starts_with('.')) {
    below_.add(name.substr(1));
  } else {
    exact_.add(name);
  }
}

bool NameSet::contains(std::string_view name) const noexcept {
  if (exact_.contains(name)) {
    return true;
  }
  if (below_.empty()) {
    return false;
  }
  for (std::size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.')) {
    name.remove_prefix(dot + 1);
    if (below_.contains(name)) {
      return true;
    }
  }
  return false;
}

}  // namespace socks64::gateway
