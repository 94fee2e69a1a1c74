// Stages 3 and 4: from an accepted connection to a request and who makes it, under one deadline.
#ifndef SOCKS64_GATEWAYD_HANDSHAKE_HPP
#define SOCKS64_GATEWAYD_HANDSHAKE_HPP

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "socks64/message.hpp"
#include "socks64/server_handshake.hpp"

#include "auth/auth_policy.hpp"
#include "auth/auth_result.hpp"
#include "handshake/authenticate.hpp"
#include "loop/deadline.hpp"
#include "loop/net.hpp"

namespace socks64::gateway {

enum class HandshakeEnd : std::uint8_t {
  request,      ///< `request` is set: it is the session's turn to reply
  auth_failed,  ///< `auth` says why; the protocol's answer is sent, the line is in the log
  refused,      ///< not a request that we take; the protocol's answer, if it has one, is sent
  closed,       ///< EOF before the request was complete
  reset,        ///< RST, or any other error of the connection
  timed_out,    ///< the deadline passed
  cancelled,
};

struct HandshakeResult {
  HandshakeEnd end = HandshakeEnd::reset;
  Errc error = Errc::ok;  ///< with `refused`
  AuthResult auth = AuthResult::good;
  bool spoke = false;  ///< the client sent at least one octet
  bool answered =
      false;  ///< with `refused` and `auth_failed`: a last message was sent and should arrive
  std::optional<ReplyCode> reply;  ///< with `refused`: the REP in that message, if it was a reply
  bool socks4 = false;  ///< the client speaks SOCKS4, and `reply` is what its reply stands for
  std::string user;     ///< empty: not authenticated
  Request request;
  std::vector<std::uint8_t> early;  ///< what came behind the request, in the same read
};

/// What a client is met with.
struct Reception {
  const Client& from;
  std::span<const Method> methods;  ///< AuthPolicy::methods_for() this client
  const AuthPolicy& policy;
  const AuthServices& services;
  ServerHandshake::Options options;
  DeadlineQueue& deadlines;
};

/// Reads in pieces of at most 1 KiB and not at all after the request: what a client sends early
/// beyond that stays in the kernel until the relay takes it, and its window closes by itself.
/// Passwords are wiped wherever they have been. After a wrong one the connection ends without a
/// delay of ours: it has cost a hash, and a wait would only keep sessions open.
[[nodiscard]] Task<HandshakeResult> handshake(Socket& client, const Reception& reception);

/// Writes a handshake message without waiting; false when the connection is broken. A handshake
/// sends less than 300 octets in all, on a connection whose send buffer is empty: if they do not
/// fit at once, nothing ever will.
[[nodiscard]] bool send_now(Socket& client, Bytes message) noexcept;

}  // namespace socks64::gateway

#endif
