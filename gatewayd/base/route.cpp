#include "base/route.hpp"

#include <cerrno>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "socks64/sockaddr.hpp"

namespace socks64::gateway {

std::optional<IpAddress> source_towards(const Endpoint& remote, const Source& source) noexcept {
  const int probe =
      ::socket(remote.address.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (probe < 0) {
    return std::nullopt;
  }
  sockaddr_storage storage{};
  socklen_t length = to_sockaddr(remote, storage);
  std::optional<IpAddress> found;
  auto* const address = reinterpret_cast<sockaddr*>(&storage);
  if (!bind_source(probe, remote.address.family(), source) &&
      ::connect(probe, address, length) == 0) {
    length = sizeof storage;
    if (::getsockname(probe, address, &length) == 0) {
      if (const Result<Endpoint> local = from_sockaddr(address, length)) {
        found = local->address;
      }
    }
  }
  const int error = errno;
  ::close(probe);
  errno = error;
  return found;
}

std::error_code bind_source(int socket, Family family, const Source& source) noexcept {
  const auto last_error = [] { return std::error_code(errno, std::system_category()); };
  if (!source.interface.empty() &&
      ::setsockopt(socket, SOL_SOCKET, SO_BINDTODEVICE, source.interface.c_str(),
                   static_cast<socklen_t>(source.interface.size() + 1)) != 0) {
    return last_error();
  }
  if (const std::optional<IpAddress>& wanted = source.of(family)) {
    const int on = 1;
    // The option of IPv4 is that of IPv6 as well (ip(7)). Without it there are fewer ports.
    static_cast<void>(::setsockopt(socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on));
    sockaddr_storage storage{};
    const socklen_t length = to_sockaddr({*wanted, 0}, storage);
    if (::bind(socket, reinterpret_cast<const sockaddr*>(&storage), length) != 0) {
      return last_error();
    }
  }
  return {};
}

}  // namespace socks64::gateway
