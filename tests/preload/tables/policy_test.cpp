// Decisions: every kind of destination under every kind of rule.
#include "tables/policy.hpp"

#include <cstring>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "settings/config_reader.hpp"

namespace socks64::shim {
namespace {

class Policy : public ::testing::Test {
 protected:
  Policy() { table_.configure(config_->fake_ipv4, config_->fake_ipv6); }

  void rules(std::string_view text) {
    *config_ = Config();
    ASSERT_TRUE(set_option(*config_, "rules", "rule", text)) << config_->problem.view();
  }
  std::string fake(std::string_view name, Family family = Family::ipv4) {
    return std::string(table_.fake_for(name, family)->text());
  }
  static std::string told(const Decision& decision) {
    if (const auto* refuse = std::get_if<Refuse>(&decision)) {
      return strerrorname_np(refuse->error);
    }
    if (const auto* gateway = std::get_if<ViaGateway>(&decision)) {
      return "gateway " + std::string(text(gateway->target));
    }
    return "direct";
  }
  static Endpoint endpoint(const std::string& address, Port port) {
    return {*IpAddress::parse(address), port};
  }
  std::string stream(const std::string& address, Port port = 80) const {
    return told(decide_stream(*config_, table_, endpoint(address, port)));
  }
  std::string datagram(const std::string& address, Port port = 53) const {
    return told(decide_datagram(*config_, table_, endpoint(address, port)));
  }
  std::string name(std::string_view text) const {
    const NameDecision decision = decide_name(*config_, text);
    const char* const action = decision.action == RuleAction::direct   ? "direct"
                               : decision.action == RuleAction::refuse ? "refuse"
                                                                       : "gateway";
    return std::string(action) + (decision.by_name ? " by name" : "");
  }

  std::unique_ptr<Config> config_ = std::make_unique<Config>();
  FakeIpTable table_;
};

TEST_F(Policy, WithoutRules) {
  EXPECT_EQ("gateway 192.0.2.1:80", stream("192.0.2.1"));
  EXPECT_EQ("gateway 192.0.2.1:80", stream("::ffff:192.0.2.1"));
  EXPECT_EQ("gateway [2001:db8::1]:80", stream("2001:db8::1"));
  for (const char* here : {"127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"}) {
    EXPECT_EQ("direct", stream(here)) << here;
    EXPECT_EQ("direct", datagram(here)) << here;
  }
  EXPECT_EQ("gateway a.test:80", stream(fake("a.test")));
  EXPECT_EQ("gateway a.test:80", stream(fake("a.test", Family::ipv6)));
  EXPECT_EQ("EHOSTUNREACH", stream("0.0.0.250"));
  EXPECT_EQ("EHOSTUNREACH", datagram(fake("a.test")));
  EXPECT_EQ("ENETUNREACH", datagram("192.0.2.1"));
  EXPECT_EQ("gateway", name("a.test"));
  EXPECT_FALSE(asks_libc(*config_, *IpAddress::parse("192.0.2.1")));
  EXPECT_FALSE(asks_libc_always(*config_));
}

TEST_F(Policy, WhatMeansThisLinkStaysOnIt) {
  for (const char* here : {"169.254.169.254", "::ffff:169.254.7.7", "fe80::1%1", "febf::1"}) {
    EXPECT_EQ("direct", stream(here)) << here;
    EXPECT_EQ("direct", datagram(here)) << here;
  }
  EXPECT_EQ("gateway 169.253.1.1:80", stream("169.253.1.1"));
  EXPECT_EQ("ENETUNREACH", datagram("fec0::1"));
  rules("refuse 169.254.169.254; gateway fe80::/10");
  EXPECT_EQ("EACCES", stream("169.254.169.254"));
  EXPECT_EQ("EACCES", datagram("169.254.169.254"));
  EXPECT_EQ("direct", stream("169.254.7.7"));
  EXPECT_EQ("gateway [fe80::1]:80", stream("fe80::1"));
  EXPECT_EQ("ENETUNREACH", datagram("fe80::1"));
  config_->link_local_direct = false;
  EXPECT_EQ("gateway 169.254.7.7:80", stream("169.254.7.7"));
  EXPECT_EQ("ENETUNREACH", datagram("169.254.7.7"));
}

TEST_F(Policy, AddressRules) {
  rules(
      "direct 192.0.2.0/24; refuse 198.51.100.0/24; refuse [2001:db8::/32]:22; direct 2001:db8::1");
  EXPECT_EQ("direct", stream("192.0.2.1"));
  EXPECT_EQ("direct", stream("::ffff:192.0.2.1"));
  EXPECT_EQ("EACCES", stream("198.51.100.1"));
  EXPECT_EQ("EACCES", stream("::ffff:198.51.100.1"));
  EXPECT_EQ("EACCES", stream("2001:db8::1", 22));
  EXPECT_EQ("direct", stream("2001:db8::1", 23));
  EXPECT_EQ("gateway [2001:db8::2]:23", stream("2001:db8::2", 23));
  EXPECT_EQ("gateway 203.0.113.1:80", stream("203.0.113.1"));
  EXPECT_TRUE(asks_libc(*config_, *IpAddress::parse("192.0.2.1")));
  EXPECT_FALSE(asks_libc(*config_, *IpAddress::parse("198.51.100.1")));
  EXPECT_FALSE(asks_libc(*config_, *IpAddress::parse("2001:db8::1")));  // its ports differ
  EXPECT_FALSE(asks_libc_always(*config_));
}

TEST_F(Policy, NameRules) {
  rules(
      "direct in.test; refuse bad.test; gateway both.test:443; direct both.test; gateway gw.test; "
      "refuse smtp.test:25");
  EXPECT_EQ("direct by name", name("in.test"));
  EXPECT_EQ("direct by name", name("A.In.Test."));
  EXPECT_EQ("refuse by name", name("bad.test"));
  EXPECT_EQ("gateway by name", name("both.test"));
  EXPECT_EQ("gateway by name", name("gw.test"));
  EXPECT_EQ("gateway by name", name("smtp.test"));
  EXPECT_EQ("gateway", name("else.test"));
  EXPECT_EQ("EACCES", stream(fake("smtp.test"), 25));
  EXPECT_EQ("gateway smtp.test:26", stream(fake("smtp.test"), 26));
  EXPECT_EQ("gateway both.test:443", stream(fake("both.test"), 443));
  EXPECT_EQ("EACCES", stream(fake("bad.test")));  // given before the rule, by another process
}

TEST_F(Policy, AFakeAddressIsNeverDirect) {
  rules("direct *");
  EXPECT_EQ("gateway a.test:80", stream(fake("a.test")));
  EXPECT_EQ("EHOSTUNREACH", stream("0.0.0.250"));
  EXPECT_EQ("EHOSTUNREACH", datagram(fake("a.test")));
  rules("direct 0.0.0.0/0; direct ::/0");
  EXPECT_EQ("gateway a.test:80", stream(fake("a.test", Family::ipv6)));
  EXPECT_EQ("EHOSTUNREACH", datagram("0.0.0.250"));
  rules("gateway both.test:443; direct both.test; refuse *");
  EXPECT_EQ("gateway both.test:80", stream(fake("both.test"), 80));
}

TEST_F(Policy, ADelegatedLiteralIsJudgedAsAnAddress) {
  rules("refuse [2001:db8::/32]:25; refuse 192.0.2.1; direct 2001:db8::1");
  EXPECT_EQ("EACCES", stream(fake("2001:db8::1"), 25));
  EXPECT_EQ("gateway 2001:db8::1:80", stream(fake("2001:db8::1"), 80));
  EXPECT_EQ("EACCES", stream(fake("192.0.2.1", Family::ipv6), 80));
}

TEST_F(Policy, EverythingDirect) {
  rules("direct *");
  for (const char* address : {"192.0.2.1", "2001:db8::1", "127.0.0.1", "::", "224.0.0.1"}) {
    EXPECT_EQ("direct", stream(address)) << address;
    EXPECT_EQ("direct", datagram(address)) << address;
    EXPECT_TRUE(asks_libc(*config_, *IpAddress::parse(address)));
  }
  EXPECT_EQ("direct", name("a.test"));
  EXPECT_TRUE(asks_libc_always(*config_));
}

TEST_F(Policy, EverythingRefused) {
  rules("gateway ok.test; refuse *");
  EXPECT_EQ("EACCES", stream("192.0.2.1"));
  EXPECT_EQ("EACCES", datagram("192.0.2.1"));
  EXPECT_EQ("direct", stream("127.0.0.1"));
  EXPECT_EQ("direct", stream("::1"));
  EXPECT_EQ("refuse", name("a.test"));
  EXPECT_EQ("gateway by name", name("ok.test"));
}

TEST_F(Policy, PortsOfAnyHost) {
  rules("direct *:22; refuse *:25; gateway *:443; direct *");
  EXPECT_EQ("direct", name("a.test"));  // judged on its addresses later
  EXPECT_EQ("direct", stream("192.0.2.1", 22));
  EXPECT_EQ("EACCES", stream("192.0.2.1", 25));
  EXPECT_EQ("gateway 192.0.2.1:443", stream("192.0.2.1", 443));
  EXPECT_EQ("direct", stream("192.0.2.1", 80));
  rules("direct *:22; refuse *:25");
  EXPECT_EQ("gateway", name("a.test"));
  EXPECT_EQ("gateway a.test:22", stream(fake("a.test"), 22));
  EXPECT_EQ("EACCES", stream(fake("a.test"), 25));
  EXPECT_EQ("direct", datagram("192.0.2.1", 22));
}

TEST_F(Policy, LoopbackByARuleOfItsOwn) {
  rules("refuse 127.0.0.0/8:25; gateway 127.0.0.0/8:80; gateway [::1]:80; refuse *");
  for (const char* here : {"127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1", "::ffff:0.0.0.0"}) {
    EXPECT_EQ("EACCES", stream(here, 25)) << here;
    EXPECT_EQ("gateway 127.0.0.1:80", stream(here, 80)) << here;
    EXPECT_EQ("direct", stream(here, 81)) << here;
    EXPECT_EQ("EACCES", datagram(here, 25)) << here;
    EXPECT_EQ("ENETUNREACH", datagram(here, 80)) << here;
    EXPECT_EQ("direct", datagram(here, 81)) << here;
  }
  EXPECT_EQ("gateway [::1]:80", stream("::1", 80));
  EXPECT_EQ("gateway [::1]:80", stream("::", 80));
  EXPECT_EQ("direct", stream("::1", 25));
}

TEST_F(Policy, TheGatewayItselfIsDirect) {
  rules("refuse 127.0.0.0/8; refuse *");
  EXPECT_EQ("direct", stream("127.0.0.1", 1080));
  EXPECT_EQ("EACCES", stream("127.0.0.1", 1081));
}

TEST_F(Policy, Datagrams) {
  rules("direct 10.0.0.0/8:53; refuse 192.0.2.0/24; gateway 198.51.100.0/24");
  EXPECT_EQ("direct", datagram("10.0.0.1", 53));
  EXPECT_EQ("ENETUNREACH", datagram("10.0.0.1", 54));
  EXPECT_EQ("EACCES", datagram("192.0.2.1"));
  EXPECT_EQ("ENETUNREACH", datagram("198.51.100.1"));
  config_->udp = UdpMode::direct;
  EXPECT_EQ("direct", datagram("10.0.0.1", 54));
  EXPECT_EQ("EACCES", datagram("192.0.2.1"));
  EXPECT_EQ("direct", datagram("198.51.100.1"));
}

TEST_F(Policy, AWrongConfigurationIsClosedWhateverItsRulesSay) {
  rules("refuse 127.0.0.1; gateway ::1; direct *");
  set_option(*config_, "P", "rule", "nonsense");
  ASSERT_FALSE(config_->usable());
  EXPECT_EQ("ENETDOWN", stream("192.0.2.1"));
  EXPECT_EQ("ENETDOWN", datagram("192.0.2.1"));
  EXPECT_EQ("ENETDOWN", stream(fake("a.test")));
  EXPECT_EQ("ENETDOWN", stream("::1"));
  EXPECT_EQ("EACCES", stream("127.0.0.1"));
  EXPECT_EQ("direct", stream("127.0.0.2"));
  EXPECT_EQ("gateway", name("a.test"));
  EXPECT_FALSE(asks_libc(*config_, *IpAddress::parse("192.0.2.1")));
  EXPECT_FALSE(asks_libc_always(*config_));
}

TEST(PolicyErrno, EveryReplyCode) {
  const int known[] = {0,           ECONNABORTED, EACCES,
                       ENETUNREACH, EHOSTUNREACH, ECONNREFUSED,
                       ETIMEDOUT,   EOPNOTSUPP,   EAFNOSUPPORT};
  for (int code = 1; code < 256; ++code) {
    EXPECT_EQ(code < 9 ? known[code] : ECONNABORTED, errno_of(static_cast<ReplyCode>(code)))
        << code;
  }
}

}  // namespace
}  // namespace socks64::shim
