#include "dns/self_address.hpp"

#include <cerrno>
#include <cstring>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/hook_table.hpp"
#include "host/host_guard.hpp"

namespace socks64::shim {
std::array<IpAddress, 2> ways_home(const IpAddress& peer) noexcept {
  const IpAddress v4 = IpAddress::v4(0U);
  if (peer.is_v4()) {
    return {v4, v4};
  }
  if (peer.is_v4_mapped()) {
    return {v4.mapped(), v4.mapped()};
  }
  IpAddress::V6Bytes v6{};
  v6[15] = 1;
  return {IpAddress::v6(v6), v4.mapped()};
}

Endpoint own_endpoint(const Endpoint& local, const IpAddress& home) noexcept {
  const IpAddress plain = local.address.unmapped();
  if (plain.is_unspecified() || plain.is_loopback()) {
    // Bound to ::1 or 127.0.0.2, the socket is nowhere else.
    const bool elsewhere = plain.is_unspecified() || home.unmapped().is_unspecified();
    return {elsewhere             ? home
            : home.is_v4()        ? plain
            : home.is_v4_mapped() ? plain.mapped()
                                  : plain,
            local.port};
  }
  return {home.is_v4() ? plain : plain.mapped(), local.port};
}

bool is_no_way(int error) noexcept {
  return error == EADDRNOTAVAIL || error == ENETUNREACH;
}

bool loopback_is_up(int fd) noexcept {
  const ErrnoGuard guard;
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", sizeof("lo"));
  return libc::ioctl(fd, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP) != 0;
}

Result<Endpoint> local_endpoint(int fd) noexcept {
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  if (libc::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) {
    return Errc::bad_address;
  }
  return from_sockaddr(reinterpret_cast<const sockaddr*>(&storage), length);
}

int connect_to(int fd, const Endpoint& endpoint) noexcept {
  const SocketAddress address(endpoint);
  return libc::connect(fd, address.get(), address.length);
}

int bind_to(int fd, const Endpoint& endpoint) noexcept {
  const SocketAddress address(endpoint);
  // By number, as in socket_swap.cpp: a hook of that name would be entered otherwise.
  return static_cast<int>(syscall(SYS_bind, fd, address.get(), address.length));
}

}  // namespace socks64::shim
