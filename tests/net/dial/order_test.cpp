// RFC 6724 sections 10.2 and 10.3, example by example, and RFC 8305 section 4. The examples of
// rules 3 and 4 (deprecated and home addresses) do not apply: the kernel has looked at that already
// when it chose the source (order.cpp).
#include "dial/order.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "rig/peers.hpp"

namespace socks64::gateway::testing {
namespace {

Destination from(std::string_view address, std::string_view source) {
  return {ip(address), ip(source)};
}

Destination no_route(std::string_view address) {
  return {ip(address), std::nullopt};
}

std::string text_of(const std::vector<Destination>& destinations) {
  std::string text;
  for (const Destination& destination : destinations) {
    if (!text.empty()) {
      text += ' ';
    }
    text += destination.address.text().view();
  }
  return text;
}

/// The result must not depend on the order of the answer.
std::string ordered(std::vector<Destination> destinations,
                    FamilyPreference prefer = FamilyPreference::system) {
  std::vector<Destination> reversed(destinations.rbegin(), destinations.rend());
  order_destinations(destinations, prefer);
  order_destinations(reversed, prefer);
  EXPECT_EQ(text_of(destinations), text_of(reversed));
  return text_of(destinations);
}

TEST(Order, PrefersAMatchingScope) {
  EXPECT_EQ(
      ordered({from("2001:db8:1::1", "2001:db8:1::2"), from("198.51.100.121", "169.254.13.78")}),
      "2001:db8:1::1 198.51.100.121");
  EXPECT_EQ(ordered({from("2001:db8:1::1", "fe80::1"), from("198.51.100.121", "198.51.100.117")}),
            "198.51.100.121 2001:db8:1::1");
}

TEST(Order, PrefersAHigherPrecedence) {
  EXPECT_EQ(ordered({from("2001:db8:1::1", "2001:db8:1::2"), from("10.1.2.3", "10.1.2.4")}),
            "2001:db8:1::1 10.1.2.3");
  EXPECT_EQ(ordered({from("2001:db8:1::1", "2001:db8:1::2"),
                     from("2002:c633:6401::1", "2002:c633:6401::2")}),
            "2001:db8:1::1 2002:c633:6401::1");
  // Section 2.1: where only a unique local address is at hand on our side, IPv4 is the better bet.
  EXPECT_EQ(ordered({from("fd00::1", "fd00::2"), from("198.51.100.1", "198.51.100.2")}),
            "198.51.100.1 fd00::1");
}

TEST(Order, PrefersASmallerScope) {
  EXPECT_EQ(ordered({from("2001:db8:1::1", "2001:db8:1::2"), from("fe80::1", "fe80::2")}),
            "fe80::1 2001:db8:1::1");
}

TEST(Order, PrefersAMatchingLabel) {
  EXPECT_EQ(ordered({from("2002:c633:6401::1", "2002:c633:6401::2"),
                     from("2001:db8:1::1", "2002:c633:6401::2")}),
            "2002:c633:6401::1 2001:db8:1::1");
  EXPECT_EQ(ordered({from("2001:db8::1", "fd00::2"), from("198.51.100.1", "198.51.100.2")}),
            "198.51.100.1 2001:db8::1");
}

TEST(Order, PrefersTheLongestMatchingPrefixOfIpv6Only) {
  EXPECT_EQ(ordered({from("2001:db8:1::1", "2001:db8:1::2"),
                     from("2001:db8:3ffe::1", "2001:db8:3f44::2")}),
            "2001:db8:1::1 2001:db8:3ffe::1");
  // Beyond the interface's own /64 bits mean nothing (section 2.2): the answer's order stays.
  std::vector<Destination> one_link{from("2001:db8::f", "2001:db8::2"),
                                    from("2001:db8::3", "2001:db8::2")};
  order_destinations(one_link, FamilyPreference::system);
  EXPECT_EQ(text_of(one_link), "2001:db8::f 2001:db8::3");
  std::vector<Destination> rotated{from("203.0.113.1", "192.0.2.2"),
                                   from("192.0.2.1", "192.0.2.2")};
  order_destinations(rotated, FamilyPreference::system);
  EXPECT_EQ(text_of(rotated), "203.0.113.1 192.0.2.1");
}

TEST(Order, AvoidsDestinationsWithoutARoute) {
  EXPECT_EQ(ordered({no_route("2001:db8::1"), from("192.0.2.1", "192.0.2.2")}),
            "192.0.2.1 2001:db8::1");
  EXPECT_EQ(
      ordered({no_route("2001:db8::1"), from("192.0.2.1", "192.0.2.2")}, FamilyPreference::ipv6),
      "192.0.2.1 2001:db8::1");
}

// Section 10.3: IPv4 preferred, and what that leaves as it is.
TEST(Order, ExamplesOfTheRfcWithAPreference) {
  EXPECT_EQ(
      ordered({from("2001:db8:1::1", "2001:db8:1::2"), from("198.51.100.121", "169.254.13.78")},
              FamilyPreference::ipv4),
      "2001:db8:1::1 198.51.100.121");
  EXPECT_EQ(ordered({from("2001:db8:1::1", "fe80::1"), from("198.51.100.121", "198.51.100.117")},
                    FamilyPreference::ipv4),
            "198.51.100.121 2001:db8:1::1");
  EXPECT_EQ(ordered({from("2001:db8:1::1", "2001:db8:1::2"), from("10.1.2.3", "10.1.2.4")},
                    FamilyPreference::ipv4),
            "10.1.2.3 2001:db8:1::1");
}

TEST(Order, TheOperatorsPreferenceGoesBeforeTheTable) {
  const std::vector<Destination> both{from("2001:db8::1", "2001:db8::2"),
                                      from("192.0.2.1", "192.0.2.2")};
  EXPECT_EQ(ordered(both), "2001:db8::1 192.0.2.1");
  EXPECT_EQ(ordered(both, FamilyPreference::ipv4), "192.0.2.1 2001:db8::1");
  const std::vector<Destination> local{from("fd00::1", "fd00::2"), from("192.0.2.1", "192.0.2.2")};
  EXPECT_EQ(ordered(local, FamilyPreference::ipv6), "fd00::1 192.0.2.1");
  // IPv6 by translation from unique local addresses: labels differ, and that is why it is wished.
  const std::vector<Destination> translated{from("2001:db8::1", "fd00::2"),
                                            from("192.0.2.1", "192.0.2.2")};
  EXPECT_EQ(ordered(translated), "192.0.2.1 2001:db8::1");
  EXPECT_EQ(ordered(translated, FamilyPreference::ipv6), "2001:db8::1 192.0.2.1");
}

TEST(Order, KnowsTheWholePolicyTable) {
  // One destination of each entry, each with itself as source, so that precedence alone decides.
  EXPECT_EQ(ordered({from("fec0::1", "fec0::1"), from("3ffe::1", "3ffe::1"),
                     from("2001::1", "2001::1"), from("fd00::1", "fd00::1"),
                     from("2002::1", "2002::1"), from("192.0.2.1", "192.0.2.1"),
                     from("2001:db8::1", "2001:db8::1"), from("::1", "::1")}),
            "::1 2001:db8::1 192.0.2.1 2002::1 2001::1 fd00::1 fec0::1 3ffe::1");
}

TEST(Interleave, AlternatesFromTheFirst) {
  std::vector<Destination> list{from("2001:db8::1", "::1"),     from("2001:db8::2", "::1"),
                                from("2001:db8::3", "::1"),     from("192.0.2.1", "192.0.2.9"),
                                from("192.0.2.2", "192.0.2.9"), no_route("198.51.100.1")};
  interleave_families(list, std::nullopt);
  EXPECT_EQ(text_of(list), "2001:db8::1 192.0.2.1 2001:db8::2 192.0.2.2 2001:db8::3 198.51.100.1");
}

TEST(Interleave, ContinuesWithTheOtherFamily) {
  std::vector<Destination> list{from("192.0.2.1", "192.0.2.9"), from("192.0.2.2", "192.0.2.9"),
                                from("2001:db8::1", "::1")};
  interleave_families(list, Family::ipv4);
  EXPECT_EQ(text_of(list), "2001:db8::1 192.0.2.1 192.0.2.2");
  interleave_families(list, Family::ipv6);
  EXPECT_EQ(text_of(list), "192.0.2.1 2001:db8::1 192.0.2.2");
}

TEST(Interleave, SurvivesOneFamilyAndNone) {
  std::vector<Destination> list{from("192.0.2.1", "192.0.2.9"), from("192.0.2.2", "192.0.2.9")};
  interleave_families(list, Family::ipv4);
  EXPECT_EQ(text_of(list), "192.0.2.1 192.0.2.2");
  std::vector<Destination> none;
  interleave_families(none, std::nullopt);
  EXPECT_TRUE(none.empty());
}

}  // namespace
}  // namespace socks64::gateway::testing
