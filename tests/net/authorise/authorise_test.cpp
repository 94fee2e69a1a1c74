// Rules and the built-in protection through the whole daemon: what is refused, when, with which
// reply and reason, and what a reload changes.
#include "authorise/authorise.hpp"

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "authorise/refusal_hints.hpp"
#include "base/line_writer.hpp"
#include "base/log.hpp"
#include "rig/dns_server.hpp"
#include "rig/process.hpp"
#include "rig/sockets.hpp"

namespace socks64::gateway::test {
namespace {

using testing::DnsServer;

constexpr int allowed = 0;
constexpr int denied = 2;

class Access : public ::testing::Test {
 protected:
  /// Rules alone judge: nothing is open that they do not open.
  [[nodiscard]] GatewayProcess::Options with(const std::string& rules) const {
    GatewayProcess::Options options;
    options.config = config(rules);
    options.loopback = false;
    return options;
  }

  [[nodiscard]] std::string config(const std::string& rules) const {
    return fmt::format(
        "[resolver]\nhosts_file = \"\"\nservers = [\"{}\"]\nquery_timeout = \"10s\"\n{}",
        dns_.endpoint().text().view(), rules);
  }

  void resolves(const std::string& name, const std::vector<std::string>& v4,
                const std::vector<std::string>& v6 = {}, std::uint32_t ttl = 0) {
    dns_.script(name, Family::ipv4, {.addresses = v4, .ttl = ttl});
    dns_.script(name, Family::ipv6, {.addresses = v6, .ttl = ttl});
  }

  /// A request of its own connection: the code of its reply.
  static int code(const GatewayProcess& gateway, const Target& target) {
    Stream client = Stream::connect(gateway.listener());
    const int code = ask(client, target).code;
    client.reset();  // the session ends, whatever the destination does
    return code;
  }
  static int code(const GatewayProcess& gateway, std::string_view name, Port port) {
    return code(gateway, Target(NamedEndpoint{*DomainName::from(name), port}));
  }

  static std::string rule(std::string_view action, std::string_view lines) {
    return fmt::format("[[rule]]\naction = \"{}\"\n{}\n", action, lines);
  }

  DnsServer dns_;
  // Nobody else answers there, and 127.0.0.0/8 is this host.
  Destination at2_{"127.0.0.2"};
};

TEST_F(Access, ANameThatIsDeniedIsNotLookedUp) {
  GatewayProcess gateway(
      with(rule("deny", "name = \"no-x\"\nto = [\".denied.test\"]") + rule("allow", "")));
  resolves("a.denied.test", {"127.0.0.2"});
  EXPECT_EQ(code(gateway, "A.Denied.TEST.", 80), denied);
  Fields record = gateway.next_record();
  EXPECT_EQ(record["reply"], "2");
  EXPECT_EQ(record["reason"], "denied-by:no-x");
  EXPECT_EQ(record["attempts"], "0");
  EXPECT_EQ(dns_.queries(), 0);
}

TEST_F(Access, WithRulesTheRestIsDenied) {
  GatewayProcess gateway(with(rule("allow", "to = [\"127.0.0.2\"]")));
  EXPECT_EQ(code(gateway, endpoint("127.0.0.3", at2_.port())), denied);
  EXPECT_EQ(gateway.next_record()["reason"], "no-rule-allows");
  EXPECT_EQ(code(gateway, at2_.endpoint()), allowed);
}

TEST_F(Access, AResolvedAddressIsJudged) {
  GatewayProcess gateway(with(rule("deny", "name = \"no-2\"\nto = [\"127.0.0.2\"]") +
                              rule("allow", "to = [\"127.0.0.0/8\", \".test\"]")));
  resolves("a.test", {"127.0.0.2"});
  EXPECT_EQ(code(gateway, "a.test", at2_.port()), denied);
  Fields record = gateway.next_record();
  EXPECT_EQ(record["reason"], "denied-by:no-2");
  EXPECT_EQ(record["attempts"], "0");
}

TEST_F(Access, OfSeveralAddressesTheOthersAreUsed) {
  GatewayProcess gateway(with(rule("allow", "to = [\"127.0.0.2\"]")));
  resolves("a.test", {"127.0.0.3", "127.0.0.2", "127.0.0.4"});
  EXPECT_EQ(code(gateway, "a.test", at2_.port()), allowed);
  EXPECT_EQ(gateway.next_record()["address"], at2_.endpoint().text().view());
}

// The answer that is judged is the one that is dialled: a server that answers otherwise the next
// time has no say in it.
TEST_F(Access, ANameThatChangesBetweenTwoLookUps) {
  GatewayProcess gateway(with(rule("allow", "to = [\"127.0.0.2\"]")));
  resolves("a.test", {"127.0.0.2"});
  EXPECT_EQ(code(gateway, "a.test", at2_.port()), allowed);
  EXPECT_EQ(gateway.next_record()["address"], at2_.endpoint().text().view());
  EXPECT_EQ(dns_.queries("a.test", Family::ipv4), 1);
  // TTL 0: it is asked for again, and what comes now is another address of this host.
  resolves("a.test", {"127.0.0.1"});
  EXPECT_EQ(code(gateway, "a.test", at2_.port()), denied);
  EXPECT_EQ(dns_.queries("a.test", Family::ipv4), 2);
  Fields record = gateway.next_record();
  EXPECT_EQ(record["reason"], "no-rule-allows");
  EXPECT_EQ(record["attempts"], "0");
}

TEST_F(Access, NobodyReachesTheGatewaysOwnHostByDefault) {
  GatewayProcess gateway(with(""));
  const std::pair<const char*, const char*> literals[] = {
      {"127.0.0.1", "protected-loopback"},     {"127.0.0.2", "protected-loopback"},
      {"0.0.0.0", "protected-unspecified"},    {"::1", "protected-loopback"},
      {"::", "protected-unspecified"},         {"::ffff:127.0.0.1", "protected-loopback"},
      {"::127.0.0.1", "protected-loopback"},   {"64:ff9b::7f00:1", "protected-loopback"},
      {"2002:7f00:1::", "protected-loopback"}, {"169.254.169.254", "protected-metadata"},
      {"fd00:ec2::254", "protected-metadata"}, {"fe80::1", "protected-link-local"},
      {"224.0.0.1", "protected-multicast"},
  };
  for (const auto& [text, reason] : literals) {
    EXPECT_EQ(code(gateway, endpoint(text, at2_.port())), denied) << text;
    EXPECT_EQ(gateway.next_record()["reason"], reason) << text;
    // RFC 3089 section 3: the literal as a name.
    EXPECT_EQ(code(gateway, text, at2_.port()), denied) << text;
    EXPECT_EQ(gateway.next_record()["reason"], reason) << text;
  }
  EXPECT_EQ(code(gateway, "[::1]", at2_.port()), denied);
  EXPECT_EQ(code(gateway, "localhost", at2_.port()), denied);
  EXPECT_EQ(code(gateway, "any.localhost.", at2_.port()), denied);
}

TEST_F(Access, NorByANameThatLeadsThere) {
  GatewayProcess gateway(with(""));
  const std::pair<const char*, const char*> answers[] = {
      {"127.0.0.2", ""},        {"0.0.0.0", ""},         {"169.254.169.254", ""}, {"", "::1"},
      {"", "::ffff:127.0.0.2"}, {"", "64:ff9b::7f00:2"}, {"", "2002:7f00:2::"}};
  int number = 0;
  for (const auto& [v4, v6] : answers) {
    const std::string name = fmt::format("n{}.test", ++number);
    const std::vector<std::string> none;
    resolves(name, *v4 == '\0' ? none : std::vector<std::string>{v4},
             *v6 == '\0' ? none : std::vector<std::string>{v6});
    EXPECT_EQ(code(gateway, name, at2_.port()), denied) << v4 << v6;
    Fields record = gateway.next_record();
    EXPECT_EQ(record["reason"].substr(0, 10), "protected-") << v4 << v6;
    EXPECT_EQ(record["attempts"], "0") << v4 << v6;
  }
  // What inet_aton() would take for 127.0.0.1 is a name; whatever it resolves to is judged.
  for (const char* name : {"127.1", "0x7f.1", "2130706433", "0177.0.0.1"}) {
    resolves(name, {"127.0.0.1"});
    EXPECT_EQ(code(gateway, name, at2_.port()), denied) << name;
  }
}

TEST_F(Access, TheGatewayDoesNotDialItself) {
  // Loopback is open, as it is for the destinations of the other tests.
  GatewayProcess gateway(GatewayProcess::Options{.config = config("")});
  EXPECT_EQ(code(gateway, gateway.listener()), denied);
  EXPECT_EQ(gateway.next_record()["reason"], "protected-own-listener");
  resolves("self.test", {"127.0.0.1"});
  EXPECT_EQ(code(gateway, "self.test", gateway.listener().port), denied);
}

TEST_F(Access, NorOnAnyAddressWhenItListensOnAll) {
  GatewayProcess::Options options{.config = config("")};
  options.arguments = {"--listen", "0.0.0.0:0", "--allow-from", "127.0.0.0/8"};
  GatewayProcess gateway(options);
  const Endpoint here = endpoint("127.0.0.1", gateway.listener().port);
  for (const char* own : {"127.0.0.1", "127.3.4.5"}) {
    Stream client = Stream::connect(here);
    EXPECT_EQ(ask(client, endpoint(own, here.port)).code, denied) << own;
    client.close();
    EXPECT_EQ(gateway.next_record()["reason"], "protected-own-listener") << own;
  }
}

TEST_F(Access, ARuleOpensLoopback) {
  GatewayProcess gateway(with(rule("allow", "to = [\"127.0.0.0/8\"]") + rule("allow", "")));
  EXPECT_EQ(code(gateway, at2_.endpoint()), allowed);
  resolves("a.test", {"127.0.0.2"});
  EXPECT_EQ(code(gateway, "a.test", at2_.port()), allowed);
  EXPECT_EQ(code(gateway, endpoint("169.254.169.254", 80)), denied);
}

TEST_F(Access, TheLogSaysHowToAllowWhatWasRefused) {
  GatewayProcess gateway(with(""));
  EXPECT_EQ(code(gateway, at2_.endpoint()), denied);
  const std::string hint = gateway.wait_for_log("To allow it");
  EXPECT_NE(hint.find("protected-loopback"), std::string::npos) << hint;
  EXPECT_NE(hint.find("--allow-to 127.0.0.2"), std::string::npos) << hint;
  EXPECT_NE(hint.find("clients = [\"127.0.0.1\"] | to = [\"127.0.0.2\"]"), std::string::npos)
      << hint;
}

/// What the log says of a refusal.
std::string hint_for(std::string_view client, const Endpoint& refused) {
  const TemporaryDirectory directory;
  LineWriter writer(directory.path("log"));
  EXPECT_EQ(writer.start(), 0);
  {
    Log log(writer, LogLevel::info);
    RefusalHints hints(log);
    const IpAddress from = IpAddress::parse(client).value_or(IpAddress());
    hints.tell({Client(Endpoint{from, 4711}), 0, ""}, "no-rule-allows", refused, true);
  }
  EXPECT_TRUE(writer.stop(std::chrono::seconds{30}));
  std::ifstream file(directory.path("log"));
  return std::string(std::istreambuf_iterator<char>(file), {});
}

TEST(RefusalHints, AreRulesThatTheConfigurationTakes) {
  const std::string zone = hint_for("fe80::1%3", endpoint("2001:db8::1", 443));
  EXPECT_NE(zone.find("clients = [\"fe80::1\"] | to = [\"2001:db8::1\"] | ports = [443]; put"),
            std::string::npos)
      << zone;
  const std::string portless = hint_for("192.0.2.9", endpoint("198.51.100.1", 0));
  EXPECT_NE(portless.find("to = [\"198.51.100.1\"]; put them before the other rules"),
            std::string::npos)
      << portless;
}

TEST_F(Access, FamiliesThatARuleLimits) {
  GatewayProcess gateway(
      with(rule("allow", "to = [\"127.0.0.0/8\", \"::1\"]\nfamilies = [\"ipv6\"]")));
  EXPECT_EQ(code(gateway, at2_.endpoint()), denied);
  EXPECT_EQ(gateway.next_record()["reason"], "family-not-allowed");
  resolves("a.test", {"127.0.0.2"});
  EXPECT_EQ(code(gateway, "a.test", at2_.port()), denied);
  EXPECT_EQ(gateway.next_record()["reason"], "family-not-allowed");
}

TEST_F(Access, ThePreferenceOfARule) {
  if (!has_ipv6_loopback()) {
    GTEST_SKIP() << "this host has no ::1";
  }
  for (const auto& [prefer, first] : {std::pair("ipv4", "127.0.0.1"), std::pair("ipv6", "::1")}) {
    GatewayProcess gateway(with(
        rule("allow", fmt::format("to = [\"127.0.0.0/8\", \"::1\"]\nprefer = \"{}\"", prefer))));
    resolves("a.test", {"127.0.0.1"}, {"::1"});
    // The answer to RESOLVE is what a CONNECT would try first.
    Stream client = Stream::connect(gateway.listener());
    client.send(greeting_none +
                request(NamedEndpoint{*DomainName::from("a.test"), 0}, Command::resolve));
    EXPECT_EQ(receive_answer(client).bound.address, endpoint(first, 0).address);
    client.close();
    (void)gateway.next_record();
    // Nobody is there on this port but at the address that was tried first.
    Destination destination(first);
    EXPECT_EQ(code(gateway, "a.test", destination.port()), allowed);
    EXPECT_EQ(gateway.next_record()["attempts"], "1");
  }
}

TEST_F(Access, TheSourceAddressOfARule) {
  GatewayProcess gateway(
      with(rule("allow", "to = [\"127.0.0.2\"]\nbind_address = [\"127.0.0.77\"]") +
           rule("allow", "to = [\"127.0.0.3\"]")));
  const auto source = [&](std::string_view name, Destination& destination) {
    Stream client = Stream::connect(gateway.listener());
    EXPECT_EQ(ask(client, name, destination.port()).code, allowed) << name;
    return std::string(destination.accept().remote().address.text().view());
  };
  resolves("a.test", {"127.0.0.2"});
  EXPECT_EQ(source("a.test", at2_), "127.0.0.77");
  EXPECT_EQ(source("127.0.0.2", at2_), "127.0.0.77");
  Destination at3("127.0.0.3");
  EXPECT_NE(source("127.0.0.3", at3), "127.0.0.77");
}

TEST_F(Access, LookUpsAreJudgedByRulesAlone) {
  GatewayProcess gateway(with(rule("deny", "name = \"no-net\"\nto = [\"192.0.2.0/24\"]") +
                              rule("deny", "name = \"no-name\"\nto = [\".secret.test\"]") +
                              rule("allow", "")));
  resolves("a.test", {"192.0.2.7"});
  resolves("b.test", {"198.51.100.7", "192.0.2.7"});
  resolves("c.test", {"127.0.0.1"});
  resolves("d.secret.test", {"198.51.100.7"});
  const auto look_up = [&](std::string_view name) {
    Stream client = Stream::connect(gateway.listener());
    client.send(greeting_none +
                request(NamedEndpoint{*DomainName::from(name), 0}, Command::resolve));
    return receive_answer(client);
  };
  EXPECT_EQ(look_up("a.test").code, denied);
  EXPECT_EQ(gateway.next_record()["reason"], "denied-by:no-net");
  EXPECT_EQ(look_up("b.test").bound.address, endpoint("198.51.100.7", 0).address);
  // Nothing is reached by knowing it.
  EXPECT_EQ(look_up("c.test").bound.address, endpoint("127.0.0.1", 0).address);
  EXPECT_EQ(look_up("d.secret.test").code, denied);
  EXPECT_EQ(dns_.queries("d.secret.test", Family::ipv4), 0);
}

TEST_F(Access, AReloadChangesTheRulesAndCutsNobody) {
  GatewayProcess gateway(with(rule("allow", "to = [\"127.0.0.2\"]")));
  Stream before = Stream::connect(gateway.listener());
  EXPECT_EQ(ask(before, at2_.endpoint()).code, allowed);
  Stream far = at2_.accept();

  (void)gateway.directory().write("gatewayd.toml",
                                  config(rule("deny", "name = \"closed\"\nto = [\"127.0.0.2\"]")));
  gateway.signal(SIGHUP);
  EXPECT_NE(gateway.wait_for_log("configuration reloaded"), "");
  EXPECT_EQ(code(gateway, at2_.endpoint()), denied);
  EXPECT_EQ(gateway.next_record()["reason"], "denied-by:closed");
  before.send("still here");
  EXPECT_EQ(far.receive(10), "still here");
}

TEST_F(Access, ABadReloadKeepsTheOldRules) {
  GatewayProcess gateway(with(rule("allow", "to = [\"127.0.0.2\"]")));
  (void)gateway.directory().write("gatewayd.toml", config(rule("alow", "")));
  gateway.signal(SIGHUP);
  EXPECT_NE(gateway.wait_for_log("\"alow\" is wrong"), "");
  EXPECT_NE(gateway.wait_for_log("gatewayd keeps the old one"), "");
  EXPECT_EQ(code(gateway, at2_.endpoint()), allowed);
  EXPECT_EQ(code(gateway, endpoint("127.0.0.3", at2_.port())), denied);
}

TEST_F(Access, AFileThatIsGoneKeepsTheOldRules) {
  GatewayProcess gateway(with(rule("allow", "to = [\"127.0.0.2\"]")));
  std::filesystem::remove(gateway.directory().path("gatewayd.toml"));
  gateway.signal(SIGHUP);
  EXPECT_NE(gateway.wait_for_log("cannot read"), "");
  EXPECT_NE(gateway.wait_for_log("gatewayd keeps the old one"), "");
  EXPECT_EQ(code(gateway, endpoint("127.0.0.3", at2_.port())), denied);
}

TEST_F(Access, AFileThatWasCutOffKeepsTheOldRules) {
  GatewayProcess gateway(with(rule("allow", "to = [\"127.0.0.2\"]")));
  (void)gateway.directory().write("gatewayd.toml", "# who may do what\n");
  gateway.signal(SIGHUP);
  EXPECT_NE(gateway.wait_for_log("the configuration file is empty"), "");
  EXPECT_NE(gateway.wait_for_log("gatewayd keeps the old one"), "");
  EXPECT_EQ(code(gateway, endpoint("127.0.0.3", at2_.port())), denied);
}

TEST_F(Access, AReloadSaysWhatWaitsForARestart) {
  GatewayProcess gateway(with(""));
  (void)gateway.directory().write("gatewayd.toml", config("[commands]\nudp = false\n"));
  gateway.signal(SIGHUP);
  EXPECT_NE(
      gateway.wait_for_log("commands.udp stays true; the change takes effect after a restart"), "");
  EXPECT_NE(gateway.wait_for_log("configuration reloaded"), "");
}

TEST_F(Access, AReloadDoesNotOpenTheGatewayToEverybody) {
  GatewayProcess::Options options = with(rule("allow", "clients = [\"127.0.0.0/8\"]"));
  options.arguments = {"--listen", "0.0.0.0:0"};
  GatewayProcess gateway(options);
  (void)gateway.directory().write("gatewayd.toml", config(rule("allow", "ports = [80]")));
  gateway.signal(SIGHUP);
  EXPECT_NE(gateway.wait_for_log("would serve everybody who reaches it"), "");
  EXPECT_NE(gateway.wait_for_log("gatewayd keeps the old one"), "");
}

TEST_F(Access, ExplainRule) {
  const TemporaryDirectory directory;
  const std::string file = directory.write(
      "gatewayd.toml",
      config(rule("deny", "name = \"mail\"\nports = [25]") + rule("deny", "to = [\"10.0.0.0/8\"]") +
             rule("allow", "users = [\"alice\"]\nto = [\"example.com\"]") +
             rule("allow", "clients = [\"192.0.2.0/24\"]\nto = [\"a.test\"]")));
  resolves("a.test", {"10.0.0.7"}, {"::1"});
  const auto explain = [&](const std::string& request) {
    return run_gatewayd({"-c", file, "--explain-rule", request});
  };
  Finished told = explain("client=192.0.2.9 target=example.com:25");
  EXPECT_EQ(told.status, 1);
  EXPECT_NE(told.out.find("mail: deny: matches"), std::string::npos) << told.out;
  EXPECT_NE(told.out.find("denied: denied-by:mail"), std::string::npos) << told.out;

  told = explain("client=192.0.2.9 target=example.com:443");
  EXPECT_EQ(told.status, 1);
  EXPECT_NE(told.out.find("rule 3: allow: does not match because of its users"), std::string::npos);
  EXPECT_NE(told.out.find("no-rule-allows"), std::string::npos) << told.out;

  told = explain("client=192.0.2.9 user=alice target=example.com:443");
  EXPECT_EQ(told.status, 2);
  EXPECT_NE(told.out.find("add address=... or resolve=yes"), std::string::npos) << told.out;
  EXPECT_EQ(dns_.queries(), 0);

  EXPECT_EQ(
      explain("client=192.0.2.9 user=alice target=example.com:443 address=2001:db8::1").status, 0);
  told = explain("client=192.0.2.9 user=alice target=example.com:443 address=64:ff9b::10.0.0.1");
  EXPECT_EQ(told.status, 1);
  EXPECT_NE(told.out.find("denied: denied-by:rule 2"), std::string::npos) << told.out;

  told = explain("client=192.0.2.9 target=a.test:443 resolve=yes");
  EXPECT_EQ(told.status, 1);
  EXPECT_NE(told.out.find("denied: denied-by:rule 2"), std::string::npos) << told.out;
  EXPECT_NE(told.out.find("denied: protected-loopback"), std::string::npos) << told.out;

  for (const char* wrong : {"", "client=192.0.2.9", "target=a.test:1", "client=x target=a.test:1",
                            "client=192.0.2.9 target=a.test:x", "client=192.0.2.9 tarjet=a.test:1",
                            "client=192.0.2.9 target=a.test:1 command=conect",
                            "client=192.0.2.9 target=a.test:1 listener=nowhere"}) {
    const Finished finished = explain(wrong);
    EXPECT_EQ(finished.status, 2) << wrong;
    EXPECT_NE(finished.err, "") << wrong;
  }
}

}  // namespace
}  // namespace socks64::gateway::test
