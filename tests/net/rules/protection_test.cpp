// The built-in protection and everything that hides what it is for.
#include "rules/protection.hpp"

#include <string>
#include <sys/resource.h>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "authorise/authorise.hpp"
#include "config/config_rules.hpp"

namespace socks64::gateway {
namespace {

IpAddress address(std::string_view text) {
  return IpAddress::parse(text).value_or(IpAddress());
}

TEST(Protection, OfAddressesAndTheirDisguises) {
  const std::pair<const char*, const char*> cases[] = {
      {"127.0.0.1", "protected-loopback"},
      {"127.255.255.255", "protected-loopback"},
      {"::1", "protected-loopback"},
      {"0.0.0.0", "protected-unspecified"},
      {"0.0.0.7", "protected-unspecified"},
      {"::", "protected-unspecified"},
      {"169.254.1.1", "protected-link-local"},
      {"fe80::1", "protected-link-local"},
      {"fe80::1%3", "protected-link-local"},
      {"febf::1", "protected-link-local"},
      {"169.254.169.254", "protected-metadata"},
      {"fd00:ec2::254", "protected-metadata"},
      {"fd00:ec2::23", "protected-metadata"},
      {"fd20:ce::254", "protected-metadata"},
      {"100.100.100.200", "protected-metadata"},
      {"168.63.129.16", "protected-metadata"},
      {"192.0.0.192", "protected-metadata"},
      {"224.0.0.1", "protected-multicast"},
      {"239.255.255.255", "protected-multicast"},
      {"ff02::1", "protected-multicast"},
      // In disguise: IPv4-mapped, -compatible, -translated, NAT64, 6to4, Teredo, ISATAP.
      {"::ffff:127.0.0.1", "protected-loopback"},
      {"::ffff:0.0.0.0", "protected-unspecified"},
      {"::ffff:169.254.169.254", "protected-metadata"},
      {"::127.0.0.1", "protected-loopback"},
      {"::ffff:0:127.0.0.1", "protected-loopback"},
      {"64:ff9b::7f00:1", "protected-loopback"},
      {"64:ff9b::a9fe:a9fe", "protected-metadata"},
      {"64:ff9b::", "protected-unspecified"},
      {"64:ff9b:1::7f00:1", "protected-loopback"},
      {"64:ff9b:1:7f00:0:100::", "protected-loopback"},
      {"64:ff9b:1:7f:0:1::", "protected-loopback"},
      {"64:ff9b:1:0:7f:0:100::", "protected-loopback"},
      {"2002:7f00:1::", "protected-loopback"},
      {"2002:7f00:1::1234", "protected-loopback"},
      {"2002:e000:1::", "protected-multicast"},
      {"2001:0:c000:201::80ff:fffe", "protected-loopback"},
      {"2001:0:7f00:1::3fff:fdfe", "protected-loopback"},
      {"2001:db8::5efe:7f00:1", "protected-loopback"},
      {"2001:db8::200:5efe:7f00:1", "protected-loopback"},
  };
  for (const auto& [text, reason] : cases) {
    EXPECT_EQ(protected_as(address(text)), reason) << text;
  }
}

TEST(Protection, LeavesOthersAlone) {
  for (const char* text : {"1.0.0.1",
                           "126.255.255.255",
                           "128.0.0.1",
                           "10.0.0.1",
                           "192.168.1.1",
                           "169.253.255.255",
                           "169.255.0.1",
                           "223.255.255.255",
                           "240.0.0.1",
                           "255.255.255.255",
                           "::2:0:0",
                           "2001:db8::1",
                           "fd00::1",
                           "fec0::1",
                           "64:ff9b::c000:201",
                           "64:ff9b:1::c000:201",
                           "2002:c000:201::",
                           "2001:0:c000:201::3fff:fdfe",
                           "::ffff:192.0.2.1",
                           "2001:db8::5efe:c000:201",
                           "2001:db8:0:7f00:1::"}) {
    EXPECT_EQ(protected_as(address(text)), "") << text;
  }
}

TEST(Protection, OfBlocks) {
  for (const char* text :
       {"127.0.0.0/8", "127.0.0.1", "127.1.0.0/16", "::1", "::", "0.0.0.0/8", "0.0.0.0",
        "169.254.169.254", "169.254.0.0/16", "fe80::/10", "fe80::/64", "ff02::/16",
        "64:ff9b::7f00:0/104", "64:ff9b::7f00:1", "2002:7f00::/24", "2002:7f00:1::/48",
        "64:ff9b:1::7f00:1", "::127.0.0.0/104", "::ffff:127.0.0.0/104"}) {
    EXPECT_TRUE(is_protected(*Prefix::parse(text))) << text;
  }
  for (const char* text : {"0.0.0.0/0", "126.0.0.0/7", "::/0", "::/96", "10.0.0.0/8", "fc00::/7",
                           "fe00::/7", "64:ff9b::/96", "2002::/16", "64:ff9b:1::/48", "2001::/32",
                           "64:ff9b::/95", "2001:db8::1", "64:ff9b:1::7f00:0/104"}) {
    EXPECT_FALSE(is_protected(*Prefix::parse(text))) << text;
  }
}

bool is_local(const IpAddress& asked) {
  return asked == address("192.0.2.1") || asked == address("2001:db8::1");
}

TEST(Protection, WithoutADescriptorToAskWithNobodyIsTakenForSomebodyElse) {
  Policy policy;
  policy.own = {{address("0.0.0.0"), 1080}};
  const Requester requester{Client(Endpoint{address("192.0.2.9"), 1}), 0, ""};
  const auto reason = [&](Port port) {
    const Endpoint elsewhere{address("203.0.113.9"), port};
    return judge(policy, requester, Command::connect, Target(elsewhere), elsewhere).reason;
  };
  EXPECT_EQ(reason(1080), "");
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const std::string_view scarce = reason(1080);
  const std::string_view other = reason(1081);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(scarce, "protected-own-listener");
  EXPECT_EQ(other, "");
}

TEST(Protection, OfTheGatewaysOwnListeners) {
  const std::vector<Endpoint> listeners{
      {address("0.0.0.0"), 1080}, {address("2001:db8::5"), 1081}, {address("198.51.100.7"), 1082}};
  const auto own = [&](std::string_view text, Port port) {
    return is_own_listener(listeners, {address(text), port}, is_local);
  };
  EXPECT_TRUE(own("198.51.100.7", 1082));
  EXPECT_FALSE(own("198.51.100.7", 1083));
  EXPECT_FALSE(own("198.51.100.8", 1082));
  EXPECT_TRUE(own("2001:db8::5", 1081));
  EXPECT_FALSE(own("2001:db8::6", 1081));
  // On every address: those of this host.
  EXPECT_TRUE(own("192.0.2.1", 1080));
  EXPECT_TRUE(own("127.0.0.5", 1080));
  EXPECT_FALSE(own("192.0.2.2", 1080));
  EXPECT_FALSE(own("192.0.2.1", 1081));
  EXPECT_FALSE(own("2001:db8::1", 1080));
  // In disguise, and by 0.0.0.0, which is this host.
  for (const char* hidden : {"::ffff:198.51.100.7", "64:ff9b::198.51.100.7", "2002:c633:6407::1",
                             "0.0.0.0", "::ffff:0.0.0.0"}) {
    EXPECT_TRUE(own(hidden, 1082)) << hidden;
  }
}

/// Judged as a session judges, under one rule.
class OpenedBy : public ::testing::Test {
 protected:
  static std::string_view judged(const std::string& line, std::string_view to, Port port = 80,
                                 Command command = Command::connect) {
    static Policy policy;  // the verdict may be a view into it
    policy = {};
    policy.listeners = {"127.0.0.1:1080"};
    policy.own = {{address("127.0.0.1"), 1080}, {address("198.51.100.7"), 1080}};
    if (line != "no rules") {
      Rule rule;
      if (line != "everything") {
        DestinationSet& destinations = rule.to.emplace();
        EXPECT_EQ(add_destination(destinations, line.substr(0, line.find(' '))), "") << line;
        if (line.find(' ') != std::string::npos) {
          rule.ports.push_back({port, port});
        }
      }
      seal(rule);
      std::vector<Rule> rules;
      rules.push_back(std::move(rule));
      policy.rules = RuleTable(std::move(rules));
    }
    const Requester requester{Client(Endpoint{address("192.0.2.9"), 4711}), 0, {}};
    const Target name = NamedEndpoint{*DomainName::from("a.test"), port};
    return judge(policy, requester, command, name, {address(to), port}).reason;
  }
};

TEST_F(OpenedBy, NoRulesNothing) {
  EXPECT_EQ(judged("no rules", "127.0.0.1"), "protected-loopback");
  EXPECT_EQ(judged("no rules", "64:ff9b::7f00:1"), "protected-loopback");
  EXPECT_EQ(judged("no rules", "198.51.100.7", 1080), "protected-own-listener");
  EXPECT_EQ(judged("no rules", "198.51.100.7", 80), "");
}

TEST_F(OpenedBy, ABlockThatLiesWithin) {
  EXPECT_EQ(judged("127.0.0.0/8", "127.0.0.1"), "");
  EXPECT_EQ(judged("127.0.0.1", "127.0.0.1"), "");
  EXPECT_EQ(judged("64:ff9b::7f00:0/104", "64:ff9b::7f00:1"), "");
}

TEST_F(OpenedBy, NothingWiderAndNoName) {
  EXPECT_EQ(judged("everything", "127.0.0.1"), "protected-loopback");
  EXPECT_EQ(judged("*", "127.0.0.1"), "protected-loopback");
  EXPECT_EQ(judged("0.0.0.0/0", "127.0.0.1"), "protected-loopback");
  EXPECT_EQ(judged("a.test", "127.0.0.1"), "protected-loopback");
  EXPECT_EQ(judged("64:ff9b::/96", "64:ff9b::7f00:1"), "protected-loopback");
  EXPECT_EQ(judged("127.0.0.0/8", "64:ff9b::7f00:1"), "no-rule-allows");
}

TEST_F(OpenedBy, MetadataByItsAddressAlone) {
  EXPECT_EQ(judged("169.254.0.0/16", "169.254.1.1"), "");
  EXPECT_EQ(judged("169.254.0.0/16", "169.254.169.254"), "protected-metadata");
  EXPECT_EQ(judged("fd00:ec2::/32", "fd00:ec2::254"), "protected-metadata");
  EXPECT_EQ(judged("169.254.169.254", "169.254.169.254"), "");
  EXPECT_EQ(judged("64:ff9b::a9fe:0/112", "64:ff9b::a9fe:a9fe"), "protected-metadata");
  EXPECT_EQ(judged("64:ff9b::a9fe:a9fe", "64:ff9b::a9fe:a9fe"), "");
}

TEST_F(OpenedBy, AListenerWithItsPort) {
  EXPECT_EQ(judged("127.0.0.0/8", "127.0.0.1", 1080), "protected-own-listener");
  EXPECT_EQ(judged("127.0.0.1", "127.0.0.1", 1080), "protected-own-listener");
  EXPECT_EQ(judged("127.0.0.1 and its port", "127.0.0.1", 1080), "");
}

TEST_F(OpenedBy, ALookUpReachesNothing) {
  EXPECT_EQ(judged("no rules", "127.0.0.1", 0, Command::resolve), "");
}

}  // namespace
}  // namespace socks64::gateway
