#include "route.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include "socks64/sockaddr.hpp"

namespace socks64::gateway {

std::optional<IpAddress> source_towards(const Endpoint& remote) noexcept {
  const int probe =
      ::socket(remote.address.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (probe < 0) return std::nullopt;
  sockaddr_storage storage{};
  socklen_t length = to_sockaddr(remote, storage);
  std::optional<IpAddress> source;
  auto* const address = reinterpret_cast<sockaddr*>(&storage);
  if (::connect(probe, address, length) == 0) {
    length = sizeof storage;
    if (::getsockname(probe, address, &length) == 0) {
      if (const Result<Endpoint> local = from_sockaddr(address, length)) source = local->address;
    }
  }
  ::close(probe);
  return source;
}

}  // namespace socks64::gateway
