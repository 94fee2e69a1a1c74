// How a socket reaches itself over loopback.
#ifndef SOCKS64_SHIM_SELF_ADDRESS_HPP
#define SOCKS64_SHIM_SELF_ADDRESS_HPP

#include <array>
#include <sys/socket.h>

#include "socks64/address.hpp"
#include "socks64/sockaddr.hpp"

namespace socks64::shim {

/// An endpoint as the kernel wants it.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length;

  explicit SocketAddress(const Endpoint& endpoint) noexcept
      : length(to_sockaddr(endpoint, storage)) {}
  [[nodiscard]] const sockaddr* get() const noexcept {
    return reinterpret_cast<const sockaddr*>(&storage);
  }
};

/// By which addresses a socket may reach its own host, in the form in which `peer` was given.
///
/// In IPv4 that is 0.0.0.0, which the kernel never looks up in a routing table: it means the
/// loopback interface, even on a host without any IPv4 address. 127.0.0.1, where lo does not have
/// it, would take the default route. On a host without IPv6, IPv6 sockets are left with IPv4's.
[[nodiscard]] std::array<IpAddress, 2> ways_home(const IpAddress& peer) noexcept;

/// Where a socket bound to `local` is reached when `home` is the way.
[[nodiscard]] Endpoint own_endpoint(const Endpoint& local, const IpAddress& home) noexcept;

/// The socket cannot go there; perhaps it can go elsewhere.
[[nodiscard]] bool is_no_way(int error) noexcept;

/// Where it is down, datagrams to 0.0.0.0 are lost without an error, and those to ::1 take the
/// default route.
[[nodiscard]] bool loopback_is_up(int fd) noexcept;

/// getsockname(2). Errors: bad_address, and errno.
[[nodiscard]] Result<Endpoint> local_endpoint(int fd) noexcept;

/// connect(2) and bind(2).
int connect_to(int fd, const Endpoint& endpoint) noexcept;
int bind_to(int fd, const Endpoint& endpoint) noexcept;

}  // namespace socks64::shim

#endif
