#include <cerrno>
#include <optional>
#include <utility>

#include "authorise/policy.hpp"
#include "base/local_end.hpp"
#include "session/exchange.hpp"
#include "udp/udp_association.hpp"
#include "udp/udp_socket.hpp"

namespace socks64::gateway {
namespace {

SessionEnd end_of(UdpEnd end) noexcept {
  switch (end) {
    case UdpEnd::client_closed:
      return SessionEnd::client_closed;
    case UdpEnd::client_reset:
      return SessionEnd::client_reset;
    case UdpEnd::idle_timeout:
      return SessionEnd::idle_timeout;
    case UdpEnd::no_resources:
      return SessionEnd::no_resources;
    case UdpEnd::cancelled:
      break;
  }
  return SessionEnd::shutdown;
}

/// BND: where the client is to send its datagrams, which behind a NAT is not the address we see.
Endpoint bound_address(const UdpConfig& config, const Endpoint& local) noexcept {
  const std::optional<IpAddress>& advertised = config.advertise.of(local.address.family());
  return {advertised.value_or(local.address), local.port};
}

}  // namespace

Task<> serve_udp_associate(Exchange& exchange) {
  UdpService& service = *exchange.services.udp;
  // The datagrams of a client on a UNIX socket would come from nowhere in particular: there is no
  // address by which to tell them from anybody else's.
  if (exchange.requester.client.process) {
    co_return co_await refuse(exchange, ReplyCode::command_not_supported, "udp-on-unix-socket");
  }
  const Ticket<Counter> ticket = service.limit.admit(exchange.policy->limits.udp.associations);
  if (!ticket) {
    co_return co_await refuse(exchange, ReplyCode::general_failure, "udp-associations-limit");
  }
  const std::optional<Endpoint> local = local_end_of(exchange.client.native_handle());
  if (!local) {
    exchange.record()->end = SessionEnd::client_gone;
    co_return;
  }
  UdpSocket opened = open_udp_socket(local->address, service.config.ports);
  if (!opened.socket) {
    const std::string_view reason =
        opened.error == EADDRINUSE ? "udp-ports-exhausted" : describe(Failure::no_resources);
    co_return co_await refuse(exchange, ReplyCode::general_failure, reason);
  }

  // ---- From here on the port is open: what the client sends there waits for us. ----

  if (!exchange.reply(ReplyCode::succeeded, bound_address(service.config, opened.local))) {
    co_return;
  }
  OpenRecord& record = exchange.record();
  record->datagrams = std::make_unique<UdpCounts>();
  UdpCounts& counts = *record->datagrams;
  UdpOpening opening{
      std::move(opened.socket),
      ClientSource(exchange.requester.client.endpoint.address, exchange.request.target)};
  const AssociationServices services{service, exchange.services.udp_pool, exchange.services.policy};
  const UdpEnd end =
      co_await relay_datagrams(exchange.client, std::move(opening), exchange.requester, services,
                               counts, exchange.ticket.bandwidth());
  record->octets_up = counts.octets_up;
  record->octets_down = counts.octets_down;
  record->end = end_of(end);
}

}  // namespace socks64::gateway
