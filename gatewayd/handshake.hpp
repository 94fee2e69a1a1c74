// Stage 3: from an accepted connection to a request, under one deadline.
#ifndef SOCKS64_GATEWAYD_HANDSHAKE_HPP
#define SOCKS64_GATEWAYD_HANDSHAKE_HPP

#include <cstdint>
#include <optional>
#include <vector>

#include "socks64/message.hpp"
#include "socks64/server_handshake.hpp"

#include "deadline.hpp"
#include "net.hpp"

namespace socks64::gateway {

enum class HandshakeEnd : std::uint8_t {
  request,    ///< `request` is set: it is the session's turn to reply
  refused,    ///< not a request that we take; the protocol's answer, if it has one, is sent
  closed,     ///< EOF before the request was complete
  reset,      ///< RST, or any other error of the connection
  timed_out,  ///< the deadline passed
  cancelled,
};

struct HandshakeResult {
  HandshakeEnd end = HandshakeEnd::reset;
  Errc error = Errc::ok;           ///< with `refused`
  bool spoke = false;              ///< the client sent at least one octet
  bool answered = false;           ///< with `refused`: a last message was sent and should arrive
  std::optional<ReplyCode> reply;  ///< with `refused`: the REP in that message, if it was a reply
  bool socks4 = false;  ///< the client speaks SOCKS4, and `reply` is what its reply stands for
  Request request;
  std::vector<std::uint8_t> early;  ///< what came behind the request, in the same read
};

/// Reads in pieces of at most 1 KiB and not at all after the request: what a client sends early
/// beyond that stays in the kernel until the relay takes it, and its window closes by itself.
[[nodiscard]] Task<HandshakeResult> handshake(Socket& client, DeadlineQueue& deadlines,
                                              ServerHandshake::Options options);

/// Writes a handshake message without waiting; false when the connection is broken. A handshake
/// sends less than 300 octets in all, on a connection whose send buffer is empty: if they do not
/// fit at once, nothing ever will.
[[nodiscard]] bool send_now(Socket& client, Bytes message) noexcept;

}  // namespace socks64::gateway

#endif
