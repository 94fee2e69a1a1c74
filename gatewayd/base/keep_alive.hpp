// One keep-alive for both connections of a session: whoever vanishes without a word - power, a
// firewall that forgot - is found out in about ten minutes, not after the kernel's two hours.
#ifndef SOCKS64_GATEWAYD_KEEP_ALIVE_HPP
#define SOCKS64_GATEWAYD_KEEP_ALIVE_HPP

namespace socks64::gateway {

/// Also for a listening socket: what it accepts inherits it. False, with errno, when refused.
bool keep_alive(int socket) noexcept;

}  // namespace socks64::gateway

#endif
