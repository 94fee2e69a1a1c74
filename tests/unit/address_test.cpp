#include "socks64/address.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <random>
#include <string>
#include <utility>

#include "octets.hpp"

namespace socks64 {
namespace {

using test::ip;

TEST(IpAddress, CanonicalTextIsRfc5952) {
  // Accepted text, and what is printed for it.
  const std::pair<const char*, const char*> rows[] = {
      {"0.0.0.0", "0.0.0.0"},
      {"255.255.255.255", "255.255.255.255"},
      {"192.0.2.1", "192.0.2.1"},
      {"::", "::"},
      {"::1", "::1"},
      {"1::", "1::"},
      {"2001:DB8::A", "2001:db8::a"},
      {"2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"},
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},  // section 4.2.2: not for one group
      {"2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
      {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},        // section 4.2.3: the longest run
      {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},  // the first of equals
      {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
      {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
      {"0:0:3:4:5:6:7:8", "::3:4:5:6:7:8"},
      {"1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"},
      {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},  // section 5
      {"::ffff:c000:201", "::ffff:192.0.2.1"},
      {"::192.0.2.1", "::c000:201"},  // deprecated form: plain groups
      {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
      {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
      {"fe80::1%2", "fe80::1%2"},
      {"fe80::1%4294967295", "fe80::1%4294967295"},
      {"fe80::1%0", "fe80::1"},  // RFC 4007: 0 is the default zone
      {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295",
       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295"},
  };
  for (const auto& [text, canonical] : rows) {
    const Result<IpAddress> address = IpAddress::parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->text().view(), canonical);
    EXPECT_EQ(ip(address->text()), *address) << text;
  }
}

TEST(IpAddress, RefusesWhatIsNotALiteral) {
  const char* const rows[] = {"",
                              " ",
                              "1",
                              "1.2.3",
                              "127.1",
                              "1.2.3.4.5",
                              "1.2.3.4.",
                              ".1.2.3.4",
                              "1..2.3",
                              "256.0.0.1",
                              "1.2.3.999",
                              "01.2.3.4",
                              "1.2.3.00",
                              "+1.2.3.4",
                              "-1.2.3.4",
                              "0x1.2.3.4",
                              " 1.2.3.4",
                              "1.2.3.4 ",
                              "1.2.3.4%1",
                              "1.2.3.4/8",
                              ":",
                              ":::",
                              "1:",
                              ":1",
                              "::1:",
                              ":1::",
                              "1:::2",
                              "1::2::3",
                              "1:2:3:4:5:6:7",
                              "1:2:3:4:5:6:7:8:9",
                              "1:2:3:4:5:6:7:8::",
                              "::1:2:3:4:5:6:7:8",
                              "1:2:3:4::5:6:7:8",
                              "12345::",
                              "g::",
                              "0x1::",
                              "+1::",
                              "::-1",
                              "[::1]",
                              "::1 ",
                              "::1.2.3",
                              "::1.2.3.4.5",
                              "::1.2.3.4:5",
                              "1.2.3.4::",
                              "1:2:3:4:5:6:7:1.2.3.4",
                              "::01.2.3.4",
                              "fe80::1%",
                              "fe80::1%eth0",
                              "fe80::1%01",
                              "fe80::1%4294967296",
                              "fe80::1%1%2",
                              "%1",
                              "fe80::1%-1",
                              "localhost",
                              "v6only.test"};
  for (const char* const text : rows) {
    const Result<IpAddress> address = IpAddress::parse(text);
    EXPECT_FALSE(address) << text;
    EXPECT_EQ(address.error(), Errc::bad_address) << text;
  }
  EXPECT_FALSE(IpAddress::parse(std::string_view("1.2.3.4\0", 8)));
  EXPECT_FALSE(IpAddress::parse(std::string_view("::1\0", 4)));
}

TEST(IpAddress, AgreesWithTheSystemOnRandomAddresses) {
  std::mt19937 random(64);  // NOLINT: a fixed seed, so that a failure repeats
  for (int round = 0; round < 20000; ++round) {
    IpAddress::V6Bytes octets{};
    for (std::uint8_t& octet : octets) {
      octet = static_cast<std::uint8_t>(random() % 3 == 0 ? random() : 0);
    }
    std::array<char, INET6_ADDRSTRLEN> system_text{};
    ASSERT_NE(inet_ntop(AF_INET6, octets.data(), system_text.data(), system_text.size()), nullptr);
    const IpAddress address = IpAddress::v6(octets);
    ASSERT_EQ(ip(system_text.data()), address);
    IpAddress::V6Bytes back{};
    const std::string ours(address.text().view());
    ASSERT_EQ(inet_pton(AF_INET6, ours.c_str(), back.data()), 1) << ours;
    ASSERT_EQ(back, octets) << ours;
  }
}

TEST(IpAddress, Classes) {
  EXPECT_TRUE(ip("0.0.0.0").is_unspecified());
  EXPECT_TRUE(ip("::").is_unspecified());
  EXPECT_TRUE(ip("::ffff:0.0.0.0").is_unspecified());
  EXPECT_FALSE(ip("0.0.0.1").is_unspecified());
  EXPECT_FALSE(ip("::1").is_unspecified());

  EXPECT_TRUE(ip("127.0.0.1").is_loopback());
  EXPECT_TRUE(ip("127.255.0.9").is_loopback());
  EXPECT_TRUE(ip("::1").is_loopback());
  EXPECT_TRUE(ip("::ffff:127.0.0.1").is_loopback());
  EXPECT_FALSE(ip("128.0.0.1").is_loopback());
  EXPECT_FALSE(ip("::2").is_loopback());
  EXPECT_FALSE(ip("1::1").is_loopback());

  EXPECT_TRUE(ip("169.254.3.4").is_link_local());
  EXPECT_TRUE(ip("fe80::1").is_link_local());
  EXPECT_TRUE(ip("febf::1").is_link_local());
  EXPECT_FALSE(ip("fec0::1").is_link_local());
  EXPECT_FALSE(ip("169.253.0.1").is_link_local());

  EXPECT_TRUE(ip("224.0.0.1").is_multicast());
  EXPECT_TRUE(ip("239.255.255.255").is_multicast());
  EXPECT_TRUE(ip("ff02::1").is_multicast());
  EXPECT_TRUE(ip("::ffff:224.0.0.1").is_multicast());
  EXPECT_FALSE(ip("240.0.0.1").is_multicast());
  EXPECT_FALSE(ip("fe80::1").is_multicast());
}

TEST(IpAddress, MappedAndUnmapped) {
  const IpAddress v4 = ip("192.0.2.1");
  const IpAddress mapped = ip("::ffff:192.0.2.1");
  EXPECT_NE(v4, mapped);
  EXPECT_EQ(v4.mapped(), mapped);
  EXPECT_EQ(mapped.unmapped(), v4);
  EXPECT_EQ(ip("::ffff:192.0.2.1%3").unmapped(), v4);
  EXPECT_EQ(ip("2001:db8::1").mapped(), ip("2001:db8::1"));
  EXPECT_EQ(ip("2001:db8::1").unmapped(), ip("2001:db8::1"));
  EXPECT_TRUE(mapped.is_v4_mapped());
  EXPECT_FALSE(v4.is_v4_mapped());
  EXPECT_FALSE(ip("::192.0.2.1").is_v4_mapped());
  EXPECT_EQ(v4.bytes().size(), 4U);
  EXPECT_EQ(mapped.bytes().size(), 16U);
  EXPECT_EQ(v4.v4_value(), 0xc0000201U);
  EXPECT_EQ(IpAddress::v4(0xc0000201), v4);
  EXPECT_LT(ip("1.2.3.4"), ip("1.2.3.5"));
  EXPECT_LT(ip("255.0.0.0"), ip("::"));
}

TEST(Port, Text) {
  EXPECT_EQ(*parse_port("0"), 0);
  EXPECT_EQ(*parse_port("80"), 80);
  EXPECT_EQ(*parse_port("65535"), 65535);
  for (const char* const text :
       {"", "65536", "99999999999", "-1", "+1", " 1", "1 ", "0x10", "080", "http"}) {
    EXPECT_EQ(parse_port(text).error(), Errc::bad_port) << text;
  }
}

TEST(Endpoint, TextBothWays) {
  for (const char* const text : {"192.0.2.1:80", "[2001:db8::1]:443", "[fe80::1%7]:0", "[::]:65535",
                                 "[::ffff:192.0.2.1]:1"}) {
    const Result<Endpoint> endpoint = Endpoint::parse(text);
    ASSERT_TRUE(endpoint) << text;
    EXPECT_EQ(endpoint->text().view(), text);
  }
  for (const char* const text : {"", ":", ":80", "[]:80", "[::1", "2001:db8::1:80", "::1",
                                 "[192.0.2.1]:80", "localhost:80", "[[::1]]:80", "host"}) {
    EXPECT_EQ(Endpoint::parse(text).error(), Errc::bad_address) << text;
  }
  for (const char* const text :
       {"192.0.2.1:", "[::1]", "[::1]80", "[::1]:", "[::1]:x", "192.0.2.1:65536", "[::1] :80"}) {
    EXPECT_EQ(Endpoint::parse(text).error(), Errc::bad_port) << text;
  }
}

TEST(DomainName, IsKeptAsGivenWithinItsBounds) {
  EXPECT_EQ(DomainName::from("").error(), Errc::bad_name);
  EXPECT_EQ(DomainName::from(std::string(256, 'a')).error(), Errc::bad_name);
  EXPECT_EQ(DomainName::from(std::string_view("a\0b", 3)).error(), Errc::bad_name);
  EXPECT_EQ(DomainName::from(std::string(255, 'a'))->view(), std::string(255, 'a'));
  EXPECT_EQ(DomainName::from("V6Only.Test.")->view(), "V6Only.Test.");
  EXPECT_EQ(DomainName::from("\xff \n")->view(), "\xff \n");
  EXPECT_TRUE(DomainName().empty());
}

TEST(Target, TextAndPort) {
  EXPECT_EQ(text(test::at("192.0.2.1", 80)).view(), "192.0.2.1:80");
  EXPECT_EQ(text(test::at("2001:db8::1", 80)).view(), "[2001:db8::1]:80");
  EXPECT_EQ(text(test::named("v6only.test", 8080)).view(), "v6only.test:8080");
  const std::string longest(255, 'n');
  EXPECT_EQ(text(test::named(longest, 65535)).view(), longest + ":65535");
  EXPECT_EQ(port_of(test::at("::", 7)), 7);
  EXPECT_EQ(port_of(test::named("a", 9)), 9);
}

TEST(TextBuffer, SaysWhenSomethingWasCut) {
  TextBuffer<4> buffer;
  EXPECT_TRUE(buffer.append("abcd"));
  EXPECT_FALSE(buffer.append("e"));
  EXPECT_EQ(buffer.view(), "abcd");
}

}  // namespace
}  // namespace socks64
