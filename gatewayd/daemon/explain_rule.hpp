// gatewayd --explain-rule: which rule decides about a request, and why.
#ifndef SOCKS64_GATEWAYD_EXPLAIN_RULE_HPP
#define SOCKS64_GATEWAYD_EXPLAIN_RULE_HPP

#include <string_view>

#include "config/config.hpp"

namespace socks64::gateway {

/// `request`: "client=192.0.2.9 user=alice target=example.com:443 command=connect
/// listener=[::]:1080 address=2001:db8::7 resolve=yes", words in any order; client and target are
/// needed, address may come several times. Asks no DNS server unless resolve=yes. Prints to stdout.
/// The exit status: 0 allowed (one address is enough), 1 denied, 2 the request cannot be read, or
/// it depends on an address that is not given.
[[nodiscard]] int explain_rule(std::string_view request, const Config& config);

}  // namespace socks64::gateway

#endif
