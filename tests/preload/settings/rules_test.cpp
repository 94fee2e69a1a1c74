#include "settings/rules.hpp"

#include <memory>
#include <string>

#include <gtest/gtest.h>

namespace socks64::shim {
namespace {

std::string problem_of(std::string_view rule) {
  const auto rules = std::make_unique<Rules>();
  const std::string problem(rules->add(rule));
  EXPECT_EQ(problem.empty() ? 1U : 0U, rules->all().size()) << rule;
  return problem;
}

const char* const form = "expected ACTION TARGET, where ACTION is direct, gateway or refuse";
const char* const ports = "expected a port from 1 to 65535, or LOW-HIGH, after the last ':'";
const char* const block =
    "expected an address block like 10.0.0.0/8 or 2001:db8::/32, with no bits set after its "
    "length; "
    "an IPv6 block with a port needs brackets";
const char* const url =
    "expected a name like example.com or an address block like 10.0.0.0/8, not a URL";
const char* const name = "expected *, a name like example.com, or an address block like 10.0.0.0/8";

TEST(Rules, EveryWrongRuleIsToldFromTheOthers) {
  const std::string label(64, 'a');
  std::string long_name;
  for (int i = 0; i < 64; ++i) {
    long_name += "abc.";
  }
  const struct {
    std::string rule;
    const char* problem;
  } table[] = {
      {"", form},
      {" \t", form},
      {"direct", form},
      {"*", form},
      {"example.com", form},
      {"allow *", form},
      {"DIRECT *", form},
      {"direct * *", form},
      {"direct *:22 # ssh", form},
      {"direct:*", form},
      {"gateway= *", form},

      {"gateway *:", ports},
      {"gateway *:0", ports},
      {"gateway *:65536", ports},
      {"gateway *:99999999999999999999", ports},
      {"gateway *:-1", ports},
      {"gateway *:+1", ports},
      {"gateway *:080", ports},
      {"gateway *:http", ports},
      {"gateway *:80,443", ports},
      {"gateway *:80-", ports},
      {"gateway *:-80", ports},
      {"gateway *:0-80", ports},
      {"gateway *:443-80", ports},
      {"gateway *:80-65536", ports},
      {"gateway *:80-90-100", ports},
      {"gateway example.com:", ports},
      {"gateway 10.0.0.0/8:x", ports},
      {"gateway [2001:db8::/32]:", ports},
      {"gateway [2001:db8::/32]:1:2", ports},

      {"direct 10.0.0.0/33", block},
      {"direct 10.0.0.0/", block},
      {"direct 10.0.0.0/-1", block},
      {"direct 10.0.0.0/8/8", block},
      {"direct 10.0.0.0/255.0.0.0", block},
      {"direct 10.0.0.1/8", block},
      {"direct 10", block},
      {"direct 10.1", block},
      {"direct 192.168.", block},
      {"direct 10.0.0.1.", block},
      {"direct 1.2.3.256", block},
      {"direct 1.2.3.4.5", block},
      {"direct 010.0.0.1", block},
      {"direct example.com/8", block},
      {"direct */8", block},
      {"direct /8", block},
      {"direct *.7", block},
      {"direct 2001:db8::/129", block},
      {"direct 2001:db8::1/32", block},
      {"direct 2001:db8::/32:443", block},
      {"direct 2001:db8:::1", block},
      {"direct :::", block},
      {"direct fe80::1%2", block},
      {"direct fe80::1%eth0", block},
      {"direct [2001:db8::1", "the ']' after the IPv6 address is missing"},
      {"direct [2001:db8::]/32",
       "expected ':PORT' or nothing after ']'; write a length inside, [2001:db8::/32]"},
      {"direct [::1]80",
       "expected ':PORT' or nothing after ']'; write a length inside, [2001:db8::/32]"},
      {"direct []", block},
      {"direct [*]", block},
      {"direct [example.com]:80", block},
      {"direct [192.0.2.1]", "expected an IPv6 address or block between '[' and ']'"},
      {"direct http://example.com", url},
      {"direct http://example.com:80", url},

      {"direct .", name},
      {"direct ..", name},
      {"direct ..example.com", name},
      {"direct example..com", name},
      {"direct example.com..", name},
      {"direct **", name},
      {"direct ex*mple.com", name},
      {"direct user@example.com", name},
      {"direct a,b", name},
      {"direct a;b", name},
      {"direct \"example.com\"", name},
      {"direct ex\001ample.com", name},
      {"direct " + label + ".com", name},
      {"direct " + long_name + "com", name},
      {"refuse :80", name},
      {"direct *.example.com",
       "'*' must stand alone; for the names below example.com write .example.com"},
      {"direct example.com:80",
       "a name cannot be direct on some ports only, because it is looked up before the port is "
       "known; leave the port out, or use addresses"},
      {"direct .example.com:80-90",
       "a name cannot be direct on some ports only, because it is looked up before the port is "
       "known; leave the port out, or use addresses"},
  };
  for (const auto& row : table) {
    EXPECT_EQ(row.problem, problem_of(row.rule)) << row.rule;
  }
}

TEST(Rules, EveryFormIsRead) {
  for (const char* rule : {
           "direct *",
           "  refuse\t*:25  ",
           "gateway *:1-65535",
           "direct example.com",
           "direct example.com.",
           "direct .example.com",
           "direct .example.com.",
           "direct localhost",
           "direct com",
           "direct my_host-1.3com.example",
           "direct b\xc3\xbc"
           "cher.example",
           "gateway example.com:80",
           "refuse .example.com:80-90",
           "direct 192.0.2.1",
           "direct 10.0.0.0/8",
           "direct 10.0.0.0/8:443",
           "direct 0.0.0.0/0",
           "direct 192.0.2.1:1-2",
           "direct ::",
           "direct ::1",
           "direct ::/0",
           "direct 2001:db8::/32",
           "direct [2001:db8::/32]",
           "direct [2001:db8::/32]:443",
           "direct [2001:db8::1]:80-90",
           "direct ::ffff:10.0.0.0/104",
       }) {
    EXPECT_EQ("", problem_of(rule)) << rule;
  }
}

/// Which rule of a list is found.
class Matching : public ::testing::Test {
 protected:
  void rules(std::initializer_list<const char*> texts) {
    *rules_ = Rules();
    for (const char* text : texts) {
      EXPECT_EQ("", rules_->add(text)) << text;
    }
  }
  /// The place of the rule found, from 1; 0 for none.
  long place(const Rule* rule) const {
    return rule == nullptr ? 0 : rule - rules_->all().data() + 1;
  }
  long address(const char* text, Port port = 80) const {
    return place(rules_->find(*IpAddress::parse(text), port));
  }
  long host(std::string_view text, Port port = 80) const { return place(rules_->find(text, port)); }

  std::unique_ptr<Rules> rules_ = std::make_unique<Rules>();
};

TEST_F(Matching, NoRulesMatchNothing) {
  EXPECT_EQ(0, address("192.0.2.1"));
  EXPECT_EQ(0, host("example.com"));
  EXPECT_FALSE(rules_->everything_direct());
}

TEST_F(Matching, ANameAndWhatIsBelowIt) {
  rules({"direct example.com"});
  for (const char* text :
       {"example.com", "EXAMPLE.Com", "example.com.", "a.example.com", "b.a.Example.COM."}) {
    EXPECT_EQ(1, host(text)) << text;
  }
  for (const char* text : {"example.co", "xample.com", "notexample.com", "example.com.org", "com",
                           "", ".", ".example.com", "example.com..x"}) {
    EXPECT_EQ(0, host(text)) << text;
  }
  EXPECT_EQ(0, address("192.0.2.1"));
}

TEST_F(Matching, OnlyWhatIsBelowAName) {
  rules({"direct .Example.com"});
  EXPECT_EQ(1, host("a.example.com"));
  EXPECT_EQ(1, host("b.a.example.com"));
  EXPECT_EQ(0, host("example.com"));
  EXPECT_EQ(0, host(".example.com"));
}

TEST_F(Matching, BlocksOfBothFamilies) {
  rules({"direct 10.0.0.0/8", "direct 2001:db8::/32", "direct 192.0.2.1", "direct ::/0"});
  EXPECT_EQ(1, address("10.255.0.1"));
  EXPECT_EQ(1, address("::ffff:10.0.0.1"));
  EXPECT_EQ(0, address("11.0.0.1"));
  EXPECT_EQ(2, address("2001:db8:ffff::1"));
  EXPECT_EQ(3, address("192.0.2.1"));
  EXPECT_EQ(0, address("192.0.2.2"));
  EXPECT_EQ(0, address("::ffff:192.0.2.2"));  // ::/0 is IPv6 alone
  EXPECT_EQ(4, address("2001:db9::1"));
  EXPECT_EQ(0, host("10.example"));
}

TEST_F(Matching, PortsAreBoundsOfEachRule) {
  rules({"refuse *:25", "gateway 10.0.0.0/8:80-90", "direct 10.0.0.0/8", "refuse a.test:443"});
  EXPECT_EQ(1, address("10.0.0.1", 25));
  EXPECT_EQ(1, host("a.test", 25));
  EXPECT_EQ(3, address("10.0.0.1", 79));
  EXPECT_EQ(2, address("10.0.0.1", 80));
  EXPECT_EQ(2, address("10.0.0.1", 90));
  EXPECT_EQ(3, address("10.0.0.1", 91));
  EXPECT_EQ(3, address("10.0.0.1", 0));
  EXPECT_EQ(3, address("10.0.0.1", 65535));
  EXPECT_EQ(4, host("x.a.test", 443));
  EXPECT_EQ(0, host("x.a.test", 442));
}

TEST_F(Matching, TheFirstThatMatchesWins) {
  rules({"direct a.b.test", "refuse b.test", "gateway *", "refuse c.test"});
  EXPECT_EQ(1, host("x.a.b.test"));
  EXPECT_EQ(2, host("b.test"));
  EXPECT_EQ(3, host("c.test"));
  EXPECT_EQ(3, address("::1"));
}

TEST_F(Matching, ALookUpKnowsNoPort) {
  rules({"refuse *:25", "gateway a.test:443", "direct 10.0.0.0/8:80", "direct *"});
  EXPECT_EQ(2, place(rules_->find("a.test")));
  EXPECT_EQ(4, place(rules_->find("b.test")));
  EXPECT_EQ(3, place(rules_->find(*IpAddress::parse("10.0.0.1"))));
  EXPECT_EQ(4, place(rules_->find(*IpAddress::parse("11.0.0.1"))));
}

TEST_F(Matching, LoopbackNeedsARuleOfItsOwn) {
  rules({"refuse *", "refuse 0.0.0.0/0", "refuse ::/0", "refuse 126.0.0.0/7",
         "refuse 127.0.0.0/9:80", "refuse ::1"});
  const auto found = [this](const char* text, Port port) {
    return place(rules_->find_loopback(*IpAddress::parse(text), port));
  };
  EXPECT_EQ(5, found("127.0.0.1", 80));
  EXPECT_EQ(0, found("127.0.0.1", 81));
  EXPECT_EQ(0, found("127.128.0.1", 80));
  EXPECT_EQ(6, found("::1", 1));
}

TEST_F(Matching, EverythingDirect) {
  const struct {
    std::initializer_list<const char*> texts;
    bool all;
  } table[] = {
      {{"direct *"}, true},
      {{"direct a.test", "direct 10.0.0.0/8", "direct *", "refuse *"}, true},
      {{"direct *:22"}, false},
      {{"direct *:22", "direct *"}, true},
      {{"gateway a.test", "direct *"}, false},
      {{"refuse *:25", "direct *"}, false},
      {{"direct 0.0.0.0/0", "direct ::/0"}, false},
  };
  for (const auto& row : table) {
    rules(row.texts);
    EXPECT_EQ(row.all, rules_->everything_direct()) << *row.texts.begin();
  }
}

TEST_F(Matching, LaterRulesCanComeForward) {
  rules({"direct a.test", "direct b.test", "refuse a.test", "refuse c.test"});
  rules_->bring_forward(2);
  EXPECT_EQ(RuleAction::refuse, rules_->find("a.test")->action);
  EXPECT_EQ(RuleAction::direct, rules_->find("b.test")->action);
  EXPECT_EQ(2, host("c.test"));
  rules_->bring_forward(4);
  rules_->bring_forward(0);
  rules_->bring_forward(1000);
  EXPECT_EQ(2, host("c.test"));
}

TEST_F(Matching, TheListIsBounded) {
  for (std::size_t i = 0; i < Rules::max_rules; ++i) {
    ASSERT_EQ("", rules_->add("direct h" + std::to_string(i) + ".test")) << i;
  }
  EXPECT_EQ("there are more than 512 rules", rules_->add("direct one.more"));
  EXPECT_EQ(1, host("h0.test"));
  EXPECT_EQ(512, host("h511.test"));
  EXPECT_EQ(0, host("one.more"));
}

TEST_F(Matching, TheTextOfNamesIsBounded) {
  std::string label(62, 'n');
  const std::string tail = "." + label + "." + label + "." + label;  // 189 octets
  std::size_t used = 0;
  std::size_t count = 0;
  while (used + 4 + tail.size() <= Rules::max_text) {
    ASSERT_EQ("", rules_->add("direct " + std::to_string(1000 + count) + tail)) << count;
    used += 4 + tail.size();
    ++count;
  }
  EXPECT_EQ("the names of all rules together are longer than 32 KiB",
            rules_->add("direct 9999" + tail));
  EXPECT_EQ(count, rules_->all().size());
  EXPECT_EQ("", rules_->add("direct *"));
  EXPECT_EQ(static_cast<long>(count), host(std::to_string(1000 + count - 1) + tail));
}

}  // namespace
}  // namespace socks64::shim
