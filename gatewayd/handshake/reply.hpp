// The one table from a failure to the REP code of RFC 1928 section 6.
#ifndef SOCKS64_GATEWAYD_REPLY_HPP
#define SOCKS64_GATEWAYD_REPLY_HPP

#include "socks64/message.hpp"

#include "base/failure.hpp"

namespace socks64::gateway {

[[nodiscard]] ReplyCode reply_code(Failure failure) noexcept;

/// For RESOLVE and RESOLVE_PTR (docs/extensions.md), whose clients want to know one thing: 4 is
/// "there is none", 1 is "that cannot be told now".
[[nodiscard]] ReplyCode look_up_reply_code(Failure failure) noexcept;

}  // namespace socks64::gateway

#endif
