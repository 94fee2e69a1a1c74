// A gateway that serves whoever reaches it is a gift to those who look for one. Pure.
#ifndef SOCKS64_GATEWAYD_OPEN_RELAY_HPP
#define SOCKS64_GATEWAYD_OPEN_RELAY_HPP

#include <string>
#include <vector>

#include "socks64/address.hpp"

#include "rules/rules.hpp"

namespace socks64::gateway {

struct ExposedListener {
  std::string text;  ///< ListenAddress::text()
  IpAddress address;
  /// Whether some client may use the method "none" there.
  bool without_authentication = true;
};

/// The listeners that would serve everybody who reaches them: those beyond loopback where a client
/// need not authenticate and some rule - or the absence of any - allows clients that are not named.
/// The rules that count are those that allow, apply to the listener, have no `users` and stand
/// before any rule that denies everything there. Such a rule is open if it has no `clients`, or if
/// its clients and those of the rules before it are everybody together (rule_sets.hpp). One problem
/// for each listener, of several lines: which rule it is, and the lines of TOML and the option that
/// make it safe. Leave UNIX listeners out: the permissions of their files judge.
[[nodiscard]] std::vector<std::string> open_relays(const std::vector<ExposedListener>& listeners,
                                                   const std::vector<Rule>& rules);

}  // namespace socks64::gateway

#endif
