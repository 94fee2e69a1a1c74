// CONNECT through the whole daemon: types A to D, resets, failing replies, half-close.
#include <algorithm>
#include <chrono>
#include <fstream>
#include <poll.h>
#include <sstream>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "rig/process.hpp"
#include "rig/sockets.hpp"

namespace socks64::gateway::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// A configuration whose names are in a hosts file, and whose DNS knows none.
class Session : public ::testing::Test {
 protected:
  [[nodiscard]] std::string config(const std::string& timeouts = {}) const {
    return "[timeouts]\n" + timeouts + "\n[resolver]\nhosts_file = \"" + hosts_ +
           "\"\nservers = [\"" + std::string(dns_.endpoint().text().view()) + "\"]\n";
  }

 private:
  EmptyDns dns_;
  TemporaryDirectory directory_;
  std::string hosts_ = directory_.write(
      "hosts", "127.0.0.1 v4.destination.test\n::1 v6.destination.test\n127.0.0.1 both.test\n");
};

void expect_echo(Stream& client, Stream& server) {
  client.send("ping");
  EXPECT_EQ(server.receive(4), "ping");
  server.send("pong");
  EXPECT_EQ(client.receive(4), "pong");
}

// RFC 3089 section 2: A is IPv4 to IPv4, B IPv4 to IPv6, C IPv6 to IPv4, D IPv6 to IPv6.
TEST_F(Session, TypesAToDByEveryFormOfTarget) {
  if (!has_ipv6_loopback()) {
    GTEST_SKIP() << "NOT RUN: this machine has no IPv6 loopback, so types B, C and D are untested";
  }
  GatewayProcess gateway(
      GatewayProcess::Options{config(), {"--listen", "127.0.0.1:0", "--listen", "[::1]:0"}});
  struct Way {
    const char* address;
    std::vector<const char*> names;
  };
  const Way ways[] = {
      {"127.0.0.1",
       {"v4.destination.test", "V4.Destination.TEST", "v4.destination.test.", "127.0.0.1"}},
      {"::1",
       {"v6.destination.test", "V6.Destination.TEST", "v6.destination.test.", "::1", "[::1]"}},
  };
  for (std::size_t listener = 0; listener < 2; ++listener) {
    for (const Way& way : ways) {
      Destination destination(way.address);
      std::vector<Target> targets{destination.endpoint()};
      for (const char* name : way.names) {
        targets.emplace_back(NamedEndpoint{*DomainName::from(name), destination.port()});
      }
      for (const Target& target : targets) {
        Stream client = Stream::connect(gateway.listener(listener));
        const ReplyMessage reply = ask(client, target);
        ASSERT_EQ(reply.code, 0) << text(target).view();
        Stream server = destination.accept();
        EXPECT_EQ(reply.bound, server.remote()) << "BND is not the gateway's end";
        expect_echo(client, server);
        client.finish();
        server.finish();
        EXPECT_EQ(client.receive_all(), "");
        Fields record = gateway.next_record();
        EXPECT_EQ(record["crossing"], std::string(listener == 0 ? "v4" : "v6") + ">" +
                                          (way.address[0] == ':' ? "v6" : "v4"));
        EXPECT_EQ(record["target"], text(target).view());
        EXPECT_EQ(record["address"], destination.endpoint().text().view());
        EXPECT_EQ(record["client"], client.local().text().view());
        EXPECT_EQ(record["command"], "connect");
        EXPECT_EQ(record["attempts"], "1");
        EXPECT_EQ(record["up"], "4");
        EXPECT_EQ(record["down"], "4");
        EXPECT_EQ(record["reply"], "0");
        EXPECT_EQ(record["end"], "both-closed");
        EXPECT_EQ(record["reason"], "-");
      }
    }
  }
}

TEST_F(Session, Refused) {
  GatewayProcess gateway(config());
  const ClosedPort closed;
  Stream client = Stream::connect(gateway.listener());
  EXPECT_EQ(ask(client, closed.endpoint()).code, 5);
  EXPECT_EQ(client.receive_all(), "");
  client.close();
  Fields record = gateway.next_record();
  EXPECT_EQ(record["end"], "request-failed");
  EXPECT_EQ(record["reason"], "refused");
  EXPECT_EQ(record["reply"], "5");
  EXPECT_EQ(record["attempts"], "1");
}

TEST_F(Session, NameNotFound) {
  GatewayProcess gateway(config());
  Stream client = Stream::connect(gateway.listener());
  EXPECT_EQ(ask(client, "missing.test", 80).code, 4);
  client.close();
  Fields record = gateway.next_record();
  EXPECT_EQ(record["reason"], "name-not-found");
  EXPECT_EQ(record["target"], "missing.test:80");
}

TEST_F(Session, NamesThatDnsCannotCarry) {
  GatewayProcess gateway(config());
  for (const std::string& name :
       {std::string("a..b"), std::string(64, 'a') + ".test", std::string(255, 'a')}) {
    Stream client = Stream::connect(gateway.listener());
    EXPECT_EQ(ask(client, name, 80).code, 4) << name;
    client.close();
    EXPECT_EQ(gateway.next_record()["reason"], "name-invalid") << name;
  }
}

// A TCP connect to the broadcast address is ENETUNREACH with and without a route.
TEST_F(Session, NetworkUnreachable) {
  GatewayProcess gateway(config());
  Stream client = Stream::connect(gateway.listener());
  EXPECT_EQ(ask(client, endpoint("255.255.255.255", 80)).code, 3);
  client.close();
  EXPECT_EQ(gateway.next_record()["reason"], "network-unreachable");
}

TEST_F(Session, BlackHoleTimesOut) {
  GatewayProcess gateway(config("connect = \"700ms\""));
  const BlackHole hole;
  Stream client = Stream::connect(gateway.listener());
  const Clock::time_point start = Clock::now();
  EXPECT_EQ(ask(client, hole.endpoint()).code, 6);
  EXPECT_GE(Clock::now() - start, 650ms);
  EXPECT_LT(Clock::now() - start, 10s);
  client.close();
  Fields record = gateway.next_record();
  EXPECT_EQ(record["reason"], "timed-out");
  EXPECT_EQ(record["end"], "request-failed");
}

TEST_F(Session, NoSuccessBeforeTheDestinationIsConnected) {
  GatewayProcess gateway(config("connect = \"700ms\""));
  const BlackHole hole;
  Stream client = Stream::connect(gateway.listener());
  client.send(greeting_none + request(hole.endpoint()));
  EXPECT_EQ(client.receive(2), std::string("\x05\x00", 2));
  pollfd readable{client.fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&readable, 1, 350), 0) << "a reply came while the connect was under way";
  EXPECT_EQ(receive_reply(client).code, 6);
}

// RFC 1928 section 6: the connection is closed within 10 s of a failing reply, also when the client
// does not close and goes on sending.
TEST_F(Session, ConnectionClosesAfterAFailingReply) {
  GatewayProcess gateway(config());
  const ClosedPort closed;
  Stream client = Stream::connect(gateway.listener());
  EXPECT_EQ(ask(client, closed.endpoint()).code, 5);
  const Clock::time_point start = Clock::now();
  EXPECT_EQ(client.receive_all(), "") << "the FIN follows the reply at once";
  EXPECT_LT(Clock::now() - start, 1500ms);
  pollfd broken{client.fd(), 0, 0};
  while (Clock::now() - start < 10s && client.try_send("x")) {
    if (::poll(&broken, 1, 100) == 1) {
      break;
    }
  }
  EXPECT_LT(Clock::now() - start, 10s);
  EXPECT_EQ(gateway.next_record()["reason"], "refused");
}

// Unread octets make a close an RST, and an RST destroys a reply that is on its way.
TEST_F(Session, FailingReplyArrivesBehindEarlyData) {
  GatewayProcess gateway(config());
  const ClosedPort closed;
  const std::string early = pattern(std::size_t{1} << 20U, 3);
  Stream client = Stream::connect(gateway.listener());
  client.send(greeting_none + request(closed.endpoint()) + early);
  EXPECT_EQ(receive_answer(client).code, 5);
  EXPECT_EQ(client.receive_all(), "");
}

TEST_F(Session, ClientThatResetsWhileItsTargetIsDialled) {
  GatewayProcess gateway(config("connect = \"20s\""));
  const BlackHole hole;
  Stream client = Stream::connect(gateway.listener());
  client.send(greeting_none + request(hole.endpoint()));
  EXPECT_EQ(client.receive(2), std::string("\x05\x00", 2));
  client.reset();
  const Clock::time_point start = Clock::now();
  Fields record = gateway.next_record();
  EXPECT_EQ(record["end"], "client-gone");
  EXPECT_EQ(record["reply"], "-");
  EXPECT_LT(Clock::now() - start, 10s) << "the dial was not cancelled";
}

TEST_F(Session, HalfCloseBothWays) {
  GatewayProcess gateway(config());
  Destination destination;
  const std::string up = pattern(std::size_t{2} << 20U, 1);
  const std::string down = pattern(std::size_t{1} << 20U, 2);
  for (const bool client_first : {true, false}) {
    Stream client = Stream::connect(gateway.listener());
    ASSERT_EQ(ask(client, destination.endpoint()).code, 0);
    Stream server = destination.accept();
    Stream& first = client_first ? client : server;
    Stream& second = client_first ? server : client;
    std::thread sender([&] {
      first.send(up);
      first.finish();
    });
    EXPECT_TRUE(second.receive_all() == up);
    sender.join();
    std::thread answerer([&] {
      second.send(down);
      second.finish();
    });
    EXPECT_TRUE(first.receive_all() == down);
    answerer.join();
    Fields record = gateway.next_record();
    EXPECT_EQ(record["up"], std::to_string(client_first ? up.size() : down.size()));
    EXPECT_EQ(record["down"], std::to_string(client_first ? down.size() : up.size()));
    EXPECT_EQ(record["end"], "both-closed");
  }
}

TEST_F(Session, HalfClosedRelayIsReaped) {
  GatewayProcess gateway(config("half_close = \"1s\""));
  Destination destination;
  Stream client = Stream::connect(gateway.listener());
  ASSERT_EQ(ask(client, destination.endpoint()).code, 0);
  Stream server = destination.accept();
  client.finish();
  EXPECT_EQ(server.receive_all(), "");
  EXPECT_EQ(gateway.next_record()["end"], "half-close-timeout");
}

TEST_F(Session, IdleRelayIsReaped) {
  GatewayProcess gateway(config("idle = \"1s\""));
  Destination destination;
  Stream client = Stream::connect(gateway.listener());
  ASSERT_EQ(ask(client, destination.endpoint()).code, 0);
  Stream server = destination.accept();
  EXPECT_EQ(gateway.next_record()["end"], "idle-timeout");
}

TEST_F(Session, ResetOfTheDestinationReachesTheClient) {
  GatewayProcess gateway(config());
  Destination destination;
  Stream client = Stream::connect(gateway.listener());
  ASSERT_EQ(ask(client, destination.endpoint()).code, 0);
  Stream server = destination.accept();
  expect_echo(client, server);
  server.reset();
  bool reset = false;
  EXPECT_EQ(client.receive_all(&reset), "");
  EXPECT_TRUE(reset) << "the client saw an orderly end";
  EXPECT_EQ(gateway.next_record()["end"], "destination-reset");
}

TEST_F(Session, ResetOfTheClientReachesTheDestination) {
  GatewayProcess gateway(config());
  Destination destination;
  Stream client = Stream::connect(gateway.listener());
  ASSERT_EQ(ask(client, destination.endpoint()).code, 0);
  Stream server = destination.accept();
  expect_echo(client, server);
  client.reset();
  bool reset = false;
  EXPECT_EQ(server.receive_all(&reset), "");
  EXPECT_TRUE(reset) << "the destination saw an orderly end";
  EXPECT_EQ(gateway.next_record()["end"], "client-reset");
}

TEST_F(Session, SilentClientIsTimedOut) {
  GatewayProcess gateway(config("handshake = \"500ms\""));
  Stream client = Stream::connect(gateway.listener());
  const Clock::time_point start = Clock::now();
  EXPECT_EQ(client.receive_all(), "");
  EXPECT_GE(Clock::now() - start, 450ms);
  EXPECT_LT(Clock::now() - start, 10s);
  EXPECT_EQ(gateway.next_record()["end"], "handshake-timeout");
}

// One deadline for the whole handshake: an octet now and then does not move it.
TEST_F(Session, SlowClientIsTimedOut) {
  GatewayProcess gateway(config("handshake = \"500ms\""));
  Stream client = Stream::connect(gateway.listener());
  client.send("\x05\xff");
  const Clock::time_point start = Clock::now();
  pollfd over{client.fd(), POLLIN, 0};
  while (::poll(&over, 1, 50) == 0 && Clock::now() - start < 10s) {
    if (!client.try_send("\x01")) {
      break;
    }
  }
  EXPECT_LT(Clock::now() - start, 10s);
  EXPECT_EQ(gateway.next_record()["end"], "handshake-timeout");
}

TEST_F(Session, TwoHundredAtOnce) {
  constexpr std::size_t count = 200;
  GatewayProcess gateway(config() + "\n[log]\nlevel = \"info\"\n");
  Destination destination;
  std::vector<Stream> clients;
  for (std::size_t i = 0; i < count; ++i) {
    clients.push_back(Stream::connect(gateway.listener()));
    clients.back().send(greeting_none + request("both.test", destination.port()) +
                        pattern(64, static_cast<unsigned>(i)));
  }
  std::vector<Stream> servers;
  for (std::size_t i = 0; i < count; ++i) {
    servers.push_back(destination.accept());
    servers.back().send(servers.back().receive(64));
  }
  for (std::size_t i = 0; i < count; ++i) {
    ASSERT_EQ(receive_answer(clients[i]).code, 0) << i;
    ASSERT_TRUE(clients[i].receive(64) == pattern(64, static_cast<unsigned>(i))) << i;
  }
  clients.clear();
  servers.clear();
  std::vector<int> ids;
  for (std::size_t i = 0; i < count; ++i) {
    Fields record = gateway.next_record();
    EXPECT_EQ(record["up"], "64");
    EXPECT_EQ(record["down"], "64");
    EXPECT_EQ(record["end"], "both-closed");
    ids.push_back(std::stoi(record["id"]));
  }
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(ids.front(), 1);
  EXPECT_EQ(ids.back(), static_cast<int>(count));
  EXPECT_EQ(std::unique(ids.begin(), ids.end()), ids.end()) << "a session has two records";
}

/// The timer of a connection in /proc/net/tcp: 2 is keep-alive. -1: there is no such connection.
int timer_of(const Endpoint& local, const Endpoint& remote) {
  const auto port = [](const Endpoint& end) { return fmt::format(":{:04X}", end.port); };
  std::ifstream table("/proc/net/tcp");
  std::string line;
  while (std::getline(table, line)) {
    std::istringstream words(line);
    std::string slot, from, to, state, queues, timer;
    words >> slot >> from >> to >> state >> queues >> timer;
    if (from.ends_with(port(local)) && to.ends_with(port(remote))) {
      return std::stoi(timer);
    }
  }
  return -1;
}

// A destination that vanishes without a word is found out, as a client is.
TEST_F(Session, KeepAliveOnBothConnections) {
  GatewayProcess gateway(config());
  Destination destination;
  Stream client = Stream::connect(gateway.listener());
  ASSERT_EQ(ask(client, destination.endpoint()).code, 0);
  Stream server = destination.accept();
  expect_echo(client, server);
  // While octets are unacknowledged the table shows the retransmission timer instead.
  const Clock::time_point until = Clock::now() + patience;
  const auto both = [&] {
    return timer_of(server.remote(), server.local()) == 2 &&
           timer_of(client.remote(), client.local()) == 2;
  };
  while (!both() && Clock::now() < until) {
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_EQ(timer_of(server.remote(), server.local()), 2) << "towards the destination";
  EXPECT_EQ(timer_of(client.remote(), client.local()), 2) << "towards the client";
}

// Urgent data comes first, and the watch for a reset is not to take it for one, nor be blinded.
TEST_F(Session, ResetBehindUrgentDataEndsTheDial) {
  GatewayProcess gateway(config("connect = \"5m\""));
  const BlackHole hole;
  Stream client = Stream::connect(gateway.listener());
  client.send(greeting_none + request(hole.endpoint()));
  ASSERT_EQ(client.receive(2), std::string("\x05\x00", 2));
  ASSERT_EQ(::send(client.fd(), "!", 1, MSG_OOB), 1);
  client.flush();
  client.reset();
  EXPECT_EQ(gateway.next_record()["end"], "client-gone");
}

TEST_F(Session, RecordsAsJson) {
  GatewayProcess gateway(config() + "[access_log]\nformat = \"json\"\n");
  const ClosedPort closed;
  Stream client = Stream::connect(gateway.listener());
  EXPECT_EQ(ask(client, closed.endpoint()).code, 5);
  client.close();
  const std::string line = gateway.wait_for_log("\"id\":1,");
  EXPECT_NE(line.find("\"reason\":\"refused\"}"), std::string::npos) << line;
}

TEST_F(Session, NamesAreEscapedInTheRecord) {
  GatewayProcess gateway(config());
  Stream client = Stream::connect(gateway.listener());
  EXPECT_EQ(ask(client, "a\nb access id=7\x1b", 80).code, 4);
  client.close();
  EXPECT_EQ(gateway.next_record()["target"], R"("a\x0ab access id=7\x1b:80")");
}

}  // namespace
}  // namespace socks64::gateway::test
