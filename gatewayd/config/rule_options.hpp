// Rules that come from the command line: --allow-from and --allow-to.
#ifndef SOCKS64_GATEWAYD_RULE_OPTIONS_HPP
#define SOCKS64_GATEWAYD_RULE_OPTIONS_HPP

#include <string>
#include <vector>

#include "socks64/prefix.hpp"

#include "rules/rules.hpp"

namespace socks64::gateway {

struct RuleOptions {
  std::vector<Prefix> allow_from;
  std::vector<Prefix> allow_to;
};

/// Adds the rules of the options; returns what is wrong, or nothing.
/// - allow_from: a rule for these clients and those on UNIX sockets alone. It is an error if the
///   file has rules.
/// - allow_to: a rule, before all others, that allows these destinations, even protected ones. It
///   is for the clients of allow_from, if there are any. If there are no other rules, everything
///   else stays allowed.
[[nodiscard]] std::string apply(const RuleOptions& options, std::vector<Rule>& rules);

}  // namespace socks64::gateway

#endif
