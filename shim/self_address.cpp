#include "self_address.hpp"

#include <cerrno>

#include "hook_table.hpp"

namespace socks64::shim {
namespace {

constexpr std::uint32_t loopback4 = 0x7f000001;

}  // namespace

std::array<IpAddress, 2> ways_home(const IpAddress& peer) noexcept {
  const IpAddress v4 = IpAddress::v4(loopback4);
  if (peer.is_v4()) {
    return {v4, IpAddress()};
  }
  if (peer.is_v4_mapped()) {
    return {v4.mapped(), IpAddress().mapped()};
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
  return bind(fd, address.get(), address.length);
}

}  // namespace socks64::shim
