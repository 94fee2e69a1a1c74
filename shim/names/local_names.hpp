// Names that stay local: /etc/hosts, localhost, and the host's own name. libc is not asked, because
// its answer to "not in /etc/hosts for this family" is a query to DNS.
#ifndef SOCKS64_SHIM_LOCAL_NAMES_HPP
#define SOCKS64_SHIM_LOCAL_NAMES_HPP

#include <array>
#include <cstddef>
#include <string_view>

#include "socks64/address.hpp"

namespace socks64::shim {

struct Families {
  bool ipv4 = false;
  bool ipv6 = false;
  /// AI_V4MAPPED: of a local name without an IPv6 address, the IPv4 ones as ::ffff:a.b.c.d. (All
  /// other names have an IPv6 address.)
  bool mapped = false;
};

/// What a name stands for.
struct HostAddresses {
  std::array<IpAddress, 32> list{};
  std::size_t count = 0;
  DomainName canonical;

  /// Once each; what does not fit is left out.
  void add(const IpAddress& address) noexcept;
  [[nodiscard]] bool has(Family family) const noexcept;
};

/// The addresses of a local name in the families asked for. False when the name is not local in any
/// of them: an entry of /etc/hosts for the other family alone does not make it so.
[[nodiscard]] bool find_local(std::string_view name, Families families,
                              HostAddresses& out) noexcept;

/// The name of an address of /etc/hosts or of the loopback interface.
[[nodiscard]] bool find_local(const IpAddress& address, DomainName& name) noexcept;

/// The part of the host's own name behind the first dot, for NI_NOFQDN; may be empty.
[[nodiscard]] TextBuffer<256> own_domain() noexcept;

}  // namespace socks64::shim

#endif
