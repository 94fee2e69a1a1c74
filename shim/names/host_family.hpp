// Which IP version this host has: RFC 3089 section 3 gives a program a fake address of that one.
#ifndef SOCKS64_SHIM_HOST_FAMILY_HPP
#define SOCKS64_SHIM_HOST_FAMILY_HPP

#include "socks64/address.hpp"

namespace socks64::shim {

/// IPv6 where the host has that alone, IPv4 where it has both or neither, or where the kernel does
/// not say. A host has a family if its first gateway is another host's address of it, or if there
/// is a route to the Internet. Looked at once in a process.
[[nodiscard]] Family host_family() noexcept;

/// Whether the kernel has a route. Sends nothing.
[[nodiscard]] bool is_reachable(const IpAddress& address) noexcept;

}  // namespace socks64::shim

#endif
