#include "names/classify.hpp"

#include <algorithm>

#include "host/numeric_name.hpp"
#include "process/runtime.hpp"
#include "tables/policy.hpp"

namespace socks64::shim {
namespace {

/// RFC 1035 section 2.3.4, as text: the wire form has a length octet in front and a 0 behind.
constexpr std::size_t max_name = 253;
constexpr std::size_t max_label = 63;

/// Of ASCII what libc takes in the name of a host, underscores too (glibc's res_hnok); UTF-8, which
/// the gateway decides on.
bool is_of_host_names(char c) noexcept {
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return letter || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

/// "invalid" and what is below it: RFC 6761 section 6.4, never a question for anybody.
bool is_invalid(std::string_view name) noexcept {
  constexpr std::string_view last = "invalid";
  if (name.size() < last.size() ||
      (name.size() > last.size() && name[name.size() - last.size() - 1] != '.')) {
    return false;
  }
  name.remove_prefix(name.size() - last.size());
  return std::equal(name.begin(), name.end(), last.begin(), [](char one, char other) {
    return (one >= 'A' && one <= 'Z' ? one - 'A' + 'a' : one) == other;
  });
}

/// Digits and dots alone are an address gone wrong: no top-level domain is a number, so there is
/// nobody to ask.
bool is_host_name(std::string_view name) noexcept {
  if (name.empty() || name.size() > max_name || name.front() == '-' || is_invalid(name)) {
    return false;
  }
  std::size_t label = 0;
  bool only_digits = true;
  for (const char c : name) {
    if (c == '.') {
      if (label == 0) {
        return false;
      }
      label = 0;
      continue;
    }
    if (!is_of_host_names(c) || ++label > max_label) {
      return false;
    }
    only_digits = only_digits && c >= '0' && c <= '9';
  }
  return label != 0 && !only_digits;
}

LiteralName classify_literal(const Config& config, const FakeIpTable& fakes,
                             const IpAddress& address) noexcept {
  LiteralName literal{.address = address};
  literal.rule = config.usable() ? config.rules.find(address) : nullptr;
  // Where everything is direct, nobody was given a fake address.
  literal.is_direct =
      literal.rule != nullptr && literal.rule->action == RuleAction::direct &&
      ((literal.rule->every_port() && !fakes.covers(address)) || asks_libc_always(config));
  return literal;
}

}  // namespace

ClassifiedName classify(const Config& config, const FakeIpTable& fakes, std::string_view name,
                        Families families, HostAddresses& local) noexcept {
  if (const Result<IpAddress> address = parse_numeric(name)) {
    return classify_literal(config, fakes, *address);
  }
  const NameDecision decision = decide_name(config, name);
  if (decision.action == RuleAction::direct) {
    return DirectName{decision.rule};
  }
  if (name.ends_with('.')) {
    name.remove_suffix(1);
  }
  if (!is_host_name(name)) {
    return NoName{};
  }
  // /etc/hosts and localhost go before a rule for everything, not before one for just this name.
  if (!decision.by_name && (families.ipv4 || families.ipv6) && find_local(name, families, local)) {
    return LocalName{};
  }
  if (decision.action == RuleAction::refuse) {
    return RefusedName{decision.rule, name};
  }
  return DelegatedName{name};
}

ClassifiedName classify(std::string_view name, Families families, HostAddresses& local) noexcept {
  return classify(config(), fake_ips(), name, families, local);
}

ClassifiedName classify(std::string_view name) noexcept {
  HostAddresses none;
  return classify(name, {}, none);
}

bool is_for_libc(const ClassifiedName& name) noexcept {
  const auto* const literal = std::get_if<LiteralName>(&name);
  return literal != nullptr ? literal->is_direct : std::holds_alternative<DirectName>(name);
}

const Rule* direct_rule(const ClassifiedName& name) noexcept {
  const auto* const direct = std::get_if<DirectName>(&name);
  return direct != nullptr && direct->rule->host != Rule::Host::any ? direct->rule : nullptr;
}

}  // namespace socks64::shim
