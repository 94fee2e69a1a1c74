// What BIND (RFC 1928 section 4) decides without waiting for anything: where a peer is awaited,
// what the client is told of it, and who is the right one.
#ifndef SOCKS64_GATEWAYD_BIND_HPP
#define SOCKS64_GATEWAYD_BIND_HPP

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "socks64/address.hpp"

#include "descriptor.hpp"
#include "failure.hpp"

namespace socks64::gateway {

/// At most one address of each family.
struct AddressPair {
  std::optional<IpAddress> v4;
  std::optional<IpAddress> v6;

  [[nodiscard]] const std::optional<IpAddress>& of(Family family) const noexcept {
    return family == Family::ipv4 ? v4 : v6;
  }
};

struct PortRange {
  Port first = 0;  ///< 0: whichever the kernel picks
  Port last = 0;

  [[nodiscard]] bool contains(Port port) const noexcept {
    return first != 0 && first <= port && port <= last;
  }
};

struct BindConfig {
  AddressPair address;    ///< where peers are awaited; else our address towards the expected peer
  AddressPair advertise;  ///< what BND.ADDR says instead of it: the outer address of a NAT
  PortRange ports;
  std::chrono::milliseconds timeout{60'000};  ///< for the peer, from the first reply on
  /// Whether DST.PORT names the peer's port. The RFC leaves it open; clients send the port of their
  /// primary connection, or the one that they would like to be given, or 0. FTP's data come from
  /// port 20 or any. So by default only the address counts.
  bool exact_port = false;
};

/// What is wrong with the text, or nothing: "192.0.2.1" or "2001:db8::1" that a peer can connect
/// to, the first of its family.
[[nodiscard]] std::string add_address(std::string_view text, AddressPair& pair);
/// "40000-40999" or "40000".
[[nodiscard]] std::string parse_port_range(std::string_view text, PortRange& range);

/// Whom a BIND waits for.
struct ExpectedPeer {
  std::vector<IpAddress> addresses;  ///< empty: anybody
  Port port = 0;                     ///< 0: any

  [[nodiscard]] bool matches(const Endpoint& peer) const noexcept;
};

/// Our address where this peer is to connect to: the configured one of its family, or the one that
/// we would send from. Nothing: no route to it.
[[nodiscard]] std::optional<IpAddress> address_towards(const BindConfig& config,
                                                       const IpAddress& peer) noexcept;

/// The same where nobody is named (DST.ADDR all zero). `wanted` is the family of DST.ADDR, `client`
/// our end of the client's connection, if it has an address: that one if it has the family, else an
/// address of the same interface, or of any. When there is none of that family, `client` itself.
[[nodiscard]] std::optional<IpAddress> address_for_anybody(const BindConfig& config, Family wanted,
                                                           const std::optional<IpAddress>& client);

/// A socket that listens: from here on the peer can connect.
struct Rendezvous {
  Failure failure = Failure::internal;
  Descriptor socket;   ///< set exactly when failure is none; non-blocking
  Endpoint local;      ///< where it listens
  Endpoint announced;  ///< BND.ADDR and BND.PORT of the first reply
};

/// `wished`: tried first if it is one of config.ports.
[[nodiscard]] Rendezvous open_rendezvous(const BindConfig& config, const IpAddress& local,
                                         Port wished);

}  // namespace socks64::gateway

#endif
