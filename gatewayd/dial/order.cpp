#include "dial/order.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <tuple>
#include <utility>

#include "socks64/prefix.hpp"

namespace socks64::gateway {
namespace {

struct Policy {
  int precedence;
  int label;
};

bool begins_with(const IpAddress& address, std::uint16_t first, std::uint16_t mask) noexcept {
  const auto bytes = address.bytes();
  const unsigned word = static_cast<unsigned>(bytes[0]) << 8U | bytes[1];
  return (word & mask) == first;
}

bool zero_up_to(const IpAddress& address, std::size_t octets) noexcept {
  return std::ranges::all_of(address.bytes().first(octets), [](auto octet) { return octet == 0; });
}

/// RFC 6724 section 2.1, longest prefix first. IPv4 stands for ::ffff:0:0/96.
Policy policy_of(const IpAddress& address) noexcept {
  if (address.is_v4() || address.is_v4_mapped()) {
    return {35, 4};
  }
  if (address.is_loopback()) {
    return {50, 0};
  }
  if (zero_up_to(address, 12)) {
    return {1, 3};  // ::/96
  }
  if (begins_with(address, 0x2001, 0xffff) && address.bytes()[2] == 0 && address.bytes()[3] == 0) {
    return {5, 5};  // 2001::/32, Teredo
  }
  if (begins_with(address, 0x2002, 0xffff)) {
    return {30, 2};  // 6to4
  }
  if (begins_with(address, 0x3ffe, 0xffff)) {
    return {1, 12};  // the 6bone
  }
  if (begins_with(address, 0xfec0, 0xffc0)) {
    return {1, 11};  // site-local
  }
  if (begins_with(address, 0xfc00, 0xfe00)) {
    return {3, 13};  // unique local
  }
  return {40, 1};
}

constexpr int scope_link_local = 0x2;
constexpr int scope_site_local = 0x5;
constexpr int scope_global = 0xe;

/// RFC 6724 section 3.1 and 3.2: loopback counts as link-local, private IPv4 as global.
int scope_of(const IpAddress& address) noexcept {
  if (address.is_v6() && address.is_multicast()) {
    return address.bytes()[1] & 0x0f;
  }
  if (address.is_loopback() || address.is_link_local()) {
    return scope_link_local;
  }
  if (address.is_v6() && begins_with(address, 0xfec0, 0xffc0)) {
    return scope_site_local;
  }
  return scope_global;
}

/// Rule 9. Section 2.2 stops at the source's own prefix; /64 is what nearly every IPv6 interface
/// has (RFC 4291 section 2.5.4). Not for IPv4, where prefixes are short and unknown to us:
/// comparing further bits would only pin all clients to one of several equal servers.
unsigned shared_prefix(const Destination& destination) noexcept {
  constexpr unsigned interface_prefix = 64;
  if (!destination.source || destination.address.is_v4()) {
    return 0;
  }
  return std::min(common_prefix_length(*destination.source, destination.address), interface_prefix);
}

/// What the rules compare, computed once an address; smaller is better.
struct Rank {
  bool unusable;       // rule 1
  bool scope_differs;  // rule 2
  bool not_preferred;  // the operator's wish
  bool label_differs;  // rule 5
  int precedence;      // rule 6, negated
  int scope;           // rule 8
  unsigned shared;     // rule 9, larger is better, within a family
  // Rules 3, 4 and 7 ask for deprecated, home and tunnelled addresses, of which the kernel has
  // already taken account when it chose the source.
};

Rank rank_of(const Destination& destination, FamilyPreference prefer) noexcept {
  const IpAddress& address = destination.address;
  const Policy policy = policy_of(address);
  Rank rank{};
  rank.unusable = !destination.source.has_value();
  rank.not_preferred = (prefer == FamilyPreference::ipv4 && address.is_v6()) ||
                       (prefer == FamilyPreference::ipv6 && address.is_v4());
  if (destination.source) {
    rank.scope_differs = scope_of(*destination.source) != scope_of(address);
    rank.label_differs = policy_of(*destination.source).label != policy.label;
  }
  rank.precedence = -policy.precedence;
  rank.scope = scope_of(address);
  rank.shared = shared_prefix(destination);
  return rank;
}

bool goes_before(const Rank& a, const Rank& b) noexcept {
  const auto up_to_rule_8 = [](const Rank& r) {
    return std::tie(r.unusable, r.scope_differs, r.not_preferred, r.label_differs, r.precedence,
                    r.scope);
  };
  if (up_to_rule_8(a) != up_to_rule_8(b)) {
    return up_to_rule_8(a) < up_to_rule_8(b);
  }
  // Equal precedence means equal families: no IPv6 entry of the table shares the 35 of IPv4.
  return a.shared > b.shared;
}

}  // namespace

void order_destinations(std::vector<Destination>& destinations, FamilyPreference prefer) {
  std::vector<std::pair<Rank, Destination>> ranked;
  ranked.reserve(destinations.size());
  for (const Destination& destination : destinations) {
    ranked.emplace_back(rank_of(destination, prefer), destination);
  }
  std::ranges::stable_sort(
      ranked, [](const auto& a, const auto& b) { return goes_before(a.first, b.first); });
  std::ranges::transform(ranked, destinations.begin(), [](const auto& r) { return r.second; });
}

void interleave_families(std::vector<Destination>& destinations, std::optional<Family> after) {
  const auto unusable =
      std::stable_partition(destinations.begin(), destinations.end(),
                            [](const Destination& d) { return d.source.has_value(); });
  if (unusable == destinations.begin()) {
    return;
  }

  std::array<std::vector<Destination>, 2> by_family;
  const auto lane_of = [](Family family) { return family == Family::ipv4 ? 0U : 1U; };
  for (auto it = destinations.begin(); it != unusable; ++it) {
    by_family[lane_of(it->address.family())].push_back(*it);
  }
  std::size_t lane = after ? 1U - lane_of(*after) : lane_of(destinations.front().address.family());
  std::array<std::size_t, 2> taken{};
  for (auto it = destinations.begin(); it != unusable; ++it) {
    if (taken[lane] == by_family[lane].size()) {
      lane = 1U - lane;
    }
    *it = by_family[lane][taken[lane]++];
    lane = 1U - lane;
  }
}

}  // namespace socks64::gateway
