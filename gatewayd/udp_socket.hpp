// The sockets of an association, and what their options keep from going wrong.
#ifndef SOCKS64_GATEWAYD_UDP_SOCKET_HPP
#define SOCKS64_GATEWAYD_UDP_SOCKET_HPP

#include "socks64/address.hpp"

#include "descriptor.hpp"

namespace socks64::gateway {

/// The ports from `first` to `last`; 0 and 0: any that the kernel likes.
struct PortRange {
  Port first = 0;
  Port last = 0;

  [[nodiscard]] bool any() const noexcept { return first == 0; }
};

struct UdpSocket {
  Descriptor socket;
  Endpoint local;
  int error = 0;  ///< errno, when there is no socket; EADDRINUSE: every port of the range is taken
};

/// A socket at this address and a port of the range, the first that is free from a random one on.
/// Non-blocking; of its address's family alone; fragments what is too large for a link.
[[nodiscard]] UdpSocket open_udp_socket(const IpAddress& address, PortRange ports = {}) noexcept;

}  // namespace socks64::gateway

#endif
