// One line for each connect (SOCKS64_LOG=explain): what was asked, what was decided and why, how it
// ended and when; and one for each look-up that a rule takes from the gateway.
#ifndef SOCKS64_SHIM_EXPLAIN_HPP
#define SOCKS64_SHIM_EXPLAIN_HPP

#include <string_view>
#include <sys/socket.h>

#include "descriptors/connection.hpp"
#include "tables/policy.hpp"

namespace socks64::shim {

[[nodiscard]] bool explains() noexcept;

/// A connect that the gateway has no part in; `error` is its errno, 0 for success. Leaves errno
/// alone, as all here.
void explain_direct(int fd, const Endpoint& destination, int error, Nanoseconds started) noexcept;
void explain_refused(int fd, const Endpoint& destination, int error) noexcept;

/// A look-up that `rule` decides: the name is this host's to look up, or nobody's.
void explain_name(std::string_view name, const Rule& rule) noexcept;

/// A connect through the gateway has ended: `error` 0 for success, negative when the kernel alone
/// knows it; `who` says who failed.
void explain_outcome(const PendingHandshake& handshake, int error, std::string_view who) noexcept;

}  // namespace socks64::shim

#endif
