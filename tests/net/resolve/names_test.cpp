// Names, literals, the hosts file, and the cache.
#include <chrono>
#include <net/if.h>
#include <string>

#include <gtest/gtest.h>

#include "base/dns_name.hpp"
#include "resolve/answer_cache.hpp"
#include "resolve/hosts_file.hpp"
#include "rig/peers.hpp"

namespace socks64::gateway::testing {
namespace {

using namespace std::chrono_literals;

TEST(CanonicalName, FoldsCaseAndOneTrailingDot) {
  EXPECT_EQ(canonical_name("WWW.Example.ORG."), "www.example.org");
  EXPECT_EQ(canonical_name("a"), "a");
  EXPECT_EQ(canonical_name("_srv.b\xc3\xbc"
                           "cher.test"),
            "_srv.b\xc3\xbc"
            "cher.test");
}

TEST(CanonicalName, RefusesWhatDnsCannotCarry) {
  using std::string_literals::operator""s;
  const std::string label63(63, 'a');
  for (const std::string& name :
       {""s, "."s, ".."s, "a.."s, ".a"s, "a..b"s, "a\0b"s, label63 + "a.test"}) {
    EXPECT_FALSE(canonical_name(name)) << name;
  }
  const std::string longest = label63 + "." + label63 + "." + label63 + "." + std::string(61, 'a');
  ASSERT_EQ(longest.size(), 253U);
  EXPECT_EQ(canonical_name(longest), longest);
  EXPECT_EQ(canonical_name(longest + "."), longest);
  EXPECT_FALSE(canonical_name(longest + "a"));
  EXPECT_FALSE(canonical_name(longest + "aa"));  // 255 octets, the most that SOCKS can carry
}

TEST(Localhost, IsALabelOfItsOwn) {
  EXPECT_TRUE(is_localhost("localhost"));
  EXPECT_TRUE(is_localhost("printer.localhost"));
  EXPECT_FALSE(is_localhost("notlocalhost"));
  EXPECT_FALSE(is_localhost("localhost.test"));
  EXPECT_TRUE(is_onion("onion"));
  EXPECT_TRUE(is_onion("abc.onion"));
  EXPECT_FALSE(is_onion("union.test"));
  EXPECT_FALSE(is_onion("theonion"));
}

TEST(Literal, WithBracketsAndZones) {
  EXPECT_EQ(literal_from("192.0.2.1"), ip("192.0.2.1"));
  EXPECT_EQ(literal_from("2001:DB8::1"), ip("2001:db8::1"));
  EXPECT_EQ(literal_from("[2001:db8::1]"), ip("2001:db8::1"));
  const std::uint32_t loopback = ::if_nametoindex("lo");
  ASSERT_NE(loopback, 0U);
  ASSERT_TRUE(literal_from("fe80::1%lo"));
  EXPECT_EQ(literal_from("fe80::1%lo")->zone(), loopback);
  EXPECT_EQ(literal_from("[fe80::1%lo]")->zone(), loopback);
  EXPECT_EQ(literal_from("fe80::1%7")->zone(), 7U);
}

TEST(Literal, NothingElse) {
  for (const std::string_view text :
       {"", "[]", "127.1", "0x7f000001", "2130706433", "[192.0.2.1]", "192.0.2.1.", "192.0.2.1%lo",
        "fe80::1%", "fe80::1%no-such-interface-here", "[::1", "::1]", "localhost", "[[::1]]"}) {
    EXPECT_FALSE(literal_from(text)) << text;
  }
}

class HostsFileTest : public ::testing::Test {
 protected:
  std::string find(HostsFile& hosts, const std::string& name, Family family) {
    const auto found = hosts.find(name, family, now_);
    if (!found) {
      return "unknown";
    }
    std::string text = "known";
    for (const IpAddress& address : *found) {
      text += " " + std::string(address.text().view());
    }
    return text;
  }
  HostsFile::Time now_ = std::chrono::steady_clock::now();
};

TEST_F(HostsFileTest, AnswersPerFamily) {
  const TemporaryFile file(
      "# a comment\n"
      "192.0.2.1\tWWW.test. www  # another\n"
      "192.0.2.2 www\r\n"
      "192.0.2.1 www\n"
      "2001:db8::1 six\n"
      "fe80::1%lo link\n"
      "nonsense www\n"
      "192.0.2.9\n\n"
      "192.0.2.3 last");
  HostsFile hosts(file.path());
  EXPECT_EQ(find(hosts, "www.test", Family::ipv4), "known 192.0.2.1");
  EXPECT_EQ(find(hosts, "www", Family::ipv4), "known 192.0.2.1 192.0.2.2");
  EXPECT_EQ(find(hosts, "www", Family::ipv6), "known");
  EXPECT_EQ(find(hosts, "six", Family::ipv6), "known 2001:db8::1");
  EXPECT_EQ(find(hosts, "last", Family::ipv4), "known 192.0.2.3");
  EXPECT_EQ(find(hosts, "link", Family::ipv6),
            "known fe80::1%" + std::to_string(::if_nametoindex("lo")));
  EXPECT_EQ(find(hosts, "other", Family::ipv4), "unknown");
}

TEST_F(HostsFileTest, IsReadAgainWithinASecondOfAChange) {
  const TemporaryFile file("192.0.2.1 www\n");
  HostsFile hosts(file.path());
  file.write("192.0.2.2 www\n");
  EXPECT_EQ(find(hosts, "www", Family::ipv4), "known 192.0.2.1");
  now_ += 1100ms;
  EXPECT_EQ(find(hosts, "www", Family::ipv4), "known 192.0.2.2");
  std::filesystem::remove(file.path());
  now_ += 1100ms;
  EXPECT_EQ(find(hosts, "www", Family::ipv4), "unknown");
  file.write("192.0.2.3 www\n");
  now_ += 1100ms;
  EXPECT_EQ(find(hosts, "www", Family::ipv4), "known 192.0.2.3");
}

TEST_F(HostsFileTest, NoFileIsAnEmptyTable) {
  HostsFile none("");
  EXPECT_EQ(find(none, "www", Family::ipv4), "unknown");
  HostsFile missing("/nonexistent/hosts");
  EXPECT_EQ(find(missing, "www", Family::ipv4), "unknown");
  HostsFile directory("/");
  EXPECT_EQ(find(directory, "www", Family::ipv4), "unknown");
}

TEST(AnswerCache, ExpiresAndForgetsTheLeastRecentlyUsed) {
  AnswerCache cache(2);
  const AnswerCache::Time now{};
  const auto entry = [&](std::chrono::seconds life) {
    return AnswerCache::Entry{Failure::none, {ip("192.0.2.1")}, now + life};
  };
  const Question a{"a", RecordType::a};
  const Question a6{"a", RecordType::aaaa};
  const Question b{"b", RecordType::a};
  cache.insert(a, entry(10s));
  EXPECT_EQ(cache.find(a6, now), nullptr);
  cache.insert(a6, entry(20s));
  EXPECT_NE(cache.find(a, now), nullptr);  // now a6 is the oldest
  cache.insert(b, entry(20s));
  EXPECT_EQ(cache.size(), 2U);
  EXPECT_EQ(cache.find(a6, now), nullptr);
  EXPECT_NE(cache.find(a, now + 9s), nullptr);
  EXPECT_EQ(cache.find(a, now + 10s), nullptr);
  EXPECT_EQ(cache.size(), 1U);
  cache.insert(b, {Failure::name_not_found, {}, now + 5s});
  ASSERT_NE(cache.find(b, now), nullptr);
  EXPECT_EQ(cache.find(b, now)->failure, Failure::name_not_found);
  EXPECT_EQ(cache.size(), 1U);
}

TEST(AnswerCache, OfNoCapacityKeepsNothing) {
  AnswerCache cache(0);
  cache.insert({"a", RecordType::a}, {Failure::none, {}, AnswerCache::Time::max()});
  EXPECT_EQ(cache.find({"a", RecordType::a}, {}), nullptr);
}

}  // namespace
}  // namespace socks64::gateway::testing
