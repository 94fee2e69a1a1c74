// Which IPv4 addresses an IPv6 address hides, one way after the other, and how many there may be.
#include "rules/disguise.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace socks64::gateway {
namespace {

std::vector<std::string> hidden_in(std::string_view text) {
  std::vector<std::string> found;
  for (const IpAddress& inside : Disguise(IpAddress::parse(text).value_or(IpAddress()))) {
    found.emplace_back(inside.text().view());
  }
  return found;
}

TEST(Disguise, EachWayHasItsReadings) {
  using Found = std::vector<std::string>;
  EXPECT_EQ(hidden_in("192.0.2.1"), Found{});
  EXPECT_EQ(hidden_in("2001:db8::1"), Found{});
  EXPECT_EQ(hidden_in("::"), Found{});
  EXPECT_EQ(hidden_in("::1"), Found{});
  EXPECT_EQ(hidden_in("::ffff:192.0.2.1"), Found{"192.0.2.1"});
  EXPECT_EQ(hidden_in("::192.0.2.1"), Found{"192.0.2.1"});
  EXPECT_EQ(hidden_in("::ffff:0:192.0.2.1"), Found{"192.0.2.1"});
  EXPECT_EQ(hidden_in("64:ff9b::192.0.2.1"), Found{"192.0.2.1"});
  EXPECT_EQ(hidden_in("2002:c000:201::"), Found{"192.0.2.1"});
  EXPECT_EQ(hidden_in("2001:0:c000:201::3fff:fdfd"), (Found{"192.0.2.1", "192.0.2.2"}));
  EXPECT_EQ(hidden_in("fe80::5efe:192.0.2.1"), Found{"192.0.2.1"});
  EXPECT_EQ(hidden_in("64:ff9b:1:c000:2:100:cb00:7107"),
            (Found{"192.0.2.1", "2.1.0.203", "203.0.113.7"}));
  // Two ways at once.
  EXPECT_EQ(hidden_in("2002:c000:201::5efe:203.0.113.7"), (Found{"192.0.2.1", "203.0.113.7"}));
}

/// Every prefix with a reading of its own, and one without.
constexpr std::array<std::array<std::uint8_t, 12>, 8> prefixes{{
    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff},
    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
    {0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0},
    {0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0},
    {0, 0x64, 0xff, 0x9b, 0, 1, 0, 0, 0, 0, 0, 0},
    {0x20, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
    {0x20, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
    {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
}};
constexpr std::array<std::uint8_t, 3> octets{0, 1, 0xc0};

// Every prefix, with and without ISATAP's identifier, and behind them every combination of octets
// that a reading keeps or leaves out.
TEST(Disguise, NoAddressHasMoreReadingsThanThereIsRoomFor) {
  std::size_t most_found = 0;
  std::size_t tried = 0;
  for (const auto& prefix : prefixes) {
    for (const bool isatap : {false, true}) {
      IpAddress::V6Bytes bytes{};
      std::copy(prefix.begin(), prefix.end(), bytes.begin());
      if (isatap) {
        const std::array<std::uint8_t, 4> identifier{0, 0, 0x5e, 0xfe};
        std::copy(identifier.begin(), identifier.end(), bytes.begin() + 8);
      }
      // The other octets from 6 on: as they are, or each of three values.
      for (std::size_t choice = 0; choice < 19683; ++choice) {  // 3 to the 9th
        IpAddress::V6Bytes each = bytes;
        std::size_t rest = choice;
        for (const std::size_t at : {6U, 7U, 8U, 9U, 10U, 11U, 12U, 13U, 15U}) {
          if (each[at] == 0 && !(isatap && at >= 8 && at < 12)) {
            each[at] = octets[rest % octets.size()];
          }
          rest /= octets.size();
        }
        const Disguise hidden(IpAddress::v6(each));
        const auto found = static_cast<std::size_t>(std::distance(hidden.begin(), hidden.end()));
        ASSERT_LE(found, Disguise::most) << IpAddress::v6(each).text().view();
        most_found = std::max(most_found, found);
        ++tried;
      }
    }
  }
  EXPECT_EQ(tried, prefixes.size() * 2 * 19683);
  // Not five: ISATAP's identifier begins with zeros, where one of NAT64's four places is left out.
  EXPECT_EQ(most_found, Disguise::nat64_places);
}

}  // namespace
}  // namespace socks64::gateway
