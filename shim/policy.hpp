// What to do with an address a program wants to reach. Pure: a function of the configuration and
// the mapping table.
#ifndef SOCKS64_SHIM_POLICY_HPP
#define SOCKS64_SHIM_POLICY_HPP

#include <variant>

#include "socks64/address.hpp"
#include "socks64/message.hpp"

#include "config.hpp"
#include "fake_ip_table.hpp"

namespace socks64::shim {

struct Direct {};
struct ViaGateway {
  Target target;  ///< the name behind a fake address, or the address itself
};
struct Refuse {
  int error;  ///< the errno to fail with
};
using Decision = std::variant<Direct, ViaGateway, Refuse>;

/// For stream sockets. Loopback, "this host" (0.0.0.0, ::) and the gateways themselves are direct;
/// a fake address nobody was given is refused with EHOSTUNREACH, whatever else is configured: it
/// must never reach the wire.
[[nodiscard]] Decision decide_stream(const Config& config, const FakeIpTable& table,
                                     const Endpoint& destination) noexcept;

/// For datagrams: direct or refused. A fake address is refused with EHOSTUNREACH, another host with
/// ENETUNREACH unless `udp = direct`.
[[nodiscard]] Decision decide_datagram(const Config& config, const FakeIpTable& table,
                                       const Endpoint& destination) noexcept;

/// REP -> errno, RFC 1928 section 6; the one table of it.
///   1 general failure ECONNABORTED, 2 not allowed EACCES, 3 network unreachable ENETUNREACH, 4
///   host unreachable EHOSTUNREACH, 5 refused ECONNREFUSED, 6 TTL expired ETIMEDOUT, 7 command
///   EOPNOTSUPP, 8 address type EAFNOSUPPORT, others ECONNABORTED.
/// Precondition: not `succeeded`.
[[nodiscard]] int errno_of(ReplyCode code) noexcept;

/// A handshake that failed before a reply -> errno: authentication EACCES, a closed stream
/// ECONNRESET, garbage EPROTO.
[[nodiscard]] int errno_of(Errc error) noexcept;

}  // namespace socks64::shim

#endif
