#include "session/session.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include <asio/this_coro.hpp>

#include "authorise/policy.hpp"
#include "handshake/farewell.hpp"
#include "handshake/handshake.hpp"
#include "relay/relay.hpp"
#include "session/exchange.hpp"

namespace socks64::gateway {
namespace {

SessionEnd end_of(const HandshakeResult& asked) noexcept {
  switch (asked.end) {
    case HandshakeEnd::request:
      break;
    case HandshakeEnd::auth_failed:
      return SessionEnd::auth_failed;
    case HandshakeEnd::refused:
      return SessionEnd::bad_handshake;
    case HandshakeEnd::closed:
    case HandshakeEnd::reset:
      return asked.spoke ? SessionEnd::bad_handshake : SessionEnd::no_handshake;
    case HandshakeEnd::timed_out:
      return SessionEnd::handshake_timeout;
    case HandshakeEnd::cancelled:
      return SessionEnd::shutdown;
  }
  return SessionEnd::internal;
}

std::string_view reason_of(const HandshakeResult& asked) noexcept {
  switch (asked.end) {
    case HandshakeEnd::auth_failed:
      return describe(asked.auth);
    case HandshakeEnd::refused:
      return describe(asked.error);
    case HandshakeEnd::closed:
      return asked.spoke ? describe(Errc::truncated) : "";
    case HandshakeEnd::reset:
      return "connection reset";
    default:
      return "";
  }
}

SessionEnd end_of(RelayEnd end) noexcept {
  switch (end) {
    case RelayEnd::both_closed:
      return SessionEnd::both_closed;
    case RelayEnd::client_reset:
      return SessionEnd::client_reset;
    case RelayEnd::destination_reset:
      return SessionEnd::destination_reset;
    case RelayEnd::idle_timeout:
      return SessionEnd::idle_timeout;
    case RelayEnd::half_close_timeout:
      return SessionEnd::half_close_timeout;
    case RelayEnd::no_resources:
      return SessionEnd::no_resources;
    case RelayEnd::cancelled:
      break;
  }
  return SessionEnd::shutdown;
}

/// What is left of a session once the client has heard of success: the relay may run for days, so
/// all that only the handshake and the dial needed is gone by then, the coroutine included.
class Carried final : public RelayOwner {
 public:
  Carried(std::shared_ptr<SessionControl> session, UserCounts::Ticket user)
      : session_(std::move(session)), user_(std::move(user)) {}

  void ended(const RelayReport& report) noexcept override {
    session_->carried_by(nullptr);
    OpenRecord& record = session_->record();
    record->octets_up = report.octets_up;
    record->octets_down = report.octets_down;
    record->end = end_of(report.end);
  }

 private:
  std::shared_ptr<SessionControl> session_;
  UserCounts::Ticket user_;
};

/// Stage 8: carry octets until both sides are done.
void carry(Socket client, Exchange& exchange, std::shared_ptr<SessionControl> session) {
  const SessionServices& services = exchange.services;
  RelayOrder order{std::move(client),           std::move(*exchange.peer),
                   std::move(exchange.early),   services.relay_limits,
                   exchange.ticket.bandwidth(), exchange.requester.client.process.has_value()};
  SessionControl& control = *session;
  Relay& relay =
      make_relay(std::move(order), services.relay_pool,
                 std::make_unique<Carried>(std::move(session), std::move(exchange.ticket)));
  control.carried_by(&relay);
  relay.start();
}

/// Stage 2 once more, for who it is; stage 5; then the verb of the command.
Task<> serve(Exchange& exchange) {
  UserCounts::Admission admission = exchange.services.users.admit(
      exchange.requester.user, exchange.policy->limits.user, Clock::now());
  if (!admission.refused.empty()) {
    co_return co_await refuse(exchange, ReplyCode::not_allowed, admission.refused);
  }
  exchange.ticket = std::move(admission.ticket);

  // DST.ADDR of a UDP ASSOCIATE is no destination, but where the client will send from (RFC 1928
  // section 7); each datagram is judged for itself.
  const bool has_destination = exchange.request.command != Command::udp_associate;
  const Verdict verdict = judge(*exchange.policy, exchange.requester, exchange.request.command,
                                has_destination ? exchange.request.target : Target());
  if (!verdict.allowed) {
    // A name has no address here that a rule could be written for, yet.
    const auto* literal = std::get_if<Endpoint>(&exchange.request.target);
    if (literal != nullptr) {
      hint(*exchange.policy, exchange.requester, verdict.reason, *literal);
    }
    co_return co_await refuse(exchange, ReplyCode::not_allowed, verdict.reason);
  }
  switch (exchange.request.command) {
    case Command::connect:
      co_return co_await serve_connect(exchange);
    case Command::resolve:
    case Command::resolve_ptr:
      if (exchange.services.look_up != nullptr) {
        co_return co_await serve_look_up(exchange);
      }
      break;
    case Command::bind:
      if (exchange.services.bind != nullptr) {
        co_return co_await serve_bind(exchange);
      }
      break;
    case Command::udp_associate:
      if (exchange.services.udp != nullptr) {
        co_return co_await serve_udp_associate(exchange);
      }
      break;
  }
  co_await refuse(exchange, ReplyCode::command_not_supported, "command-not-supported");
}

}  // namespace

Task<> session(Socket client, std::shared_ptr<SessionControl> control,
               const SessionServices& services) {
  // Cancellation is a value here, as every failure is: what was waited for returns
  // operation_aborted, and control->stopped() says why.
  co_await asio::this_coro::throw_if_cancelled(false);

  OpenRecord& record = control->record();
  record->end = SessionEnd::internal;

  // Stages 3 and 4: what does the client want, and who is it?
  const std::shared_ptr<const Policy> policy = services.policy;
  const Client from = record->client;
  const ServerHandshake::Options options{.socks4 = services.listeners[control->listener()].socks4};
  const Reception reception{from,         policy->auth.methods_for(control->listener(), from),
                            policy->auth, services.auth,
                            options,      services.handshake_deadlines};
  HandshakeResult asked = co_await handshake(client, reception);
  if (asked.end != HandshakeEnd::request) {
    record->end = end_of(asked);
    record->reason = reason_of(asked);
    record->reply = asked.reply;
    record.stop_clock();
    if (asked.answered) {
      co_await farewell(client, services.farewell_deadlines);
    }
    co_return;
  }
  record->user = asked.user;
  record->command = asked.request.command;
  record->target = text(asked.request.target).view();

  // ---- From here on there is a well-formed request, and the client is owed exactly one reply.
  // ----

  Exchange exchange{client,
                    *control,
                    services,
                    policy,
                    {record->client, control->listener(), std::move(asked.user)},
                    std::move(asked.request),
                    std::move(asked.early),
                    asked.socks4};
  record->reason_owner = exchange.policy;
  co_await serve(exchange);
  if (exchange.peer) {
    carry(std::move(client), exchange, std::move(control));
  }
}

}  // namespace socks64::gateway
