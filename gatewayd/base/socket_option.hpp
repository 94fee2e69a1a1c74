// setsockopt(2) for the options that are a number, which are nearly all.
#ifndef SOCKS64_GATEWAYD_SOCKET_OPTION_HPP
#define SOCKS64_GATEWAYD_SOCKET_OPTION_HPP

#include <sys/socket.h>

namespace socks64::gateway {

/// False, with errno, when refused.
inline bool set_option(int socket, int level, int name, int value) noexcept {
  return ::setsockopt(socket, level, name, &value, sizeof value) == 0;
}

}  // namespace socks64::gateway

#endif
