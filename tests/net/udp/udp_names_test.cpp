// Names in UDP: they wait within bounds and in order, and keep their address.
#include <chrono>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "rig/datagrams.hpp"
#include "rig/dns_server.hpp"
#include "rig/process.hpp"
#include "rig/sockets.hpp"

namespace socks64::gateway::test {
namespace {

using namespace std::chrono_literals;
using socks64::gateway::testing::DnsServer;
using socks64::gateway::testing::Script;

class UdpNames : public ::testing::Test {
 protected:
  [[nodiscard]] std::string config(const std::string& more = {}) const {
    return fmt::format(
        "[resolver]\nhosts_file = \"\"\nservers = [\"{}\"]\nquery_timeout = \"20s\"\n"
        "[timeouts]\nconnect = \"20s\"\n{}\n",
        dns.endpoint().text().view(), more);
  }
  static Script address(const std::string& address, std::chrono::milliseconds delay = 0ms) {
    Script script;
    script.addresses = {address};
    script.delay = delay;
    script.ttl = 0;
    return script;
  }
  static Target named(std::string_view name, Port port) {
    return NamedEndpoint{*DomainName::from(name), port};
  }

  DnsServer dns;
};

TEST_F(UdpNames, WaitInOrderForASlowAnswer) {
  dns.script("slow.test", Family::ipv4, address("127.0.0.1", 300ms));
  GatewayProcess gateway(config());
  Associated client(gateway.listener());
  ASSERT_EQ(client.code(), 0);
  DatagramPeer peer;
  DatagramPeer quick;
  for (int i = 0; i < 20; ++i) {
    client.send(named("slow.test", peer.port()), std::to_string(i));
  }
  // Others do not wait for it.
  EXPECT_TRUE(client.round_trip(quick, quick.endpoint(), "quick"));
  for (int i = 0; i < 20; ++i) {
    const std::optional<Datagram> datagram = peer.receive();
    ASSERT_TRUE(datagram);
    EXPECT_EQ(datagram->payload, std::to_string(i));
  }
  EXPECT_TRUE(client.round_trip(peer, named("slow.test", peer.port()), "known by now"));
  EXPECT_EQ(dns.queries("slow.test", Family::ipv4), 1);
}

TEST_F(UdpNames, NotMoreWaitThanTheBounds) {
  dns.script("slow.test", Family::ipv4, address("127.0.0.1", 500ms));
  GatewayProcess gateway(config());
  Associated client(gateway.listener());
  ASSERT_EQ(client.code(), 0);
  DatagramPeer peer;
  for (int i = 0; i < 50; ++i) {
    client.send(named("slow.test", peer.port()), std::to_string(i));
  }
  for (int i = 0; i < 32; ++i) {
    const std::optional<Datagram> datagram = peer.receive();
    ASSERT_TRUE(datagram);
    EXPECT_EQ(datagram->payload, std::to_string(i));
  }
  EXPECT_FALSE(peer.receive(silence));
  client.control.close();
  EXPECT_EQ(drops(gateway.next_record()), (std::map<std::string, unsigned>{{"waiting", 18}}));
}

// TTL 0 and another answer each time: one exchange still has one peer.
TEST_F(UdpNames, KeepTheirAddressWhileInUse) {
  dns.script("moving.test", Family::ipv4, address("127.0.0.1"));
  GatewayProcess gateway(config());
  Associated client(gateway.listener());
  ASSERT_EQ(client.code(), 0);
  DatagramPeer peer;
  ASSERT_TRUE(client.round_trip(peer, named("moving.test", peer.port()), "first"));
  dns.script("moving.test", Family::ipv4, address("127.0.0.2"));
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(client.round_trip(peer, named("Moving.TEST.", peer.port()), "again"));
  }
}

TEST_F(UdpNames, OfEitherFamilyAndAcross) {
  if (!has_ipv6_loopback()) {
    GTEST_SKIP() << "NOT RUN: this machine has no IPv6 loopback";
  }
  dns.script("six.test", Family::ipv6, address("::1"));
  dns.script("four.test", Family::ipv4, address("127.0.0.1"));
  GatewayProcess gateway(
      GatewayProcess::Options{config(), {"--listen", "127.0.0.1:0", "--listen", "[::1]:0"}});
  for (std::size_t listener = 0; listener < 2; ++listener) {
    Associated client(gateway.listener(listener));
    ASSERT_EQ(client.code(), 0);
    DatagramPeer v4;
    DatagramPeer v6("::1");
    EXPECT_TRUE(client.round_trip(v4, named("four.test", v4.port()), "to IPv4"));
    EXPECT_TRUE(client.round_trip(v6, named("six.test", v6.port()), "to IPv6"));
  }
}

TEST_F(UdpNames, FailureIsNotAskedAgainAtOnce) {
  Script broken;
  broken.rcode = socks64::gateway::testing::servfail;
  dns.script("broken.test", Family::ipv4, broken);
  dns.script("broken.test", Family::ipv6, broken);
  GatewayProcess gateway(config());
  Associated client(gateway.listener());
  ASSERT_EQ(client.code(), 0);
  DatagramPeer peer;
  constexpr int sent = 60;
  for (int i = 0; i < sent; ++i) {
    client.send(named("broken.test", peer.port()), "x");
    ASSERT_TRUE(client.round_trip(peer, peer.endpoint(), "pace"));
  }
  client.control.close();
  std::map<std::string, unsigned> dropped = drops(gateway.next_record());
  EXPECT_LE(dns.queries("broken.test", Family::ipv4), 20) << "a question for each datagram";
  EXPECT_EQ(dropped["name"] + dropped["waiting"], static_cast<unsigned>(sent));
}

// The end of an association whose names are being looked up.
TEST_F(UdpNames, EndWhileALookUpIsUnderWay) {
  dns.drop_below(".dead");
  GatewayProcess gateway(config());
  for (int round = 0; round < 5; ++round) {
    Associated client(gateway.listener());
    ASSERT_EQ(client.code(), 0);
    DatagramPeer peer;
    for (int i = 0; i < 100; ++i) {
      client.send(named(fmt::format("n{}.dead", i), 53), "x");
    }
    ASSERT_TRUE(client.round_trip(peer, peer.endpoint(), "alive"));
    client.control.close();
    // 64 names at once are all that is looked up.
    EXPECT_EQ(drops(gateway.next_record()),
              (std::map<std::string, unsigned>{{"name", 64}, {"waiting", 36}}));
  }
}

}  // namespace
}  // namespace socks64::gateway::test
