// BIND through the whole daemon: its replies, its relay, and everything that ends it.
#include <cerrno>
#include <chrono>
#include <csignal>
#include <optional>
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

class Bind : public BindFixture {};

// RFC 1928 section 4: the first reply says where the peer is to connect to, the second who did.
TEST_F(Bind, BothRepliesOctetByOctet) {
  GatewayProcess gateway(config());
  Stream client = Stream::connect(gateway.listener());
  client.send(greeting_none + std::string("\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x00", 10));
  const std::string first = client.receive(12);
  ASSERT_EQ(first.substr(0, 10), std::string("\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01", 10));
  const auto port = static_cast<Port>(static_cast<unsigned char>(first[10]) << 8U |
                                      static_cast<unsigned char>(first[11]));
  pollfd readable{client.fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&readable, 1, 200), 0) << "a second reply without a peer";
  Stream peer = Stream::connect(endpoint("127.0.0.1", port));
  const Port peer_port = peer.local().port;
  std::string second("\x05\x00\x00\x01\x7f\x00\x00\x01", 8);
  second += static_cast<char>(peer_port >> 8U);
  second += static_cast<char>(peer_port & 0xffU);
  EXPECT_EQ(client.receive(10), second);
  expect_carries(client, peer);
  client.finish();
  peer.finish();
  EXPECT_EQ(client.receive_all(), "");
  Fields record = gateway.next_record();
  EXPECT_EQ(record["command"], "bind");
  EXPECT_EQ(record["target"], "127.0.0.1:0");
  EXPECT_EQ(record["address"], peer.local().text().view());
  EXPECT_EQ(record["crossing"], "v4>v4");
  EXPECT_EQ(record["attempts"], "1");
  EXPECT_EQ(record["up"], "4");
  EXPECT_EQ(record["down"], "4");
  EXPECT_EQ(record["reply"], "0");
  EXPECT_EQ(record["end"], "both-closed");
  EXPECT_EQ(record["reason"], "-");
}

TEST_F(Bind, EveryFamilyOfClientToEveryFamilyOfPeer) {
  if (!has_ipv6_loopback()) {
    GTEST_SKIP() << "NOT RUN: this machine has no IPv6 loopback, so three of four are untested";
  }
  GatewayProcess gateway(both_families());
  struct Way {
    const char* peer;
    std::vector<Target> targets;
  };
  const Way ways[] = {
      {"127.0.0.1",
       {endpoint("127.0.0.1", 0), any_v4, named("v4.test"), named("127.0.0.1"),
        endpoint("::ffff:127.0.0.1", 0)}},
      {"::1", {endpoint("::1", 0), any_v6, named("v6.test"), named("[::1]")}},
  };
  for (std::size_t listener = 0; listener < 2; ++listener) {
    for (const Way& way : ways) {
      for (const Target& target : way.targets) {
        SCOPED_TRACE(fmt::format("{} by listener {}", text(target).view(), listener));
        Stream client = Stream::connect(gateway.listener(listener));
        const ReplyMessage first = ask_bind(client, target);
        ASSERT_EQ(first.code, 0);
        ASSERT_EQ(first.bound.address.text().view(), way.peer) << "not what the peer can reach";
        Stream peer = Stream::connect(first.bound);
        const ReplyMessage second = receive_reply(client);
        EXPECT_EQ(second.code, 0);
        EXPECT_EQ(second.bound, peer.local());
        expect_carries(client, peer);
        client.finish();
        peer.finish();
        EXPECT_EQ(client.receive_all(), "");
        EXPECT_EQ(gateway.next_record()["crossing"],
                  std::string(listener == 0 ? "v4" : "v6") + (way.peer[0] == ':' ? ">v6" : ">v4"));
      }
    }
  }
}

// A first reply that comes before listen(2) loses some of these.
TEST_F(Bind, AThousandPeersThatConnectAtOnce) {
  GatewayProcess gateway(config());
  for (int i = 0; i < 1000; ++i) {
    Stream client = Stream::connect(gateway.listener());
    const ReplyMessage first = ask_bind(client, endpoint("127.0.0.1", 0));
    ASSERT_EQ(first.code, 0) << i;
    Stream peer = Stream::connect(first.bound);  // throws when it is refused
    ASSERT_EQ(receive_reply(client).bound, peer.local()) << i;
    client.reset();  // leaves no TIME_WAIT
  }
}

// The port is known beforehand, and the peer there before the client has read anything.
TEST_F(Bind, RepliesKeepTheirOrderWhenThePeerIsEarly) {
  const Port port = free_port();
  GatewayProcess gateway(config(fmt::format("ports = \"{}\"", port)));
  Stream client = Stream::connect(gateway.listener());
  client.send(greeting_none + request(endpoint("127.0.0.1", 0), Command::bind));
  std::optional<Stream> peer;
  const Clock::time_point until = Clock::now() + patience;
  while (!peer && Clock::now() < until) {
    try {
      peer = Stream::connect(endpoint("127.0.0.1", port));
    } catch (const std::system_error&) {
      std::this_thread::yield();
    }
  }
  ASSERT_TRUE(peer);
  peer->send("hello");
  EXPECT_EQ(receive_answer(client).bound, endpoint("127.0.0.1", port));
  EXPECT_EQ(receive_reply(client).bound, peer->local());
  EXPECT_EQ(client.receive(5), "hello");
}

TEST_F(Bind, PortIsClosedOnceThePeerIsThere) {
  GatewayProcess gateway(config());
  Stream client = Stream::connect(gateway.listener());
  const ReplyMessage first = ask_bind(client, any_v4);
  Stream peer = Stream::connect(first.bound);
  ASSERT_EQ(receive_reply(client).code, 0);
  EXPECT_EQ(Stream::try_connect(first.bound), ECONNREFUSED);
  expect_carries(client, peer);
}

TEST_F(Bind, NoPeerInTimeIsAFailingReply) {
  GatewayProcess gateway(config("timeout = \"300ms\""));
  Stream client = Stream::connect(gateway.listener());
  const Clock::time_point start = Clock::now();
  const ReplyMessage first = ask_bind(client, endpoint("127.0.0.1", 0));
  ASSERT_EQ(first.code, 0);
  const ReplyMessage second = receive_reply(client);
  EXPECT_EQ(second.code, 6);
  EXPECT_EQ(second.bound, any_v4);
  EXPECT_GE(Clock::now() - start, 290ms);
  EXPECT_EQ(client.receive_all(), "") << "the connection closes behind a failing reply";
  EXPECT_LT(Clock::now() - start, 10s);
  EXPECT_TRUE(becomes_free(first.bound));
  client.close();
  Fields record = gateway.next_record();
  EXPECT_EQ(record["end"], "request-failed");
  EXPECT_EQ(record["reason"], "bind-timeout");
  EXPECT_EQ(record["reply"], "6");
  EXPECT_EQ(record["address"], "-");
}

TEST_F(Bind, ClientsEofFreesThePort) {
  GatewayProcess gateway(config("timeout = \"1h\""));
  for (const bool says_more : {false, true}) {
    Stream client = Stream::connect(gateway.listener());
    const ReplyMessage first = ask_bind(client, endpoint("127.0.0.1", 0));
    ASSERT_EQ(first.code, 0);
    if (says_more) {
      client.send("not for nobody");
    }
    client.finish();
    // Who has only half-closed is told.
    EXPECT_EQ(receive_reply(client).code, 1);
    EXPECT_EQ(client.receive_all(), "");
    EXPECT_TRUE(becomes_free(first.bound));
    Fields record = gateway.next_record();
    EXPECT_EQ(record["end"], "client-gone");
    EXPECT_EQ(record["reply"], "1");
  }
}

TEST_F(Bind, ClientsResetFreesThePort) {
  GatewayProcess gateway(config("timeout = \"1h\""));
  Stream client = Stream::connect(gateway.listener());
  const ReplyMessage first = ask_bind(client, endpoint("127.0.0.1", 0));
  ASSERT_EQ(first.code, 0);
  client.reset();
  EXPECT_TRUE(becomes_free(first.bound));
  Fields record = gateway.next_record();
  EXPECT_EQ(record["end"], "client-gone");
  EXPECT_EQ(record["reply"], "0");
}

// Its EOF is behind octets that nobody reads any more.
TEST_F(Bind, EofBehindMoreThanIsKeptFreesThePortToo) {
  GatewayProcess gateway(config("timeout = \"1h\""));
  Stream client = Stream::connect(gateway.listener());
  const ReplyMessage first = ask_bind(client, endpoint("127.0.0.1", 0));
  ASSERT_EQ(first.code, 0);
  client.send(pattern(40'000, 1));
  client.finish();
  EXPECT_TRUE(becomes_free(first.bound));
  EXPECT_EQ(gateway.next_record()["end"], "client-gone");
}

TEST_F(Bind, EarlyDataReachesThePeerWhole) {
  GatewayProcess gateway(config());
  for (const std::size_t size : {std::size_t{1}, std::size_t{16} << 10U, std::size_t{4} << 20U}) {
    Stream client = Stream::connect(gateway.listener());
    const std::string early = pattern(size, 5);
    client.send(greeting_none + request(endpoint("127.0.0.1", 0), Command::bind) +
                early.substr(0, size / 3));
    const ReplyMessage first = receive_answer(client);
    ASSERT_EQ(first.code, 0);
    // More than anybody keeps: it waits in the client until the peer is there.
    std::thread sender([&] { client.send(early.substr(size / 3)); });
    pollfd readable{client.fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&readable, 1, 100), 0);
    Stream peer = Stream::connect(first.bound);
    EXPECT_EQ(receive_reply(client).bound, peer.local());
    EXPECT_TRUE(peer.receive(size) == early) << size;
    sender.join();
    client.finish();
    peer.finish();
    EXPECT_EQ(client.receive_all(), "");
    EXPECT_EQ(gateway.next_record()["up"], std::to_string(size));
  }
}

TEST_F(Bind, HalfCloseBothWays) {
  GatewayProcess gateway(config());
  const std::string up = pattern(std::size_t{1} << 20U, 6);
  const std::string down = pattern(std::size_t{1} << 20U, 7);
  for (const bool client_first : {true, false}) {
    Stream client = Stream::connect(gateway.listener());
    const ReplyMessage first = ask_bind(client, endpoint("127.0.0.1", 0));
    Stream peer = Stream::connect(first.bound);
    ASSERT_EQ(receive_reply(client).code, 0);
    Stream& one = client_first ? client : peer;
    Stream& other = client_first ? peer : client;
    std::thread sender([&] {
      one.send(up);
      one.finish();
    });
    EXPECT_TRUE(other.receive_all() == up);
    sender.join();
    std::thread answer([&] {
      other.send(down);
      other.finish();
    });
    EXPECT_TRUE(one.receive_all() == down);
    answer.join();
    EXPECT_EQ(gateway.next_record()["end"], "both-closed");
  }
}

TEST_F(Bind, PeersResetReachesTheClient) {
  GatewayProcess gateway(config());
  Stream client = Stream::connect(gateway.listener());
  const ReplyMessage first = ask_bind(client, endpoint("127.0.0.1", 0));
  Stream peer = Stream::connect(first.bound);
  ASSERT_EQ(receive_reply(client).code, 0);
  peer.reset();
  bool reset = false;
  EXPECT_EQ(client.receive_all(&reset), "");
  EXPECT_TRUE(reset);
  EXPECT_EQ(gateway.next_record()["end"], "destination-reset");
}

TEST_F(Bind, ShutdownIsAFailingReply) {
  GatewayProcess gateway(config("timeout = \"1h\""));
  Stream client = Stream::connect(gateway.listener());
  const ReplyMessage first = ask_bind(client, any_v4);
  ASSERT_EQ(first.code, 0);
  gateway.signal(SIGTERM);
  EXPECT_FALSE(gateway.wait_for_log("draining").empty());
  pollfd readable{client.fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&readable, 1, 50), 0) << "a drain lets sessions go on";
  gateway.signal(SIGTERM);
  EXPECT_EQ(receive_reply(client).code, 1);
  EXPECT_TRUE(becomes_free(first.bound));
  Fields record = gateway.next_record();
  EXPECT_EQ(record["reason"], "shutting-down");
  EXPECT_EQ(gateway.wait_for_end(patience), 0);
}

TEST_F(Bind, NoDescriptorStaysBehind) {
  GatewayProcess gateway(config("timeout = \"200ms\""));
  const auto one = [&](int how) {
    Stream client = Stream::connect(gateway.listener());
    const ReplyMessage first = ask_bind(client, endpoint(right, 0));
    ASSERT_EQ(first.code, 0);
    if (how == 0) {
      return client.reset();
    }
    if (how == 1) {
      EXPECT_EQ(receive_reply(client).code, 6);
      return;
    }
    (void)connect_from(endpoint(wrong, 0), first.bound);
    Stream peer = Stream::connect(first.bound);
    EXPECT_EQ(receive_reply(client).code, 0);
    client.finish();
    peer.finish();
    EXPECT_EQ(client.receive_all(), "");
  };
  for (int how = 0; how < 3; ++how) {
    one(how);
    (void)gateway.next_record();
  }
  const std::size_t before = gateway.open_descriptors();
  for (int i = 0; i < 6; ++i) {
    one(i % 3);
    (void)gateway.next_record();
  }
  EXPECT_EQ(gateway.open_descriptors(), before);
}

TEST_F(Bind, ClientOnAUnixSocket) {
  const TemporaryDirectory directory;
  GatewayProcess gateway(GatewayProcess::Options{
      config("timeout = \"1h\""), {"--listen", "unix:" + directory.path("gateway.sock")}});
  for (const Target& target : {Target(endpoint("127.0.0.1", 0)), Target(any_v4)}) {
    Stream client = Stream::connect(directory.path("gateway.sock"));
    const ReplyMessage first = ask_bind(client, target);
    ASSERT_EQ(first.code, 0);
    EXPECT_FALSE(first.bound.address.is_unspecified());
    Stream peer = Stream::connect(first.bound);
    EXPECT_EQ(receive_reply(client).bound, peer.local());
    expect_carries(client, peer);
    client.finish();
    peer.finish();
    EXPECT_EQ(client.receive_all(), "");
    EXPECT_EQ(gateway.next_record()["crossing"], "unix>v4");
  }
  Stream client = Stream::connect(directory.path("gateway.sock"));
  const ReplyMessage first = ask_bind(client, endpoint("127.0.0.1", 0));
  client.close();
  EXPECT_TRUE(becomes_free(first.bound));
  EXPECT_EQ(gateway.next_record()["end"], "client-gone");
}

}  // namespace
}  // namespace socks64::gateway::test
