// What BIND (RFC 1928 section 4) decides without waiting for anything: where a peer is awaited,
// what the client is told of it, and who is the right one.
#ifndef SOCKS64_GATEWAYD_BIND_HPP
#define SOCKS64_GATEWAYD_BIND_HPP

#include <cstdint>
#include <optional>
#include <vector>

#include "socks64/address.hpp"

#include "base/descriptor.hpp"
#include "base/failure.hpp"
#include "base/route.hpp"
#include "settings/bind_config.hpp"

namespace socks64::gateway {

/// Whom a BIND waits for.
struct ExpectedPeer {
  std::vector<IpAddress> addresses;  ///< empty: anybody
  Port port = 0;                     ///< 0: any

  [[nodiscard]] bool matches(const Endpoint& peer) const noexcept;
};

/// Our address where this peer is to connect to: the one that we would send from. Nothing: no route
/// to it, or none that `source` allows, or no descriptor to ask with: errno, here and below.
[[nodiscard]] std::optional<IpAddress> address_towards(const IpAddress& peer,
                                                       const Source& source) noexcept;

/// The same where nobody is named (DST.ADDR all zero), for peers of `family`. `client` is our end
/// of the client's connection, if it has an address: that one if it has the family, else an address
/// of the same interface, or of any.
[[nodiscard]] std::optional<IpAddress> address_for_anybody(Family family, const Source& source,
                                                           const std::optional<IpAddress>& client);

/// A socket that listens: from here on the peer can connect.
struct Rendezvous {
  Failure failure = Failure::internal;
  Descriptor socket;   ///< set exactly when failure is none; non-blocking
  Endpoint local;      ///< where it listens
  Endpoint announced;  ///< BND.ADDR and BND.PORT of the first reply
};

/// `wished`: tried first if it is one of config.ports. `interface`: the only one that peers may
/// come by; empty: any.
[[nodiscard]] Rendezvous open_rendezvous(const BindConfig& config, const IpAddress& local,
                                         Port wished, const std::string& interface = {});

}  // namespace socks64::gateway

#endif
