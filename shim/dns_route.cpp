#include "dns_route.hpp"

#include "file_text.hpp"
#include "lifecycle.hpp"
#include "local_file.hpp"
#include "policy.hpp"

namespace socks64::shim {
namespace {

constinit LocalFile resolv_conf("/etc/resolv.conf", true);

bool is_this_host(const IpAddress& address) noexcept {
  return address.is_loopback() || address.is_unspecified();
}

/// resolv.conf(5): without a nameserver line, the one on this host is asked.
bool is_nameserver(const IpAddress& address) noexcept {
  const LocalFile::Reading file = resolv_conf.read();
  const IpAddress plain = address.unmapped();
  std::uint32_t cursor = 0;
  std::string_view line;
  bool any = false;
  while (file.next_line_with("nameserver", cursor, line)) {
    Words words(line);
    std::string_view word;
    if (!words.next(word) || word != "nameserver" || !words.next(word)) {
      continue;
    }
    const Result<IpAddress> nameserver = IpAddress::parse(word);
    any = true;
    if (nameserver && nameserver->unmapped() == plain) {
      return true;
    }
  }
  return !any && (plain == *IpAddress::parse("127.0.0.1") || plain == *IpAddress::parse("::1"));
}

/// Whether a rule for just this resolver, or for its port, lets it be or forbids it. One for the
/// names that it is asked for, or for everything, is none for the resolver.
bool has_rule(const Config& config, const IpAddress& address) noexcept {
  if (!config.usable() || address.unmapped().is_unspecified()) {
    return false;
  }
  const Rule* rule = address.is_loopback() ? config.rules.find_loopback(address, dns_port)
                                           : config.rules.find(address, dns_port);
  return rule != nullptr && rule->action != RuleAction::gateway &&
         (rule->host != Rule::Host::any || !rule->every_port());
}

DnsReverse find_name(const IpAddress& address, DomainName& name) noexcept {
  if (look_up_address(address, name)) {
    return DnsReverse::named;
  }
  return fake_ips().covers(address) || is_this_host(address) ? DnsReverse::nobody
                                                             : DnsReverse::elsewhere;
}

constexpr DnsNames own_names{.addresses = look_up_name, .name = find_name};

}  // namespace

DnsRoute dns_route(const Config& config, const FakeIpTable& fakes, const Endpoint& destination,
                   DnsTransport transport) noexcept {
  if (destination.port != dns_port || destination.address.is_multicast()) {
    return DnsRoute::none;
  }
  const bool here = is_this_host(destination.address);
  const bool fake = !here && fakes.covers(destination.address);
  if (here ? !is_nameserver(destination.address) : fake && !fakes.name_of(destination.address)) {
    return DnsRoute::none;
  }
  if (asks_libc_always(config) || (!fake && has_rule(config, destination.address))) {
    return DnsRoute::none;
  }
  const bool stream = transport == DnsTransport::stream;
  if (stream && config.usable() &&
      config.is_gateway({destination.address.unmapped(), destination.port})) {
    return DnsRoute::none;
  }
  switch (config.dns) {
    case DnsMode::answer:
      break;
    case DnsMode::gateway:
      return stream && !here ? DnsRoute::none : DnsRoute::answer;
    case DnsMode::refuse:
      return stream && !here ? DnsRoute::none : DnsRoute::refuse;
    case DnsMode::direct:
      return fake ? DnsRoute::none : DnsRoute::direct;
  }
  return DnsRoute::answer;
}

std::size_t answer_query(Bytes query, DnsTransport transport, const IpAddress& resolver,
                         std::span<std::uint8_t, dns_max_answer> out) noexcept {
  const bool by_gateway = config().dns == DnsMode::gateway && !is_this_host(resolver);
  return answer_dns(query, transport, by_gateway ? DnsOthers::truncated : DnsOthers::empty,
                    own_names, out);
}

std::size_t answer_query(Bytes query, std::span<std::uint8_t, dns_max_answer> out) noexcept {
  const bool by_gateway = config().dns == DnsMode::gateway;
  return answer_dns(query, DnsTransport::stream, by_gateway ? DnsOthers::failure : DnsOthers::empty,
                    own_names, out);
}

}  // namespace socks64::shim
