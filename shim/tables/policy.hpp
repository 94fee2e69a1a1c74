// What to do with an address a program wants to reach. Pure: a function of the configuration and
// the mapping table.
#ifndef SOCKS64_SHIM_POLICY_HPP
#define SOCKS64_SHIM_POLICY_HPP

#include <cerrno>
#include <string_view>
#include <variant>

#include "socks64/address.hpp"
#include "socks64/message.hpp"

#include "settings/config.hpp"
#include "tables/fake_ip_table.hpp"

namespace socks64::shim {

struct Direct {};
struct ViaGateway {
  Target target;  ///< the name behind a fake address, or the address itself
};
struct Refuse {
  int error;  ///< the errno to fail with
};
using Decision = std::variant<Direct, ViaGateway, Refuse>;

/// What a rule that refuses makes of a connect: connect(2) has it for a local firewall's rule, and
/// reply code 2 becomes it too.
inline constexpr int refused_errno = EACCES;

/// For stream sockets. Loopback and "this host" (0.0.0.0, ::) are direct unless a rule made for
/// loopback addresses says otherwise; the gateways themselves are direct; the rules decide on the
/// rest. Where none matches, a link-local address is direct unless the configuration says
/// otherwise, and everything else goes through the gateway. A fake address stands for its name; it
/// goes through the gateway where a rule says direct, for it must never reach the wire. One that
/// nobody was given is refused with EHOSTUNREACH, whatever else is configured.
[[nodiscard]] Decision decide_stream(const Config& config, const FakeIpTable& table,
                                     const Endpoint& destination) noexcept;

/// For datagrams: direct or refused. A fake address is refused with EHOSTUNREACH, what a rule
/// refuses with `refused_errno`, another host with ENETUNREACH unless a rule or `udp = direct`
/// allows it, or its address is link-local and those are direct.
[[nodiscard]] Decision decide_datagram(const Config& config, const FakeIpTable& table,
                                       const Endpoint& destination) noexcept;

/// The rule for an address that is no loopback address: of those for it and the one that made a
/// name direct which libc gave it for, the first. Null: none.
[[nodiscard]] const Rule* rule_for(const Rules& rules, const IpAddress& address,
                                   Port port) noexcept;

struct NameDecision {
  /// direct: libc looks the name up, as without us. gateway: the name gets a fake address.
  /// refuse: there is no such name.
  RuleAction action = RuleAction::gateway;
  /// A rule is for this name, not for everything: then /etc/hosts and localhost do not go before
  /// gateway and refuse.
  bool by_name = false;
  /// The rule that was found; null: none.
  const Rule* rule = nullptr;
};

/// For look-ups. A name with a rule for some of its ports is the gateway's: only behind a fake
/// address will it be recognised when the port is known.
[[nodiscard]] NameDecision decide_name(const Config& config, std::string_view name) noexcept;

/// Whether libc answers, as without us, what is asked of an address: literals that would be
/// delegated as names, and which name an address has. Not for a fake address.
[[nodiscard]] bool asks_libc(const Config& config, const IpAddress& address) noexcept;

/// Whether libc answers everything: nothing gets a fake address here.
[[nodiscard]] bool asks_libc_always(const Config& config) noexcept;

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
