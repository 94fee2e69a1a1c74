// A session seen from outside: who it is, and how to end it.
#ifndef SOCKS64_GATEWAYD_SESSION_CONTROL_HPP
#define SOCKS64_GATEWAYD_SESSION_CONTROL_HPP

#include <cstddef>
#include <cstdint>
#include <utility>

#include <asio/cancellation_signal.hpp>

#include "accept/accepted.hpp"
#include "account/account.hpp"
#include "relay/relay.hpp"

namespace socks64::gateway {

/// Touched on its worker's thread only.
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

}  // namespace socks64::gateway

#endif
