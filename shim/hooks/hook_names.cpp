// getaddrinfo, freeaddrinfo and getnameinfo: delegation of names (RFC 3089 section 3).
//
// libc's getaddrinfo is not called at all, not even for questions that need no name service: with
// AI_ADDRCONFIG, and that is in force without hints, it asks nscd about the network interfaces; for
// a named service it asks nscd again; and after a name that /etc/hosts has in the other family
// alone it asks DNS. A hook that never calls it cannot leak through it. The exception are questions
// that a rule makes direct: libc answers those as it would without us.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <ctime>
#include <optional>
#include <sys/syscall.h>
#include <unistd.h>
#include <variant>

#include "socks64/sockaddr.hpp"

#include "descriptors/wait_set.hpp"
#include "gateway/explain.hpp"
#include "hooks/start.hpp"
#include "host/hook_table.hpp"
#include "host/host_guard.hpp"
#include "names/address_info.hpp"
#include "names/classify.hpp"
#include "names/name_query.hpp"
#include "names/services.hpp"
#include "process/raw_waits.hpp"
#include "process/runtime.hpp"
#include "tables/policy.hpp"

using namespace socks64;
using namespace socks64::shim;

namespace {

#ifdef __GLIBC__
// The two flags between AI_CANONIDN and AI_NUMERICSERV had a meaning until glibc 2.28.
constexpr int known_flags = AI_PASSIVE | AI_CANONNAME | AI_NUMERICHOST | AI_V4MAPPED | AI_ALL |
                            AI_ADDRCONFIG | AI_IDN | AI_CANONIDN | 0x0100 | 0x0200 | AI_NUMERICSERV;
#else
constexpr int known_flags = AI_PASSIVE | AI_CANONNAME | AI_NUMERICHOST | AI_V4MAPPED | AI_ALL |
                            AI_ADDRCONFIG | AI_NUMERICSERV;
#endif

/// Runtimes look names up in a thread, while the one that will connect waits: then it can be seen
/// how it waits. It may be about to: ten milliseconds are spent on that, once.
void look_for_raw_waits() noexcept {
  static constinit std::atomic<int> looks{6};
  while (wait_set().none_served() && syscall(SYS_gettid) != syscall(SYS_getpid) &&
         looks.fetch_sub(1, std::memory_order_relaxed) > 0 && !some_thread_waits_raw()) {
    const ErrnoGuard guard;
    const timespec moment{0, 2'000'000};
    syscall(SYS_ppoll, nullptr, 0, &moment, nullptr, std::size_t{0});
  }
}

bool has(const addrinfo& hints, int flag) noexcept {
  return (hints.ai_flags & flag) != 0;
}

Families families_of(const addrinfo& hints) noexcept {
  return {.ipv4 = hints.ai_family != AF_INET6,
          .ipv6 = hints.ai_family != AF_INET,
          .mapped = hints.ai_family == AF_INET6 && has(hints, AI_V4MAPPED)};
}

int check(const addrinfo& hints, const char* node) noexcept {
  if ((hints.ai_flags & ~known_flags) != 0 || (node == nullptr && has(hints, AI_CANONNAME))) {
    return EAI_BADFLAGS;
  }
  if (hints.ai_family != AF_UNSPEC && hints.ai_family != AF_INET && hints.ai_family != AF_INET6) {
    return EAI_FAMILY;
  }
  return 0;
}

/// Without a node: the wildcard addresses to listen on, or the loopback addresses.
HostAddresses own_addresses(const addrinfo& hints) noexcept {
  IpAddress::V6Bytes loopback{};
  loopback[15] = 1;
  const bool passive = has(hints, AI_PASSIVE);
  const Families families = families_of(hints);
  // libc's order: the wildcards begin with IPv4, the loopback addresses with IPv6.
  HostAddresses addresses;
  if (passive && families.ipv4) {
    addresses.add(IpAddress());
  }
  if (families.ipv6) {
    addresses.add(IpAddress::v6(passive ? IpAddress::V6Bytes{} : loopback));
  }
  if (!passive && families.ipv4) {
    addresses.add(IpAddress::v4(0x7f000001));
  }
  return addresses;
}

/// A literal in the family that the program takes; 0, or the error of one that has no such form.
int fit_literal(IpAddress& literal, const addrinfo& hints) noexcept {
  if (literal.is_v4() && hints.ai_family == AF_INET6 && has(hints, AI_V4MAPPED)) {
    literal = literal.mapped();
  } else if (hints.ai_family == AF_INET) {
    literal = literal.unmapped();
  }
  if (hints.ai_family == AF_UNSPEC || literal.is_v4() == (hints.ai_family == AF_INET)) {
    return 0;
  }
#ifdef EAI_ADDRFAMILY
  return EAI_ADDRFAMILY;
#else
  return EAI_NONAME;
#endif
}

/// AI_ADDRCONFIG keeps a program from addresses that its host has no way to. A fake address always
/// has one, the gateway's; an IPv6 fake serves on a host without any IPv6 address. What stays true
/// of the flag: where the kernel makes no socket of a family, its addresses only cost an attempt.
void drop_unsupported(HostAddresses& addresses) noexcept {
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    const Family other = family == Family::ipv4 ? Family::ipv6 : Family::ipv4;
    if (addresses.has(family) && addresses.has(other) && !host_has(family)) {
      auto* const end = addresses.list.begin() + addresses.count;
      auto* const kept =
          std::remove_if(addresses.list.begin(), end,
                         [family](const IpAddress& one) { return one.family() == family; });
      addresses.count = static_cast<std::size_t>(kept - addresses.list.begin());
    }
  }
}

/// The answer to a question that is not libc's. `name` is null without a node; the addresses of a
/// local one are in `addresses`.
int answer(const char* node, const ClassifiedName* name, const char* service, const addrinfo& hints,
           HostAddresses& addresses, addrinfo** result) noexcept {
  if (const int error = check(hints, node); error != 0) {
    return error;
  }
  Transports transports;
  if (const int error = find_transports(service, hints, transports); error != 0) {
    return error;
  }
  Verdict verdict = Verdict::found;
  std::string_view canonical;
  if (name == nullptr) {
    addresses = own_addresses(hints);
  } else if (const auto* const literal = std::get_if<LiteralName>(name)) {
    IpAddress address = literal->address;
    if (const int error = fit_literal(address, hints); error == 0) {
      addresses.add(address);
      canonical = node;
    } else if (has(hints, AI_NUMERICHOST) || !can_be_delegated(address)) {
      return error;
    } else {
      verdict = delegate_literal(*literal, families_of(hints), addresses);
    }
  } else if (has(hints, AI_NUMERICHOST)) {
    return EAI_NONAME;
  } else {
    verdict = look_up(*name, families_of(hints), Waiting::allowed, addresses);
  }
  if (verdict != Verdict::found) {
    return verdict == Verdict::no_room ? EAI_AGAIN : EAI_NONAME;
  }
  if (has(hints, AI_ADDRCONFIG)) {
    drop_unsupported(addresses);
  }
  if (canonical.empty()) {
    canonical = addresses.canonical.view();
  }
  return build_address_info({addresses.list.data(), addresses.count}, transports, canonical,
                            hints.ai_flags, result);
}

/// A name that is libc's to look up.
int ask_libc(const char* node, const ClassifiedName& name, const char* service,
             const addrinfo* hints, addrinfo** result) noexcept {
  if (const auto* const direct = std::get_if<DirectName>(&name)) {
    explain_name(node, *direct->rule);
  }
  const int error = libc::getaddrinfo(node, service, hints, result);
  if (const Rule* const rule = direct_rule(name); error == 0 && rule != nullptr) {
    note_direct(*rule, *result);
  }
  return error;
}

/// Copies text and its NUL; false when it does not fit.
bool put(char* out, socklen_t size, std::string_view text) noexcept {
  if (text.size() >= size) {
    return false;
  }
  std::memcpy(out, text.data(), text.size());
  out[text.size()] = '\0';
  return true;
}

/// The service part of getnameinfo by name; false leaves the number.
bool name_service(Port port, int flags, ServiceName& name) noexcept {
  return (flags & NI_NUMERICSERV) == 0 &&
         find_service(port, (flags & NI_DGRAM) != 0 ? "udp" : "tcp", name);
}

}  // namespace

S64_EXPORT int getaddrinfo(const char* node, const char* service, const addrinfo* hints,
                           addrinfo** result) {
  if (!ready() || (node == nullptr && asks_libc_always(config()))) {
    return libc::getaddrinfo(node, service, hints, result);
  }
  look_for_raw_waits();
  addrinfo effective{};
  effective.ai_flags =
      AI_V4MAPPED | AI_ADDRCONFIG;  // what no hints mean, says POSIX of glibc's kin
  if (hints != nullptr) {
    effective = *hints;
  }
  HostAddresses addresses;
  std::optional<ClassifiedName> name;
  if (node != nullptr) {
    name = classify(node, families_of(effective), addresses);
    if (is_for_libc(*name)) {
      return ask_libc(node, *name, service, hints, result);
    }
  }
  // libc takes "*" for "none" in both places.
  if (node != nullptr && std::string_view(node) == "*") {
    node = nullptr;
  }
  if (service != nullptr && std::string_view(service) == "*") {
    service = nullptr;
  }
  if (node == nullptr && service == nullptr) {
    return EAI_NONAME;
  }
  const int saved = errno;
  const int error =
      answer(node, node != nullptr ? &*name : nullptr, service, effective, addresses, result);
  if (error != EAI_SYSTEM) {
    errno = saved;
  }
  return error;
}

S64_EXPORT void freeaddrinfo(addrinfo* list) noexcept {
  const ErrnoGuard guard;
  if (addrinfo* const theirs = free_our_address_info(list); theirs != nullptr) {
    libc::freeaddrinfo(theirs);
  }
}

S64_EXPORT int getnameinfo(const sockaddr* address, socklen_t length, char* host,
                           socklen_t host_size, char* service, socklen_t service_size, int flags) {
  constexpr int by_number = NI_NUMERICHOST | NI_NUMERICSERV;
  const Result<Endpoint> endpoint =
      address != nullptr ? from_sockaddr(address, length) : Result<Endpoint>(Errc::bad_address);
  if (!ready() || !endpoint || is_for_libc(endpoint->address)) {
    // AF_UNIX, something that libc will refuse, or a direct address.
    return libc::getnameinfo(address, length, host, host_size, service, service_size, flags);
  }
  const ErrnoGuard guard;
  if (host == nullptr && service == nullptr && (flags & NI_NAMEREQD) != 0) {
    return EAI_NONAME;
  }
  const bool wants_host = host != nullptr && host_size > 0;
  const bool wants_service = service != nullptr && service_size > 0;

  // libc judges the arguments and writes the numbers, and asks nobody for that. Names go over the
  // numbers, so a buffer that is large enough for the name alone must not fail on the number.
  DomainName name;
  const bool named_host =
      wants_host && (flags & NI_NUMERICHOST) == 0 && look_up_address(endpoint->address, name);
  if (wants_host && !named_host && (flags & NI_NAMEREQD) != 0 && (flags & NI_NUMERICHOST) == 0) {
    return EAI_NONAME;
  }
  ServiceName service_name;
  const bool named_service = wants_service && name_service(endpoint->port, flags, service_name);

  char* const number = named_host ? nullptr : host;
  char* const port = named_service ? nullptr : service;
  if ((number != nullptr && host_size > 0) || (port != nullptr && service_size > 0) ||
      (!named_host && !named_service)) {
    const int error =
        libc::getnameinfo(address, length, number, number != nullptr ? host_size : 0, port,
                          port != nullptr ? service_size : 0, (flags & ~NI_NAMEREQD) | by_number);
    if (error != 0) {
      return error;
    }
  }
  if (named_service && !put(service, service_size, service_name.view())) {
    return EAI_OVERFLOW;
  }
  if (named_host) {
    std::string_view shown = name.view();
    const TextBuffer<256> domain = own_domain();
    if ((flags & NI_NOFQDN) != 0 && !domain.view().empty() &&
        shown.size() > domain.view().size() + 1 && shown.ends_with(domain.view()) &&
        shown[shown.size() - domain.view().size() - 1] == '.') {
      shown.remove_suffix(domain.view().size() + 1);
    }
    if (!put(host, host_size, shown)) {
      return EAI_OVERFLOW;
    }
  }
  return 0;
}
