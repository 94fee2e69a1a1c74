#include "bind/bind.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <ifaddrs.h>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <random>
#include <sys/socket.h>
#include <tuple>

#include "socks64/sockaddr.hpp"

#include "base/socket_option.hpp"

namespace socks64::gateway {
namespace {

// Wrong peers are accepted and closed as they come, so the right one rarely waits behind many.
constexpr int backlog = 128;
// A range that is nearly taken must not cost a worker 60,000 calls for one request.
constexpr unsigned most_ports_tried = 1024;

/// 0, or an errno. EADDRINUSE may come from listen(2) too: with SO_REUSEADDR two sockets can be
/// bound to one port as long as neither listens.
int listen_at(const Endpoint& local, const std::string& interface, Descriptor& out) noexcept {
  const bool v6 = local.address.is_v6();
  Descriptor socket(
      ::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) {
    return errno;
  }
  const int fd = socket.get();
  sockaddr_storage name{};
  const socklen_t size = to_sockaddr(local, name);
  // SO_REUSEADDR: relays that run or have just ended on a port of the range do not block it. It
  // lets nobody listen beside us.
  if (!set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) ||
      (v6 && !set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) ||
      !set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) ||
      (!interface.empty() && ::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface.c_str(),
                                          static_cast<socklen_t>(interface.size() + 1)) != 0) ||
      ::bind(fd, reinterpret_cast<const sockaddr*>(&name), size) != 0 ||
      ::listen(fd, backlog) != 0) {
    return errno;
  }
  out = std::move(socket);
  return 0;
}

unsigned random_below(unsigned bound) {
  thread_local std::minstd_rand random{std::random_device{}()};
  return std::uniform_int_distribution<unsigned>(0, bound - 1)(random);
}

int listen_in_range(const PortRange& ports, const IpAddress& local, Port wished,
                    const std::string& interface, Descriptor& out) {
  if (ports.first == 0) {
    return listen_at({local, 0}, interface, out);
  }
  int error = EADDRINUSE;
  if (ports.contains(wished)) {
    error = listen_at({local, wished}, interface, out);
  }
  const unsigned size = ports.last - ports.first + 1U;
  // Not always from the front: there the ports are that others were given, and it is easier to
  // guess.
  const unsigned start = random_below(size);
  for (unsigned i = 0; error == EADDRINUSE && i < std::min(size, most_ports_tried); ++i) {
    const auto port = static_cast<Port>(ports.first + (start + i) % size);
    error = listen_at({local, port}, interface, out);
  }
  return error;
}

Failure failure_of(int error) noexcept {
  // Every port is taken. EACCES is a port below 1024, not a rule.
  if (error == EADDRINUSE || error == EACCES) {
    return Failure::no_resources;
  }
  return failure_from_errno(error);
}

struct FreeInterfaces {
  void operator()(ifaddrs* list) const noexcept { ::freeifaddrs(list); }
};
using Interfaces = std::unique_ptr<ifaddrs, FreeInterfaces>;

std::optional<IpAddress> address_of(const ifaddrs& entry) noexcept {
  if (entry.ifa_addr == nullptr) {
    return std::nullopt;
  }
  const int family = entry.ifa_addr->sa_family;
  if (family != AF_INET && family != AF_INET6) {
    return std::nullopt;
  }
  const Result<Endpoint> endpoint =
      from_sockaddr(entry.ifa_addr, family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
  return endpoint ? std::optional<IpAddress>(endpoint->address) : std::nullopt;
}

/// One of this host's addresses of that family: of `only`, if that is an interface; of the one that
/// has `neighbour`, rather than of another; of a network, rather than of loopback.
std::optional<IpAddress> own_address(Family family, std::string_view only,
                                     const std::optional<IpAddress>& neighbour) {
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) {
    return std::nullopt;
  }
  const Interfaces interfaces(first);
  std::string_view interface;
  for (const ifaddrs* entry = first; entry != nullptr; entry = entry->ifa_next) {
    if (neighbour && address_of(*entry) == neighbour) {
      interface = entry->ifa_name;
    }
  }
  std::optional<IpAddress> best;
  std::tuple<bool, bool> best_rank;
  for (const ifaddrs* entry = first; entry != nullptr; entry = entry->ifa_next) {
    const std::optional<IpAddress> address = address_of(*entry);
    if (!address || address->family() != family || address->is_link_local()) {
      continue;
    }
    if (!only.empty() && entry->ifa_name != only) {
      continue;
    }
    const std::tuple rank(entry->ifa_name == interface, !address->is_loopback());
    if (!best || rank > best_rank) {
      best = address;
      best_rank = rank;
    }
  }
  if (!best) {
    errno = ENETUNREACH;
  }
  return best;
}

}  // namespace

bool ExpectedPeer::matches(const Endpoint& peer) const noexcept {
  if (port != 0 && peer.port != port) {
    return false;
  }
  return addresses.empty() || std::ranges::find(addresses, peer.address) != addresses.end();
}

std::optional<IpAddress> address_towards(const IpAddress& peer, const Source& source) noexcept {
  // The port matters to no route; 0 is not one that can be asked about.
  return source_towards({peer, 53}, source);
}

std::optional<IpAddress> address_for_anybody(Family family, const Source& source,
                                             const std::optional<IpAddress>& client) {
  if (source.of(family)) {
    return source.of(family);
  }
  if (source.interface.empty() && client && client->family() == family) {
    return client;
  }
  return own_address(family, source.interface, client);
}

Rendezvous open_rendezvous(const BindConfig& config, const IpAddress& local, Port wished,
                           const std::string& interface) {
  Rendezvous rendezvous;
  Descriptor socket;
  int error = listen_in_range(config.ports, local, wished, interface, socket);
  sockaddr_storage name{};
  socklen_t length = sizeof name;
  auto* const address = reinterpret_cast<sockaddr*>(&name);
  if (error == 0 && ::getsockname(socket.get(), address, &length) != 0) {
    error = errno;
  }
  if (error != 0) {
    rendezvous.failure = failure_of(error);
    return rendezvous;
  }
  rendezvous.failure = Failure::none;
  rendezvous.local = from_sockaddr(address, length).value_or(Endpoint{local, 0});
  rendezvous.announced = rendezvous.local;
  if (const std::optional<IpAddress>& outer = config.advertise.of(local.family())) {
    rendezvous.announced.address = *outer;
  }
  rendezvous.socket = std::move(socket);
  return rendezvous;
}

}  // namespace socks64::gateway
