// Which listeners would serve everybody who reaches them, and what is said about it.
#include "rules/open_relay.hpp"

#include <chrono>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <toml++/toml.h>

#include "config/config_rules.hpp"
#include "config/rule_options.hpp"
#include "rig/process.hpp"
#include "rig/sockets.hpp"

namespace socks64::gateway {
namespace {

std::vector<Rule> rules_of(std::string_view text) {
  ProblemList problems("f");
  const toml::table root = toml::parse(text);
  TableReader reader(root, "", problems);
  std::vector<Rule> rules = read_rules(reader, {"0.0.0.0:1080", "[::]:1080"});
  EXPECT_TRUE(problems.take().empty()) << text;
  return rules;
}

ExposedListener listener(std::string_view text, bool without = true) {
  return {std::string(text), Endpoint::parse(text).value_or(Endpoint{}).address, without};
}

bool open(std::string_view at, const std::string& lines, bool without = true) {
  const std::string rule = lines.empty() ? "" : "[[rule]]\naction = \"allow\"\n" + lines + "\n";
  return !open_relays({listener(at, without)}, rules_of(rule)).empty();
}

TEST(OpenRelay, IsAListenerBeyondLoopbackWithNothingToNameClients) {
  for (const char* at : {"0.0.0.0:1080", "[::]:1080", "192.0.2.1:1080", "[2001:db8::1]:1080",
                         "10.0.0.1:1080", "[fe80::1%1]:1080"}) {
    EXPECT_TRUE(open(at, "")) << at;
  }
  for (const char* at : {"127.0.0.1:1080", "127.0.0.5:1080", "[::1]:1080"}) {
    EXPECT_FALSE(open(at, "")) << at;
  }
  EXPECT_FALSE(open("0.0.0.0:1080", "", false));
}

TEST(OpenRelay, EveryRuleThatAllowsHasToNameThem) {
  EXPECT_FALSE(open("0.0.0.0:1080", "clients = [\"192.0.2.0/24\"]"));
  EXPECT_FALSE(open("0.0.0.0:1080", "users = [\"*\"]"));
  EXPECT_TRUE(open("0.0.0.0:1080", "to = [\"example.com\"]"));
  EXPECT_TRUE(open("0.0.0.0:1080", "ports = [443]"));
  EXPECT_TRUE(open("0.0.0.0:1080",
                   "clients = [\"192.0.2.0/24\"]\n[[rule]]\naction = \"allow\"\n"
                   "ports = [80]"));
  EXPECT_FALSE(open("0.0.0.0:1080", "clients = [\"192.0.2.0/24\"]\n[[rule]]\naction = \"deny\""));
}

TEST(OpenRelay, EverybodyIsNoName) {
  EXPECT_TRUE(open("0.0.0.0:1080", "clients = [\"0.0.0.0/0\"]"));
  EXPECT_TRUE(open("0.0.0.0:1080", "clients = [\"0.0.0.0/1\", \"128.0.0.0/1\"]"));
  EXPECT_TRUE(open("0.0.0.0:1080", "clients = [\"0.0.0.0/1\", \"128.0.0.0/2\", \"192.0.0.0/2\"]"));
  // Every address that a client can have.
  EXPECT_TRUE(open("0.0.0.0:1080", "clients = [\"0.0.0.0/1\", \"128.0.0.0/2\", \"192.0.0.0/3\"]"));
  EXPECT_TRUE(open("0.0.0.0:1080", "clients = [\"128.0.0.0/1\"]"));
  EXPECT_FALSE(open("0.0.0.0:1080", "clients = [\"10.0.0.0/8\", \"128.0.0.0/2\"]"));
  EXPECT_FALSE(open("0.0.0.0:1080", "clients = [\"::/0\"]"));  // nobody of IPv4
  EXPECT_TRUE(open("[::]:1080", "clients = [\"::/0\"]"));
  EXPECT_TRUE(open("[::]:1080", "clients = [\"2000::/3\"]"));
  EXPECT_TRUE(open("[::]:1080", "clients = [\"2000::/4\", \"3000::/4\"]"));
  EXPECT_TRUE(open("[::]:1080", "clients = [\"2000::/4\"]"));  // all that is assigned so far
  EXPECT_TRUE(open("[::]:1080", "clients = [\"::/1\", \"8000::/1\"]"));
  EXPECT_FALSE(open("[::]:1080", "clients = [\"2a00::/11\", \"fc00::/7\", \"8000::/1\"]"));
}

TEST(OpenRelay, EverybodyInSeveralRulesIsNoName) {
  const std::string rest = "[[rule]]\naction = \"allow\"\nports = [80]\nclients = ";
  EXPECT_TRUE(open("0.0.0.0:1080", "clients = [\"0.0.0.0/2\"]\n" + rest + "[\"64.0.0.0/2\"]"));
  EXPECT_FALSE(open("0.0.0.0:1080", "clients = [\"10.0.0.0/8\"]\n" + rest + "[\"64.0.0.0/2\"]"));
  EXPECT_FALSE(open("0.0.0.0:1080",
                    "clients = [\"0.0.0.0/2\"]\n" + rest + "[\"64.0.0.0/2\"]\nusers = [\"*\"]"));
}

TEST(OpenRelay, TheFirstOfSeveralThatMakeItEverybodyIsNamed) {
  std::string text;
  for (int i = 0; i < 16; ++i) {
    text += fmt::format("[[rule]]\naction = \"allow\"\nclients = [\"{}.0.0.0/4\"]\n", 16 * i);
  }
  // Eight of them are half of the addresses.
  const auto problems =
      open_relays({listener("0.0.0.0:1080")}, rules_of(text + "[[rule]]\naction = \"allow\"\n"));
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_NE(problems[0].find("\"rule 8\" allows"), std::string::npos) << problems[0];
}

TEST(OpenRelay, TenThousandRulesWithClientsAreNoMatter) {
  std::vector<Rule> rules;
  for (unsigned i = 0; i < 10'000; ++i) {
    Rule rule;
    rule.clients.emplace().networks.add(*Prefix::make(IpAddress::v4(0x0a000000 + 256 * i), 24));
    seal(rule);
    rules.push_back(std::move(rule));
  }
  const auto began = std::chrono::steady_clock::now();
  EXPECT_TRUE(open_relays({listener("0.0.0.0:1080")}, rules).empty());
  // A few milliseconds; all clients so far sorted anew for each rule, it was six seconds.
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(2));
}

TEST(OpenRelay, WhatIsDeniedToAllIsOpenToNobody) {
  const std::string deny = "clients = [\"10.0.0.0/8\"]\n[[rule]]\naction = \"deny\"\n";
  const std::string rest = "[[rule]]\naction = \"allow\"\n";
  EXPECT_FALSE(open("0.0.0.0:1080", deny + "listeners = [\"0.0.0.0:1080\"]\n" + rest));
  EXPECT_TRUE(open("[::]:1080", deny + "listeners = [\"0.0.0.0:1080\"]\n" + rest));
  for (const char* narrow : {"ports = [25]", "to = [\"10.0.0.0/8\"]", "commands = [\"bind\"]",
                             "clients = [\"192.0.2.0/24\"]", "users = [\"*\"]"}) {
    EXPECT_TRUE(open("0.0.0.0:1080", deny + narrow + "\n" + rest)) << narrow;
  }
}

TEST(OpenRelay, RulesOfOtherListenersDoNotMatter) {
  EXPECT_FALSE(open("0.0.0.0:1080", "listeners = [\"[::]:1080\"]"));
  EXPECT_TRUE(open("[::]:1080", "listeners = [\"[::]:1080\"]"));
}

/// The lines between "in the configuration" and "or", as a user would paste them.
std::string pasted(const std::string& problem) {
  const std::size_t from = problem.find("  [[rule]]");
  return from == std::string::npos ? "" : problem.substr(from, problem.find("\nor ") - from + 1);
}

TEST(OpenRelay, TheLinesThatAreShownHelp) {
  for (const char* at : {"0.0.0.0:1080", "[::]:1080", "192.0.2.1:1080", "[2001:db8::1]:1080"}) {
    const auto problems = open_relays({listener(at)}, {});
    ASSERT_EQ(problems.size(), 1U) << at;
    EXPECT_NE(problems[0].find(at), std::string::npos) << problems[0];
    EXPECT_NE(problems[0].find("--allow-from "), std::string::npos) << problems[0];
    EXPECT_NE(problems[0].find("--insecure-open"), std::string::npos) << problems[0];
    const std::string lines = pasted(problems[0]);
    ASSERT_NE(lines, "") << problems[0];
    EXPECT_TRUE(open_relays({listener(at)}, rules_of(lines)).empty()) << lines;
  }
}

TEST(OpenRelay, TheRuleIsNamed) {
  const auto problems = open_relays({listener("0.0.0.0:1080")},
                                    rules_of("[[rule]]\nname = \"all web\"\naction = \"allow\"\n"
                                             "ports = [80]\n"));
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_NE(problems[0].find("\"all web\" allows clients of every network"), std::string::npos)
      << problems[0];
}

TEST(RuleOptions, AllowFrom) {
  std::vector<Rule> rules;
  EXPECT_EQ(apply({{*Prefix::parse("192.0.2.0/24")}, {}}, rules), "");
  ASSERT_EQ(rules.size(), 1U);
  EXPECT_TRUE(open_relays({listener("0.0.0.0:1080")}, rules).empty());
  EXPECT_NE(apply({{*Prefix::parse("192.0.2.0/24")}, {}}, rules).find("has no [[rule]]"),
            std::string::npos);
}

TEST(RuleOptions, AllowTo) {
  std::vector<Rule> rules;
  EXPECT_EQ(apply({{}, {*Prefix::parse("127.0.0.0/8")}}, rules), "");
  ASSERT_EQ(rules.size(), 2U);
  EXPECT_TRUE(rules[1].matches_everything());
  EXPECT_TRUE(rules[0].to->opened.contains(IpAddress::v4(0x7f000001)));
  EXPECT_EQ(open_relays({listener("0.0.0.0:1080")}, rules).size(), 1U);
  rules.clear();
  EXPECT_EQ(apply({{*Prefix::parse("192.0.2.0/24")}, {*Prefix::parse("127.0.0.0/8")}}, rules), "");
  EXPECT_TRUE(open_relays({listener("0.0.0.0:1080")}, rules).empty());
}

}  // namespace

namespace test {
namespace {

TEST(OpenRelay, DoesNotStart) {
  for (const char* address : {"0.0.0.0:0", "[::]:0"}) {
    for (const char* check : {"--check-config", "--threads=1"}) {
      const Finished refused = run_gatewayd({"--listen", address, check});
      EXPECT_EQ(refused.status, 1) << address << check;
      EXPECT_NE(refused.err.find("would serve everybody who reaches it"), std::string::npos)
          << refused.err;
      EXPECT_NE(refused.err.find("\n  [[rule]]\n  action = \"allow\"\n  clients = ["),
                std::string::npos)
          << refused.err;
    }
  }
}

TEST(OpenRelay, StartsWithClientsOrWhenToldTo) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--check-config", "--listen", "0.0.0.0:0", "--allow-from",
                                 "10.0.0.0/8"},
        {"--check-config", "--listen", "0.0.0.0:0", "--insecure-open"},
        {"--check-config", "--listen", "unix:/run/nowhere/a"}}) {
    const Finished finished = run_gatewayd(arguments);
    EXPECT_EQ(finished.status, 0) << finished.err;
  }
}

TEST(OpenRelay, IsWarnedAboutWhenToldTo) {
  GatewayProcess::Options options;
  options.arguments = {"--listen", "0.0.0.0:0", "--insecure-open"};
  options.loopback = false;
  GatewayProcess gateway(options);
  const std::string warning = gateway.wait_for_log("would serve everybody who reaches it");
  EXPECT_NE(warning.find("--insecure-open"), std::string::npos) << warning;
  EXPECT_TRUE(warning.ends_with("no rule says which clients it serves")) << warning;
}

TEST(OpenRelay, WrongOptions) {
  EXPECT_EQ(run_gatewayd({"--allow-from", "10.0.0.1/8"}).status, 2);
  EXPECT_EQ(run_gatewayd({"--allow-to", "localhost"}).status, 2);
  const TemporaryDirectory directory;
  const std::string file = directory.write("rules", "[[rule]]\naction = \"allow\"\nports = [80]\n");
  const Finished both = run_gatewayd({"--check-config", "-c", file, "--allow-from", "10.0.0.0/8"});
  EXPECT_EQ(both.status, 1);
  EXPECT_NE(both.err.find("--allow-from works only if the configuration has no [[rule]]"),
            std::string::npos)
      << both.err;
}

}  // namespace
}  // namespace test
}  // namespace socks64::gateway
