// Stage 4: who is it? One name and password of a client judged, off the worker, under the
// handshake's deadline. The method that carried them (RFC 1929; SOCKS4 has none) is
// handshake.cpp's.
//
// GSSAPI (RFC 1961) will come in here as a method that leaves more than a name behind: a wrap for
// the stream and for each datagram. docs/architecture.md says where it goes.
#ifndef SOCKS64_GATEWAYD_AUTHENTICATE_HPP
#define SOCKS64_GATEWAYD_AUTHENTICATE_HPP

#include "socks64/message.hpp"

#include "auth/auth_policy.hpp"
#include "auth/auth_result.hpp"
#include "auth/password_pool.hpp"
#include "loop/deadline.hpp"
#include "loop/net.hpp"

namespace socks64::gateway {

class Log;

/// What stage 4 uses; all of it outlives the session.
struct AuthServices {
  PasswordPool& passwords;
  Log& log;
};

/// `deadline` is the handshake's: when it passes, the answer is `interrupted`, and a late verdict
/// is dropped. So is it when the coroutine is cancelled.
[[nodiscard]] Task<AuthResult> authenticate(const AuthServices& services, const AuthPolicy& policy,
                                            const Client& from, const UserPass& credentials,
                                            DeadlineQueue::Entry& deadline);

}  // namespace socks64::gateway

#endif
