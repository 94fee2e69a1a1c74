// Where a socket of ours is bound.
#ifndef SOCKS64_GATEWAYD_LOCAL_END_HPP
#define SOCKS64_GATEWAYD_LOCAL_END_HPP

#include <optional>

#include "socks64/address.hpp"

namespace socks64::gateway {

/// Nothing where the socket has no address (a UNIX socket), or was reset; errno is
/// getsockname(2)'s.
[[nodiscard]] std::optional<Endpoint> local_end_of(int socket) noexcept;

}  // namespace socks64::gateway

#endif
