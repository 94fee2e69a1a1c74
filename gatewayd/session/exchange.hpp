// A well-formed request on its way to its reply: what the spine (session.cpp) hands to the verb
// that serves the command.
#ifndef SOCKS64_GATEWAYD_EXCHANGE_HPP
#define SOCKS64_GATEWAYD_EXCHANGE_HPP

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "socks64/message.hpp"

#include "authorise/authorise.hpp"
#include "loop/net.hpp"
#include "session/session_control.hpp"
#include "session/session_services.hpp"

namespace socks64::gateway {

struct Exchange {
  Socket& client;
  SessionControl& control;
  const SessionServices& services;
  std::shared_ptr<const Policy> policy;
  Requester requester;
  Request request;
  std::vector<std::uint8_t> early;  ///< what the client sent behind its request
  bool socks4 = false;              ///< the client speaks SOCKS4, so its replies do
  UserCounts::Ticket ticket{};      ///< of the user, once admitted
  /// Whom the verb has reached, and the client has heard of: the spine carries octets between them.
  std::optional<Socket> peer{};

  [[nodiscard]] OpenRecord& record() const noexcept { return control.record(); }

  /// Sends a reply without waiting and notes it in the record; false, with the end noted as
  /// client_gone, when the client is gone. `bound`: all zero where it has no meaning.
  [[nodiscard]] bool reply(ReplyCode code, const Target& bound) const noexcept;
  /// Whether the session was stopped meanwhile; what is left to do then has been noted: nothing if
  /// the client is gone, a failing reply at shutdown. For after every wait that comes before a
  /// reply.
  [[nodiscard]] bool stopped() const noexcept;
};

/// The failing reply (RFC 1928 section 6), its reason in the record, and the farewell.
[[nodiscard]] Task<> refuse(const Exchange& exchange, ReplyCode code, std::string_view reason);

// The verbs, one for each command; each sends the reply that the client is owed.

/// CONNECT: dial, reply.
[[nodiscard]] Task<> serve_connect(Exchange& exchange);
/// BIND: listen, reply, wait for the peer, reply again.
[[nodiscard]] Task<> serve_bind(Exchange& exchange);
/// RESOLVE and RESOLVE_PTR (docs/extensions.md).
[[nodiscard]] Task<> serve_look_up(Exchange& exchange);
/// UDP ASSOCIATE: open the client's side, reply, relay datagrams until the connection ends.
[[nodiscard]] Task<> serve_udp_associate(Exchange& exchange);

}  // namespace socks64::gateway

#endif
