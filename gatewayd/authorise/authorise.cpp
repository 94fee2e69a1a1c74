#include "authorise/authorise.hpp"

#include <cerrno>
#include <optional>
#include <variant>

#include "authorise/refusal_hints.hpp"
#include "base/dns_name.hpp"
#include "base/failure.hpp"
#include "base/route.hpp"
#include "rules/protection.hpp"
#include "rules/rules.hpp"

namespace socks64::gateway {
namespace {

constexpr std::string_view no_rule_allows = "no-rule-allows";
constexpr std::string_view family_not_allowed = "family-not-allowed";
constexpr std::string_view own_listener = "protected-own-listener";

/// The kernel's word for it: towards an address of its own it sends from that address. Where it
/// cannot be asked, for want of a descriptor, every address may be one.
bool is_local(const IpAddress& address) {
  constexpr Port any_port = 53;  // 0 is none that can be asked about
  const std::optional<IpAddress> source = source_towards({address, any_port});
  return source ? *source == address : failure_from_errno(errno) == Failure::no_resources;
}

RuleQuery query_of(const Policy& policy, const Requester& requester, Command command,
                   const AskedTarget& asked) noexcept {
  return {requester.client,
          requester.user,
          requester.listener < policy.listeners.size() ? policy.listeners[requester.listener]
                                                       : std::string_view(),
          command,
          asked.name(),
          asked.address(),
          std::nullopt};
}

/// Only a rule that names this very endpoint, its port included, lets the gateway dial itself.
bool opens_listener(const Rule* rule, const Endpoint& endpoint) noexcept {
  return rule != nullptr && rule->to && !rule->ports.empty() &&
         rule->to->hosts.contains(endpoint.address);
}

/// Credentials are not given away along with the printers of a link: metadata has to be named by
/// its very address, not by the block around it.
bool opens(const Rule* rule, const IpAddress& address, std::string_view reason) noexcept {
  if (rule == nullptr || !rule->to || !rule->to->opened.contains(address)) {
    return false;
  }
  return reason != protected_metadata || rule->to->hosts.contains(address);
}

Verdict refused(const Rule* rule) noexcept {
  return {false, rule == nullptr ? no_rule_allows : std::string_view(rule->refusal)};
}

/// What a rule allowed - or no rule had to, which is null - and the address itself may forbid.
Verdict judge_address(const Policy& policy, const Rule* rule, const Endpoint& endpoint) noexcept {
  const bool v4 = endpoint.address.is_v4();
  if (rule != nullptr && rule->families && !rule->families->contains(v4 ? 0 : 1)) {
    return {false, family_not_allowed};
  }
  if (is_own_listener(policy.own, endpoint, is_local) && !opens_listener(rule, endpoint)) {
    return {false, own_listener};
  }
  const std::string_view reason = protected_as(endpoint.address);
  if (!reason.empty() && !opens(rule, endpoint.address, reason)) {
    return {false, reason};
  }
  return {};
}

std::string_view name_in(const Target& target) noexcept {
  const auto* named = std::get_if<NamedEndpoint>(&target);
  return named == nullptr ? std::string_view() : named->name.view();
}

}  // namespace

bool reaches(Command command) noexcept {
  return command != Command::resolve && command != Command::resolve_ptr;
}

void hint(const Policy& policy, const Requester& requester, std::string_view reason,
          const Endpoint& address) noexcept {
  if (policy.hints != nullptr) {
    policy.hints->tell(requester, reason, address, !policy.rules.empty());
  }
}

AskedTarget::AskedTarget(const Target& target) noexcept
    : name_(name_in(target)), port_(port_of(target)) {
  if (const auto* endpoint = std::get_if<Endpoint>(&target)) {
    address_ = endpoint->address.unmapped();
  } else if (const std::optional<IpAddress> literal = literal_from(name_in(target))) {
    address_ = literal->unmapped();
  }
}

RuleQuery query_before(const Policy& policy, const Requester& requester, Command command,
                       const AskedTarget& asked) noexcept {
  RuleQuery query = query_of(policy, requester, command, asked);
  query.port = asked.port();
  // A BIND with zeros waits for anybody, a UDP ASSOCIATE has no destination yet.
  const bool nowhere =
      asked.address() && asked.address()->is_unspecified() &&
      (command == Command::bind || (command == Command::udp_associate && asked.port() == 0));
  if (nowhere) {
    query.address.reset();
  }
  if (command == Command::udp_associate && nowhere) {
    query.port.reset();
  }
  return query;
}

RuleQuery query_about(const Policy& policy, const Requester& requester, Command command,
                      const AskedTarget& asked, const Endpoint& address) noexcept {
  RuleQuery query = query_of(policy, requester, command, asked);
  query.address = address.address.unmapped();
  // The peer of a BIND may come from any port; what it is about is DST.PORT, where the client's
  // first connection went (RFC 1928 section 4).
  query.port = command == Command::bind ? asked.port() : address.port;
  return query;
}

Verdict judge(const Policy& policy, const Requester& requester, Command command,
              const Target& target) noexcept {
  const AskedTarget asked(target);
  const RuleQuery query = query_before(policy, requester, command, asked);
  const Decision decision = decide(policy.rules, query);
  if (decision.outcome == Decision::Outcome::deny) {
    return refused(decision.rule);
  }
  if (decision.outcome == Decision::Outcome::allow && query.address && reaches(command)) {
    return judge_address(policy, decision.rule, {*query.address, asked.port()});
  }
  return {};
}

Verdict judge(const Policy& policy, const Requester& requester, Command command,
              const Target& target, const Endpoint& address) noexcept {
  return judge(policy, requester, command, AskedTarget(target), address);
}

Verdict judge(const Policy& policy, const Requester& requester, Command command,
              const AskedTarget& asked, const Endpoint& address) noexcept {
  const RuleQuery query = query_about(policy, requester, command, asked, address);
  const Decision decision = decide(policy.rules, query);
  if (decision.outcome != Decision::Outcome::allow) {
    return refused(decision.rule);
  }
  if (!reaches(command)) {
    return {};
  }
  return judge_address(policy, decision.rule, {*query.address, address.port});
}

std::optional<IpAddress> source_address(const Policy& policy, const Requester& requester,
                                        Command command, const AskedTarget& asked,
                                        const Endpoint& address) noexcept {
  if (!policy.any_source) {
    return std::nullopt;
  }
  const RuleQuery query = query_about(policy, requester, command, asked, address);
  const Rule* const rule = decide(policy.rules, query).rule;
  if (rule == nullptr) {
    return std::nullopt;
  }
  return query.address->is_v4() ? rule->source_v4 : rule->source_v6;
}

std::optional<FamilyPreference> preference(const Policy& policy, const Requester& requester,
                                           Command command, const AskedTarget& asked) noexcept {
  if (!policy.any_preference) {
    return std::nullopt;
  }
  const RuleQuery query = query_before(policy, requester, command, asked);
  const Rule* const rule = first_to_allow(policy.rules, query);
  return rule == nullptr ? std::nullopt : rule->prefer;
}

}  // namespace socks64::gateway
