// Endpoint <-> sockaddr_storage: the only place that knows the kernel's address structures.
#ifndef SOCKS64_SOCKADDR_HPP
#define SOCKS64_SOCKADDR_HPP

#include <sys/socket.h>

#include "socks64/address.hpp"

namespace socks64 {

/// Writes the endpoint as sockaddr_in or sockaddr_in6; the rest of `out` is zeroed. Returns the
/// length of the structure.
socklen_t to_sockaddr(const Endpoint& endpoint, sockaddr_storage& out) noexcept;

/// Errors: bad_address when the family is neither AF_INET nor AF_INET6 or `length` is too small for
/// it. IPv4-mapped IPv6 addresses are kept as they are. Reads byte by byte: `address` need not be
/// aligned.
[[nodiscard]] Result<Endpoint> from_sockaddr(const sockaddr* address, socklen_t length) noexcept;

}  // namespace socks64

#endif
