#include "names/classify.hpp"

#include "host/numeric_name.hpp"
#include "process/runtime.hpp"
#include "tables/policy.hpp"

namespace socks64::shim {
namespace {

/// RFC 1035 section 2.3.4, as text: the wire form has a length octet in front and a 0 behind.
constexpr std::size_t max_name = 253;
constexpr std::size_t max_label = 63;

/// Any octets but blanks and control characters: underscores, UTF-8 and worse are in use, and the
/// gateway decides. Digits and dots alone are an address gone wrong: no top-level domain is a
/// number, so there is nobody to ask.
bool is_host_name(std::string_view name) noexcept {
  if (name.empty() || name.size() > max_name) {
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
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f || ++label > max_label) {
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
