#include "open_relay.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "escape.hpp"

namespace socks64::gateway {
namespace {

/// Whether the set holds every address of the family that a client can have: in one block or in
/// pieces such as 0.0.0.0/1 and 128.0.0.0/1. All of IPv6's Internet lies within 2000::/3.
bool is_everybody(const NetworkSet& networks, Family family) {
  constexpr unsigned global_bits = 3;
  IpAddress::V6Bytes octets{0x20};
  const Prefix global = Prefix::make(IpAddress::v6(octets), global_bits).value_or(Prefix{});
  double share = 0;  // sums of powers of two: exact as far as it matters
  for (const Prefix& block : networks.blocks()) {
    if (block.network().family() != family) continue;
    if (family == Family::ipv4) {
      share += std::ldexp(1.0, -static_cast<int>(block.length()));
    } else if (block.length() <= global_bits) {
      if (block.contains(global.network())) share = 1;
    } else if (global.contains(block.network())) {
      share += std::ldexp(1.0, static_cast<int>(global_bits) - static_cast<int>(block.length()));
    }
  }
  return share >= 1;
}

bool is_open(const Rule& rule, const ExposedListener& listener) {
  if (rule.action == RuleAction::deny || !rule.applies_to(listener.text)) return false;
  if (rule.users) return false;
  if (!rule.clients) return true;
  // A listener has clients of its own family only.
  return is_everybody(rule.clients->networks, listener.address.family());
}

/// Clients to begin with: those who share the listener's network, or all private ones.
std::vector<std::string> likely_clients(const IpAddress& address) {
  if (address.is_unspecified()) {
    if (address.is_v4()) return {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"};
    return {"fc00::/7", "fe80::/10"};
  }
  const Result<Prefix> block = Prefix::make(address, address.is_v4() ? 24 : 64);
  return {std::string(block ? block->text().view() : "")};
}

std::string problem_of(const ExposedListener& listener, const Rule* rule) {
  const std::vector<std::string> clients = likely_clients(listener.address);
  std::string list;
  std::string options;
  for (const std::string& block : clients) {
    list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", block);
    options += fmt::format(" --allow-from {}", block);
  }
  if (rule == nullptr) {
    return fmt::format(
        "the listener {} would serve everybody who reaches it: there is no authentication, and no "
        "rule says whose clients it is for. Say it, with your networks, in the configuration\n"
        "  [[rule]]\n"
        "  action = \"allow\"\n"
        "  clients = [{}]\n"
        "or with the options\n"
        "  {}\n"
        "(--insecure-open serves everybody all the same)",
        listener.text, list, options.substr(1));
  }
  if (rule->from_option) {
    return fmt::format(
        "the listener {} would serve everybody who reaches it: there is no authentication, and "
        "--allow-to says what is allowed, but not to whom. Add, with your networks,\n"
        "  {}\n"
        "or, where the configuration has rules, put it there\n"
        "  [[rule]]\n"
        "  action = \"allow\"\n"
        "  clients = [{}]\n"
        "  to = [...]\n"
        "(--insecure-open serves everybody all the same)",
        listener.text, options.substr(1), list);
  }
  return fmt::format(
      "the listener {} would serve everybody who reaches it: there is no authentication, and {} "
      "allows whom it does not name. Add to that rule the line\n"
      "  clients = [{}]\n"
      "or a line with its users\n"
      "  users = [\"*\"]\n"
      "(--insecure-open serves everybody all the same)",
      listener.text, escaped(rule->name), list);
}

}  // namespace

std::vector<std::string> open_relays(const std::vector<ExposedListener>& listeners,
                                     const std::vector<Rule>& rules) {
  std::vector<std::string> problems;
  for (const ExposedListener& listener : listeners) {
    if (listener.address.is_loopback() || !listener.without_authentication) continue;
    if (rules.empty()) {
      problems.push_back(problem_of(listener, nullptr));
      continue;
    }
    const auto open = std::find_if(rules.begin(), rules.end(),
                                   [&](const Rule& rule) { return is_open(rule, listener); });
    if (open != rules.end()) problems.push_back(problem_of(listener, &*open));
  }
  return problems;
}

}  // namespace socks64::gateway
