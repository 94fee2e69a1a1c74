#include "names/name_query.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cstring>
#include <net/if.h>
#include <optional>

#include "socks64/sockaddr.hpp"

#include "gateway/explain.hpp"
#include "host/file_text.hpp"
#include "host/hook_table.hpp"
#include "host/host_guard.hpp"
#include "host/numeric_name.hpp"
#include "names/name_verification.hpp"
#include "process/runtime.hpp"
#include "tables/direct_addresses.hpp"
#include "tables/fake_ip_table.hpp"
#include "tables/policy.hpp"

namespace socks64::shim {
namespace {

constexpr std::size_t npos = std::string_view::npos;

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

/// Would the kernel find a route? connect() on a datagram socket sends nothing.
bool is_reachable(const IpAddress& address) noexcept {
  const ErrnoGuard guard;
  const int fd =
      libc::socket(address.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
  if (fd < 0) {
    return false;
  }
  sockaddr_storage storage{};
  const socklen_t length = to_sockaddr({address, 9}, storage);
  const bool reachable =
      libc::connect(fd, reinterpret_cast<const sockaddr*>(&storage), length) == 0;
  libc::close(fd);
  return reachable;
}

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
  // Both lead to the same place; first comes the family in which the first gateway is reached,
  // because the host has a stack of that family for sure. (A name or a UNIX socket says nothing:
  // IPv4 then.)
  const Family gateway = config().gateways[0].endpoint.address.family();
  const Family other = gateway == Family::ipv4 ? Family::ipv6 : Family::ipv4;
  for (const Family family : {gateway, other}) {
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

bool is_for_libc(std::string_view name) noexcept {
  if (config().rules.all().empty()) {
    return false;
  }
  if (asks_libc_always(config())) {
    return true;
  }
  if (const Result<IpAddress> literal = parse_numeric(name)) {
    return is_for_libc(*literal);
  }
  return decide_name(config(), name).action == RuleAction::direct;
}

bool is_for_libc(const IpAddress& address) noexcept {
  return !config().rules.all().empty() && !fake_ips().covers(address) &&
         asks_libc(config(), address);
}

namespace {

/// The place of the rule that makes just this name direct.
std::optional<std::uint16_t> direct_rule(std::string_view name) noexcept {
  if (name.empty() || !config().usable() || parse_numeric(name)) {
    return std::nullopt;
  }
  const Rules& rules = config().rules;
  const Rule* const rule = rules.find(name);
  if (rule == nullptr || rule->host == Rule::Host::any || rule->action != RuleAction::direct) {
    return std::nullopt;
  }
  return static_cast<std::uint16_t>(rule - rules.all().data());
}

}  // namespace

void note_direct(const char* name, const addrinfo* list) noexcept {
  const std::optional<std::uint16_t> rule = direct_rule(name != nullptr ? name : "");
  for (; rule && list != nullptr; list = list->ai_next) {
    if (const Result<Endpoint> endpoint = from_sockaddr(list->ai_addr, list->ai_addrlen)) {
      direct_addresses().add(endpoint->address, *rule);
    }
  }
}

void note_direct(const char* name, const hostent* entry) noexcept {
  const std::optional<std::uint16_t> rule =
      direct_rule(entry != nullptr && name != nullptr ? name : "");
  for (char** each = rule ? entry->h_addr_list : nullptr; each != nullptr && *each != nullptr;
       ++each) {
    IpAddress::V4Bytes ipv4{};
    IpAddress::V6Bytes ipv6{};
    if (entry->h_addrtype == AF_INET) {
      std::memcpy(ipv4.data(), *each, ipv4.size());
      direct_addresses().add(IpAddress::v4(ipv4), *rule);
    } else if (entry->h_addrtype == AF_INET6) {
      std::memcpy(ipv6.data(), *each, ipv6.size());
      direct_addresses().add(IpAddress::v6(ipv6), *rule);
    }
  }
}

void note_direct(std::string_view name, const IpAddress& address) noexcept {
  if (const std::optional<std::uint16_t> rule = direct_rule(name)) {
    direct_addresses().add(address, *rule);
  }
}

bool may_be_local(std::string_view name) noexcept {
  const NameDecision decision = decide_name(config(), name);
  return !decision.by_name || decision.action == RuleAction::direct;
}

namespace {

Verdict look_up(std::string_view name, Families families, HostAddresses& out,
                bool verify) noexcept {
  if (name.ends_with('.')) {
    name.remove_suffix(1);
  }
  if (!is_host_name(name)) {
    return Verdict::no_such_name;
  }
  if (may_be_local(name) && find_local(name, families, out)) {
    order_local(out);
    return Verdict::found;
  }
  if (decide_name(config(), name).action == RuleAction::refuse) {
    explain_name(name);
    return Verdict::no_such_name;
  }
  if (verify && existence_of(name) == Existence::does_not_exist) {
    return Verdict::no_such_name;
  }
  return delegate(name, families, out);
}

}  // namespace

Verdict look_up_name(std::string_view name, Families families, HostAddresses& out) noexcept {
  return look_up(name, families, out, false);
}

Verdict look_up_existing_name(std::string_view name, Families families,
                              HostAddresses& out) noexcept {
  return look_up(name, families, out, config().verify_names);
}

Verdict delegate_literal(const IpAddress& literal, Families families, HostAddresses& out) noexcept {
  const Rule* rule = config().rules.find(literal);
  if (rule != nullptr && rule->every_port() && rule->action == RuleAction::refuse) {
    explain_name(literal.text().view());
    return Verdict::no_such_name;
  }
  // "0x7f.1" would mean nothing to the gateway: it gets the usual spelling.
  return delegate(literal.text().view(), families, out);
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
