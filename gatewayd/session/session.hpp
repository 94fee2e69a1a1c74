// One client's session, from the accepted connection to its access record: the spine of the
// gateway.
#ifndef SOCKS64_GATEWAYD_SESSION_HPP
#define SOCKS64_GATEWAYD_SESSION_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <asio/cancellation_signal.hpp>

#include "socks64/address.hpp"

#include "accept/accepted.hpp"
#include "accept/user_limits.hpp"
#include "account/account.hpp"
#include "config/config.hpp"
#include "dial/dial.hpp"
#include "dial/look_up.hpp"
#include "handshake/authenticate.hpp"
#include "loop/deadline.hpp"
#include "loop/net.hpp"
#include "relay/relay.hpp"

namespace socks64::gateway {

struct BindServices;
struct Policy;
struct UdpPool;
struct UdpService;

/// What sessions use and never own; all of it outlives every session. This part is that of all
/// workers.
struct SharedServices {
  const Dialer& dialer;
  const LookUp* look_up;     ///< null: RESOLVE and RESOLVE_PTR are not served
  const BindServices* bind;  ///< null: BIND is not served
  UdpService* udp;           ///< null: UDP ASSOCIATE is not served
  UserCounts& users;
  AccessLog& access_log;
  AuthServices auth;
  /// As at the start: SessionControl::listener() is an index into these.
  std::span<const ListenerConfig> listeners;
};

/// And this is the session's own worker's.
struct SessionServices : SharedServices {
  /// The current one: Worker::use() replaces it. A session keeps the one that it began with.
  std::shared_ptr<const Policy> policy;
  UdpPool& udp_pool;
  RelayPool& relay_pool;
  RelayLimits relay_limits;
  DeadlineQueue& handshake_deadlines;
  DeadlineQueue& farewell_deadlines;
};

/// A session seen from outside: who it is, and how to end it. Touched on its worker's thread only.
class SessionControl {
 public:
  enum class Stop : std::uint8_t { none, client_gone, shutdown };

  /// Takes the tickets of what was accepted; the socket is session()'s.
  SessionControl(Accepted& accepted, AccessLog& access_log)
      : ticket_(std::move(accepted.session)),
        of_client_(std::move(accepted.of_client)),
        record_(access_log),
        listener_(accepted.listener) {
    record_.open(accepted.arrival);
  }
  SessionControl(const SessionControl&) = delete;
  SessionControl& operator=(const SessionControl&) = delete;

  /// Written when the control is destroyed, so whatever became of the session.
  [[nodiscard]] OpenRecord& record() noexcept { return record_; }
  /// Where it came in, an index into Config::listeners.
  [[nodiscard]] std::size_t listener() const noexcept { return listener_; }
  [[nodiscard]] Stop stopped() const noexcept { return stop_; }
  [[nodiscard]] asio::cancellation_slot slot() noexcept { return signal_.slot(); }

  /// Cancels whatever the session waits for. The first reason stands.
  /// The session may be over, and this destroyed, when it returns.
  void stop(Stop reason) {
    if (stop_ != Stop::none) {
      return;
    }
    stop_ = reason;
    if (relay_ != nullptr) {
      return relay_->cancel();
    }
    signal_.emit(asio::cancellation_type::terminal);
  }

  /// From now on it is this relay that is to be stopped.
  void carried_by(Relay* relay) noexcept { relay_ = relay; }

 private:
  friend class SessionList;

  SessionLimit::Ticket ticket_;
  Ticket<Counter> of_client_;
  OpenRecord record_;  ///< behind the tickets: written before the session has stopped to count
  std::size_t listener_;
  Stop stop_ = Stop::none;
  Relay* relay_ = nullptr;
  asio::cancellation_signal signal_;
  SessionControl* previous_ = nullptr;
  SessionControl* next_ = nullptr;
};

/// Serves one client. Ends with the socket closed and the record written, whatever happens.
[[nodiscard]] Task<> session(Socket client, std::shared_ptr<SessionControl> control,
                             const SessionServices& services);

}  // namespace socks64::gateway

#endif
