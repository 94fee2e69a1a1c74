// The gethostby... family. libc's functions are not called at all: they may ask nscd and DNS for
// whatever they are given, and a numeric host needs no libc. The exception are questions that a
// rule makes direct.
#include <cerrno>
#include <cstring>
#include <netdb.h>
#include <variant>

#include "gateway/explain.hpp"
#include "hooks/start.hpp"
#include "host/hook_table.hpp"
#include "host/host_guard.hpp"
#include "names/classify.hpp"
#include "names/host_entry.hpp"
#include "names/name_query.hpp"
#include "process/runtime.hpp"
#include "tables/policy.hpp"

using namespace socks64;
using namespace socks64::shim;

namespace {

/// How the reentrant forms end: the value they return and h_errno.
struct Outcome {
  int error;
  int host_error;
};
constexpr Outcome success{0, NETDB_SUCCESS};
constexpr Outcome not_found{0, HOST_NOT_FOUND};  // glibc returns 0 and a null entry
constexpr Outcome try_again{EAGAIN, TRY_AGAIN};
constexpr Outcome bad_argument{EINVAL, NETDB_INTERNAL};
constexpr Outcome small_buffer{ERANGE, NETDB_INTERNAL};

/// A question about a name, which may be null, and what it is to us.
struct Asked {
  const char* name;
  int family;
  HostAddresses addresses;  ///< of a local name, and then of the answer
  ClassifiedName kind;

  Asked(const char* asked, int in_family) noexcept : name(asked), family(in_family) {
    kind = name != nullptr ? classify(name, families(), addresses) : ClassifiedName(NoName{});
  }
  [[nodiscard]] Families families() const noexcept {
    return {.ipv4 = family == AF_INET, .ipv6 = family == AF_INET6};
  }
  [[nodiscard]] bool is_for_libc() const noexcept {
    return name != nullptr ? shim::is_for_libc(kind) : asks_libc_always(config());
  }
};

Outcome outcome_of(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::found:
      return success;
    case Verdict::no_room:
      return try_again;
    case Verdict::no_such_name:
      break;
  }
  return not_found;
}

Outcome answer_literal(const LiteralName& literal, Asked& asked) noexcept {
  const bool ipv4 = asked.family == AF_INET;
  const IpAddress plain = ipv4 ? literal.address.unmapped() : literal.address;
  if (plain.is_v4() == ipv4) {
    asked.addresses.add(plain);
    const Result<DomainName> itself = DomainName::from(asked.name);
    if (!itself) {
      return not_found;
    }
    asked.addresses.canonical = *itself;
    return success;
  }
  return can_be_delegated(literal.address)
             ? outcome_of(delegate_literal(literal, asked.families(), asked.addresses))
             : not_found;
}

Outcome answer(Asked& asked) noexcept {
  if (asked.name == nullptr) {
    return bad_argument;
  }
  if (asked.family != AF_INET && asked.family != AF_INET6) {
    return {EAFNOSUPPORT, NETDB_INTERNAL};
  }
  const auto* const literal = std::get_if<LiteralName>(&asked.kind);
  return literal != nullptr
             ? answer_literal(*literal, asked)
             : outcome_of(look_up(asked.kind, asked.families(), Waiting::allowed, asked.addresses));
}

Result<IpAddress> read_address(const void* address, socklen_t length, int family) noexcept {
  if (address == nullptr ||
      !((family == AF_INET && length == 4) || (family == AF_INET6 && length == 16))) {
    return Errc::bad_address;
  }
  if (family == AF_INET) {
    IpAddress::V4Bytes bytes{};
    std::memcpy(bytes.data(), address, bytes.size());
    return IpAddress::v4(bytes);
  }
  IpAddress::V6Bytes bytes{};
  std::memcpy(bytes.data(), address, bytes.size());
  return IpAddress::v6(bytes);
}

bool is_for_libc(const void* address, socklen_t length, int family) noexcept {
  const Result<IpAddress> asked = read_address(address, length, family);
  return asked ? shim::is_for_libc(*asked) : asks_libc_always(config());
}

/// What libc found for a name that the rules leave to it.
hostent* noted(const Asked& asked, hostent* entry) noexcept {
  if (const auto* const direct = std::get_if<DirectName>(&asked.kind)) {
    explain_name(asked.name, *direct->rule);
  }
  if (const Rule* const rule = direct_rule(asked.kind)) {
    note_direct(*rule, entry);
  }
  return entry;
}

Outcome find_by_address(const void* address, socklen_t length, int family,
                        HostAddresses& addresses) noexcept {
  const Result<IpAddress> asked = read_address(address, length, family);
  if (!asked) {
    return bad_argument;
  }
  if (!look_up_address(*asked, addresses.canonical)) {
    return not_found;
  }
  addresses.add(*asked);
  return success;
}

/// The end that all reentrant forms have in common.
int finish(Outcome outcome, const HostAddresses& addresses, int family, hostent* entry,
           char* buffer, std::size_t size, hostent** result, int* host_error) noexcept {
  *result = nullptr;
  if (outcome.host_error == NETDB_SUCCESS) {
    if (write_host_entry(addresses, family == AF_INET ? Family::ipv4 : Family::ipv6, *entry, buffer,
                         size)) {
      *result = entry;
    } else {
      outcome = small_buffer;
    }
  }
  *host_error = outcome.host_error;
  if (outcome.host_error != NETDB_SUCCESS) {
    h_errno = outcome.host_error;  // as glibc's resolver does; CPython reads nothing else
  }
  if (outcome.error != 0) {
    errno = outcome.error;
  }
  return outcome.error;
}

/// What the forms without a buffer return. libc has one per process; one per thread keeps programs
/// alive that call them from threads all the same. As large as the longest answer: 32 addresses.
struct OwnEntry {
  hostent entry;
  char buffer[33 * sizeof(char*) + 32 * sizeof(in6_addr) + 256 + 16];
};
__attribute__((tls_model("initial-exec"))) thread_local OwnEntry own;

hostent* finish_own(Outcome outcome, const HostAddresses& addresses, int family) noexcept {
  hostent* result = nullptr;
  int host_error = NETDB_SUCCESS;
  finish(outcome, addresses, family, &own.entry, own.buffer, sizeof(own.buffer), &result,
         &host_error);
  h_errno = host_error;
  return result;
}

}  // namespace

S64_EXPORT hostent* gethostbyname2(const char* name, int family) {
  if (!ready()) {
    return libc::gethostbyname2(name, family);
  }
  Asked asked(name, family);
  if (asked.is_for_libc()) {
    return noted(asked, libc::gethostbyname2(name, family));
  }
  const Outcome outcome = answer(asked);
  return finish_own(outcome, asked.addresses, family);
}

S64_EXPORT hostent* gethostbyname(const char* name) {
  if (!ready()) {
    return libc::gethostbyname(name);
  }
  Asked asked(name, AF_INET);
  if (asked.is_for_libc()) {
    return noted(asked, libc::gethostbyname(name));
  }
  const Outcome outcome = answer(asked);
  return finish_own(outcome, asked.addresses, AF_INET);
}

S64_EXPORT int gethostbyname2_r(const char* name, int family, hostent* entry, char* buffer,
                                std::size_t size, hostent** result, int* error) {
  if (!ready()) {
    return libc::gethostbyname2_r(name, family, entry, buffer, size, result, error);
  }
  Asked asked(name, family);
  if (asked.is_for_libc()) {
    const int status = libc::gethostbyname2_r(name, family, entry, buffer, size, result, error);
    noted(asked, status == 0 ? *result : nullptr);
    return status;
  }
  const Outcome outcome = answer(asked);
  return finish(outcome, asked.addresses, family, entry, buffer, size, result, error);
}

S64_EXPORT int gethostbyname_r(const char* name, hostent* entry, char* buffer, std::size_t size,
                               hostent** result, int* error) {
  if (!ready()) {
    return libc::gethostbyname_r(name, entry, buffer, size, result, error);
  }
  Asked asked(name, AF_INET);
  if (asked.is_for_libc()) {
    const int status = libc::gethostbyname_r(name, entry, buffer, size, result, error);
    noted(asked, status == 0 ? *result : nullptr);
    return status;
  }
  const Outcome outcome = answer(asked);
  return finish(outcome, asked.addresses, AF_INET, entry, buffer, size, result, error);
}

S64_EXPORT hostent* gethostbyaddr(const void* address, socklen_t length, int family) {
  if (!ready() || is_for_libc(address, length, family)) {
    return libc::gethostbyaddr(address, length, family);
  }
  HostAddresses addresses;
  return finish_own(find_by_address(address, length, family, addresses), addresses, family);
}

S64_EXPORT int gethostbyaddr_r(const void* address, socklen_t length, int family, hostent* entry,
                               char* buffer, std::size_t size, hostent** result, int* error) {
  if (!ready() || is_for_libc(address, length, family)) {
    return libc::gethostbyaddr_r(address, length, family, entry, buffer, size, result, error);
  }
  HostAddresses addresses;
  const Outcome outcome = find_by_address(address, length, family, addresses);
  return finish(outcome, addresses, family, entry, buffer, size, result, error);
}
