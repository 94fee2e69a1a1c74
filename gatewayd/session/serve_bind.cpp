// BIND, RFC 1928 section 4: two replies on one stream, then a relay like any other.
#include <functional>
#include <optional>
#include <string_view>
#include <utility>

#include "authorise/judged_filter.hpp"
#include "base/failure.hpp"
#include "base/local_end.hpp"
#include "bind/bind.hpp"
#include "bind/expected_peer.hpp"
#include "bind/peer_wait.hpp"
#include "handshake/reply.hpp"
#include "session/exchange.hpp"
#include "session/reset_watch.hpp"

namespace socks64::gateway {
namespace {

/// Our end of the client's connection; a UNIX socket has no address.
std::optional<IpAddress> local_address_of(Socket& client) noexcept {
  const std::optional<Endpoint> local = local_end_of(client.native_handle());
  return local ? std::optional(local->address.unmapped()) : std::nullopt;
}

}  // namespace

Task<> serve_bind(Exchange& exchange) {
  const BindServices& services = *exchange.services.bind;
  const Target& target = exchange.request.target;
  OpenRecord& record = exchange.record();

  // Stage 6: whom does DST name? Those who may not connect are not waited for.
  JudgedFilter judged(*exchange.policy, exchange.requester, exchange.request);
  const AddressFilter may_come = std::ref(judged);
  const std::optional<IpAddress> client = local_address_of(exchange.client);
  // A reply of SOCKS4 has no room for an IPv6 address, and its client nothing else to pass on.
  DialWishes wishes;
  wishes.ipv6 = !exchange.socks4;
  Expectation expected;
  {
    const ResetWatch watch(exchange.client, exchange.control);
    expected = co_await expect_peer(services, target, may_come, client, wishes);
  }
  record->resolve_time = expected.resolve_time;
  if (exchange.stopped()) {
    co_return;
  }
  if (expected.failure != Failure::none) {
    const std::string_view reason =
        expected.failure == Failure::denied ? judged.reason() : describe(expected.failure);
    co_return co_await refuse(exchange, reply_code(expected.failure), reason);
  }
  Rendezvous rendezvous = open_rendezvous(services.config, expected.local, port_of(target),
                                          services.dial.source.interface);
  if (rendezvous.failure != Failure::none) {
    co_return co_await refuse(exchange, reply_code(rendezvous.failure),
                              describe(rendezvous.failure));
  }

  // ---- From here on a peer can connect: only now may the client hear where. ----

  if (!exchange.reply(ReplyCode::succeeded, rendezvous.announced)) {
    co_return;
  }

  // Stage 7: the peer is judged as the one that it turns out to be.
  const AddressFilter is_right = [&judged, &expected](const Endpoint& peer) {
    return expected.peer.matches(peer) && judged.allows(peer);
  };
  PeerArrival arrival = co_await wait_for_peer(exchange.client, exchange.early, rendezvous,
                                               is_right, services.config.timeout);
  record->attempts = arrival.connections;
  record->connect_time = arrival.time;
  if (exchange.stopped()) {
    co_return;
  }
  switch (arrival.end) {
    case PeerArrival::End::peer:
      break;
    case PeerArrival::End::timed_out:
      co_return co_await refuse(exchange, reply_code(Failure::timed_out), "bind-timeout");
    case PeerArrival::End::client_ended:
      // One that has shut down its side alone still hears that it was taken for gone.
      co_await refuse(exchange, ReplyCode::general_failure, {});
      record->end = SessionEnd::client_gone;
      co_return;
    case PeerArrival::End::client_reset:
      record->end = SessionEnd::client_gone;
      co_return;
    case PeerArrival::End::cancelled:
    case PeerArrival::End::no_resources:
      co_return co_await refuse(exchange, ReplyCode::general_failure,
                                describe(Failure::no_resources));
  }

  // ---- From here on the right peer is connected, and nobody else can. ----

  record->address = arrival.remote;
  if (!exchange.reply(ReplyCode::succeeded, arrival.remote)) {
    co_return;
  }
  exchange.peer = std::move(arrival.socket);
}

}  // namespace socks64::gateway
