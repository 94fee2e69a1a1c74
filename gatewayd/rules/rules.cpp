#include "rules/rules.hpp"

#include <algorithm>

#include "rules/disguise.hpp"
#include "rules/protection.hpp"

namespace socks64::gateway {
namespace {

Certainty certain(bool matches) noexcept {
  return matches ? Certainty::yes : Certainty::no;
}

bool is_look_up(Command command) noexcept {
  return command == Command::resolve || command == Command::resolve_ptr;
}

bool contains(const ClientSet& clients, const Client& client) noexcept {
  if (client.process) {
    return clients.unix_sockets;
  }
  return clients.networks.contains(client.endpoint.address);
}

bool contains(const UserSet& users, std::string_view user) noexcept {
  return !user.empty() && (users.anyone || users.names.contains(user));
}

Certainty judge_ports(const Rule& rule, const RuleQuery& query) noexcept {
  if (rule.ports.empty()) {
    return Certainty::yes;
  }
  // A look-up has no port. Whoever may connect to some port of a name may look it up; whoever may
  // not connect to some of them may do so, too.
  if (is_look_up(query.command)) {
    return certain(rule.action == RuleAction::allow);
  }
  if (!query.port) {
    return Certainty::maybe;
  }
  const Port port = *query.port;
  return certain(std::any_of(rule.ports.begin(), rule.ports.end(), [port](const PortSpan& range) {
    return range.low <= port && port <= range.high;
  }));
}

Certainty judge_destination(const Rule& rule, const RuleQuery& query) noexcept {
  if (!rule.to || rule.to->everything) {
    return Certainty::yes;
  }
  const DestinationSet& to = *rule.to;
  if (query.without_destination()) {
    return Certainty::maybe;
  }
  if (!query.name.empty() && to.names.contains(query.name)) {
    return Certainty::yes;
  }
  if (to.networks.empty()) {
    return Certainty::no;
  }
  if (!query.address) {
    return Certainty::maybe;
  }
  if (to.networks.contains(*query.address)) {
    return Certainty::yes;
  }
  if (rule.action == RuleAction::allow) {
    return Certainty::no;
  }
  // Whoever denies 10.0.0.0/8 does not want it reached through a translator either.
  const Disguise hidden(*query.address);
  return certain(std::any_of(hidden.begin(), hidden.end(), [&to](const IpAddress& inside) {
    return to.networks.contains(inside);
  }));
}

Certainty judge_crossing(const Rule& rule, const RuleQuery& query) noexcept {
  if (!rule.crossing) {
    return Certainty::yes;
  }
  if (!query.address) {
    return Certainty::maybe;
  }
  const Family destination = query.address->unmapped().family();
  return certain(rule.crossing->contains(index_of(query.client, destination)));
}

Certainty judge(Criterion criterion, const Rule& rule, const RuleQuery& query) noexcept {
  switch (criterion) {
    case Criterion::listeners:
      return certain(rule.applies_to(query.listener));
    case Criterion::commands:
      return certain(!rule.commands || rule.commands->contains(index_of(query.command)));
    case Criterion::clients:
      return certain(!rule.clients || contains(*rule.clients, query.client));
    case Criterion::users:
      return certain(!rule.users || contains(*rule.users, query.user));
    case Criterion::ports:
      return judge_ports(rule, query);
    case Criterion::to:
      return judge_destination(rule, query);
    case Criterion::crossing:
      return judge_crossing(rule, query);
    case Criterion::none:
      break;
  }
  return Certainty::yes;
}

}  // namespace

std::string_view describe(Criterion criterion) noexcept {
  switch (criterion) {
    case Criterion::listeners:
      return "listeners";
    case Criterion::commands:
      return "commands";
    case Criterion::clients:
      return "clients";
    case Criterion::users:
      return "users";
    case Criterion::ports:
      return "ports";
    case Criterion::to:
      return "to";
    case Criterion::crossing:
      return "crossing";
    case Criterion::none:
      break;
  }
  return "none";
}

unsigned index_of(Command command) noexcept {
  switch (command) {
    case Command::connect:
      return 0;
    case Command::bind:
      return 1;
    case Command::udp_associate:
      return 2;
    case Command::resolve:
    case Command::resolve_ptr:
      break;
  }
  return 3;
}

unsigned index_of(const Client& client, Family destination) noexcept {
  unsigned from = 2;
  if (!client.process) {
    from = client.endpoint.address.unmapped().is_v4() ? 0 : 1;
  }
  return 2 * from + (destination == Family::ipv4 ? 0U : 1U);
}

bool Rule::matches_everything() const noexcept {
  return !clients && !users && !listeners && !commands && (!to || to->everything) &&
         ports.empty() && !crossing;
}

bool Rule::applies_to(std::string_view listener) const noexcept {
  return !listeners || listeners->contains(listener);
}

void seal(Rule& rule) {
  rule.refusal = "denied-by:" + rule.name;
  if (rule.clients) {
    rule.clients->networks.seal();
  }
  if (!rule.to) {
    return;
  }
  DestinationSet& to = *rule.to;
  for (const Prefix& block : to.networks.blocks()) {
    if (is_protected(block)) {
      to.opened.add(block);
    }
    if (block.length() == (block.network().is_v4() ? 32 : 128)) {
      to.hosts.add(block);
    }
  }
  to.networks.seal();
  to.opened.seal();
  to.hosts.seal();
}

Match match(const Rule& rule, const RuleQuery& query) noexcept {
  Match result;
  for (unsigned index = 0; index < static_cast<unsigned>(Criterion::none); ++index) {
    const auto criterion = static_cast<Criterion>(index);
    switch (judge(criterion, rule, query)) {
      case Certainty::no:
        return {Certainty::no, criterion};
      case Certainty::maybe:
        if (result.certainty == Certainty::yes) {
          result = {Certainty::maybe, criterion};
        }
        break;
      case Certainty::yes:
        break;
    }
  }
  return result;
}

Decision decide(const std::vector<Rule>& rules, const RuleQuery& query) noexcept {
  if (rules.empty()) {
    return {Decision::Outcome::allow, nullptr};
  }
  auto rule = rules.begin();
  return decide_among([&]() noexcept { return rule == rules.end() ? nullptr : &*rule++; }, query);
}

// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): as much as is read of it
FoldedName::FoldedName(std::string_view name) noexcept {
  if (name.ends_with('.')) {
    name.remove_suffix(1);
  }
  for (const char c : name.substr(0, text_.size())) {
    // Not std::tolower: the locale must not decide which names are equal.
    text_[size_++] = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
}

}  // namespace socks64::gateway
