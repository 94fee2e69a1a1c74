// The end of a connection behind the last reply.
#ifndef SOCKS64_GATEWAYD_FAREWELL_HPP
#define SOCKS64_GATEWAYD_FAREWELL_HPP

#include <sys/types.h>

#include "loop/deadline.hpp"
#include "loop/net.hpp"

namespace socks64::gateway {

/// RFC 1928 section 6: "the SOCKS server MUST terminate the TCP connection shortly after sending
/// the [failing] reply. This must be no more than 10 seconds". Not at once, though: closing a
/// socket that holds unread octets - the early data of a client that did not wait - sends an RST,
/// and an RST destroys the reply that has not been read yet. So: FIN behind the reply, then throw
/// away what the client still sends until it closes too, but no longer than the farewell deadline.
[[nodiscard]] Task<> farewell(Socket& client, DeadlineQueue& deadlines);

/// Throws away what the client has sent, one piece of it, without waiting; as recv(2).
ssize_t discard(int client) noexcept;

}  // namespace socks64::gateway

#endif
