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
/// Every rule that allows counts that applies to the listener, has no `users` and stands before a
/// rule that denies everything there; it is open without `clients`, or when its clients and those
/// of the others together are everybody (rule_sets.hpp). A problem for each, of several lines:
/// which rule it is, and the lines of TOML and the option that would make it safe. Leave UNIX
/// listeners out: the permissions of their files judge.
[[nodiscard]] std::vector<std::string> open_relays(const std::vector<ExposedListener>& listeners,
                                                   const std::vector<Rule>& rules);

}  // namespace socks64::gateway

#endif
