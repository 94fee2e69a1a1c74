#include "udp/udp_socket.hpp"

#include <cerrno>
#include <cstdint>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <random>
#include <sys/socket.h>

#include "socks64/sockaddr.hpp"

#include "base/local_end.hpp"
#include "base/socket_option.hpp"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace socks64::gateway {
namespace {

// A burst is to fit while the worker does something else. The kernel lowers it to net.core.rmem_max
// and wmem_max.
constexpr int buffer_size = 1 << 20;

void set_options(int socket, Family family) noexcept {
  set_option(socket, SOL_SOCKET, SO_RCVBUF, buffer_size);
  set_option(socket, SOL_SOCKET, SO_SNDBUF, buffer_size);
  // We relay datagrams of 65,507 octets. With the default (IP_PMTUDISC_WANT) the kernel sets DF on
  // what fits the first link, and a router further on that cannot pass it would have it lost until
  // the kernel has learned; the client, who does not see the ICMP message, never would.
  if (family == Family::ipv4) {
    set_option(socket, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
  } else {
    set_option(socket, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    set_option(socket, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
  }
  // What comes in a row from one sender may be handed over at once (udp_batch.hpp).
  set_option(socket, IPPROTO_UDP, UDP_GRO, 1);
  // IP_RECVERR stays off: an ICMP error about one destination is no error of the association.
}

std::uint32_t random_number() {
  thread_local std::minstd_rand generator(std::random_device{}());
  return static_cast<std::uint32_t>(generator());
}

bool bind_to(int socket, const Endpoint& local) noexcept {
  sockaddr_storage name{};
  const socklen_t size = to_sockaddr(local, name);
  return ::bind(socket, reinterpret_cast<const sockaddr*>(&name), size) == 0;
}

}  // namespace

UdpSocket open_udp_socket(const IpAddress& address, PortRange ports,
                          const std::string& interface) noexcept {
  UdpSocket opened;
  opened.socket = Descriptor(
      ::socket(address.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!opened.socket) {
    opened.error = errno;
    return opened;
  }
  const int fd = opened.socket.get();
  set_options(fd, address.family());
  if (!interface.empty() && ::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface.c_str(),
                                         static_cast<socklen_t>(interface.size() + 1)) != 0) {
    opened.error = errno;
    opened.socket.close();
    return opened;
  }
  const std::uint32_t count = ports.any() ? 1U : std::uint32_t{ports.last} - ports.first + 1U;
  const std::uint32_t start = ports.any() ? 0U : random_number() % count;
  bool bound = false;
  for (std::uint32_t i = 0; i < count && !bound; ++i) {
    const auto port = static_cast<Port>(ports.first + (start + i) % count);
    bound = bind_to(fd, {address, port});
    if (!bound && errno != EADDRINUSE) {
      break;
    }
  }
  if (bound) {
    if (const std::optional<Endpoint> local = local_end_of(fd)) {
      opened.local = *local;
      return opened;
    }
  }
  opened.error = errno;
  opened.socket.close();
  return opened;
}

}  // namespace socks64::gateway
