// Stage 8: carry octets both ways until both sides are done. Half-close, bounded back-pressure, and
// resets are passed on as what they are: EOF becomes shutdown(SHUT_WR), RST becomes RST.
#ifndef SOCKS64_GATEWAYD_RELAY_HPP
#define SOCKS64_GATEWAYD_RELAY_HPP

#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/bandwidth.hpp"
#include "loop/net.hpp"

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

/// Whom a relay is for: kept until it has ended.
class RelayOwner {
 public:
  RelayOwner() = default;
  RelayOwner(const RelayOwner&) = delete;
  RelayOwner& operator=(const RelayOwner&) = delete;
  virtual ~RelayOwner() = default;

  /// Once, when both sockets are closed, which may be within Relay::start(); the owner is destroyed
  /// next. Not when the io_context is destroyed first: then the owner just is destroyed.
  virtual void ended(const RelayReport& report) noexcept = 0;
};

/// A relay that runs, by itself and without a coroutine, so that one which waits for days holds
/// nothing that it does not need for waiting.
class Relay {
 public:
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  /// Ends it as `cancelled`. Not after ended().
  virtual void cancel() noexcept = 0;
  /// Begins. Once.
  virtual void start() noexcept = 0;

 protected:
  Relay() = default;
  virtual ~Relay() = default;
};

struct RelayOrder {
  Socket client;  ///< both are connected, non-blocking and of one executor; the client's is inline
  Socket destination;               ///< with urgent data (SO_OOBINLINE)
  std::vector<std::uint8_t> early;  ///< what the client sent behind its request: goes first
  RelayLimits limits;
  BandwidthPair bandwidth;  ///< outlives the relay; holds for what is read
  /// A read of a UNIX socket also ends behind descriptors that came along (SCM_RIGHTS, unix(7)):
  /// that it was short does not say that nothing is left.
  bool client_is_unix = false;
};

/// Makes a relay that the caller starts. The caller must not touch it any more once the owner has
/// heard of its end. Throws when there is no memory; the sockets are closed then.
///
/// Only `both_closed` is an orderly end. Every other one resets whoever is still there, because a
/// stream that was cut short must not look complete.
///
/// A direction that has to wait for its turn by `bandwidth` is not idle; its sender waits for the
/// window to open, as behind a slow reader. What a dead side had sent is passed on without waiting,
/// and paid for afterwards. Idle times are kept to RelayClock::period.
[[nodiscard]] Relay& make_relay(RelayOrder order, RelayPool& pool,
                                std::unique_ptr<RelayOwner> owner);

}  // namespace socks64::gateway

#endif
