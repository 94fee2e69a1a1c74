// Stage 8: carry octets both ways until both sides are done. Half-close, bounded back-pressure, and
// resets are passed on as what they are: EOF becomes shutdown(SHUT_WR), RST becomes RST.
#ifndef SOCKS64_GATEWAYD_RELAY_HPP
#define SOCKS64_GATEWAYD_RELAY_HPP

#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>

#include "bandwidth.hpp"
#include "net.hpp"

namespace socks64::gateway {

class RelayPool;  ///< per worker: the shared copy buffer and the pooled pipes; relay_pool.hpp

struct RelayLimits {
  std::chrono::seconds idle{
      0};  ///< no octet in either direction for so long ends the relay; 0: never
  std::chrono::seconds half_close{
      0};  ///< the same once one side has sent EOF, which counts as an octet; 0: never
};

enum class RelayEnd : std::uint8_t {
  both_closed,        ///< EOF both ways
  client_reset,       ///< RST or error from the client
  destination_reset,  ///< RST or error from the destination
  idle_timeout,
  half_close_timeout,
  cancelled,     ///< drain, kill, shutdown
  no_resources,  ///< no memory for what a full sink left behind
};
[[nodiscard]] std::string_view describe(RelayEnd end) noexcept;

struct RelayReport {
  std::uint64_t octets_up = 0;    ///< client to destination, written to the destination
  std::uint64_t octets_down = 0;  ///< destination to client, written to the client
  RelayEnd end = RelayEnd::cancelled;
  std::uint64_t octets_redirected = 0;  ///< of both, those that the kernel moved by itself
};

/// Relays until the end and closes both sockets. `early` is what the client sent behind its
/// request: it goes to the destination first. Both sockets are connected, non-blocking and of the
/// calling coroutine's executor. Cancelling the coroutine ends the relay as `cancelled`.
///
/// Only `both_closed` is an orderly end. Every other one resets whoever is still there, because a
/// stream that was cut short must not look complete.
///
/// `bandwidth`, which outlives the relay, holds for what is read. A direction that has to wait for
/// its turn is not idle; its sender waits for the window to open, as behind a slow reader. What a
/// dead side had sent is passed on without waiting, and paid for afterwards.
[[nodiscard]] Task<RelayReport> relay(Socket& client, Socket& destination,
                                      std::span<const std::uint8_t> early,
                                      const RelayLimits& limits, RelayPool& pool,
                                      const BandwidthPair& bandwidth = {});

}  // namespace socks64::gateway

#endif
