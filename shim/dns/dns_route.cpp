#include "dns/dns_route.hpp"

#include <algorithm>

#include "host/file_text.hpp"
#include "host/hook_table.hpp"
#include "host/host_guard.hpp"
#include "host/local_file.hpp"
#include "names/classify.hpp"
#include "names/name_query.hpp"
#include "process/runtime.hpp"
#include "tables/policy.hpp"

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

Verdict find_addresses(const DnsName* known, std::string_view name, Families families,
                       HostAddresses& out) noexcept {
  if (known == nullptr) {
    return look_up(classify(name, families, out), families, Waiting::forbidden, out);
  }
  out = known->local;
  return look_up(known->kind, families, Waiting::forbidden, out);
}

Verdict fail_every_name(const DnsName*, std::string_view, Families, HostAddresses&) noexcept {
  return Verdict::no_room;
}

/// A direct name that is one of this host's is answered for here all the same.
void prefer_local(const DnsQuestion& question, DnsName& name) noexcept {
  if (!question.families.ipv4 && !question.families.ipv6) {
    return;
  }
  if (!find_local(question.name.view(), question.families, name.local)) {
    return;
  }
  const Rule* const rule = direct_rule(name.kind);
  for (std::size_t i = 0; rule != nullptr && i < name.local.count; ++i) {
    note_direct(*rule, name.local.list[i]);
  }
  name.kind = LocalName{};
}

std::size_t ask_resolver(Bytes query, const DnsQuestion& question, const Rule* rule,
                         std::span<std::uint8_t, dns_max_answer> out) noexcept {
  const ErrnoGuard guard;
  const int length = libc::res_send(query.data(), static_cast<int>(query.size()), out.data(),
                                    static_cast<int>(out.size()));
  if (length < static_cast<int>(question.end)) {
    return 0;
  }
  const auto size = static_cast<std::size_t>(length);
  if (rule != nullptr) {
    note_direct_answer(*rule, Bytes(out).first(std::min(size, out.size())));
  }
  if (size <= question.answer_limit) {
    return size;
  }
  // Too long: what is left is the header, with TC and without counts, and the question.
  out[2] |= 0x02;
  std::fill(out.begin() + 6, out.begin() + dns_header_size, std::uint8_t{0});
  return question.end;
}

std::size_t answer(Bytes query, DnsTransport transport, DnsOthers others,
                   std::span<std::uint8_t, dns_max_answer> out) noexcept {
  DnsNames names{.addresses = find_addresses, .name = find_name};
  const auto question =
      config().rules.all().empty() ? std::nullopt : read_dns_question(query, transport);
  if (!question || question->name.view().empty()) {
    return answer_dns(query, transport, others, names, out);
  }
  DnsName name;
  name.kind = classify(question->name.view(), question->families, name.local);
  names.known = &name;
  if (is_for_libc(name.kind)) {
    prefer_local(*question, name);
  }
  if (is_for_libc(name.kind)) {
    if (const std::size_t size = ask_resolver(query, *question, direct_rule(name.kind), out)) {
      return size;
    }
    names.addresses = fail_every_name;
    others = DnsOthers::failure;
  }
  return answer_dns(query, transport, others, names, out);
}

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
  return answer(query, transport, by_gateway ? DnsOthers::truncated : DnsOthers::empty, out);
}

std::size_t answer_query(Bytes query, std::span<std::uint8_t, dns_max_answer> out) noexcept {
  const bool by_gateway = config().dns == DnsMode::gateway;
  return answer(query, DnsTransport::stream, by_gateway ? DnsOthers::failure : DnsOthers::empty,
                out);
}

void note_direct_answer(const Rule& rule, Bytes message) noexcept {
  DnsAddresses addresses(message);
  for (IpAddress address; addresses.next(address);) {
    note_direct(rule, address);
  }
}

}  // namespace socks64::shim
