#include "names/name_query.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "socks64/sockaddr.hpp"

#include "gateway/explain.hpp"
#include "host/hook_table.hpp"
#include "host/host_guard.hpp"
#include "names/host_family.hpp"
#include "names/name_verification.hpp"
#include "process/runtime.hpp"
#include "tables/direct_addresses.hpp"
#include "tables/fake_ip_table.hpp"
#include "tables/policy.hpp"

namespace socks64::shim {
namespace {

/// RFC 6724 in short: what can be reached first, IPv6 before IPv4, else the order of the file.
void order_local(HostAddresses& out) noexcept {
  if (!out.has(Family::ipv4) || !out.has(Family::ipv6)) {
    return;
  }
  const auto end = out.list.begin() + out.count;
  const auto first6 =
      std::find_if(out.list.begin(), end, [](const IpAddress& address) { return address.is_v6(); });
  const Family preferred = is_reachable(*first6) ? Family::ipv6 : Family::ipv4;
  // Insertion sort: it is stable, and std::stable_sort allocates.
  for (auto place = out.list.begin(); place != end; ++place) {
    const auto next = std::find_if(place, end, [preferred](const IpAddress& address) {
      return address.family() == preferred;
    });
    if (next == end) {
      break;
    }
    std::rotate(place, next, next + 1);
  }
}

/// Fake addresses for whatever the gateway is to make of it.
Verdict delegate(std::string_view name, Families families, HostAddresses& out) noexcept {
  // Both families lead to the same place. A program that takes either would dial twice, and hear of
  // a failure twice.
  const Family first = host_family();
  const Family other = first == Family::ipv4 ? Family::ipv6 : Family::ipv4;
  if (families.ipv4 && families.ipv6 && !config().both_families) {
    families = {.ipv4 = first == Family::ipv4, .ipv6 = first == Family::ipv6};
  }
  for (const Family family : {first, other}) {
    if (!(family == Family::ipv4 ? families.ipv4 : families.ipv6)) {
      continue;
    }
    const Result<IpAddress> fake = fake_ips().fake_for(name, family);
    if (!fake) {
      return fake.error() == Errc::no_space ? Verdict::no_room : Verdict::no_such_name;
    }
    out.add(*fake);
  }
  out.canonical = DomainName::from(name).value_or({});
  return Verdict::found;
}

}  // namespace

bool can_be_delegated(const IpAddress& literal) noexcept {
  return literal.zone() == 0 && !literal.is_v4_mapped() && !literal.is_unspecified() &&
         !literal.is_loopback() && !literal.is_link_local() && !literal.is_multicast() &&
         !fake_ips().covers(literal);
}

bool is_for_libc(const IpAddress& address) noexcept {
  return !config().rules.all().empty() && !fake_ips().covers(address) &&
         asks_libc(config(), address);
}

void note_direct(const Rule& rule, const IpAddress& address) noexcept {
  direct_addresses().add(address, static_cast<std::uint16_t>(&rule - config().rules.all().data()));
}

void note_direct(const Rule& rule, const addrinfo* list) noexcept {
  for (; list != nullptr; list = list->ai_next) {
    if (const Result<Endpoint> endpoint = from_sockaddr(list->ai_addr, list->ai_addrlen)) {
      note_direct(rule, endpoint->address);
    }
  }
}

void note_direct(const Rule& rule, const hostent* entry) noexcept {
  for (char** each = entry != nullptr ? entry->h_addr_list : nullptr;
       each != nullptr && *each != nullptr; ++each) {
    IpAddress::V4Bytes ipv4{};
    IpAddress::V6Bytes ipv6{};
    if (entry->h_addrtype == AF_INET) {
      std::memcpy(ipv4.data(), *each, ipv4.size());
      note_direct(rule, IpAddress::v4(ipv4));
    } else if (entry->h_addrtype == AF_INET6) {
      std::memcpy(ipv6.data(), *each, ipv6.size());
      note_direct(rule, IpAddress::v6(ipv6));
    }
  }
}

Verdict look_up(const ClassifiedName& name, Families families, Waiting waiting,
                HostAddresses& out) noexcept {
  if (std::holds_alternative<LocalName>(name)) {
    order_local(out);
    return Verdict::found;
  }
  if (const auto* const refused = std::get_if<RefusedName>(&name)) {
    explain_name(refused->name, *refused->rule);
    return Verdict::no_such_name;
  }
  const auto* const delegated = std::get_if<DelegatedName>(&name);
  if (delegated == nullptr || (waiting == Waiting::allowed && config().verify_names &&
                               existence_of(delegated->name) == Existence::does_not_exist)) {
    return Verdict::no_such_name;
  }
  return delegate(delegated->name, families, out);
}

Verdict delegate_literal(const LiteralName& literal, Families families,
                         HostAddresses& out) noexcept {
  // "0x7f.1" would mean nothing to the gateway: it gets the usual spelling.
  const IpAddress::Text text = literal.address.text();
  if (literal.rule != nullptr && literal.rule->every_port() &&
      literal.rule->action == RuleAction::refuse) {
    explain_name(text, *literal.rule);
    return Verdict::no_such_name;
  }
  return delegate(text, families, out);
}

bool look_up_address(const IpAddress& address, DomainName& name) noexcept {
  const Result<DomainName> fake = fake_ips().name_of(address);
  if (fake) {
    name = *fake;
    return true;
  }
  return !fake_ips().covers(address) && find_local(address, name);
}

bool host_has(Family family) noexcept {
  enum : signed char { unknown, yes, no };
  static std::atomic<signed char> known[2]{};
  std::atomic<signed char>& answer = known[family == Family::ipv4 ? 0 : 1];
  if (answer.load(std::memory_order_relaxed) == unknown) {
    const ErrnoGuard guard;
    const int fd =
        libc::socket(family == Family::ipv4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
      libc::close(fd);
    }
    answer.store(fd < 0 && errno == EAFNOSUPPORT ? no : yes, std::memory_order_relaxed);
  }
  return answer.load(std::memory_order_relaxed) == yes;
}

}  // namespace socks64::shim
