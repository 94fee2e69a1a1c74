// [[rule]] of the configuration, as rules.hpp has it. Without Asio, so that the fuzzers reach it.
#ifndef SOCKS64_GATEWAYD_CONFIG_RULES_HPP
#define SOCKS64_GATEWAYD_CONFIG_RULES_HPP

#include <string>
#include <string_view>
#include <vector>

#include "config/config_reader.hpp"
#include "rules/rules.hpp"

namespace socks64::gateway {

/// Reads every [[rule]]; `listeners` are those that rules may name, as ListenAddress::text() has
/// them. A rule with a problem is not among the result.
[[nodiscard]] std::vector<Rule> read_rules(TableReader& root,
                                           const std::vector<std::string>& listeners);

/// What is wrong with an entry of `to`, or nothing; it is added when it is good.
[[nodiscard]] std::string add_destination(DestinationSet& to, std::string_view text);
/// An address block as rules write it; what is wrong with it, or nothing.
[[nodiscard]] std::string parse_network(std::string_view text, Prefix& out);

}  // namespace socks64::gateway

#endif
