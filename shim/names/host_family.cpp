#include "names/host_family.hpp"

#include <atomic>
#include <netinet/in.h>

#include "socks64/sockaddr.hpp"

#include "host/hook_table.hpp"
#include "host/host_guard.hpp"
#include "process/runtime.hpp"

namespace socks64::shim {
namespace {

/// Any address that only a default route leads to: two of the root name servers'.
constexpr std::uint32_t somewhere_v4 = 0xc6290004;  // 198.41.0.4
constexpr IpAddress::V6Bytes somewhere_v6{0x20, 1, 5, 3, 0xba, 0x3e, 0, 0,
                                          0,    0, 0, 0, 0,    2,    0, 0x30};

bool has(Family family) noexcept {
  const Gateway& gateway = config().gateways[0];
  if (gateway.kind == Gateway::Kind::address && !gateway.endpoint.address.is_loopback() &&
      gateway.endpoint.address.unmapped().family() == family) {
    return true;
  }
  return is_reachable(family == Family::ipv4 ? IpAddress::v4(somewhere_v4)
                                             : IpAddress::v6(somewhere_v6));
}

}  // namespace

// connect() on a datagram socket sends nothing.
bool is_reachable(const IpAddress& address) noexcept {
  const ErrnoGuard guard;
  const int fd =
      libc::socket(address.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
  if (fd < 0) {
    return false;
  }
  sockaddr_storage storage{};
  const socklen_t length = to_sockaddr({address, 9}, storage);
  const bool reachable =
      libc::connect(fd, reinterpret_cast<const sockaddr*>(&storage), length) == 0;
  libc::close(fd);
  return reachable;
}

Family host_family() noexcept {
  enum : signed char { unknown, four, six };
  static constinit std::atomic<signed char> known{unknown};
  signed char answer = known.load(std::memory_order_relaxed);
  if (answer == unknown) {
    answer = !has(Family::ipv4) && has(Family::ipv6) ? six : four;
    known.store(answer, std::memory_order_relaxed);
  }
  return answer == six ? Family::ipv6 : Family::ipv4;
}

}  // namespace socks64::shim
