// Who is at the other end of an accepted connection, for the access record.
#ifndef SOCKS64_GATEWAYD_CLIENT_HPP
#define SOCKS64_GATEWAYD_CLIENT_HPP

#include <optional>
#include <sys/types.h>

#include "socks64/address.hpp"

namespace socks64::gateway {

/// An address and a port, or the process that connected to a UNIX socket.
struct Client {
  /// As the kernel noted it at connect(2) (SO_PEERCRED, unix(7)). A socket can be handed on, so
  /// this is who opened it, which is also whom the file's permissions have judged. Of a process in
  /// a PID namespace that we cannot see into, pid is 0.
  struct Process {
    uid_t uid = 0;
    pid_t pid = 0;
  };

  Client() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): an endpoint is a client
  Client(const Endpoint& from) noexcept : endpoint(from) {}
  explicit Client(Process from) noexcept : process(from) {}

  Endpoint endpoint;               ///< without a meaning when there is a process
  std::optional<Process> process;  ///< set: it came through a UNIX socket

  /// "192.0.2.1:4711", "[2001:db8::1]:4711", or "unix:UID:PID" as in "unix:1000:4711".
  using Text = Endpoint::Text;
  [[nodiscard]] Text text() const noexcept;
};

}  // namespace socks64::gateway

#endif
