// What BIND decides without a client: addresses, ports, and who is the right peer.
#include <string>

#include <gtest/gtest.h>

#include "bind/bind.hpp"
#include "rig/sockets.hpp"

namespace socks64::gateway {
namespace {

using test::endpoint;
using test::Stream;

IpAddress address(std::string_view text) {
  return *IpAddress::parse(text);
}

TEST(BindPorts, Ranges) {
  PortRange range;
  EXPECT_EQ(parse_port_range("40000-40999", range), "");
  EXPECT_TRUE(range.contains(40000) && range.contains(40999));
  EXPECT_FALSE(range.contains(39999) || range.contains(41000) || range.contains(0));
  EXPECT_EQ(parse_port_range("65535", range), "");
  EXPECT_TRUE(range.contains(65535));
  EXPECT_FALSE(PortRange{}.contains(0));
  for (const char* bad : {"0", "0-5", "5-", "-5", "9-8", "1-65536", "1-2-3", " 1-2", "a-b"}) {
    EXPECT_NE(parse_port_range(bad, range), "") << bad;
    EXPECT_TRUE(range.contains(65535)) << "a bad text changes nothing";
  }
  EXPECT_EQ(parse_port_range("", range), "");
  EXPECT_TRUE(range.any());
}

TEST(BindAddresses, OneOfEachFamily) {
  AddressPair pair;
  EXPECT_EQ(add_address("192.0.2.1", pair), "");
  EXPECT_EQ(add_address("2001:db8::1", pair), "");
  EXPECT_EQ(pair.of(Family::ipv4), address("192.0.2.1"));
  EXPECT_EQ(pair.of(Family::ipv6), address("2001:db8::1"));
  EXPECT_EQ(add_address("192.0.2.2", pair), "another IPv4 address is already listed");
  EXPECT_EQ(add_address("2001:db8::2", pair), "another IPv6 address is already listed");
}

TEST(BindAddresses, NoneThatAPeerCannotConnectTo) {
  for (const char* bad : {"0.0.0.0", "::", "224.0.0.1", "ff02::1", "::ffff:192.0.2.1", "example",
                          "192.0.2.1:80", ""}) {
    AddressPair pair;
    EXPECT_NE(add_address(bad, pair), "") << bad;
    EXPECT_FALSE(pair.v4 || pair.v6) << bad;
  }
}

TEST(ExpectedPeer, Matches) {
  const ExpectedPeer anybody;
  EXPECT_TRUE(anybody.matches(endpoint("192.0.2.1", 1)));
  const ExpectedPeer two{{address("192.0.2.1"), address("2001:db8::1")}, 0};
  EXPECT_TRUE(two.matches(endpoint("192.0.2.1", 1)));
  EXPECT_TRUE(two.matches(endpoint("2001:db8::1", 2)));
  EXPECT_FALSE(two.matches(endpoint("192.0.2.2", 1)));
  const ExpectedPeer exact{{address("192.0.2.1")}, 20};
  EXPECT_TRUE(exact.matches(endpoint("192.0.2.1", 20)));
  EXPECT_FALSE(exact.matches(endpoint("192.0.2.1", 21)));
}

TEST(BindAddresses, ForAnybody) {
  const IpAddress v4 = address("127.0.0.1");
  EXPECT_EQ(address_for_anybody(Family::ipv4, {}, v4), v4);
  if (test::has_ipv6_loopback()) {
    // The other family's address of the interface that the client came by.
    EXPECT_EQ(address_for_anybody(Family::ipv6, {}, v4), address("::1"));
    EXPECT_EQ(address_for_anybody(Family::ipv4, {}, address("::1")), v4);
  }
  const auto own = address_for_anybody(Family::ipv4, {}, {});
  ASSERT_TRUE(own);
  EXPECT_TRUE(own->is_v4());
  Source source;
  source.v4 = address("127.0.0.5");
  EXPECT_EQ(address_for_anybody(Family::ipv4, source, v4), source.v4);
  EXPECT_EQ(address_towards(v4, source), source.v4);
  source.v4 = address("192.0.2.1");
  EXPECT_FALSE(address_towards(v4, source)) << "not ours";
  Source loopback;
  loopback.interface = "lo";
  EXPECT_EQ(address_for_anybody(Family::ipv4, loopback, {}), v4);
}

TEST(Rendezvous, ListensAtOnceAndNobodyListensBeside) {
  const BindConfig config;
  const Rendezvous open = open_rendezvous(config, address("127.0.0.1"), 0);
  ASSERT_EQ(open.failure, Failure::none);
  EXPECT_EQ(open.announced, open.local);
  EXPECT_EQ(Stream::try_connect(open.local), 0);
  BindConfig same;
  same.ports = {open.local.port, open.local.port};
  const Rendezvous second = open_rendezvous(same, address("127.0.0.1"), open.local.port);
  EXPECT_EQ(second.failure, Failure::no_resources);
  EXPECT_FALSE(second.socket);
}

TEST(Rendezvous, AddressThatIsNotOurs) {
  EXPECT_EQ(open_rendezvous({}, address("192.0.2.1"), 0).failure, Failure::network_unreachable);
}

}  // namespace
}  // namespace socks64::gateway
