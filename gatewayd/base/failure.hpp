// Why a session did not reach its target: the one vocabulary between the stages; reply.cpp turns it
// into a REP code.
#ifndef SOCKS64_GATEWAYD_FAILURE_HPP
#define SOCKS64_GATEWAYD_FAILURE_HPP

#include <cstdint>
#include <string_view>

namespace socks64::gateway {

enum class Failure : std::uint8_t {
  none,
  // names
  name_invalid,    ///< not a name that DNS can carry: empty label, label over 63, NUL, over 255
  name_not_found,  ///< NXDOMAIN, or no address of a usable family
  name_timeout,    ///< no server answered in time
  name_failed,     ///< SERVFAIL, refused, garbage
  // destinations
  refused,
  network_unreachable,
  host_unreachable,
  timed_out,
  bad_port,  ///< port 0
  // the gateway itself
  denied,        ///< a rule said no (also for every resolved address)
  no_resources,  ///< descriptors, memory, or a limit of ours
  shutting_down,
  internal,
};

/// Short, stable, lower-case, for access records: "refused", "name-not-found", ...
[[nodiscard]] std::string_view describe(Failure failure) noexcept;

/// From an errno of connect(2) or socket(2); anything unknown is `internal`.
[[nodiscard]] Failure failure_from_errno(int error) noexcept;

}  // namespace socks64::gateway

#endif
