// Rules and protected destinations for datagrams: each is judged by the rules as they are when it
// comes.
#include <csignal>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "rig/datagrams.hpp"
#include "rig/process.hpp"
#include "rig/sockets.hpp"

namespace socks64::gateway::test {
namespace {

using Drops = std::map<std::string, unsigned>;

constexpr std::string_view allow_loopback =
    "[[rule]]\naction = \"allow\"\nto = [\"127.0.0.0/8\", \"::1\"]\n";

GatewayProcess::Options with_rules(const std::string& rules) {
  GatewayProcess::Options options;
  options.config = rules;
  options.loopback = false;
  return options;
}

std::string deny_port(Port port) {
  return fmt::format("[[rule]]\naction = \"deny\"\ncommands = [\"udp\"]\nports = [{}]\n{}", port,
                     allow_loopback);
}

void reload(GatewayProcess& gateway, const std::string& rules) {
  gateway.directory().write("gatewayd.toml", rules);
  gateway.signal(SIGHUP);
  ASSERT_NE(gateway.wait_for_log("configuration reloaded"), "");
}

TEST(UdpRules, EachDatagramIsJudged) {
  DatagramPeer allowed;
  DatagramPeer denied;
  GatewayProcess gateway(with_rules(deny_port(denied.port())));
  Associated client(gateway.listener());
  ASSERT_EQ(client.code(), 0);
  for (int i = 0; i < 3; ++i) {
    client.send(denied.endpoint(), "denied");
    client.send(NamedEndpoint{*DomainName::from("localhost"), denied.port()}, "denied");
    EXPECT_TRUE(client.round_trip(allowed, allowed.endpoint(), "allowed"));
  }
  EXPECT_FALSE(denied.receive(silence));
  client.control.close();
  EXPECT_EQ(drops(gateway.next_record()), (Drops{{"denied", 6}}));
}

TEST(UdpRules, AReloadCountsFromTheNextDatagramBothWays) {
  DatagramPeer peer;
  GatewayProcess gateway(with_rules(std::string(allow_loopback)));
  Associated client(gateway.listener());
  ASSERT_EQ(client.code(), 0);
  client.send(peer.endpoint(), "question");
  const std::optional<Datagram> question = peer.receive();
  ASSERT_TRUE(question);
  reload(gateway, deny_port(peer.port()));
  client.send(peer.endpoint(), "no more");
  peer.send(question->from, "too late");
  EXPECT_FALSE(peer.receive(silence));
  EXPECT_FALSE(client.socket.receive(silence));
  reload(gateway, std::string(allow_loopback));
  peer.send(question->from, "answer");
  const std::optional<Relayed> answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->payload, "answer");
  EXPECT_TRUE(client.round_trip(peer, peer.endpoint(), "again"));
  client.control.close();
  EXPECT_EQ(drops(gateway.next_record()), (Drops{{"denied", 2}}));
}

// Nobody gets at what the gateway alone can reach, however it is spelled.
TEST(UdpRules, NoWayInsideWithoutARule) {
  DatagramPeer peer;
  GatewayProcess gateway(with_rules({}));
  Associated client(gateway.listener());
  ASSERT_EQ(client.code(), 0);
  const Target disguises[] = {
      peer.endpoint(),
      endpoint("::ffff:127.0.0.1", peer.port()),
      endpoint("::127.0.0.1", peer.port()),
      endpoint("64:ff9b::7f00:1", peer.port()),
      endpoint("2002:7f00:1::", peer.port()),
      endpoint("169.254.169.254", 80),
      NamedEndpoint{*DomainName::from("localhost"), peer.port()},
      NamedEndpoint{*DomainName::from("127.0.0.1"), peer.port()},
  };
  for (const Target& target : disguises) {
    client.send(target, "let me in");
  }
  EXPECT_FALSE(peer.receive(silence));
  client.control.close();
  EXPECT_EQ(drops(gateway.next_record()), (Drops{{"denied", 8}}));
}

TEST(UdpRules, WhoMayNotUseUdpGetsNoAssociation) {
  GatewayProcess gateway(with_rules(
      fmt::format("[[rule]]\naction = \"deny\"\ncommands = [\"udp\"]\n{}", allow_loopback)));
  {
    const Associated client(gateway.listener());
    EXPECT_EQ(client.code(), 2);
  }
  EXPECT_EQ(gateway.next_record()["reply"], "2");
}

}  // namespace
}  // namespace socks64::gateway::test
