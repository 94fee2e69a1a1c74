// Where the gateway listens, and how that is written.
#ifndef SOCKS64_GATEWAYD_LISTEN_ADDRESS_HPP
#define SOCKS64_GATEWAYD_LISTEN_ADDRESS_HPP

#include <string>
#include <string_view>
#include <sys/types.h>

#include "socks64/address.hpp"

namespace socks64::gateway {

/// Where clients connect: an endpoint, or the path of a UNIX socket.
struct ListenAddress {
  Endpoint endpoint;
  std::string path;  ///< not empty: a UNIX socket

  ListenAddress() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): an endpoint is an address to listen on
  ListenAddress(const Endpoint& at) : endpoint(at) {}

  [[nodiscard]] bool is_unix() const noexcept { return !path.empty(); }
  /// "127.0.0.1:1080", "[::1]:1080" or "unix:/run/socks64/gateway.sock".
  [[nodiscard]] std::string text() const;
  friend bool operator==(const ListenAddress&, const ListenAddress&) = default;
};

/// Of a UNIX socket's file: whoever may write to it may connect. Our own user and group, as TCP
/// listeners are on loopback: more has to be asked for.
inline constexpr mode_t default_socket_mode = 0660;

/// "[::1]:1080", "127.0.0.1:1080" or "unix:/absolute/path"; false, with what is wrong in `problem`,
/// for anything else.
[[nodiscard]] bool parse_listen_address(std::string_view text, ListenAddress& out,
                                        std::string& problem);

}  // namespace socks64::gateway

#endif
