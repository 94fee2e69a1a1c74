// Sockets over which a program speaks DNS with a resolver, answered in the process. See
// dns_link.cpp.
#ifndef SOCKS64_SHIM_DNS_LINK_HPP
#define SOCKS64_SHIM_DNS_LINK_HPP

#include <cerrno>
#include <cstdint>
#include <optional>
#include <sys/socket.h>
#include <sys/types.h>

#include "descriptors/dns_record.hpp"

namespace socks64::shim {

/// The link of a descriptor, if it still is the socket it was.
[[nodiscard]] DnsLink* find_dns_link(int fd) noexcept;
/// The same; a new one for the descriptor and its duplicates if there is none. Null: no memory.
[[nodiscard]] DnsLink* make_dns_link(int fd, bool stream) noexcept;

/// Whether an address, if any, has the port of a resolver.
[[nodiscard]] inline bool has_dns_port(const void* address, socklen_t length) noexcept {
  constexpr std::size_t port_at = 2;  // in AF_INET and AF_INET6 alike
  const auto* octets = static_cast<const std::uint8_t*>(address);
  return octets != nullptr && length >= static_cast<socklen_t>(port_at + 2) &&
         octets[port_at] == 0 && octets[port_at + 1] == 53;
}

// Each of these does a call that concerns a resolver as connect(2), sendmsg(2) and so on would; no
// value: it does not, and the call takes its usual way.

/// `address` is readable and at least a family long. Disconnecting counts as concerning one.
[[nodiscard]] std::optional<int> dns_connect(int fd, const sockaddr* address,
                                             socklen_t length) noexcept;
[[nodiscard]] std::optional<ssize_t> dns_sendmsg(int fd, const msghdr& message, int flags) noexcept;
[[nodiscard]] std::optional<ssize_t> dns_write(int fd, const void* buffer, std::size_t size,
                                               int flags) noexcept;
[[nodiscard]] std::optional<int> dns_getpeername(int fd, sockaddr* address,
                                                 socklen_t* length) noexcept;

/// After a datagram of `size` octets was read into `message`, whose name had `room` octets: shows
/// the resolver as its sender. Returns the size, another one when the datagram is a query that got
/// past the hooks for sending and is answered only now.
[[nodiscard]] ssize_t dns_received(int fd, msghdr& message, socklen_t room, ssize_t size,
                                   int flags) noexcept;

/// What is refused with what the policy says of any datagram that may not go.
inline constexpr int no_datagram_errno = ENETUNREACH;

}  // namespace socks64::shim

#endif
