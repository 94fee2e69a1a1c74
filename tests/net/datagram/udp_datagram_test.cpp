// The pure parts of UDP ASSOCIATE: whose a datagram is, what it asks for, who may answer.
#include "datagram/udp_datagram.hpp"

#include <array>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "rig/datagrams.hpp"
#include "settings/udp_config.hpp"
#include "udp/udp_peers.hpp"

namespace socks64::gateway::test {
namespace {

using namespace std::chrono_literals;

ClientDatagram judged(const std::string& octets) {
  return judge_datagram({reinterpret_cast<const std::uint8_t*>(octets.data()), octets.size()});
}

Target named(std::string_view name, Port port) {
  return NamedEndpoint{*DomainName::from(name), port};
}

TEST(UdpDatagram, GoodOnesOfEveryKind) {
  const Target targets[] = {endpoint("192.0.2.1", 53), endpoint("2001:db8::1", 53),
                            named("a.test", 53)};
  for (const Target& target : targets) {
    for (const std::string& payload : {std::string(), std::string("x"), std::string(65'000, 'y')}) {
      const std::string octets = udp_header(target) + payload;
      const ClientDatagram datagram = judged(octets);
      ASSERT_FALSE(datagram.drop) << text(target).view();
      EXPECT_EQ(datagram.target, target);
      EXPECT_EQ(std::string(datagram.payload.begin(), datagram.payload.end()), payload);
    }
  }
}

TEST(UdpDatagram, LiteralsAndMappedAddressesBecomeWhatTheyAre) {
  EXPECT_EQ(judged(udp_header(named("192.0.2.1", 53))).target, Target(endpoint("192.0.2.1", 53)));
  EXPECT_EQ(judged(udp_header(named("[2001:db8::1]", 53))).target,
            Target(endpoint("2001:db8::1", 53)));
  EXPECT_EQ(judged(udp_header(endpoint("::ffff:192.0.2.1", 53))).target,
            Target(endpoint("192.0.2.1", 53)));
}

TEST(UdpDatagram, WhatNoSingleHostCanBeMeantBy) {
  const Target targets[] = {endpoint("192.0.2.1", 0),
                            endpoint("0.0.0.0", 53),
                            endpoint("::", 53),
                            endpoint("::ffff:0.0.0.0", 53),
                            endpoint("224.0.0.251", 5353),
                            endpoint("ff02::fb", 5353),
                            endpoint("::ffff:224.0.0.251", 5353),
                            endpoint("255.255.255.255", 67),
                            named("255.255.255.255", 67),
                            named("a.test", 0)};
  for (const Target& target : targets) {
    EXPECT_EQ(judged(udp_header(target) + "x").drop, UdpDrop::destination) << text(target).view();
  }
}

TEST(UdpDatagram, FragmentsAndWhatHasNoHeader) {
  for (const int fragment : {1, 2, 127, 128, 255}) {
    EXPECT_EQ(
        judged(udp_header(endpoint("192.0.2.1", 53), static_cast<std::uint8_t>(fragment))).drop,
        UdpDrop::fragment);
  }
  for (const Target& target : {Target(endpoint("192.0.2.1", 53)),
                               Target(endpoint("2001:db8::1", 53)), named("a.test", 53)}) {
    const std::string whole = udp_header(target);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      EXPECT_EQ(judged(whole.substr(0, size)).drop, UdpDrop::malformed) << size;
    }
  }
  EXPECT_EQ(judged(std::string("\0\0\0\x02\x7f\0\0\1\0\x35", 10)).drop, UdpDrop::malformed);
  EXPECT_EQ(judged(std::string("\0\0\0\x03\0\0\x35", 7)).drop, UdpDrop::malformed) << "empty name";
  EXPECT_EQ(judged(std::string("\0\0\0\x03\x03"
                               "a\0b\0\x35",
                               10))
                .drop,
            UdpDrop::malformed);
}

TEST(UdpDatagram, ReplyHeaderNamesTheSender) {
  for (const Endpoint& sender : {endpoint("192.0.2.1", 53), endpoint("2001:db8::1", 65'535)}) {
    const ReplyHeader header(sender);
    const Bytes octets = header.octets();
    EXPECT_EQ(octets.size(), sender.address.is_v4() ? 10U : max_reply_header);
    EXPECT_EQ(std::string(octets.begin(), octets.end()), udp_header(sender));
  }
}

TEST(UdpClientSource, PortOfTheRequestIsTheOnlyOne) {
  for (const char* announced : {"192.0.2.1", "0.0.0.0", "::", "::ffff:192.0.2.1"}) {
    const ClientSource source(*IpAddress::parse("192.0.2.1"), endpoint(announced, 4000));
    EXPECT_TRUE(source.admits(endpoint("192.0.2.1", 4000))) << announced;
    EXPECT_FALSE(source.admits(endpoint("192.0.2.1", 4001))) << announced;
    EXPECT_FALSE(source.admits(endpoint("192.0.2.2", 4000))) << announced;
  }
  const ClientSource source(*IpAddress::parse("192.0.2.1"), named("0.0.0.0", 4000));
  EXPECT_FALSE(source.admits(endpoint("192.0.2.1", 4001)));
}

// Behind a NAT the client knows neither.
TEST(UdpClientSource, PortBesideAnotherAddressMeansNothing) {
  for (const Target& announced :
       {Target(endpoint("10.0.0.5", 4000)), Target(endpoint("2001:db8::5", 4000)),
        named("client.test", 4000)}) {
    ClientSource source(*IpAddress::parse("192.0.2.1"), announced);
    EXPECT_TRUE(source.admits(endpoint("192.0.2.1", 5000))) << text(announced).view();
    EXPECT_FALSE(source.admits(endpoint("10.0.0.5", 4000))) << text(announced).view();
  }
}

TEST(UdpClientSource, WithoutAPortTheFirstGoodDatagramDecides) {
  ClientSource source(*IpAddress::parse("2001:db8::1"), endpoint("0.0.0.0", 0));
  EXPECT_TRUE(source.admits(endpoint("2001:db8::1", 5000)));
  EXPECT_TRUE(source.admits(endpoint("2001:db8::1", 5001)));
  EXPECT_FALSE(source.admits(endpoint("2001:db8::2", 5000)));
  source.settle(5001);
  EXPECT_FALSE(source.admits(endpoint("2001:db8::1", 5000)));
  EXPECT_TRUE(source.admits(endpoint("2001:db8::1", 5001)));
  EXPECT_EQ(source.endpoint(), endpoint("2001:db8::1", 5001));
}

// Link-local clients have a zone, which no request can carry.
TEST(UdpClientSource, ZoneBelongsToTheAddress) {
  const ClientSource source(*IpAddress::parse("fe80::1%2"), endpoint("fe80::1", 4000));
  EXPECT_TRUE(source.admits({*IpAddress::parse("fe80::1%2"), 4000}));
  EXPECT_FALSE(source.admits({*IpAddress::parse("fe80::1%2"), 4001}));
  EXPECT_FALSE(source.admits({*IpAddress::parse("fe80::1%3"), 4000}));
}

TEST(UdpRate, BurstOfASecondThenTheRate) {
  DatagramRate rate;
  DatagramRate::Time now{};
  const auto admitted = [&](int tries) {
    int count = 0;
    for (int i = 0; i < tries; ++i) {
      count += rate.admits(10, now) ? 1 : 0;
    }
    return count;
  };
  EXPECT_EQ(admitted(100), 10);
  now += 500ms;
  EXPECT_EQ(admitted(100), 5);
  now += 1h;
  EXPECT_EQ(admitted(100), 10) << "what was not used is not saved up";
  EXPECT_TRUE(rate.admits(0, now)) << "no limit";
}

TEST(UdpPeers, TheOneUsedLongestAgoGoes) {
  UdpPeers peers(3);
  const auto address = [](std::uint32_t number) { return IpAddress::v4(0xc0000200U + number); };
  for (std::uint32_t i = 0; i < 3; ++i) {
    peers.remember({address(i), 1, nullptr, 1});
  }
  EXPECT_NE(peers.find(address(0)), nullptr);
  peers.remember({address(3), 1, nullptr, 1});
  EXPECT_EQ(peers.find(address(1)), nullptr);
  EXPECT_NE(peers.find(address(0)), nullptr);
  peers.remember({address(3), 2, nullptr, 1});
  EXPECT_EQ(peers.size(), 3U);
  ASSERT_NE(peers.find(address(3)), nullptr);
  EXPECT_EQ(peers.find(address(3))->target(), Target(Endpoint{address(3), 2}));
  peers.clear();
  EXPECT_EQ(peers.find(address(3)), nullptr);
}

TEST(UdpLimit, FewDescriptorsAllowFewAssociations) {
  EXPECT_EQ(associations_for_descriptors(1024, 20'000), 1024U);
  EXPECT_EQ(associations_for_descriptors(1024, 1024), 64U);
  EXPECT_EQ(associations_for_descriptors(1024, 10), 1U);
  EXPECT_EQ(associations_for_descriptors(0, 20'000), 0U);
}

}  // namespace
}  // namespace socks64::gateway::test
