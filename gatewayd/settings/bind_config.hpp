// How a BIND awaits its peer: [bind] of the configuration.
#ifndef SOCKS64_GATEWAYD_BIND_CONFIG_HPP
#define SOCKS64_GATEWAYD_BIND_CONFIG_HPP

#include <chrono>

#include "socks64/address.hpp"

#include "base/own_end.hpp"

namespace socks64::gateway {

struct BindConfig {
  AddressPair address;    ///< where peers are awaited; else our address towards the peer
  AddressPair advertise;  ///< what BND.ADDR says instead of it: the outer address of a NAT
  PortRange ports;
  std::chrono::milliseconds timeout{60'000};  ///< for the peer, from the first reply on
  /// Whether DST.PORT names the peer's port. The RFC leaves it open; clients send the port of their
  /// primary connection, or the one that they would like to be given, or 0. FTP's data come from
  /// port 20 or any. So by default only the address counts.
  bool exact_port = false;
};

}  // namespace socks64::gateway

#endif
