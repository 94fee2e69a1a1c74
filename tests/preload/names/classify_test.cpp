// What a name is to us: each kind that there is, and which goes first where several fit.
#include "names/classify.hpp"

#include <algorithm>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "settings/config_reader.hpp"

namespace socks64::shim {
namespace {

constexpr Families both{.ipv4 = true, .ipv6 = true};

class Classify : public ::testing::Test {
 protected:
  Classify() { table_.configure(config_->fake_ipv4, config_->fake_ipv6); }

  void rules(std::string_view text) {
    *config_ = Config();
    ASSERT_TRUE(set_option(*config_, "rules", "rule", text)) << config_->problem.view();
  }
  std::string rule_text(const Rule* rule) const {
    return rule != nullptr ? " by '" + std::string(config_->rules.text_of(*rule).view()) + "'" : "";
  }
  std::string kind(std::string_view name, Families families = both) {
    local_ = {};
    const ClassifiedName found = classify(*config_, table_, name, families, local_);
    for_libc_ = is_for_libc(found);
    noted_ = rule_text(direct_rule(found));
    if (const auto* const literal = std::get_if<LiteralName>(&found)) {
      return "literal " + std::string(literal->address.text().view()) + rule_text(literal->rule);
    }
    if (std::holds_alternative<LocalName>(found)) {
      return "local";
    }
    if (const auto* const direct = std::get_if<DirectName>(&found)) {
      return "direct" + rule_text(direct->rule);
    }
    if (const auto* const refused = std::get_if<RefusedName>(&found)) {
      return "refused " + std::string(refused->name) + rule_text(refused->rule);
    }
    if (const auto* const delegated = std::get_if<DelegatedName>(&found)) {
      return "delegated " + std::string(delegated->name);
    }
    return "no name";
  }
  bool has_local(std::string_view address) const {
    const auto* const end = local_.list.begin() + local_.count;
    return std::find(local_.list.begin(), end, *IpAddress::parse(address)) != end;
  }

  std::unique_ptr<Config> config_ = std::make_unique<Config>();
  FakeIpTable table_;
  HostAddresses local_;
  bool for_libc_ = false;
  std::string noted_;  ///< the rule by which the addresses of the name are direct
};

TEST_F(Classify, WithoutRules) {
  EXPECT_EQ("delegated a.test", kind("a.test"));
  EXPECT_EQ("delegated A.Test", kind("A.Test."));
  EXPECT_EQ("delegated _srv.a.test", kind("_srv.a.test"));
  EXPECT_EQ(0U, local_.count);
  EXPECT_FALSE(for_libc_);
  EXPECT_EQ("", noted_);
}

TEST_F(Classify, EverySpellingOfALiteral) {
  EXPECT_EQ("literal 192.0.2.1", kind("192.0.2.1"));
  EXPECT_EQ("literal 127.0.0.1", kind("0x7f.1"));
  EXPECT_EQ("literal 0.0.0.10", kind("012"));
  EXPECT_EQ("literal 2001:db8::1", kind("2001:DB8:0::1"));
  EXPECT_EQ("literal fe80::1%7", kind("fe80::1%7"));
  EXPECT_FALSE(for_libc_);
}

TEST_F(Classify, WhatCannotExist) {
  for (const char* name :
       {"invalid", "a.invalid", "A.Invalid.", "0.1.1.~1", "a/b.test", "*.test", "-a.test"}) {
    EXPECT_EQ("no name", kind(name)) << name;
  }
  EXPECT_EQ("delegated xinvalid", kind("xinvalid"));
  EXPECT_EQ("delegated invalid.a", kind("invalid.a"));
  EXPECT_EQ("delegated a.onion", kind("a.onion"));
  EXPECT_EQ("delegated printer.local", kind("printer.local"));
  EXPECT_EQ("local", kind("any.localhost"));
}

TEST_F(Classify, WhatIsNoName) {
  for (const char* name : {"", ".", "..", "a..test", ".a.test", "a b.test", "a\ttest", "1.2.3.4.5",
                           "1.2.3.256", "192.0.2.1."}) {
    EXPECT_EQ("no name", kind(name)) << name;
    EXPECT_FALSE(for_libc_) << name;
  }
  EXPECT_EQ("delegated " + std::string(63, 'a'), kind(std::string(63, 'a')));
  EXPECT_EQ("no name", kind(std::string(64, 'a')));
  std::string longest;
  while (longest.size() < 252) {
    longest += "a.";
  }
  EXPECT_EQ("delegated " + longest + "a", kind(longest + "a"));
  EXPECT_EQ("no name", kind(longest + "aa"));
}

TEST_F(Classify, LocalInTheFamiliesAskedFor) {
  EXPECT_EQ("local", kind("localhost"));
  EXPECT_TRUE(has_local("127.0.0.1"));
  EXPECT_EQ("local", kind("some.LocalHost.", {.ipv4 = true, .ipv6 = false}));
  EXPECT_EQ(1U, local_.count);
  EXPECT_TRUE(has_local("127.0.0.1"));
  EXPECT_EQ("local", kind("some.localhost", {.ipv4 = false, .ipv6 = true}));
  EXPECT_EQ(1U, local_.count);
  EXPECT_TRUE(has_local("::1"));
  EXPECT_FALSE(for_libc_);
  EXPECT_EQ("delegated localhost", kind("localhost", {}));
  EXPECT_EQ("delegated notlocalhost", kind("notlocalhost"));
}

TEST_F(Classify, DirectNames) {
  rules("direct a.test; direct .below.test");
  EXPECT_EQ("direct by 'direct a.test'", kind("www.A.test."));
  EXPECT_TRUE(for_libc_);
  EXPECT_EQ(" by 'direct a.test'", noted_);
  EXPECT_EQ("direct by 'direct .below.test'", kind("x.below.test"));
  EXPECT_EQ("delegated below.test", kind("below.test"));
  EXPECT_FALSE(for_libc_);
  // What libc makes of a name that is none is libc's business, too.
  EXPECT_EQ("direct by 'direct a.test'", kind("a b.a.test"));
}

TEST_F(Classify, RefusedNames) {
  rules("refuse a.test; refuse b.test:22; refuse *:25");
  EXPECT_EQ("refused www.a.test by 'refuse a.test'", kind("www.a.test."));
  EXPECT_FALSE(for_libc_);
  EXPECT_EQ("", noted_);
  EXPECT_EQ("no name", kind("a b.a.test"));
  // For some ports: judged when the port is known.
  EXPECT_EQ("delegated b.test", kind("b.test"));
  EXPECT_EQ("delegated c.test", kind("c.test"));
}

TEST_F(Classify, LocalGoesBeforeEverythingButNotBeforeItsOwnRule) {
  rules("refuse *");
  EXPECT_EQ("local", kind("localhost"));
  EXPECT_EQ("refused a.test by 'refuse *'", kind("a.test"));
  rules("gateway localhost");
  EXPECT_EQ("delegated localhost", kind("localhost"));
  rules("refuse .localhost; refuse localhost:22");
  EXPECT_EQ("refused a.localhost by 'refuse .localhost'", kind("a.localhost"));
  EXPECT_EQ("delegated localhost", kind("localhost"));
  rules("direct *");
  EXPECT_EQ("direct by 'direct *'", kind("localhost"));
}

TEST_F(Classify, LiteralsHaveTheRulesOfAddresses) {
  rules("direct 192.0.2.0/24; refuse 198.51.100.0/24; direct 203.0.113.0/24:80");
  EXPECT_EQ("literal 192.0.2.1 by 'direct 192.0.2.0/24'", kind("192.0.2.1"));
  EXPECT_TRUE(for_libc_);
  EXPECT_EQ("", noted_);
  EXPECT_EQ("literal 198.51.100.1 by 'refuse 198.51.100.0/24'", kind("198.51.100.1"));
  EXPECT_FALSE(for_libc_);
  EXPECT_EQ("literal 203.0.113.1 by 'direct 203.0.113.0/24:80'", kind("203.0.113.1"));
  EXPECT_FALSE(for_libc_);
  EXPECT_EQ("literal 192.0.3.1", kind("192.0.3.1"));
  EXPECT_FALSE(for_libc_);
}

TEST_F(Classify, EverythingDirect) {
  rules("direct 203.0.113.0/24:80; direct a.test; direct *");
  for (const char* name : {"203.0.113.1", "192.0.2.1", "0.0.0.7", "::1"}) {
    EXPECT_EQ(0U, kind(name).find("literal ")) << name;
    EXPECT_TRUE(for_libc_) << name;
    EXPECT_EQ("", noted_) << name;
  }
  EXPECT_EQ("direct by 'direct *'", kind("b.test"));
  EXPECT_TRUE(for_libc_);
  EXPECT_EQ("", noted_);  // not made for this name
  EXPECT_EQ("direct by 'direct a.test'", kind("a.test"));
  EXPECT_EQ(" by 'direct a.test'", noted_);
}

TEST_F(Classify, AFakeAddressIsNotLibcs) {
  rules("direct 0.0.0.0/8; direct 100::/64; gateway *");
  EXPECT_EQ("literal 0.0.0.7 by 'direct 0.0.0.0/8'", kind("0.0.0.7"));
  EXPECT_FALSE(for_libc_);
  EXPECT_EQ("literal 100::7 by 'direct 100::/64'", kind("100::7"));
  EXPECT_FALSE(for_libc_);
}

TEST_F(Classify, AConfigurationThatCannotBeUsedHasNoRules) {
  rules("direct a.test; refuse b.test; direct 192.0.2.0/24");
  config_->problem.append("SOCKS64_GATEWAY: nonsense");
  EXPECT_EQ("delegated a.test", kind("a.test"));
  EXPECT_EQ("delegated b.test", kind("b.test"));
  EXPECT_EQ("literal 192.0.2.1", kind("192.0.2.1"));
  EXPECT_FALSE(for_libc_);
}

TEST_F(Classify, TheFirstRuleCounts) {
  rules("direct www.a.test; refuse a.test; gateway b.test; refuse *");
  EXPECT_EQ("direct by 'direct www.a.test'", kind("www.a.test"));
  EXPECT_EQ("refused a.test by 'refuse a.test'", kind("a.test"));
  EXPECT_EQ("delegated x.b.test", kind("x.b.test"));
  EXPECT_EQ("refused c.test by 'refuse *'", kind("c.test"));
}

}  // namespace
}  // namespace socks64::shim
