// What became of a client's attempt to say who it is, and how that is told.
#ifndef SOCKS64_GATEWAYD_AUTH_RESULT_HPP
#define SOCKS64_GATEWAYD_AUTH_RESULT_HPP

#include <cstdint>
#include <string>
#include <string_view>

#include "base/client.hpp"

namespace socks64::gateway {

enum class AuthResult : std::uint8_t {
  good,
  wrong_password,
  unknown_user,
  locked_user,
  broken_hash,           ///< the users file holds a hash that cannot be computed
  busy,                  ///< too many passwords wait to be verified
  no_acceptable_method,  ///< the client offers none of those that it may use
  interrupted,           ///< the deadline passed, or the session was cancelled
};

/// "wrong-password" and so on, for logs. The client learns nothing but "no".
[[nodiscard]] std::string_view describe(AuthResult result) noexcept;

/// The one line per failure that tools such as fail2ban look for (conf/fail2ban/):
/// `authentication failed for user "NAME" from ADDRESS (REASON)`. The name is the client's and
/// escaped, so it cannot end its quotes or the line; the address is the kernel's.
[[nodiscard]] std::string failure_line(std::string_view user, const Client& from,
                                       AuthResult result);

/// Who takes turns in PasswordPool: an IPv4 address, the /64 that an IPv6 address lies in (its
/// owner has all of it), or the user at the other end of a UNIX socket.
[[nodiscard]] std::string turn_of(const Client& from);

}  // namespace socks64::gateway

#endif
