// UDP ASSOCIATE through the whole daemon.
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "rig/datagrams.hpp"
#include "rig/process.hpp"
#include "rig/sockets.hpp"

namespace socks64::gateway::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

Target named(std::string_view name, Port port) {
  return NamedEndpoint{*DomainName::from(name), port};
}

/// Names are in a hosts file; DNS knows none.
class Udp : public ::testing::Test {
 protected:
  [[nodiscard]] std::string config(const std::string& more = {}) const {
    return fmt::format("[resolver]\nhosts_file = \"{}\"\nservers = [\"{}\"]\n{}\n", hosts_,
                       dns_.endpoint().text().view(), more);
  }
  [[nodiscard]] static std::vector<std::string> both_families() {
    return {"--listen", "127.0.0.1:0", "--listen", "[::1]:0"};
  }

 private:
  EmptyDns dns_;
  TemporaryDirectory directory_;
  std::string hosts_ = directory_.write(
      "hosts", "127.0.0.1 v4.destination.test\n::1 v6.destination.test\n224.0.0.251 many.test\n");
};

#define REQUIRE_IPV6_LOOPBACK()                                   \
  if (!has_ipv6_loopback()) {                                     \
    GTEST_SKIP() << "NOT RUN: this machine has no IPv6 loopback"; \
  }

TEST_F(Udp, BothFamiliesAndNamesInOneAssociation) {
  REQUIRE_IPV6_LOOPBACK();
  GatewayProcess gateway(GatewayProcess::Options{config(), both_families()});
  for (std::size_t listener = 0; listener < 2; ++listener) {
    // An unspecified address of either family, on either listener.
    for (const char* unspecified : {"0.0.0.0", "::"}) {
      Associated client(gateway.listener(listener), endpoint(unspecified, 0));
      ASSERT_EQ(client.code(), 0);
      EXPECT_EQ(client.relay().address, gateway.listener(listener).address);
      DatagramPeer v4("127.0.0.1");
      DatagramPeer v6("::1");
      std::set<Port> sources_v4;
      std::set<Port> sources_v6;
      for (int round = 0; round < 2; ++round) {
        for (const Target& target :
             {Target(v4.endpoint()), named("v4.destination.test", v4.port()),
              named("V4.destination.test.", v4.port()), named("127.0.0.1", v4.port()),
              Target(endpoint("::ffff:127.0.0.1", v4.port()))}) {
          Endpoint seen;
          ASSERT_TRUE(client.round_trip(v4, target, "four", &seen)) << text(target).view();
          sources_v4.insert(seen.port);
        }
        for (const Target& target : {Target(v6.endpoint()), named("v6.destination.test", v6.port()),
                                     named("::1", v6.port())}) {
          Endpoint seen;
          ASSERT_TRUE(client.round_trip(v6, target, "six", &seen)) << text(target).view();
          sources_v6.insert(seen.port);
        }
      }
      EXPECT_EQ(sources_v4.size(), 1U) << "the source port is not stable";
      EXPECT_EQ(sources_v6.size(), 1U) << "the source port is not stable";
      client.control.close();
      const Fields record = gateway.next_record();
      EXPECT_EQ(record.at("command"), "udp-associate");
      EXPECT_EQ(record.at("datagrams_up"), "16");
      EXPECT_EQ(record.at("datagrams_down"), "16");
      EXPECT_EQ(record.at("up"), std::to_string(10 * 4 + 6 * 3));
      EXPECT_EQ(record.at("down"), record.at("up"));
      EXPECT_EQ(record.at("dropped"), "-");
      EXPECT_EQ(record.at("reply"), "0");
      EXPECT_EQ(record.at("end"), "client-closed");
      EXPECT_EQ(record.at("reason"), "-");
    }
  }
}

TEST_F(Udp, EverySizePassesWhole) {
  GatewayProcess gateway(config());
  Associated client(gateway.listener());
  ASSERT_EQ(client.code(), 0);
  DatagramPeer peer;
  // 65,507 octets are what IPv4 carries, and ten of them are the header.
  for (const std::size_t size : {0UL, 1UL, 1'471UL, 1'472UL, 1'473UL, 16'384UL, 65'497UL}) {
    EXPECT_TRUE(client.round_trip(peer, peer.endpoint(), pattern(size, 7))) << size;
  }
  // What cannot fit with a header is dropped, and nothing else with it.
  client.send(peer.endpoint(), "who are you?");
  const std::optional<Datagram> asked = peer.receive();
  ASSERT_TRUE(asked);
  for (const std::size_t size : {65'498UL, 65'507UL}) {
    peer.send(asked->from, pattern(size, 8));
  }
  peer.send(asked->from, "small");
  const std::optional<Relayed> back = client.receive();
  ASSERT_TRUE(back);
  EXPECT_EQ(back->payload, "small");
  client.control.close();
  EXPECT_EQ(drops(gateway.next_record()), (std::map<std::string, unsigned>{{"oversized", 2}}));
}

// Over IPv6 a datagram is as long as 65,527 octets: header and all, what IPv4 carries fits.
TEST_F(Udp, TheLargestDatagramsOfAnIpv6Client) {
  REQUIRE_IPV6_LOOPBACK();
  GatewayProcess gateway(GatewayProcess::Options{config(), {"--listen", "[::1]:0"}});
  Associated client(gateway.listener());
  ASSERT_EQ(client.code(), 0);
  DatagramPeer v4;
  EXPECT_TRUE(client.round_trip(v4, v4.endpoint(), pattern(65'507, 7)));
  DatagramPeer v6("::1");
  EXPECT_TRUE(client.round_trip(v6, v6.endpoint(), pattern(65'505, 7)));
}

// The port of the request: whoever comes first from elsewhere gets nothing, takes nothing over, and
// sees nothing.
TEST_F(Udp, ForeignDatagramsBeforeBetweenAndAfter) {
  GatewayProcess gateway(config());
  Associated client(gateway.listener());
  ASSERT_EQ(client.code(), 0);
  DatagramPeer destination;
  DatagramPeer same_address;            // another port of the client's address
  DatagramPeer elsewhere("127.0.0.2");  // the client's port, if it is free there
  const auto inject = [&] {
    for (int i = 0; i < 5; ++i) {
      same_address.send(client.relay(), udp_header(destination.endpoint()) + "injected");
      elsewhere.send(client.relay(), udp_header(destination.endpoint()) + "injected");
    }
  };
  inject();
  EXPECT_TRUE(client.round_trip(destination, destination.endpoint(), "first"));
  inject();
  EXPECT_TRUE(client.round_trip(destination, destination.endpoint(), "second"));
  inject();
  EXPECT_TRUE(client.round_trip(destination, destination.endpoint(), "third"));
  EXPECT_FALSE(destination.receive(silence)) << "a foreign datagram was relayed";
  EXPECT_FALSE(same_address.receive(0ms));
  EXPECT_FALSE(elsewhere.receive(0ms));
  client.control.close();
  const Fields record = gateway.next_record();
  EXPECT_EQ(record.at("datagrams_up"), "3");
  EXPECT_EQ(record.at("datagrams_down"), "3");
  EXPECT_EQ(drops(record), (std::map<std::string, unsigned>{{"foreign", 30}}));
}

TEST_F(Udp, WithoutAPortTheFirstGoodDatagramDecides) {
  GatewayProcess gateway(config());
  Associated client(gateway.listener(), endpoint("0.0.0.0", 0));
  ASSERT_EQ(client.code(), 0);
  DatagramPeer destination;
  DatagramPeer elsewhere("127.0.0.2");
  DatagramPeer same_address;
  elsewhere.send(client.relay(), udp_header(destination.endpoint()) + "not the client's address");
  same_address.send(client.relay(), "not a datagram of SOCKS");
  EXPECT_TRUE(client.round_trip(destination, destination.endpoint(), "mine"));
  same_address.send(client.relay(), udp_header(destination.endpoint()) + "too late");
  EXPECT_TRUE(client.round_trip(destination, destination.endpoint(), "still mine"));
  client.control.close();
  EXPECT_EQ(drops(gateway.next_record()),
            (std::map<std::string, unsigned>{{"foreign", 2}, {"malformed", 1}}));
}

TEST_F(Udp, EndsWithItsConnection) {
  GatewayProcess gateway(config());
  Clock::duration longest{};
  for (const bool reset : {false, true}) {
    DatagramPeer destination;
    const std::size_t before = gateway.open_descriptors();
    Associated client(gateway.listener());
    ASSERT_EQ(client.code(), 0);
    Endpoint source;
    ASSERT_TRUE(client.round_trip(destination, destination.endpoint(), "alive", &source));
    EXPECT_EQ(DatagramPeer::try_bind(client.relay()), EADDRINUSE);
    const auto ended = Clock::now();
    if (reset) {
      client.control.reset();
    } else {
      client.control.close();
    }
    while (DatagramPeer::try_bind(client.relay()) != 0 || DatagramPeer::try_bind(source) != 0) {
      ASSERT_LT(Clock::now() - ended, patience) << "the sockets stay open";
      std::this_thread::yield();
    }
    longest = std::max(longest, Clock::now() - ended);
    EXPECT_EQ(gateway.next_record()["end"], reset ? "client-reset" : "client-closed");
    const auto until = Clock::now() + patience;
    while (gateway.open_descriptors() != before && Clock::now() < until) {
      std::this_thread::yield();
    }
    EXPECT_EQ(gateway.open_descriptors(), before);
  }
  EXPECT_LT(longest, 1s);
  RecordProperty(
      "gone_within_us",
      std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(longest).count()));
  std::printf("gone within %lld us\n",
              static_cast<long long>(
                  std::chrono::duration_cast<std::chrono::microseconds>(longest).count()));
}

TEST_F(Udp, WhatTheClientSendsOnTheConnectionIsDiscarded) {
  GatewayProcess gateway(config());
  Associated client(gateway.listener());
  ASSERT_EQ(client.code(), 0);
  DatagramPeer destination;
  client.control.send(pattern(4 << 20, 3));
  EXPECT_TRUE(client.round_trip(destination, destination.endpoint(), "alive"));
  client.control.finish();
  EXPECT_EQ(client.control.receive_all(), "");
  EXPECT_EQ(gateway.next_record()["end"], "client-closed");
}

TEST_F(Udp, BadDatagramsAreDroppedAndCounted) {
  GatewayProcess gateway(config());
  Associated client(gateway.listener());
  ASSERT_EQ(client.code(), 0);
  DatagramPeer destination;
  const std::string good = udp_header(destination.endpoint());
  client.socket.send(client.relay(), "");
  client.socket.send(client.relay(), good.substr(0, 9));
  for (const int fragment : {1, 127, 128, 255}) {
    client.socket.send(
        client.relay(),
        udp_header(destination.endpoint(), static_cast<std::uint8_t>(fragment)) + "part");
  }
  for (const Target& target :
       {Target(endpoint("127.0.0.1", 0)), Target(endpoint("224.0.0.251", 5353)),
        Target(endpoint("255.255.255.255", 67)), Target(endpoint("0.0.0.0", destination.port()))}) {
    client.send(target, "no host");
  }
  client.send(named("missing.test", 53), "no such name");
  client.send(named("many.test", 53), "a name of a multicast address");
  client.send(named("a..b", 53), "no name at all");
  EXPECT_TRUE(client.round_trip(destination, destination.endpoint(), "alive"));
  client.control.close();
  std::map<std::string, unsigned> dropped = drops(gateway.next_record());
  EXPECT_EQ(dropped["malformed"], 2U);
  EXPECT_EQ(dropped["fragment"], 4U);
  EXPECT_EQ(dropped["destination"], 4U);
  EXPECT_EQ(dropped["name"], 1U + 1U) << "missing.test and a..b";
  EXPECT_EQ(dropped["denied"], 1U) << "many.test";
}

// Those that turn out to be good go to a port of ours, so that none leaves this host.
TEST_F(Udp, TenThousandRandomDatagrams) {
  GatewayProcess gateway(config());
  Associated client(gateway.listener());
  ASSERT_EQ(client.code(), 0);
  DatagramPeer destination;
  const std::string header = udp_header(destination.endpoint());
  std::minstd_rand random(64);  // NOLINT: the same ones each time
  for (int i = 0; i < 10'000; ++i) {
    std::string octets(random() % 64, '\0');
    for (char& octet : octets) {
      octet = static_cast<char>(random());
    }
    if (octets.size() > 3) {
      if (random() % 2 == 0) {
        octets[2] = '\0';
      }
      const int type = static_cast<int>(random() % 6);
      octets[3] = static_cast<char>(type);
      if (type == 1 || type == 4) {
        octets.replace(0, header.size(), header.substr(0, octets.size()));
      }
    }
    client.socket.send(client.relay(), octets);
    if (i % 100 == 0) {
      while (destination.receive(0ms)) {
      }
    }
  }
  while (destination.receive(silence)) {
  }
  EXPECT_TRUE(client.round_trip(destination, destination.endpoint(), "alive"));
}

TEST_F(Udp, TenThousandDatagramsInOrder) {
  GatewayProcess gateway(config());
  Associated client(gateway.listener());
  ASSERT_EQ(client.code(), 0);
  DatagramPeer destination;
  constexpr int total = 10'000;
  constexpr int under_way = 64;  // what the kernel's buffers hold for certain
  std::thread echoing([&] {
    for (int i = 0; i < total; ++i) {
      if (!destination.echo()) {
        return;
      }
    }
  });
  const std::string header = udp_header(destination.endpoint());
  const auto began = Clock::now();
  int sent = 0;
  int received = 0;
  while (received < total) {
    for (; sent < total && sent < received + under_way; ++sent) {
      client.socket.send(client.relay(), header + std::to_string(sent));
    }
    const std::optional<Relayed> back = client.receive();
    ASSERT_TRUE(back) << "datagram " << received << " is lost";
    ASSERT_EQ(back->payload, std::to_string(received));
    ++received;
  }
  const std::chrono::duration<double> took = Clock::now() - began;
  std::printf("%.0f round trips a second\n", total / took.count());
  echoing.join();
  client.control.close();
  const Fields record = gateway.next_record();
  EXPECT_EQ(record.at("datagrams_up"), std::to_string(total));
  EXPECT_EQ(record.at("datagrams_down"), std::to_string(total));
  EXPECT_EQ(record.at("dropped"), "-");
}

// RFC 4787 section 5, address-dependent filtering: TFTP servers answer from another port.
TEST_F(Udp, OnlyWhoWasSentToMayAnswer) {
  GatewayProcess gateway(config());
  Associated client(gateway.listener());
  ASSERT_EQ(client.code(), 0);
  DatagramPeer destination;
  DatagramPeer other_port;
  DatagramPeer stranger("127.0.0.2");
  client.send(destination.endpoint(), "question");
  const std::optional<Datagram> question = destination.receive();
  ASSERT_TRUE(question);
  const Endpoint source = endpoint("127.0.0.1", question->from.port);
  stranger.send(source, "unsolicited");
  other_port.send(source, "answer");
  const std::optional<Relayed> answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->payload, "answer");
  EXPECT_EQ(answer->from, Target(other_port.endpoint()));
  client.control.close();
  EXPECT_EQ(drops(gateway.next_record()), (std::map<std::string, unsigned>{{"unsolicited", 1}}));
}

// Port unreachable from one destination is nothing to the others.
TEST_F(Udp, IcmpErrorsDoNotEndIt) {
  GatewayProcess gateway(config());
  Associated client(gateway.listener());
  ASSERT_EQ(client.code(), 0);
  DatagramPeer destination;
  Endpoint closed;
  {
    const DatagramPeer gone;
    closed = gone.endpoint();
  }
  for (int i = 0; i < 10; ++i) {
    client.send(closed, "anybody there?");
    EXPECT_TRUE(client.round_trip(destination, destination.endpoint(), "alive"));
  }
  // And a client whose own port is gone.
  client.send(destination.endpoint(), "question");
  const std::optional<Datagram> question = destination.receive();
  ASSERT_TRUE(question);
  const Endpoint own = client.socket.endpoint();
  client.socket = DatagramPeer();
  for (int i = 0; i < 10; ++i) {
    destination.send(question->from, "answer to nobody");
  }
  client.socket = DatagramPeer("127.0.0.1", own.port);
  client.send(destination.endpoint(), "back again");
  ASSERT_TRUE(destination.echo());
  std::optional<Relayed> back = client.receive();
  while (back && back->payload == "answer to nobody") {  // some were not relayed till now
    back = client.receive();
  }
  ASSERT_TRUE(back);
  EXPECT_EQ(back->payload, "back again");
}

TEST_F(Udp, LimitOfAssociationsAndItsReload) {
  const auto limited = [this](int count) {
    return config(fmt::format("[limits]\nudp_associations = {}\n", count));
  };
  GatewayProcess gateway(limited(1));
  Associated first(gateway.listener());
  ASSERT_EQ(first.code(), 0);
  {
    Associated second(gateway.listener());
    EXPECT_EQ(second.code(), 1);
  }
  const Fields refused = gateway.next_record();
  EXPECT_EQ(refused.at("reason"), "udp-associations-limit");
  EXPECT_EQ(refused.count("dropped"), 0U);
  gateway.directory().write("gatewayd.toml", limited(2));
  gateway.signal(SIGHUP);
  ASSERT_NE(gateway.wait_for_log("configuration reloaded"), "");
  Associated second(gateway.listener());
  EXPECT_EQ(second.code(), 0);
  EXPECT_EQ(Associated(gateway.listener()).code(), 1);
  (void)gateway.next_record();
  first.control.close();
  (void)gateway.next_record();
  EXPECT_EQ(Associated(gateway.listener()).code(), 0);
}

TEST_F(Udp, RateOfDatagramsAndItsReload) {
  const auto limited = [this](int rate) {
    return config(fmt::format("[limits]\nudp_datagrams_per_second = {}\n", rate));
  };
  GatewayProcess gateway(limited(1));
  Associated client(gateway.listener());
  ASSERT_EQ(client.code(), 0);
  DatagramPeer destination;
  for (int i = 0; i < 500; ++i) {
    client.send(destination.endpoint(), "many");
  }
  EXPECT_TRUE(destination.receive());
  // It counts from the next datagram on, in an association that began before.
  gateway.directory().write("gatewayd.toml", limited(0));
  gateway.signal(SIGHUP);
  ASSERT_NE(gateway.wait_for_log("configuration reloaded"), "");
  while (destination.receive(silence)) {
  }
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(client.round_trip(destination, destination.endpoint(), "free"));
  }
  client.control.close();
  const Fields record = gateway.next_record();
  EXPECT_GT(drops(record)["rate"], 100U);
  EXPECT_EQ(std::stoul(record.at("datagrams_up")) + drops(record)["rate"], 520U);
}

TEST_F(Udp, AdvertisedAddressAndPortRange) {
  REQUIRE_IPV6_LOOPBACK();
  Port free_port = 0;
  {
    const DatagramPeer probe;
    free_port = probe.port();
  }
  const std::string settings =
      fmt::format("[udp]\nports = \"{}-{}\"\nadvertise = [\"203.0.113.7\", \"2001:db8::7\"]\n",
                  free_port, free_port);
  GatewayProcess gateway(GatewayProcess::Options{config(settings), both_families()});
  Associated v4(gateway.listener(0));
  ASSERT_EQ(v4.code(), 0);
  EXPECT_EQ(v4.relay(), endpoint("203.0.113.7", free_port));
  Associated v6(gateway.listener(1));
  ASSERT_EQ(v6.code(), 0);
  EXPECT_EQ(v6.relay(), endpoint("2001:db8::7", free_port));
  // The only port is taken.
  EXPECT_EQ(Associated(gateway.listener(0)).code(), 1);
  EXPECT_EQ(gateway.next_record()["reason"], "udp-ports-exhausted");
}

TEST_F(Udp, IdleAssociationsEnd) {
  GatewayProcess gateway(config("[udp]\nidle = \"1s\"\n"));
  Associated client(gateway.listener());
  ASSERT_EQ(client.code(), 0);
  EXPECT_EQ(client.control.receive_all(), "");
  const Fields record = gateway.next_record();
  EXPECT_EQ(record.at("end"), "idle-timeout");
  EXPECT_GE(std::stod(record.at("total_ms")), 1000.0);
}

TEST_F(Udp, ClientOfAUnixSocketHasNoAddress) {
  TemporaryDirectory directory;
  const std::string path = directory.path("gateway.sock");
  GatewayProcess gateway(GatewayProcess::Options{config(), {"--listen", "unix:" + path}});
  Stream client = Stream::connect(path);
  client.send(greeting_none + request(endpoint("0.0.0.0", 0), Command::udp_associate));
  EXPECT_EQ(receive_answer(client).code, 7);
  client.close();
  EXPECT_EQ(gateway.next_record()["reason"], "udp-on-unix-socket");
}

TEST_F(Udp, CanBeSwitchedOff) {
  GatewayProcess gateway(config("[commands]\nudp = false\n"));
  {
    Associated client(gateway.listener());
    EXPECT_EQ(client.code(), 7);
  }
  EXPECT_EQ(gateway.next_record()["reason"], "command-not-supported");
}

TEST_F(Udp, GoesOnWhileTheGatewayDrains) {
  GatewayProcess gateway(config());
  Associated client(gateway.listener());
  ASSERT_EQ(client.code(), 0);
  DatagramPeer destination;
  gateway.signal(SIGTERM);
  ASSERT_NE(gateway.wait_for_log("draining: 1 sessions"), "");
  EXPECT_TRUE(client.round_trip(destination, destination.endpoint(), "alive"));
  gateway.signal(SIGTERM);
  bool reset = false;
  EXPECT_EQ(client.control.receive_all(&reset), "");
  EXPECT_TRUE(reset);
  EXPECT_EQ(gateway.next_record()["end"], "shutdown");
  EXPECT_EQ(gateway.wait_for_end(patience), 0);
}

}  // namespace
}  // namespace socks64::gateway::test
