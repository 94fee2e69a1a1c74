// The rules without a daemon: every criterion, what is certain when, and who decides.
#include "rules/rules.hpp"

#include <chrono>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <toml++/toml.h>

#include "authorise/authorise.hpp"
#include "config/config.hpp"
#include "config/config_rules.hpp"
#include "rig/process.hpp"
#include "rules/rule_table.hpp"

namespace socks64::gateway {
namespace {

std::string problems_of(std::string_view text, std::vector<Rule>& rules) {
  ProblemList problems("f");
  const toml::table root = toml::parse(text);
  TableReader reader(root, "", problems);
  rules = read_rules(reader, {"127.0.0.1:1080", "[::]:1080", "unix:/run/a"});
  reader.finish();
  std::string all;
  for (const std::string& problem : problems.take()) {
    all += problem + "\n";
  }
  return all;
}

std::vector<Rule> rules_of(std::string_view text) {
  std::vector<Rule> rules;
  EXPECT_EQ(problems_of(text, rules), "") << text;
  return rules;
}

/// A request as the tests write it; what is empty is not known, or not there.
struct Asked {
  std::string client = "192.0.2.9";  ///< or "unix"
  std::string user = {};
  std::string listener = "[::]:1080";
  Command command = Command::connect;
  std::string name = {};
  std::string address = {};
  int port = 80;  ///< -1: not known
};

Decision ask(const std::vector<Rule>& rules, const Asked& asked) {
  const Client client = asked.client == "unix"
                            ? Client(Client::Process{})
                            : Client(Endpoint{*IpAddress::parse(asked.client), 4711});
  const FoldedName name(asked.name);
  RuleQuery query{client,      asked.user,   asked.listener, asked.command,
                  name.view(), std::nullopt, std::nullopt};
  if (!asked.address.empty()) {
    query.address = *IpAddress::parse(asked.address);
  }
  if (asked.port >= 0) {
    query.port = static_cast<Port>(asked.port);
  }
  return decide(rules, query);
}

char outcome(const std::vector<Rule>& rules, const Asked& asked) {
  constexpr std::string_view letters = "ado";  // allow, deny, open
  return letters[static_cast<std::size_t>(ask(rules, asked).outcome)];
}

/// One rule with this line, which allows; so 'a' means that it matches, 'o' that it may.
char outcome(const std::string& line, const Asked& asked) {
  return outcome(rules_of("[[rule]]\naction = \"allow\"\n" + line), asked);
}

TEST(Rules, NoneAtAllAllowEverything) {
  EXPECT_EQ(outcome(std::vector<Rule>{}, {.name = "a.test"}), 'a');
}

TEST(Rules, WhatNoneMatchesIsDenied) {
  const auto rules = rules_of("[[rule]]\naction = \"allow\"\nports = [443]\n");
  const Decision decision = ask(rules, {.name = "a.test", .port = 80});
  EXPECT_EQ(decision.outcome, Decision::Outcome::deny);
  EXPECT_EQ(decision.rule, nullptr);
}

TEST(Rules, TheFirstThatMatchesDecides) {
  const auto rules = rules_of(
      "[[rule]]\naction = \"deny\"\nports = [25]\n"
      "[[rule]]\nname = \"web\"\naction = \"allow\"\nports = [\"1-1024\"]\n"
      "[[rule]]\naction = \"deny\"\n");
  EXPECT_EQ(ask(rules, {.name = "a.test", .port = 25}).rule, &rules[0]);
  EXPECT_EQ(ask(rules, {.name = "a.test", .port = 80}).rule, &rules[1]);
  EXPECT_EQ(ask(rules, {.name = "a.test", .port = 2000}).rule, &rules[2]);
  EXPECT_EQ(rules[0].refusal, "denied-by:rule 1");
  EXPECT_EQ(rules[1].refusal, "denied-by:web");
}

TEST(Rules, Clients) {
  const std::string line = "clients = [\"192.0.2.0/24\", \"2001:db8::/32\", \"unix\"]";
  EXPECT_EQ(outcome(line, {.client = "192.0.2.9"}), 'a');
  EXPECT_EQ(outcome(line, {.client = "::ffff:192.0.2.9"}), 'a');
  EXPECT_EQ(outcome(line, {.client = "192.0.3.9"}), 'd');
  EXPECT_EQ(outcome(line, {.client = "2001:db8::9"}), 'a');
  EXPECT_EQ(outcome(line, {.client = "2001:db9::9"}), 'd');
  EXPECT_EQ(outcome(line, {.client = "unix"}), 'a');
  EXPECT_EQ(outcome("clients = [\"0.0.0.0/0\"]", {.client = "unix"}), 'd');
}

TEST(Rules, Users) {
  EXPECT_EQ(outcome("users = [\"alice\"]", {.user = "alice"}), 'a');
  EXPECT_EQ(outcome("users = [\"alice\"]", {.user = "Alice"}), 'd');
  EXPECT_EQ(outcome("users = [\"alice\"]", {.user = "mallory"}), 'd');
  EXPECT_EQ(outcome("users = [\"alice\"]", {.user = ""}), 'd');
  EXPECT_EQ(outcome("users = [\"*\"]", {.user = "mallory"}), 'a');
  EXPECT_EQ(outcome("users = [\"*\"]", {.user = ""}), 'd');
  EXPECT_EQ(outcome("", {.user = ""}), 'a');
}

TEST(Rules, Listeners) {
  EXPECT_EQ(outcome("listeners = [\"[::]:1080\"]", {.listener = "[::]:1080"}), 'a');
  EXPECT_EQ(outcome("listeners = [\"[::]:1080\"]", {.listener = "127.0.0.1:1080"}), 'd');
  // However it is spelled.
  EXPECT_EQ(outcome("listeners = [\"[0::0]:1080\"]", {.listener = "[::]:1080"}), 'a');
  EXPECT_EQ(outcome("listeners = [\"unix:/run/a\"]", {.listener = "unix:/run/a"}), 'a');
}

TEST(Rules, Commands) {
  const std::string line = "commands = [\"bind\", \"udp\"]";
  EXPECT_EQ(outcome(line, {.command = Command::connect}), 'd');
  EXPECT_EQ(outcome(line, {.command = Command::bind}), 'a');
  EXPECT_EQ(outcome(line, {.command = Command::udp_associate}), 'a');
  EXPECT_EQ(outcome(line, {.command = Command::resolve}), 'd');
  EXPECT_EQ(outcome("commands = [\"resolve\"]", {.command = Command::resolve}), 'a');
  EXPECT_EQ(outcome("commands = [\"resolve\"]", {.command = Command::resolve_ptr}), 'a');
  EXPECT_EQ(outcome("commands = [\"connect\"]", {.command = Command::connect}), 'a');
}

TEST(Rules, NamesAreThatNameAlone) {
  const std::string line = "to = [\"Example.COM.\"]";
  EXPECT_EQ(outcome(line, {.name = "example.com"}), 'a');
  EXPECT_EQ(outcome(line, {.name = "EXAMPLE.com."}), 'a');
  EXPECT_EQ(outcome(line, {.name = "www.example.com"}), 'd');
  EXPECT_EQ(outcome(line, {.name = "notexample.com"}), 'd');
  EXPECT_EQ(outcome(line, {.name = "example.com.test"}), 'd');
  EXPECT_EQ(outcome(line, {.address = "192.0.2.1"}), 'd');
}

TEST(Rules, NamesBehindADotAreThoseBelow) {
  const std::string line = "to = [\".Example.com\"]";
  EXPECT_EQ(outcome(line, {.name = "www.example.com"}), 'a');
  EXPECT_EQ(outcome(line, {.name = "a.b.Example.com."}), 'a');
  EXPECT_EQ(outcome(line, {.name = "example.com"}), 'd');
  EXPECT_EQ(outcome(line, {.name = "wwwexample.com"}), 'd');
  EXPECT_EQ(outcome(line, {.name = "example.com.test"}), 'd');
}

TEST(Rules, NetworksOfANameAreKnownWithItsAddress) {
  const std::string line = "to = [\"10.0.0.0/8\", \"2001:db8::1\"]";
  EXPECT_EQ(outcome(line, {.name = "a.test"}), 'o');
  EXPECT_EQ(outcome(line, {.name = "a.test", .address = "10.1.2.3"}), 'a');
  EXPECT_EQ(outcome(line, {.name = "a.test", .address = "::ffff:10.1.2.3"}), 'a');
  EXPECT_EQ(outcome(line, {.name = "a.test", .address = "11.1.2.3"}), 'd');
  EXPECT_EQ(outcome(line, {.name = "a.test", .address = "2001:db8::1"}), 'a');
  EXPECT_EQ(outcome(line, {.name = "a.test", .address = "2001:db8::2"}), 'd');
  EXPECT_EQ(outcome("to = [\"*\"]", {.name = "a.test"}), 'a');
  EXPECT_EQ(outcome("to = [\"0.0.0.0/0\"]", {.name = "a.test", .address = "2001:db8::2"}), 'd');
}

TEST(Rules, ADenyingNetworkSeesWhatHides) {
  const auto rules = rules_of(
      "[[rule]]\naction = \"deny\"\nto = [\"10.0.0.0/8\"]\n[[rule]]\naction = \"allow\"\n");
  for (const char* hidden : {"::ffff:10.0.0.1", "::10.0.0.1", "64:ff9b::10.0.0.1",
                             "64:ff9b:1::10.0.0.1", "2002:a00:1::", "2001:0:c000:201::f5ff:fffe"}) {
    EXPECT_EQ(outcome(rules, {.address = hidden}), 'd') << hidden;
  }
  EXPECT_EQ(outcome(rules, {.address = "64:ff9b::11.0.0.1"}), 'a');
}

TEST(Rules, AnAllowingNetworkDoesNot) {
  EXPECT_EQ(outcome("to = [\"10.0.0.0/8\"]", {.address = "64:ff9b::10.0.0.1"}), 'd');
}

TEST(Rules, Ports) {
  const std::string line = "ports = [443, \"8000-8999\"]";
  for (const int port : {443, 8000, 8500, 8999}) {
    EXPECT_EQ(outcome(line, {.name = "a.test", .port = port}), 'a') << port;
  }
  for (const int port : {0, 442, 444, 7999, 9000, 65535}) {
    EXPECT_EQ(outcome(line, {.name = "a.test", .port = port}), 'd') << port;
  }
  EXPECT_EQ(outcome(line, {.name = "a.test", .port = -1}), 'o');
}

TEST(Rules, PortsDoNotConcernALookUp) {
  const Asked look_up{.command = Command::resolve, .name = "a.test", .port = 0};
  EXPECT_EQ(outcome("ports = [443]", look_up), 'a');
  EXPECT_EQ(outcome(rules_of("[[rule]]\naction = \"deny\"\nports = [25]\n"
                             "[[rule]]\naction = \"allow\"\n"),
                    look_up),
            'a');
}

TEST(Rules, Crossing) {
  const std::string line = "crossing = [\"v4>v6\", \"unix>v4\"]";
  EXPECT_EQ(outcome(line, {.client = "192.0.2.9", .name = "a.test"}), 'o');
  EXPECT_EQ(outcome(line, {.client = "192.0.2.9", .address = "2001:db8::1"}), 'a');
  EXPECT_EQ(outcome(line, {.client = "192.0.2.9", .address = "192.0.2.1"}), 'd');
  EXPECT_EQ(outcome(line, {.client = "2001:db8::9", .address = "192.0.2.1"}), 'd');
  EXPECT_EQ(outcome(line, {.client = "2001:db8::9", .address = "2001:db8::1"}), 'd');
  EXPECT_EQ(outcome(line, {.client = "unix", .address = "192.0.2.1"}), 'a');
  EXPECT_EQ(outcome(line, {.client = "unix", .address = "2001:db8::1"}), 'd');
  EXPECT_EQ(outcome("crossing = [\"v6>v4\"]", {.client = "2001:db8::9", .address = "10.0.0.1"}),
            'a');
}

TEST(Rules, WhatMayStillBeAllowedIsNotDecided) {
  const auto rules = rules_of(
      "[[rule]]\naction = \"deny\"\nto = [\"10.0.0.0/8\"]\n"
      "[[rule]]\naction = \"allow\"\nto = [\"example.com\"]\n");
  EXPECT_EQ(outcome(rules, {.name = "example.com"}), 'o');
  EXPECT_EQ(outcome(rules, {.name = "example.com", .address = "10.0.0.1"}), 'd');
  EXPECT_EQ(outcome(rules, {.name = "example.com", .address = "192.0.2.1"}), 'a');
  // The first rule may match, but no address would make this one allowed.
  EXPECT_EQ(outcome(rules, {.name = "example.org"}), 'd');
}

TEST(Rules, ADestinationThatIsNotKnownLeavesItOpen) {
  const Asked association{.command = Command::udp_associate, .port = -1};
  EXPECT_EQ(outcome("to = [\"example.com\"]", association), 'o');
  EXPECT_EQ(outcome("ports = [53]", association), 'o');
  EXPECT_EQ(outcome("commands = [\"connect\"]", association), 'd');
}

TEST(Rules, TenThousandEntriesStayFast) {
  std::string to;
  for (unsigned i = 0; i < 10'000; ++i) {
    to += fmt::format("\"10.{}.{}.0/24\", \".sub{}.example.com\", ", i / 256, i % 256, i);
  }
  const auto rules = rules_of("[[rule]]\naction = \"allow\"\nto = [" + to + "]\n");
  EXPECT_EQ(outcome(rules, {.name = "a.sub9999.example.com"}), 'a');
  EXPECT_EQ(outcome(rules, {.name = "a.test", .address = "10.39.15.7"}), 'a');
  EXPECT_EQ(outcome(rules, {.name = "a.test", .address = "10.39.16.7"}), 'd');
  const auto began = std::chrono::steady_clock::now();
  constexpr int rounds = 10'000;
  for (int i = 0; i < rounds; ++i) {
    (void)outcome(rules, {.name = "a.b.c.nowhere.test", .address = "192.0.2.1"});
  }
  // A microsecond or two each; one by one it would be a hundred times that.
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(2));
}

TEST(Rules, TenThousandRulesStayFast) {
  std::string text;
  for (unsigned i = 0; i < 10'000; ++i) {
    text +=
        fmt::format("[[rule]]\naction = \"deny\"\nto = [\"n{}.example.com\", \"10.{}.{}.0/24\"]\n",
                    i, i / 256, i % 256);
  }
  const auto rules = rules_of(text + "[[rule]]\naction = \"allow\"\n");
  EXPECT_EQ(outcome(rules, {.name = "a.test", .address = "192.0.2.1"}), 'a');
  EXPECT_EQ(outcome(rules, {.name = "a.test"}), 'o');
  EXPECT_EQ(outcome(rules, {.name = "n9999.example.com"}), 'd');
  const RuleTable table(rules);
  const Client client(Endpoint{*IpAddress::parse("192.0.2.9"), 4711});
  const RuleQuery query{client,
                        {},
                        "[::]:1080",
                        Command::connect,
                        "a.b.c.nowhere.test",
                        *IpAddress::parse("192.0.2.1"),
                        Port{80}};
  const auto began = std::chrono::steady_clock::now();
  constexpr int rounds = 10'000;
  for (int i = 0; i < rounds; ++i) {
    const Decision decision = decide(table, query);
    ASSERT_EQ(decision.outcome, Decision::Outcome::allow);
    ASSERT_EQ(decision.rule, &*table.begin() + 10'000);
  }
  // A tenth of a microsecond each; one by one it would be a thousand times that.
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(2));
}

TEST(Rules, EveryWrongValueHasItsPlace) {
  struct Wrong {
    const char* line;
    const char* problem;
  };
  const Wrong wrongs[] = {
      {"clients = []", "f:3:11: rule.clients: empty, expected at least one entry"},
      {"clients = \"10.0.0.0/8\"",
       "f:3:11: rule.clients: \"10.0.0.0/8\" is wrong, expected an array"},
      {"clients = [\"10.0.0.1/8\"]", "it has bits set after its length; write \"10.0.0.0/8\""},
      {"clients = [\"2001:db8::1/32\"]",
       "it has bits set after its length; write \"2001:db8::/32\""},
      {"clients = [\"10.0.0.0/33\"]", "the length after the slash is not 0 to 32"},
      {"clients = [\"10.0.0.0/\"]", "the length after the slash is not 0 to 32"},
      {"clients = [\"fe80::/64%1\"]", "a block cannot have a zone"},
      {"clients = [\"ten\"]", "f:3:12: rule.clients: \"ten\" is wrong: not an IP address"},
      {"clients = [7]", "f:3:12: rule.clients: 7 is wrong, expected an address"},
      {"users = [\"\"]", "f:3:10: rule.users: \"\" is wrong: it is not 1 to 255 octets long"},
      {"listeners = [\"127.0.0.1:1081\"]",
       "no listener has this address (did you mean \"127.0.0.1:1080\"?)"},
      {"commands = [\"conect\"]",
       "f:3:13: rule.commands: \"conect\" is wrong: it is unknown (did you mean \"connect\"?)"},
      {"to = [\"*.example.com\"]", "a name cannot hold \"*\""},
      {"to = [\"127.1\"]", "it looks like an address but is not one"},
      {"to = [\"0x7f000001\"]", "it looks like an address but is not one"},
      {"to = [\"2130706433\"]", "it looks like an address but is not one"},
      {"to = [\"example.com:443\"]", "a name cannot hold a colon"},
      {"to = [\"example.com/24\"]", "a name cannot hold a slash"},
      {"to = [\"127.0.0.1%lo\"]", "an address in a rule cannot have a zone"},
      {"to = [\"two words\"]", "a name cannot hold blanks"},
      {"to = [\"bücher.example\"]", "xn--"},
      {"to = [\"a..b\"]", "an empty label"},
      {"to = [\".\"]", "an empty label"},
      {"to = [\"example.com..\"]", "an empty label"},
      {"to = [\"127.1.\"]", "it looks like an address but is not one"},
      {"to = [\"..example.com\"]", "an empty label"},
      {"ports = [\"9-1\"]", "the range is reversed; write \"1-9\""},
      {"ports = [0]", "f:3:10: rule.ports: 0 is wrong: it is not a port from 1 to 65535"},
      {"ports = [65536]", "it is not a port from 1 to 65535"},
      {"ports = [\"-\"]", "it is not a port from 1 to 65535"},
      {"ports = [1.5]", "f:3:10: rule.ports: 1.5 is wrong, expected a port"},
      {"crossing = [\"v4>v5\"]",
       "rule.crossing: \"v4>v5\" is wrong: it is unknown (did you mean \"v4>v4\"?)"},
      {"families = [\"ipv5\"]", "rule.families: \"ipv5\" is wrong: it is unknown (did you mean"},
      {"name = \"\"", "f:3:8: rule.name: \"\" is wrong"},
      {"name = \"a\\nb\"", "it is not 1 to 64 printable ASCII characters"},
      {"client = [\"unix\"]", "f:3:1: rule.client: unknown key, did you mean \"clients\"?"},
      {"[[rule]]", "f:3:1: rule: action is missing"},
      {"[[rule]]\naction = \"deny\"",
       "the rule can never match: \"rule 1\" before it matches everything"},
  };
  for (const Wrong& wrong : wrongs) {
    std::vector<Rule> rules;
    const std::string all =
        problems_of(std::string("[[rule]]\naction = \"allow\"\n") + wrong.line + "\n", rules);
    EXPECT_NE(all.find(wrong.problem), std::string::npos) << wrong.line << "\n" << all;
  }
}

TEST(Rules, AUserWhoIsNotThereIsWarnedAbout) {
  const test::TemporaryDirectory directory;
  const std::string file = directory.write(
      "gatewayd.toml", "[[rule]]\naction = \"allow\"\nusers = [\"nobody-here\", \"*\"]\n");
  const ConfigResult result = load_config(file);
  EXPECT_TRUE(result.problems.empty());
  ASSERT_EQ(result.config.warnings.size(), 1U);
  EXPECT_EQ(result.config.warnings[0], "\"rule 1\": the users file has no user nobody-here");
}

TEST(Rules, WhatAnAllowedRequestIsGivenIsNotForThoseThatDeny) {
  std::vector<Rule> rules;
  EXPECT_NE(problems_of("[[rule]]\naction = \"deny\"\nfamilies = [\"ipv6\"]\n", rules)
                .find("families works only with action = \"allow\""),
            std::string::npos);
}

}  // namespace
}  // namespace socks64::gateway
