#include "policy.hpp"

#include <cerrno>

namespace socks64::shim {
namespace {

bool is_this_host(const IpAddress& address) noexcept {
  return address.is_loopback() || address.unmapped().is_unspecified();
}

}  // namespace

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
    return ViaGateway{NamedEndpoint{*name, destination.port}};
  }
  if (is_this_host(destination.address)) {
    return Direct{};
  }
  if (!config.usable()) {
    return Refuse{broken_config_errno};
  }
  const Endpoint plain{destination.address.unmapped(), destination.port};
  if (config.is_gateway(plain)) {
    return Direct{};
  }
  return ViaGateway{plain};
}

Decision decide_datagram(const Config& config, const FakeIpTable& table,
                         const Endpoint& destination) noexcept {
  if (table.covers(destination.address)) {
    return Refuse{EHOSTUNREACH};
  }
  if (is_this_host(destination.address) || (config.usable() && config.udp == UdpMode::direct)) {
    return Direct{};
  }
  return Refuse{config.usable() ? ENETUNREACH : broken_config_errno};
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
