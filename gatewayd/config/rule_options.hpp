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

/// - allow_from: only these clients, and those on UNIX sockets; a rule of its own, which needs a
///   file without any.
/// - allow_to: a rule in front that allows these destinations, protected ones included; to whom
///   allow_from says, if it says anything. Where there are no other rules, everything else stays
///   allowed.
/// What is wrong, or nothing.
[[nodiscard]] std::string apply(const RuleOptions& options, std::vector<Rule>& rules);

}  // namespace socks64::gateway

#endif
