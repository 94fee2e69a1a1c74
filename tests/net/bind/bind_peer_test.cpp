// Where a BIND waits, and whom it takes.
#include <atomic>
#include <chrono>
#include <poll.h>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "bind_fixture.hpp"

namespace socks64::gateway::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class BindPeer : public BindFixture {};

TEST_F(BindPeer, WrongPeerIsClosedAndTheRightOneStillComes) {
  GatewayProcess gateway(config());
  Stream client = Stream::connect(gateway.listener());
  const ReplyMessage first = ask_bind(client, endpoint(right, 0));
  ASSERT_EQ(first.code, 0);
  for (int i = 0; i < 3; ++i) {
    Stream stranger = connect_from(endpoint(wrong, 0), first.bound);
    bool reset = false;
    EXPECT_EQ(stranger.receive_all(&reset), "");
    EXPECT_TRUE(reset);
  }
  pollfd readable{client.fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&readable, 1, 0), 0) << "the client hears of a wrong peer";
  Stream peer = Stream::connect(first.bound);
  EXPECT_EQ(receive_reply(client).bound, peer.local());
  expect_carries(client, peer);
  client.reset();
  Fields record = gateway.next_record();
  EXPECT_EQ(record["attempts"], "4");
  EXPECT_EQ(record["address"], peer.local().text().view());
}

TEST_F(BindPeer, FloodOfWrongPeersKeepsNeitherThePeerNorOthersOut) {
  GatewayProcess gateway("threads = 1\n" + config());
  Stream client = Stream::connect(gateway.listener());
  const ReplyMessage first = ask_bind(client, endpoint(right, 0));
  ASSERT_EQ(first.code, 0);
  std::atomic<bool> stop{false};
  std::atomic<int> strangers{0};
  std::vector<std::thread> flood;
  for (int i = 0; i < 2; ++i) {
    flood.emplace_back([&] {
      while (!stop) {
        try {
          connect_from(endpoint(wrong, 0), first.bound).reset();
          ++strangers;
        } catch (const std::system_error&) {
          std::this_thread::yield();
        }
      }
    });
  }
  const Clock::time_point until = Clock::now() + patience;
  while (strangers < 500 && Clock::now() < until) {
    std::this_thread::yield();
  }
  EXPECT_GE(strangers, 500);
  Destination destination;
  for (int i = 0; i < 20; ++i) {
    Stream other = Stream::connect(gateway.listener());
    EXPECT_EQ(ask(other, destination.endpoint()).code, 0);
    other.reset();
    (void)destination.accept();
  }
  Stream peer = Stream::connect(first.bound);
  EXPECT_EQ(receive_reply(client).bound, peer.local());
  stop = true;
  for (std::thread& thread : flood) {
    thread.join();
  }
  expect_carries(client, peer);
}

// A client sends the port of its primary connection there, FTP's data come from another.
TEST_F(BindPeer, PortOfThePeerIsFreeByDefault) {
  GatewayProcess gateway(config());
  Stream client = Stream::connect(gateway.listener());
  const ReplyMessage first = ask_bind(client, endpoint("127.0.0.1", 21));
  ASSERT_EQ(first.code, 0);
  Stream peer = Stream::connect(first.bound);
  EXPECT_EQ(receive_reply(client).bound, peer.local());
}

TEST_F(BindPeer, PortOfThePeerCountsWhenItIsToBeExact) {
  if (!has_ipv6_loopback()) {
    GTEST_SKIP() << "NOT RUN: this machine has no IPv6 loopback";
  }
  GatewayProcess gateway(both_families("peer_port = \"exact\""));
  for (const char* address : {"127.0.0.1", "::1"}) {
    const Endpoint expected = Destination(address).endpoint();
    Stream client = Stream::connect(gateway.listener());
    const ReplyMessage first = ask_bind(client, expected);
    ASSERT_EQ(first.code, 0);
    Stream stranger = Stream::connect(first.bound);
    EXPECT_EQ(stranger.receive_all(), "");
    Stream peer = connect_from(expected, first.bound);
    EXPECT_EQ(receive_reply(client).bound, expected);
    expect_carries(client, peer);
    peer.reset();
  }
}

TEST_F(BindPeer, AnyAddressOfANameMayConnect) {
  GatewayProcess gateway(config());
  for (const char* address : {"127.0.0.1", "127.0.0.3"}) {
    Stream client = Stream::connect(gateway.listener());
    const ReplyMessage first = ask_bind(client, named("several.test", 21));
    ASSERT_EQ(first.code, 0);
    Stream stranger = connect_from(endpoint(wrong, 0), first.bound);
    EXPECT_EQ(stranger.receive_all(), "");
    Stream peer = connect_from(endpoint(address, 0), first.bound);
    EXPECT_EQ(receive_reply(client).bound, peer.local());
  }
}

TEST_F(BindPeer, FailuresBeforeAnybodyCouldConnect) {
  GatewayProcess gateway(config());
  struct Case {
    Target target;
    int code;
    const char* reason;
  };
  const Case cases[] = {
      {named("missing.test"), 4, "name-not-found"},
      {named("a..b"), 4, "name-invalid"},
      {endpoint("255.255.255.255", 0), 3, "network-unreachable"},
  };
  for (const Case& each : cases) {
    Stream client = Stream::connect(gateway.listener());
    EXPECT_EQ(ask_bind(client, each.target).code, each.code) << each.reason;
    EXPECT_EQ(client.receive_all(), "");
    client.close();
    Fields record = gateway.next_record();
    EXPECT_EQ(record["reason"], each.reason);
    EXPECT_EQ(record["end"], "request-failed");
  }
}

TEST_F(BindPeer, SwitchedOff) {
  GatewayProcess gateway(config({}, "[commands]\nbind = false"));
  Stream client = Stream::connect(gateway.listener());
  EXPECT_EQ(ask_bind(client, any_v4).code, 7);
  client.close();
  EXPECT_EQ(gateway.next_record()["reason"], "command-not-supported");
}

TEST_F(BindPeer, PortsOfTheRangeAndNoOthers) {
  const Port port = free_port();
  GatewayProcess gateway(config(fmt::format("ports = \"{}-{}\"", port, port)));
  Stream client = Stream::connect(gateway.listener());
  const ReplyMessage first = ask_bind(client, any_v4);
  ASSERT_EQ(first.code, 0);
  EXPECT_EQ(first.bound.port, port);
  Stream second = Stream::connect(gateway.listener());
  EXPECT_EQ(ask_bind(second, any_v4).code, 1);
  second.close();
  EXPECT_EQ(gateway.next_record()["reason"], "no-resources");
  // The port serves again while its relay runs, and when that has left a TIME_WAIT.
  Stream peer = Stream::connect(first.bound);
  ASSERT_EQ(receive_reply(client).code, 0);
  Stream third = Stream::connect(gateway.listener());
  const ReplyMessage again = ask_bind(third, any_v4);
  ASSERT_EQ(again.code, 0);
  EXPECT_EQ(again.bound.port, port);
  expect_carries(client, peer);
  client.finish();
  EXPECT_EQ(peer.receive_all(), "");
  peer.finish();
  EXPECT_EQ(client.receive_all(), "");
  Stream another = Stream::connect(again.bound);
  EXPECT_EQ(receive_reply(third).bound, another.local());
}

TEST_F(BindPeer, WishedPortIsGivenWhenTheRangeHasIt) {
  const Port port = free_port();
  const Port last = port < 65'000 ? static_cast<Port>(port + 500) : Port{65'535};
  GatewayProcess gateway(config(fmt::format("ports = \"{}-{}\"", port, last)));
  Stream client = Stream::connect(gateway.listener());
  EXPECT_EQ(ask_bind(client, endpoint("0.0.0.0", port)).bound.port, port);
}

TEST_F(BindPeer, ConfiguredAndAdvertisedAddresses) {
  GatewayProcess gateway(
      config("address = [\"127.0.0.7\"]\nadvertise = [\"192.0.2.1\", \"2001:db8::1\"]"));
  Stream client = Stream::connect(gateway.listener());
  const ReplyMessage first = ask_bind(client, endpoint("127.0.0.1", 0));
  ASSERT_EQ(first.code, 0);
  EXPECT_EQ(first.bound.address.text().view(), "192.0.2.1");
  Stream peer = connect_from(endpoint("127.0.0.1", 0), endpoint("127.0.0.7", first.bound.port));
  EXPECT_EQ(receive_reply(client).bound, peer.local());
}

// SOCKS4 has no reply for an IPv6 address: its client waits where one of IPv4 can connect.
TEST_F(BindPeer, Socks4ClientIsToldAnIpv4Address) {
  GatewayProcess gateway(GatewayProcess::Options{
      "[[listener]]\naddress = \"127.0.0.1:0\"\nsocks4 = true\n" + config(), {}});
  Stream client = Stream::connect(gateway.listener());
  // 4a: VN 4, CD 2, port 21, 0.0.0.1, no USERID, the name.
  client.send(std::string("\x04\x02\x00\x15\x00\x00\x00\x01\x00", 9) + "both.test" + '\0');
  const std::string first = client.receive(8);
  ASSERT_EQ(first.substr(0, 2), std::string("\x00\x5a", 2));
  ASSERT_EQ(first.substr(4), std::string("\x7f\x00\x00\x01", 4));
  const auto port = static_cast<Port>(static_cast<unsigned char>(first[2]) << 8U |
                                      static_cast<unsigned char>(first[3]));
  Stream peer = Stream::connect(endpoint("127.0.0.1", port));
  EXPECT_EQ(client.receive(8).substr(4), std::string("\x7f\x00\x00\x01", 4));
  expect_carries(client, peer);
}

// What holds for a dial holds for a peer that is awaited.
TEST_F(BindPeer, FamiliesAndOwnAddressOfTheDial) {
  GatewayProcess gateway(
      config({}, "[dial]\nfamilies = [\"ipv4\"]\nbind_address = [\"127.0.0.8\"]"));
  for (const Target& target : {Target(endpoint("127.0.0.1", 0)), Target(any_v4)}) {
    Stream client = Stream::connect(gateway.listener());
    EXPECT_EQ(ask_bind(client, target).bound.address.text().view(), "127.0.0.8");
  }
  (void)gateway.next_record();
  (void)gateway.next_record();
  for (const Target& target : {Target(endpoint("::1", 0)), Target(any_v6)}) {
    Stream client = Stream::connect(gateway.listener());
    EXPECT_EQ(ask_bind(client, target).code, 2);
    client.close();
    EXPECT_EQ(gateway.next_record()["reason"], "denied");
  }
}

// With no rule at all, as everywhere.
TEST_F(BindPeer, ProtectedAddressesAreNotWaitedFor) {
  GatewayProcess gateway(GatewayProcess::Options{config(), {"--listen", "127.0.0.1:0"}, 0, false});
  for (const Target& target : {Target(endpoint("127.0.0.1", 0)), Target(endpoint("::1", 0)),
                               named("v4.test"), named("127.0.0.1")}) {
    Stream client = Stream::connect(gateway.listener());
    EXPECT_EQ(ask_bind(client, target).code, 2) << text(target).view();
    client.close();
    EXPECT_EQ(gateway.next_record()["reason"], "protected-loopback") << text(target).view();
  }
  // Who is protected does not become anybody.
  Stream client = Stream::connect(gateway.listener());
  const ReplyMessage first = ask_bind(client, any_v4);
  ASSERT_EQ(first.code, 0);
  Stream peer = Stream::connect(first.bound);
  EXPECT_EQ(peer.receive_all(), "");
}

TEST_F(BindPeer, RulesJudgeThePeerThatComes) {
  GatewayProcess gateway(GatewayProcess::Options{
      "[[rule]]\nname = \"no-two\"\naction = \"deny\"\ncommands = [\"bind\"]\n"
      "to = [\"127.0.0.2\"]\n"
      "[[rule]]\naction = \"allow\"\ncommands = [\"bind\"]\nto = [\"127.0.0.0/8\"]\n"
      "ports = [21]\n" +
          config(),
      {"--listen", "127.0.0.1:0"},
      0,
      false});
  Stream refused = Stream::connect(gateway.listener());
  EXPECT_EQ(ask_bind(refused, endpoint(wrong, 0)).code, 2);
  refused.close();
  EXPECT_EQ(gateway.next_record()["reason"], "denied-by:no-two");
  Stream elsewhere = Stream::connect(gateway.listener());
  EXPECT_EQ(ask_bind(elsewhere, any_v4).code, 2) << "a port is what was asked for, not the peer's";
  elsewhere.close();
  EXPECT_EQ(gateway.next_record()["reason"], "no-rule-allows");
  Target anybody = any_v4;
  std::get<Endpoint>(anybody).port = 21;
  for (const Target& target : {anybody, Target(endpoint(right, 21)), named("v4.test", 21)}) {
    Stream client = Stream::connect(gateway.listener());
    const ReplyMessage first = ask_bind(client, target);
    ASSERT_EQ(first.code, 0) << text(target).view();
    Stream stranger = connect_from(endpoint(wrong, 0), first.bound);
    EXPECT_EQ(stranger.receive_all(), "");
    Stream peer = Stream::connect(first.bound);
    EXPECT_EQ(receive_reply(client).bound, peer.local());
    expect_carries(client, peer);
  }
}

}  // namespace
}  // namespace socks64::gateway::test
