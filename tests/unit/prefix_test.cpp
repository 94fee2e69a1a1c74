#include "socks64/prefix.hpp"

#include <algorithm>
#include <utility>

#include "octets.hpp"

namespace socks64 {
namespace {

using test::ip;

TEST(Prefix, TextBothWays) {
  const std::pair<const char*, const char*> rows[] = {
      {"192.0.2.0/24", "192.0.2.0/24"},
      {"0.0.0.0/0", "0.0.0.0/0"},
      {"192.0.2.1", "192.0.2.1/32"},
      {"2001:db8::/32", "2001:db8::/32"},
      {"::/0", "::/0"},
      {"2001:db8::1", "2001:db8::1/128"},
      {"::ffff:192.0.2.0/120", "192.0.2.0/24"},
      {"::ffff:0:0/96", "0.0.0.0/0"},
      {"::ffff:192.0.2.1", "192.0.2.1/32"},
      {"fe80::/10", "fe80::/10"},
  };
  for (const auto& [text, canonical] : rows) {
    const Result<Prefix> prefix = Prefix::parse(text);
    ASSERT_TRUE(prefix) << text;
    EXPECT_EQ(prefix->text().view(), canonical);
  }
}

TEST(Prefix, RefusesWhatIsNotABlock) {
  for (const char* const text :
       {"192.0.2.0/33", "::/129", "192.0.2.0/", "192.0.2.0/-1", "192.0.2.0/024", "192.0.2.0/24 ",
        "192.0.2.1/24", "2001:db8::1/64", "192.0.2.0/24/8", "::ffff:192.0.2.0/90", "fe80::1%2",
        "192.0.2.0/4294967320"}) {
    EXPECT_EQ(Prefix::parse(text).error(), Errc::bad_prefix) << text;
  }
  for (const char* const text : {"", "/8", "10/8", "host/8", "[::1]/128"}) {
    EXPECT_EQ(Prefix::parse(text).error(), Errc::bad_address) << text;
  }
}

TEST(Prefix, MakeZeroesHostBitsAndChecksTheLength) {
  EXPECT_EQ(Prefix::make(ip("192.0.2.255"), 25)->text().view(), "192.0.2.128/25");
  EXPECT_EQ(Prefix::make(ip("2001:db8::ffff%3"), 113)->text().view(), "2001:db8::8000/113");
  EXPECT_EQ(Prefix::make(ip("192.0.2.1"), 33).error(), Errc::bad_prefix);
  EXPECT_EQ(Prefix::make(ip("::"), 129).error(), Errc::bad_prefix);
  EXPECT_EQ(*Prefix::make(ip("::ffff:10.1.2.3"), 104), *Prefix::parse("10.0.0.0/8"));
}

TEST(Prefix, ContainsEveryLengthExactly) {
  for (const char* const text : {"170.85.170.85", "aaaa:5555:aaaa:5555:aaaa:5555:aaaa:5555"}) {
    const IpAddress address = ip(text);
    const unsigned bits = address.is_v4() ? 32 : 128;
    for (unsigned length = 0; length <= bits; ++length) {
      const Result<Prefix> prefix = Prefix::make(address, length);
      ASSERT_TRUE(prefix);
      EXPECT_EQ(prefix->length(), length);
      for (unsigned flipped = 0; flipped < bits; ++flipped) {
        IpAddress::V6Bytes octets{};
        std::copy(address.bytes().begin(), address.bytes().end(), octets.begin());
        octets[flipped / 8] =
            static_cast<std::uint8_t>(octets[flipped / 8] ^ (0x80U >> flipped % 8));
        const IpAddress other = address.is_v4()
                                    ? IpAddress::v4({octets[0], octets[1], octets[2], octets[3]})
                                    : IpAddress::v6(octets);
        EXPECT_EQ(prefix->contains(other), flipped >= length) << length << ' ' << flipped;
        EXPECT_EQ(common_prefix_length(address, other), flipped);
      }
    }
  }
}

TEST(Prefix, ARuleForIpv4MatchesMappedAddressesAndOneForIpv6DoesNot) {
  EXPECT_TRUE(Prefix::parse("10.0.0.0/8")->contains(ip("::ffff:10.1.2.3")));
  EXPECT_TRUE(Prefix::parse("::ffff:10.0.0.0/104")->contains(ip("10.1.2.3")));
  EXPECT_FALSE(Prefix::parse("::/0")->contains(ip("::ffff:10.1.2.3")));
  EXPECT_FALSE(Prefix::parse("::/0")->contains(ip("10.1.2.3")));
  EXPECT_FALSE(Prefix::parse("0.0.0.0/0")->contains(ip("::1")));
  EXPECT_TRUE(Prefix::parse("fe80::/10")->contains(ip("fe80::1%2")));
}

TEST(CommonPrefixLength, OfEqualAndUnlikeAddresses) {
  EXPECT_EQ(common_prefix_length(ip("192.0.2.1"), ip("192.0.2.1")), 32U);
  EXPECT_EQ(common_prefix_length(ip("2001:db8::1"), ip("2001:db8::1")), 128U);
  EXPECT_EQ(common_prefix_length(ip("0.0.0.0"), ip("::")), 0U);
}

}  // namespace
}  // namespace socks64
