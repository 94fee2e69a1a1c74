// Whom an association talks to: the destinations that the client has sent to, and so the addresses
// that may answer it.
#ifndef SOCKS64_GATEWAYD_UDP_PEERS_HPP
#define SOCKS64_GATEWAYD_UDP_PEERS_HPP

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <unordered_map>

#include "socks64/address.hpp"

namespace socks64::gateway {

struct UdpPeer {
  IpAddress address;
  Port port = 0;                           ///< of the last datagram that went there
  std::shared_ptr<const DomainName> name;  ///< the name by which it was asked for; null: none
  std::uint64_t judged = 0;                ///< by which policy it was allowed, see UdpAssociation

  /// As the client asked for it.
  [[nodiscard]] Target target() const noexcept {
    if (name) {
      return NamedEndpoint{*name, port};
    }
    return Endpoint{address, port};
  }
};

/// Bounded; the one that was used longest ago goes first. Empty, it holds no memory.
class UdpPeers {
 public:
  explicit UdpPeers(std::size_t capacity) noexcept : capacity_(capacity) {}

  /// Null when there is none; valid until the next remember().
  [[nodiscard]] UdpPeer* find(const IpAddress& address) noexcept;
  /// In the place of what was known of its address.
  void remember(UdpPeer peer);
  void clear() noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return index_.size(); }

 private:
  struct Hash {
    [[nodiscard]] std::size_t operator()(const IpAddress& address) const noexcept;
  };
  using Peers = std::list<UdpPeer>;

  std::size_t capacity_;
  Peers peers_;  ///< the most recently used first
  std::unordered_map<IpAddress, Peers::iterator, Hash> index_;
};

}  // namespace socks64::gateway

#endif
