#include <utility>

#include "exchange.hpp"
#include "keep_alive.hpp"
#include "relay.hpp"
#include "reply.hpp"
#include "reset_watch.hpp"

namespace socks64::gateway {
namespace {

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

}  // namespace

Task<> carry(Exchange& exchange, Socket& peer) {
  // As on the client's side: a destination that has vanished is not to hold a session for ever.
  keep_alive(peer.native_handle());
  const SessionServices& services = exchange.services;
  const RelayReport carried =
      co_await relay(exchange.client, peer, exchange.early, services.relay_limits,
                     services.relay_pool, exchange.ticket.bandwidth());
  OpenRecord& record = exchange.record();
  record->octets_up = carried.octets_up;
  record->octets_down = carried.octets_down;
  record->end = end_of(carried.end);
}

Task<> serve_connect(Exchange& exchange) {
  // Stages 6 and 7: resolve and dial. Every address is judged right before it is dialled.
  std::string_view denied = describe(Failure::denied);
  const AddressFilter permit = [&exchange, &denied](const Endpoint& address) {
    return exchange.permits(address, denied);
  };
  const SourceChoice source = [&exchange](const Endpoint& address) {
    return source_address(*exchange.policy, exchange.requester, Command::connect,
                          exchange.request.target, address);
  };
  DialWishes wishes;
  wishes.prefer =
      preference(*exchange.policy, exchange.requester, Command::connect, exchange.request.target);
  wishes.source_for = &source;
  DialResult reached;
  {
    const ResetWatch watch(exchange.client, exchange.control);
    reached = co_await exchange.services.dialer.dial(exchange.request.target, permit, wishes);
  }
  OpenRecord& record = exchange.record();
  record->attempts = reached.attempts;
  record->resolve_time = reached.resolve_time;
  record->connect_time = reached.connect_time;
  if (exchange.stopped()) co_return;
  if (reached.failure != Failure::none) {
    const std::string_view reason =
        reached.failure == Failure::denied ? denied : describe(reached.failure);
    co_return co_await refuse(exchange, reply_code(reached.failure), reason);
  }

  // ---- From here on the destination is connected: only now may the client hear of success. ----

  record->address = reached.remote;
  if (!exchange.reply(ReplyCode::succeeded, reached.local)) co_return;

  // Stage 8: carry octets until both sides are done.
  co_await carry(exchange, *reached.socket);
}

}  // namespace socks64::gateway
