#include "gateway/explain.hpp"

#include <array>
#include <cerrno>
#include <variant>

#include "descriptors/socket_kind.hpp"
#include "gateway/gateways.hpp"
#include "host/file_text.hpp"
#include "process/diag.hpp"
#include "process/runtime.hpp"
#include "tables/policy.hpp"

namespace socks64::shim {
namespace {

/// The names that manual pages use. strerror() allocates, and speaks the program's language.
TextBuffer<24> name_of_error(int error) noexcept {
  struct Named {
    int error;
    std::string_view name;
  };
  constexpr std::array<Named, 16> names{{{EACCES, "EACCES"},
                                         {EPERM, "EPERM"},
                                         {ECONNREFUSED, "ECONNREFUSED"},
                                         {ECONNRESET, "ECONNRESET"},
                                         {ECONNABORTED, "ECONNABORTED"},
                                         {ETIMEDOUT, "ETIMEDOUT"},
                                         {EHOSTUNREACH, "EHOSTUNREACH"},
                                         {ENETUNREACH, "ENETUNREACH"},
                                         {ENETDOWN, "ENETDOWN"},
                                         {EADDRNOTAVAIL, "EADDRNOTAVAIL"},
                                         {EAFNOSUPPORT, "EAFNOSUPPORT"},
                                         {EOPNOTSUPP, "EOPNOTSUPP"},
                                         {EPROTO, "EPROTO"},
                                         {EISCONN, "EISCONN"},
                                         {EINTR, "EINTR"},
                                         {ENOMEM, "ENOMEM"}}};
  TextBuffer<24> text;
  for (const Named& each : names) {
    if (each.error == error) {
      text.append(each.name);
      return text;
    }
  }
  text.append("errno ");
  text.append(decimal(error));
  return text;
}

/// "12.3 ms"
TextBuffer<32> text_of(Nanoseconds time) noexcept {
  constexpr Nanoseconds tenth_of_millisecond = 100'000;
  const Nanoseconds tenths = time / tenth_of_millisecond;
  TextBuffer<32> text;
  text.append(decimal(tenths / 10));
  text.append(".");
  text.append(decimal(tenths % 10));
  text.append(" ms");
  return text;
}

using Reason = TextBuffer<300>;

Reason just(std::string_view text) noexcept {
  Reason reason;
  reason.append(text);
  return reason;
}

/// "the rule 'direct 10.0.0.0/8'"
Reason because_of(const Rule& rule) noexcept {
  Reason reason = just("the rule '");
  reason.append(config().rules.text_of(rule));
  reason.append("'");
  return reason;
}

/// The rule that speaks of a name, or of an address: null where none does.
const Rule* rule_of(const Target& target) noexcept {
  const Rules& rules = config().rules;
  if (const auto* named = std::get_if<NamedEndpoint>(&target)) {
    const Result<IpAddress> literal = IpAddress::parse(named->name.view());
    return literal ? rules.find(*literal, named->port)
                   : rules.find(named->name.view(), named->port);
  }
  const auto* endpoint = std::get_if<Endpoint>(&target);
  const IpAddress address = endpoint->address.unmapped();
  return address.is_loopback() ? rules.find_loopback(address, endpoint->port)
                               : rule_for(rules, address, endpoint->port);
}

Reason why_direct(const Endpoint& destination, bool tcp) noexcept {
  const Endpoint plain{destination.address.unmapped(), destination.port};
  if (config().is_gateway(plain) || gateways().has_resolved(plain)) {
    return just("this is the gateway");
  }
  const Rule* rule = rule_of(Target(destination));
  if (rule != nullptr && rule->action == RuleAction::direct) {
    return because_of(*rule);
  }
  if (destination.address.is_loopback() || destination.address.unmapped().is_unspecified()) {
    return just("this host");
  }
  if (destination.address.is_link_local()) {
    return just("an address of this link");
  }
  return just(tcp ? "no rule says otherwise" : "datagrams are direct");
}

Reason why_refused(const Target& target, bool named, bool fake, bool tcp) noexcept {
  if (fake && !named) {
    return just("no name has this fake address");
  }
  if (!config().usable()) {
    return just("the configuration has a mistake");
  }
  const Rule* rule = rule_of(target);
  if (rule != nullptr && rule->action == RuleAction::refuse) {
    return because_of(*rule);
  }
  return just(tcp ? "no rule allows it" : "datagrams are refused");
}

Reason why_gateway(const Target& target) noexcept {
  const Rule* rule = rule_of(target);
  if (rule != nullptr && rule->action == RuleAction::gateway) {
    return because_of(*rule);
  }
  return just(std::holds_alternative<NamedEndpoint>(target) ? "the gateway looks the name up"
                                                            : "an address of another host");
}

/// The name in the place of a fake address.
Target target_of(const Endpoint& destination) noexcept {
  if (fake_ips().covers(destination.address)) {
    if (const Result<DomainName> name = fake_ips().name_of(destination.address)) {
      return NamedEndpoint{*name, destination.port};
    }
  }
  return destination;
}

}  // namespace

bool explains() noexcept {
  return diagnoses(LogLevel::explain);
}

void explain_direct(int fd, const Endpoint& destination, int error, Nanoseconds started) noexcept {
  const ErrnoGuard guard;
  const bool tcp = is_tcp(fd);
  const bool under_way = error == EINPROGRESS;
  diagnose(LogLevel::explain, {text(target_of(destination)), tcp ? "" : " (datagrams)",
                               ": direct, ", why_direct(destination, tcp), ": ",
                               error == 0  ? "connected"
                               : under_way ? "in progress"
                                           : name_of_error(error).view(),
                               ", ", text_of(now() - started)});
}

void explain_refused(int fd, const Endpoint& destination, int error) noexcept {
  const ErrnoGuard guard;
  const bool tcp = is_tcp(fd);
  const Target target = target_of(destination);
  const bool named = std::holds_alternative<NamedEndpoint>(target);
  diagnose(LogLevel::explain,
           {text(target), tcp ? "" : " (datagrams)", ": refused, ",
            why_refused(target, named, fake_ips().covers(destination.address), tcp), ": ",
            name_of_error(error)});
}

void explain_name(std::string_view name, const Rule& rule) noexcept {
  if (!explains()) {
    return;
  }
  const ErrnoGuard guard;
  diagnose(LogLevel::explain, {part(name, 0, 253),
                               rule.action == RuleAction::direct ? ": looked up by this host, "
                                                                 : ": not looked up, refused by ",
                               because_of(rule)});
}

void explain_outcome(const PendingHandshake& handshake, int error, std::string_view who) noexcept {
  TextBuffer<200> how;
  if (error == 0) {
    how.append("connected");
  } else {
    how.append(who);
    if (error > 0) {
      how.append(" (");
      how.append(name_of_error(error));
      how.append(")");
    }
  }
  diagnose(
      LogLevel::explain,
      {text(handshake.target), ": through the gateway ", gateways().text(handshake.walk.current),
       ", ", why_gateway(handshake.target), ": ", how, ", ", text_of(now() - handshake.started)});
}

}  // namespace socks64::shim
