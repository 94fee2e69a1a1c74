// The DNS queries that a program sends itself, past getaddrinfo: which destinations are resolvers,
// what `dns` says of them, and the answer.
//
// - answer: answered in the process; A, AAAA and PTR as getaddrinfo and getnameinfo would, other
//   types empty.
// - gateway: A, AAAA and PTR by UDP are answered in the process; for other types the answer is
//   truncated, so that the client comes back by TCP, and TCP to a resolver goes through the gateway
//   as any connection does. (What it says of addresses is the truth then, and no fake.) A resolver
//   on this host cannot be reached through the gateway, and is answered for in all.
// - refuse: datagrams are refused with ENETUNREACH, also those to a resolver on this host; by TCP
//   that one is refused too, others are reached through the gateway.
// - direct: nothing is done about them.
//
// res_query and its kin have no socket of the program's: they are answered in the process, except
// with direct.
//
// A query for a name that a rule makes direct is libc's to answer, of whatever type: it goes to the
// resolvers of the host (not to the one that the program chose), and what it says of addresses is
// remembered as with getaddrinfo. The call that sends the query waits for the answer.
//
// Where a rule says direct or refuse of a resolver's address, or of port 53, it is obeyed.
#ifndef SOCKS64_SHIM_DNS_ROUTE_HPP
#define SOCKS64_SHIM_DNS_ROUTE_HPP

#include <span>

#include "socks64/address.hpp"

#include "dns/dns_answer.hpp"
#include "settings/config.hpp"
#include "tables/fake_ip_table.hpp"

namespace socks64::shim {

inline constexpr Port dns_port = 53;

enum class DnsRoute : std::uint8_t {
  none,    ///< not a resolver, or one like any other host: the policy decides
  answer,  ///< in the process
  refuse,
  direct,
};

/// A resolver is any other host at port 53, and of this host's own addresses those that
/// /etc/resolv.conf names (127.0.0.53, say), or 127.0.0.1 and ::1 where it names none.
[[nodiscard]] DnsRoute dns_route(const Config& config, const FakeIpTable& fakes,
                                 const Endpoint& destination, DnsTransport transport) noexcept;

/// answer_dns() with the names of this process. `resolver` is where the query was going.
[[nodiscard]] std::size_t answer_query(Bytes query, DnsTransport transport,
                                       const IpAddress& resolver,
                                       std::span<std::uint8_t, dns_max_answer> out) noexcept;

/// The same for a query that was going to whatever libc would have asked.
[[nodiscard]] std::size_t answer_query(Bytes query,
                                       std::span<std::uint8_t, dns_max_answer> out) noexcept;

/// Remembers the addresses in an answer for a name that `rule` makes direct.
void note_direct_answer(const Rule& rule, Bytes answer) noexcept;

}  // namespace socks64::shim

#endif
