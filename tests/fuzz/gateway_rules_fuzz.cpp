// Rules: the first octets choose who asks, the rest is the configuration file. What is decided
// before all is known must hold once it is: a refusal stays one, a permission too, and when all is
// known nothing stays open. With [[rule]]s that refuse all, nobody gets anywhere.
#include <array>
#include <optional>
#include <string_view>

#include "config/config.hpp"
#include "fuzz.hpp"
#include "rules/rule_table.hpp"

namespace {

using namespace socks64;
using fuzz::require;
using gateway::Client;
using gateway::Decision;
using gateway::RuleQuery;
using Outcome = Decision::Outcome;

IpAddress ip(std::string_view text) {
  return *IpAddress::parse(text);
}

const std::array<Client, 4> clients{
    Client(Endpoint{ip("127.0.0.1"), 5}), Client(Endpoint{ip("10.1.2.3"), 5}),
    Client(Endpoint{ip("2001:db8::7"), 5}), Client(Client::Process{1000, 7})};
constexpr std::array<std::string_view, 4> users{"", "alice", "bob", "*"};
constexpr std::array<Command, 4> commands{Command::connect, Command::bind, Command::udp_associate,
                                          Command::resolve};
constexpr std::array<std::string_view, 4> names{"", "example.com", "a.example.com", "com"};
const std::array<IpAddress, 6> addresses{ip("127.0.0.1"),   ip("10.0.0.1"),        ip("192.0.2.7"),
                                         ip("2001:db8::1"), ip("64:ff9b::7f00:1"), ip("::1")};
constexpr std::array<Port, 4> ports{1, 80, 443, 65535};

/// However many rules there are, their index decides as they do one after the other.
Decision decide(const gateway::RuleTable& indexed, const std::vector<gateway::Rule>& rules,
                const RuleQuery& query) {
  const Decision decision = gateway::decide(rules, query);
  const Decision by_index = gateway::decide(indexed, query);
  require(by_index.outcome == decision.outcome);
  require((by_index.rule == nullptr) == (decision.rule == nullptr));
  require(by_index.rule == nullptr ||
          by_index.rule - &*indexed.begin() == decision.rule - rules.data());
  return decision;
}

void check(const gateway::RuleTable& indexed, const std::vector<gateway::Rule>& rules,
           RuleQuery query) {
  const IpAddress address = *query.address;
  const Port port = *query.port;
  const Decision full = decide(indexed, rules, query);
  require(full.outcome != Outcome::open);
  for (const bool knows_address : {false, true}) {
    for (const bool knows_port : {false, true}) {
      query.address = knows_address ? std::optional(address) : std::nullopt;
      query.port = knows_port ? std::optional(port) : std::nullopt;
      const Decision early = decide(indexed, rules, query);
      require(early.outcome == Outcome::open || early.outcome == full.outcome);
      for (const gateway::Rule& rule : rules) {
        const gateway::Match match = gateway::match(rule, query);
        require((match.criterion == gateway::Criterion::none) ==
                (match.certainty == gateway::Certainty::yes));
      }
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const unsigned who = data[0];
  const auto text = fuzz::as_text(Bytes(data, size).subspan(1));
  const gateway::ConfigResult result = gateway::parse_config(text, "file");
  if (!result.problems.empty()) {
    return 0;
  }
  const std::string listener = result.config.listeners.front().address.text();
  const std::vector<gateway::Rule>& rules = result.config.rules;
  const gateway::RuleTable indexed(rules, 0);
  for (const std::string_view name : names) {
    for (const IpAddress& address : addresses) {
      for (const Port port : ports) {
        check(indexed, rules,
              RuleQuery{clients[who & 3U], users[who >> 2U & 3U], listener,
                        commands[who >> 4U & 3U], name, address, port});
      }
    }
  }
  return 0;
}
