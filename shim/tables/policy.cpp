#include "tables/policy.hpp"

#include <optional>

#include "tables/direct_addresses.hpp"

namespace socks64::shim {
namespace {

bool is_this_host(const IpAddress& address) noexcept {
  return address.is_loopback() || address.unmapped().is_unspecified();
}

/// Where 0.0.0.0 and :: lead.
IpAddress loopback_of(const IpAddress& address) noexcept {
  const IpAddress plain = address.unmapped();
  if (!plain.is_unspecified()) {
    return plain;
  }
  if (plain.is_v4()) {
    return IpAddress::v4(0x7f000001);
  }
  IpAddress::V6Bytes one{};
  one.back() = 1;
  return IpAddress::v6(one);
}

RuleAction action_of(const Rule* rule) noexcept {
  return rule != nullptr ? rule->action : RuleAction::gateway;
}

/// For an address of another host. One of this link means nothing to the gateway, or another host.
RuleAction action_for(const Config& config, const Endpoint& destination) noexcept {
  const Rule* const rule = rule_for(config.rules, destination.address, destination.port);
  return rule == nullptr && config.link_local_direct && destination.address.is_link_local()
             ? RuleAction::direct
             : action_of(rule);
}

/// A name behind a fake address, or a literal that was delegated as a name.
const Rule* rule_for_name(const Rules& rules, const DomainName& name, Port port) noexcept {
  const Result<IpAddress> literal = IpAddress::parse(name.view());
  return literal ? rules.find(*literal, port) : rules.find(name.view(), port);
}

Decision decide_this_host(const Config& config, const Endpoint& destination) noexcept {
  const IpAddress address = loopback_of(destination.address);
  const Rule* rule = config.rules.find_loopback(address, destination.port);
  if (rule == nullptr || rule->action == RuleAction::direct) {
    return Direct{};
  }
  if (rule->action == RuleAction::refuse) {
    return Refuse{refused_errno};
  }
  if (!config.usable()) {
    return Refuse{broken_config_errno};
  }
  return ViaGateway{Endpoint{address, destination.port}};
}

}  // namespace

const Rule* rule_for(const Rules& rules, const IpAddress& address, Port port) noexcept {
  const Rule* const found = rules.find(address, port);
  const std::optional<std::uint16_t> place = direct_addresses().rule_of(address);
  if (!place || *place >= rules.all().size()) {
    return found;
  }
  const Rule* const by_name = &rules.all()[*place];
  return found == nullptr || by_name < found ? by_name : found;
}

Decision decide_stream(const Config& config, const FakeIpTable& table,
                       const Endpoint& destination) noexcept {
  if (table.covers(destination.address)) {
    const Result<DomainName> name = table.name_of(destination.address);
    if (!name) {
      return Refuse{EHOSTUNREACH};
    }
    if (!config.usable()) {
      return Refuse{broken_config_errno};
    }
    if (action_of(rule_for_name(config.rules, *name, destination.port)) == RuleAction::refuse) {
      return Refuse{refused_errno};
    }
    return ViaGateway{NamedEndpoint{*name, destination.port}};
  }
  const Endpoint plain{destination.address.unmapped(), destination.port};
  if (config.usable() && config.is_gateway(plain)) {
    return Direct{};
  }
  if (is_this_host(destination.address)) {
    return decide_this_host(config, destination);
  }
  if (!config.usable()) {
    return Refuse{broken_config_errno};
  }
  switch (action_for(config, plain)) {
    case RuleAction::direct:
      return Direct{};
    case RuleAction::refuse:
      return Refuse{refused_errno};
    case RuleAction::gateway:
      break;
  }
  return ViaGateway{plain};
}

Decision decide_datagram(const Config& config, const FakeIpTable& table,
                         const Endpoint& destination) noexcept {
  if (table.covers(destination.address)) {
    return Refuse{EHOSTUNREACH};
  }
  if (is_this_host(destination.address)) {
    const Decision decision = decide_this_host(config, destination);
    return std::holds_alternative<ViaGateway>(decision) ? Decision(Refuse{ENETUNREACH}) : decision;
  }
  if (!config.usable()) {
    return Refuse{broken_config_errno};
  }
  const RuleAction action = action_for(config, destination);
  if (action == RuleAction::refuse) {
    return Refuse{refused_errno};
  }
  if (action == RuleAction::direct || config.udp == UdpMode::direct) {
    return Direct{};
  }
  return Refuse{ENETUNREACH};
}

NameDecision decide_name(const Config& config, std::string_view name) noexcept {
  const Rule* rule = config.usable() ? config.rules.find(name) : nullptr;
  if (rule == nullptr) {
    return {};
  }
  return {rule->every_port() ? rule->action : RuleAction::gateway, rule->host != Rule::Host::any,
          rule};
}

bool asks_libc(const Config& config, const IpAddress& address) noexcept {
  const Rule* rule = config.usable() ? config.rules.find(address) : nullptr;
  return rule != nullptr && rule->every_port() && rule->action == RuleAction::direct;
}

bool asks_libc_always(const Config& config) noexcept {
  return config.usable() && config.rules.everything_direct();
}

int errno_of(ReplyCode code) noexcept {
  switch (code) {
    case ReplyCode::not_allowed:
      return EACCES;
    case ReplyCode::network_unreachable:
      return ENETUNREACH;
    case ReplyCode::host_unreachable:
      return EHOSTUNREACH;
    case ReplyCode::connection_refused:
      return ECONNREFUSED;
    case ReplyCode::ttl_expired:
      return ETIMEDOUT;
    case ReplyCode::command_not_supported:
      return EOPNOTSUPP;
    case ReplyCode::address_type_not_supported:
      return EAFNOSUPPORT;
    case ReplyCode::succeeded:
    case ReplyCode::general_failure:
      break;
  }
  return ECONNABORTED;
}

int errno_of(Errc error) noexcept {
  switch (error) {
    case Errc::auth_failed:
    case Errc::no_acceptable_method:
    case Errc::bad_credentials:
      return EACCES;
    case Errc::truncated:
      return ECONNRESET;
    default:
      return EPROTO;
  }
}

}  // namespace socks64::shim
