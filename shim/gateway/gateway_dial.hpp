// Dialling a gateway: the next one that is left, on a socket that can reach it.
#ifndef SOCKS64_SHIM_GATEWAY_DIAL_HPP
#define SOCKS64_SHIM_GATEWAY_DIAL_HPP

#include <cerrno>
#include <cstdint>
#include <string_view>

#include "descriptors/connection.hpp"
#include "descriptors/gateway_socket.hpp"

namespace socks64::shim {

/// What came of dial_gateway().
struct Dialled {
  enum class State : std::uint8_t {
    under_way,   ///< connected or connecting: the handshake can go on
    later,       ///< a UNIX socket's queue is full: again at the handshake's deadline
    unresolved,  ///< walk.current has a name to be resolved first, without locks held
    none_left,
  };
  State state = State::none_left;
  int error = 0;           ///< of `none_left`: why the last one could not be dialled
  bool connected = false;  ///< of `under_way`: the kernel has the connection already
};

/// Whether a dial failed for want of something on this host: not held against the gateway.
[[nodiscard]] bool is_local_shortage(int error) noexcept;

/// The error of a walk in which nothing could even be tried.
inline constexpr int nothing_to_dial_errno = EHOSTUNREACH;

/// Dials what the walk has not tried yet until one is under way, and starts the handshake over.
/// `last_error` is that of an attempt before. Precondition: the connection is published, its socket
/// is unconnected or belongs to an attempt that is over, the handshake's lock is held. `manner` is
/// the socket's.
[[nodiscard]] Dialled dial_gateway(int fd, Connection& connection, PendingHandshake& handshake,
                                   int last_error, SocketManner manner) noexcept;

/// The gateway in hand has failed. True when others are left to go on to: then this is told in the
/// diagnostics, while the last failure is the caller's to tell. Same precondition.
[[nodiscard]] bool attempt_failed(PendingHandshake& handshake, int error,
                                  std::string_view why) noexcept;

}  // namespace socks64::shim

#endif
