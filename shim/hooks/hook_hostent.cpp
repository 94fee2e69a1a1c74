// The gethostby... family. libc's functions are not called at all: they may ask nscd and DNS for
// whatever they are given, and a numeric host needs no libc. The exception are questions that a
// rule makes direct.
#include <cerrno>
#include <cstring>
#include <netdb.h>

#include "gateway/explain.hpp"
#include "hooks/start.hpp"
#include "host/hook_table.hpp"
#include "host/host_guard.hpp"
#include "host/numeric_name.hpp"
#include "names/host_entry.hpp"
#include "names/name_query.hpp"
#include "process/runtime.hpp"
#include "tables/fake_ip_table.hpp"
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

Outcome find_by_name(const char* name, int family, HostAddresses& addresses) noexcept {
  if (name == nullptr) {
    return bad_argument;
  }
  if (family != AF_INET && family != AF_INET6) {
    return {EAFNOSUPPORT, NETDB_INTERNAL};
  }
  const Families families{.ipv4 = family == AF_INET, .ipv6 = family == AF_INET6};
  const std::string_view asked = name;
  Verdict verdict = Verdict::found;
  if (const Result<IpAddress> literal = parse_numeric(asked)) {
    const IpAddress plain = families.ipv4 ? literal->unmapped() : *literal;
    if (plain.is_v4() == families.ipv4) {
      addresses.add(plain);
      const Result<DomainName> itself = DomainName::from(asked);
      if (!itself) {
        return not_found;
      }
      addresses.canonical = *itself;
      return success;
    }
    if (!can_be_delegated(*literal)) {
      return not_found;
    }
    verdict = delegate_literal(*literal, families, addresses);
  } else {
    verdict = look_up_existing_name(asked, families, addresses);
  }
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

bool is_for_libc(const char* name) noexcept {
  return name != nullptr ? shim::is_for_libc(std::string_view(name)) : asks_libc_always(config());
}

hostent* noted(const char* name, hostent* entry) noexcept {
  if (ready() && name != nullptr) {
    explain_name(name);
    note_direct(name, entry);
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
/// alive that call them from threads all the same. As large as the longest answer.
struct OwnEntry {
  hostent entry;
  char buffer[33 * sizeof(char*) + 32 * 16 + 256 + 16];
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
  if (!ready() || is_for_libc(name)) {
    return noted(name, libc::gethostbyname2(name, family));
  }
  HostAddresses addresses;
  return finish_own(find_by_name(name, family, addresses), addresses, family);
}

S64_EXPORT hostent* gethostbyname(const char* name) {
  if (!ready() || is_for_libc(name)) {
    return noted(name, libc::gethostbyname(name));
  }
  HostAddresses addresses;
  return finish_own(find_by_name(name, AF_INET, addresses), addresses, AF_INET);
}

S64_EXPORT int gethostbyname2_r(const char* name, int family, hostent* entry, char* buffer,
                                std::size_t size, hostent** result, int* error) {
  if (!ready() || is_for_libc(name)) {
    const int status = libc::gethostbyname2_r(name, family, entry, buffer, size, result, error);
    noted(name, status == 0 ? *result : nullptr);
    return status;
  }
  HostAddresses addresses;
  const Outcome outcome = find_by_name(name, family, addresses);
  return finish(outcome, addresses, family, entry, buffer, size, result, error);
}

S64_EXPORT int gethostbyname_r(const char* name, hostent* entry, char* buffer, std::size_t size,
                               hostent** result, int* error) {
  if (!ready() || is_for_libc(name)) {
    const int status = libc::gethostbyname_r(name, entry, buffer, size, result, error);
    noted(name, status == 0 ? *result : nullptr);
    return status;
  }
  HostAddresses addresses;
  const Outcome outcome = find_by_name(name, AF_INET, addresses);
  return finish(outcome, addresses, AF_INET, entry, buffer, size, result, error);
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
