#include "bind.hpp"

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

#include "route.hpp"

namespace socks64::gateway {
namespace {

// Wrong peers are accepted and closed as they come, so the right one rarely waits behind many.
constexpr int backlog = 128;
// A range that is nearly taken must not cost a worker 60,000 calls for one request.
constexpr unsigned most_ports_tried = 1024;

bool switch_on(int fd, int level, int name) noexcept {
  const int on = 1;
  return ::setsockopt(fd, level, name, &on, sizeof on) == 0;
}

/// 0, or an errno. EADDRINUSE may come from listen(2) too: with SO_REUSEADDR two sockets can be
/// bound to one port as long as neither listens.
int listen_at(const Endpoint& local, Descriptor& out) noexcept {
  const bool v6 = local.address.is_v6();
  Descriptor socket(
      ::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return errno;
  const int fd = socket.get();
  sockaddr_storage name{};
  const socklen_t size = to_sockaddr(local, name);
  // SO_REUSEADDR: relays that run or have just ended on a port of the range do not block it. It
  // lets nobody listen beside us.
  if (!switch_on(fd, SOL_SOCKET, SO_REUSEADDR) ||
      (v6 && !switch_on(fd, IPPROTO_IPV6, IPV6_V6ONLY)) ||
      !switch_on(fd, IPPROTO_TCP, TCP_NODELAY) ||
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

int listen_in_range(const BindConfig& config, const IpAddress& local, Port wished,
                    Descriptor& out) {
  const PortRange& ports = config.ports;
  if (ports.first == 0) return listen_at({local, 0}, out);
  int error = EADDRINUSE;
  if (ports.contains(wished)) error = listen_at({local, wished}, out);
  const unsigned size = ports.last - ports.first + 1U;
  // Not always from the front: there the ports are that others were given, and it is easier to
  // guess.
  const unsigned start = random_below(size);
  for (unsigned i = 0; error == EADDRINUSE && i < std::min(size, most_ports_tried); ++i) {
    error = listen_at({local, static_cast<Port>(ports.first + (start + i) % size)}, out);
  }
  return error;
}

Failure failure_of(int error) noexcept {
  // Every port is taken. EACCES is a port below 1024, not a rule.
  if (error == EADDRINUSE || error == EACCES) return Failure::no_resources;
  return failure_from_errno(error);
}

struct FreeInterfaces {
  void operator()(ifaddrs* list) const noexcept { ::freeifaddrs(list); }
};
using Interfaces = std::unique_ptr<ifaddrs, FreeInterfaces>;

std::optional<IpAddress> address_of(const ifaddrs& entry) noexcept {
  if (entry.ifa_addr == nullptr) return std::nullopt;
  const int family = entry.ifa_addr->sa_family;
  if (family != AF_INET && family != AF_INET6) return std::nullopt;
  const Result<Endpoint> endpoint =
      from_sockaddr(entry.ifa_addr, family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
  return endpoint ? std::optional<IpAddress>(endpoint->address) : std::nullopt;
}

/// One of this host's addresses of that family: of the interface that has `neighbour`, rather than
/// of another; of a network, rather than of loopback.
std::optional<IpAddress> own_address(Family family, const std::optional<IpAddress>& neighbour) {
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) return std::nullopt;
  const Interfaces interfaces(first);
  std::string_view interface;
  for (const ifaddrs* entry = first; entry != nullptr; entry = entry->ifa_next) {
    if (neighbour && address_of(*entry) == neighbour) interface = entry->ifa_name;
  }
  std::optional<IpAddress> best;
  std::tuple<bool, bool> best_rank;
  for (const ifaddrs* entry = first; entry != nullptr; entry = entry->ifa_next) {
    const std::optional<IpAddress> address = address_of(*entry);
    if (!address || address->family() != family || address->is_link_local()) continue;
    const std::tuple rank(entry->ifa_name == interface, !address->is_loopback());
    if (!best || rank > best_rank) {
      best = address;
      best_rank = rank;
    }
  }
  return best;
}

}  // namespace

std::string add_address(std::string_view text, AddressPair& pair) {
  const Result<IpAddress> address = IpAddress::parse(text);
  if (!address) return std::string(describe(address.error()));
  if (address->is_v4_mapped()) return "an IPv4-mapped address; list the IPv4 address itself";
  if (address->is_unspecified()) return "no peer can connect to the unspecified address";
  if (address->is_multicast()) return "a multicast address";
  std::optional<IpAddress>& slot = address->is_v4() ? pair.v4 : pair.v6;
  if (slot) return address->is_v4() ? "a second IPv4 address" : "a second IPv6 address";
  slot = *address;
  return {};
}

std::string parse_port_range(std::string_view text, PortRange& range) {
  const std::size_t dash = text.find('-');
  const Result<Port> first = parse_port(text.substr(0, dash));
  const Result<Port> last =
      dash == std::string_view::npos ? first : parse_port(text.substr(dash + 1));
  if (!first || !last) return "not ports from 1 to 65535";
  if (*first == 0) return "port 0";
  if (*last < *first) return "the last port is below the first";
  range = {*first, *last};
  return {};
}

bool ExpectedPeer::matches(const Endpoint& peer) const noexcept {
  if (port != 0 && peer.port != port) return false;
  return addresses.empty() || std::ranges::find(addresses, peer.address) != addresses.end();
}

std::optional<IpAddress> address_towards(const BindConfig& config, const IpAddress& peer) noexcept {
  const std::optional<IpAddress>& configured = config.address.of(peer.family());
  // The port matters to no route; 0 is not one that can be asked about.
  return configured ? configured : source_towards({peer, 53});
}

std::optional<IpAddress> address_for_anybody(const BindConfig& config, Family wanted,
                                             const std::optional<IpAddress>& client) {
  if (config.address.of(wanted)) return config.address.of(wanted);
  if (client && client->family() == wanted) return client;
  if (const std::optional<IpAddress> own = own_address(wanted, client)) return own;
  return client ? address_towards(config, *client) : std::nullopt;
}

Rendezvous open_rendezvous(const BindConfig& config, const IpAddress& local, Port wished) {
  Rendezvous rendezvous;
  Descriptor socket;
  int error = listen_in_range(config, local, wished, socket);
  sockaddr_storage name{};
  socklen_t length = sizeof name;
  auto* const address = reinterpret_cast<sockaddr*>(&name);
  if (error == 0 && ::getsockname(socket.get(), address, &length) != 0) error = errno;
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
