#include "rules/open_relay.hpp"

#include <fmt/format.h>

#include "base/escape.hpp"

namespace socks64::gateway {
namespace {

/// Nobody's request comes as far as the rules behind it.
bool denies_all(const Rule& rule, const ExposedListener& listener) {
  return rule.action == RuleAction::deny && rule.applies_to(listener.text) && !rule.clients &&
         !rule.users && !rule.commands && (!rule.to || rule.to->everything) && rule.ports.empty() &&
         !rule.crossing;
}

/// Whether the clients of so many of these rules are everybody together.
bool are_everybody(const std::vector<const Rule*>& rules, std::size_t count, Family family) {
  NetworkSet together;
  for (std::size_t i = 0; i < count; ++i) {
    for (const Prefix& block : rules[i]->clients->networks.blocks()) {
      together.add(block);
    }
  }
  together.seal();
  return is_everybody(together, family);
}

/// The rule that allows clients who are not named, by itself or together with those before it.
const Rule* open_rule(const std::vector<Rule>& rules, const ExposedListener& listener) {
  const Rule* for_all = nullptr;
  std::vector<const Rule*> for_some;  // all those before it
  for (const Rule& rule : rules) {
    if (denies_all(rule, listener)) {
      break;
    }
    if (rule.action == RuleAction::deny || !rule.applies_to(listener.text) || rule.users) {
      continue;
    }
    if (!rule.clients) {
      for_all = &rule;
      break;
    }
    for_some.push_back(&rule);
  }
  // A listener has clients of its own family only.
  const Family family = listener.address.family();
  if (!are_everybody(for_some, for_some.size(), family)) {
    return for_all;
  }
  // With each rule they become more: the first that makes them everybody can be searched for.
  std::size_t too_few = 0;
  std::size_t enough = for_some.size();
  while (enough - too_few > 1) {
    const std::size_t middle = too_few + (enough - too_few) / 2;
    (are_everybody(for_some, middle, family) ? enough : too_few) = middle;
  }
  return for_some[enough - 1];
}

/// Clients to begin with: those who share the listener's network, or all private ones.
std::vector<std::string> likely_clients(const IpAddress& address) {
  if (address.is_unspecified()) {
    if (address.is_v4()) {
      return {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"};
    }
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
        "the listener {} would serve everybody who reaches it: it asks for no password, and no "
        "rule "
        "says which clients it serves. Name your networks in the configuration\n"
        "  [[rule]]\n"
        "  action = \"allow\"\n"
        "  clients = [{}]\n"
        "or on the command line\n"
        "  {}\n"
        "(use --insecure-open to serve everybody anyway)",
        listener.text, list, options.substr(1));
  }
  if (rule->from_option) {
    return fmt::format(
        "the listener {} would serve everybody who reaches it: it asks for no password, and "
        "--allow-to names destinations but no clients. Add options with your networks\n"
        "  {}\n"
        "or, if the configuration has rules, use a rule instead\n"
        "  [[rule]]\n"
        "  action = \"allow\"\n"
        "  clients = [{}]\n"
        "  to = [...]\n"
        "(use --insecure-open to serve everybody anyway)",
        listener.text, options.substr(1), list);
  }
  return fmt::format(
      "the listener {} would serve everybody who reaches it: it asks for no password, and {} "
      "allows "
      "clients of every network. Add to that rule a line with your networks\n"
      "  clients = [{}]\n"
      "or a line with its users\n"
      "  users = [\"*\"]\n"
      "(use --insecure-open to serve everybody anyway)",
      listener.text, escaped(rule->name), list);
}

}  // namespace

std::vector<std::string> open_relays(const std::vector<ExposedListener>& listeners,
                                     const std::vector<Rule>& rules) {
  std::vector<std::string> problems;
  for (const ExposedListener& listener : listeners) {
    if (listener.address.is_loopback() || !listener.without_authentication) {
      continue;
    }
    if (rules.empty()) {
      problems.push_back(problem_of(listener, nullptr));
      continue;
    }
    if (const Rule* const open = open_rule(rules, listener)) {
      problems.push_back(problem_of(listener, open));
    }
  }
  return problems;
}

}  // namespace socks64::gateway
