#include "base/local_end.hpp"

#include <sys/socket.h>

#include "socks64/sockaddr.hpp"

namespace socks64::gateway {

std::optional<Endpoint> local_end_of(int socket) noexcept {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  auto* const address = reinterpret_cast<sockaddr*>(&storage);
  if (::getsockname(socket, address, &length) != 0) {
    return std::nullopt;
  }
  const Result<Endpoint> local = from_sockaddr(address, length);
  return local ? std::optional<Endpoint>(*local) : std::nullopt;
}

}  // namespace socks64::gateway
