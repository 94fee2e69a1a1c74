// The sockets of an association, and what their options keep from going wrong.
#ifndef SOCKS64_GATEWAYD_UDP_SOCKET_HPP
#define SOCKS64_GATEWAYD_UDP_SOCKET_HPP

#include <string>

#include "socks64/address.hpp"

#include "base/descriptor.hpp"
#include "base/own_end.hpp"

namespace socks64::gateway {

struct UdpSocket {
  Descriptor socket;
  Endpoint local;
  int error = 0;  ///< errno, when there is no socket; EADDRINUSE: every port of the range is taken
};

/// A socket at this address and, unless `interface` is empty, of that interface alone, and a port
/// of the range, the first that is free from a random one on. Non-blocking; of its address's family
/// alone; fragments what is too large for a link.
[[nodiscard]] UdpSocket open_udp_socket(const IpAddress& address, PortRange ports = {},
                                        const std::string& interface = {}) noexcept;

}  // namespace socks64::gateway

#endif
