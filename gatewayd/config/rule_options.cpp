#include "config/rule_options.hpp"

namespace socks64::gateway {
namespace {

std::optional<ClientSet> clients_of(const RuleOptions& options) {
  if (options.allow_from.empty()) {
    return std::nullopt;
  }
  ClientSet clients;
  clients.unix_sockets = true;  // the permissions of the file have judged these
  for (const Prefix& block : options.allow_from) {
    clients.networks.add(block);
  }
  return clients;
}

}  // namespace

std::string apply(const RuleOptions& options, std::vector<Rule>& rules) {
  if (!options.allow_from.empty() && !rules.empty()) {
    return "--allow-from works only if the configuration has no [[rule]]; name these clients in a "
           "rule";
  }
  if (options.allow_from.empty() && options.allow_to.empty()) {
    return {};
  }
  if (rules.empty()) {
    Rule others;
    others.name = options.allow_from.empty() ? "everybody" : "--allow-from";
    others.clients = clients_of(options);
    others.from_option = true;
    seal(others);
    rules.push_back(std::move(others));
  }
  if (!options.allow_to.empty()) {
    Rule first;
    first.name = "--allow-to";
    first.clients = clients_of(options);
    first.from_option = true;
    DestinationSet& to = first.to.emplace();
    for (const Prefix& block : options.allow_to) {
      to.networks.add(block);
      to.opened.add(block);
    }
    seal(first);
    rules.insert(rules.begin(), std::move(first));
  }
  return {};
}

}  // namespace socks64::gateway
