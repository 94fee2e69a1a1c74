// Many datagrams at once through the whole daemon: as QUIC programs send them, several to a system
// call, each remains one of its own.
#include <chrono>
#include <poll.h>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "datagram/udp_batch.hpp"
#include "rig/datagrams.hpp"
#include "rig/own_network.hpp"
#include "rig/process.hpp"
#include "rig/sockets.hpp"
#include "udp/udp_socket.hpp"

namespace socks64::gateway::test {
namespace {

using namespace std::chrono_literals;
using Drops = std::map<std::string, unsigned>;

constexpr const char* no_runs = "NOT RUN: this kernel takes no runs (UDP_SEGMENT)";

/// Datagrams of `size` octets, each with its number.
std::vector<std::string> numbered(std::size_t count, std::size_t size) {
  std::vector<std::string> datagrams;
  for (std::size_t i = 0; i < count; ++i) {
    std::string datagram = fmt::format("{:04}", i);
    datagram.resize(size, '.');
    datagrams.push_back(std::move(datagram));
  }
  return datagrams;
}

std::string joined(const std::vector<std::string>& parts, const std::string& front = {}) {
  std::string all;
  for (const std::string& part : parts) {
    all += front + part;
  }
  return all;
}

std::vector<std::string> payloads_at(DatagramPeer& peer, std::size_t count, Endpoint* from = {}) {
  std::vector<std::string> payloads;
  while (payloads.size() < count) {
    std::optional<Datagram> datagram = peer.receive();
    if (!datagram) {
      break;
    }
    payloads.push_back(std::move(datagram->payload));
    if (from != nullptr) {
      *from = datagram->from;
    }
  }
  return payloads;
}

/// Of `count` replies from `sender`.
std::vector<std::string> replies(Associated& client, std::size_t count, const Target& sender) {
  std::vector<std::string> payloads;
  while (payloads.size() < count) {
    std::optional<Relayed> relayed = client.receive();
    if (!relayed) {
      break;
    }
    EXPECT_EQ(relayed->from, sender);
    payloads.push_back(std::move(relayed->payload));
  }
  return payloads;
}

TEST(UdpBursts, RunsOfBothSidesComeOutAsTheyWentIn) {
  GatewayProcess gateway;
  Associated client(gateway.listener());
  ASSERT_EQ(client.code(), 0);
  DatagramPeer destination;
  const std::string header = udp_header(destination.endpoint());
  std::vector<std::string> sent = numbered(50, 1'200);
  sent.back().resize(33);
  Endpoint source;
  for (int round = 0; round < 3; ++round) {
    if (!client.socket.send_run(client.relay(), joined(sent, header), header.size() + 1'200)) {
      GTEST_SKIP() << no_runs;
    }
    EXPECT_EQ(payloads_at(destination, sent.size(), &source), sent);
    ASSERT_TRUE(destination.send_run(source, joined(sent), 1'200));
    EXPECT_EQ(replies(client, sent.size(), destination.endpoint()), sent);
  }
  client.control.close();
  const Fields record = gateway.next_record();
  EXPECT_EQ(record.at("datagrams_up"), "150");
  EXPECT_EQ(record.at("datagrams_down"), "150");
  EXPECT_EQ(record.at("up"), std::to_string(3 * (49 * 1'200 + 33)));
  EXPECT_EQ(record.at("down"), record.at("up"));
  EXPECT_EQ(record.at("dropped"), "-");
}

/// The messages in which a run that is sent to it arrives at a socket with UDP_GRO.
std::size_t messages_of_run(int socket, std::size_t datagrams, std::size_t octets) {
  pollfd ready{socket, POLLIN, 0};
  EXPECT_EQ(::poll(&ready, 1, static_cast<int>(std::chrono::milliseconds(patience).count())), 1);
  ReceivedBatch batch;
  const ReceivedBatch::Got got = batch.receive(socket);
  EXPECT_EQ(got.datagrams, datagrams);
  EXPECT_EQ(got.octets, octets);
  return got.messages;
}

// One walk through the kernel for all of it, both ways: what a datagram costs.
TEST(UdpBursts, ARunStaysARun) {
  GatewayProcess gateway;
  const UdpSocket client = open_udp_socket(*IpAddress::parse("127.0.0.1"));
  const UdpSocket destination = open_udp_socket(*IpAddress::parse("127.0.0.1"));
  Segmentation segmentation = Segmentation::of(client.socket.get());
  if (!segmentation.takes(1)) {
    GTEST_SKIP() << no_runs;
  }
  Stream control = Stream::connect(gateway.listener());
  control.send(greeting_none + request(client.local, Command::udp_associate));
  const ReplyMessage reply = receive_answer(control);
  ASSERT_EQ(reply.code, 0);

  const std::string datagram = udp_header(destination.local) + std::string(200, 'x');
  const Bytes octets(reinterpret_cast<const std::uint8_t*>(datagram.data()), datagram.size());
  UdpCounts counts;
  SendBatch batch;
  for (int i = 0; i < 60; ++i) {
    batch.add(reply.bound, {}, octets);
  }
  EXPECT_EQ(batch.flush(client.socket.get(), segmentation, counts).datagrams, 60U);
  pollfd ready{destination.socket.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&ready, 1, static_cast<int>(std::chrono::milliseconds(patience).count())), 1);
  ReceivedBatch arrived;
  const ReceivedBatch::Got got = arrived.receive(destination.socket.get());
  EXPECT_EQ(got.messages, 1U);
  EXPECT_EQ(got.datagrams, 60U);
  EXPECT_EQ(got.octets, 60U * 200);

  while (const ReceivedDatagram* const each = arrived.next()) {
    batch.add(each->from, {}, each->octets);
  }
  EXPECT_EQ(batch.flush(destination.socket.get(), segmentation, counts).datagrams, 60U);
  EXPECT_EQ(messages_of_run(client.socket.get(), 60, 60 * 210), 1U);
}

TEST(UdpBursts, WhatIsWrongWithinARunIsDroppedAlone) {
  GatewayProcess gateway;
  Associated client(gateway.listener());
  ASSERT_EQ(client.code(), 0);
  DatagramPeer destination;
  DatagramPeer other;
  const std::string good = udp_header(destination.endpoint());
  const std::string run = good + "one " + udp_header(destination.endpoint(), 1) + "part" + good +
                          "two " + udp_header(endpoint("224.0.0.251", 5353)) + "many" +
                          std::string(good.size() + 4, '\xff') + udp_header(other.endpoint()) +
                          "else" + good + "last" + good.substr(0, 9);
  if (!client.socket.send_run(client.relay(), run, good.size() + 4)) {
    GTEST_SKIP() << no_runs;
  }
  EXPECT_EQ(payloads_at(destination, 3), (std::vector<std::string>{"one ", "two ", "last"}));
  EXPECT_EQ(payloads_at(other, 1), (std::vector<std::string>{"else"}));
  EXPECT_TRUE(client.round_trip(destination, destination.endpoint(), "alive"));
  client.control.close();
  const Fields record = gateway.next_record();
  EXPECT_EQ(record.at("datagrams_up"), "5");
  EXPECT_EQ(drops(record), (Drops{{"fragment", 1}, {"destination", 1}, {"malformed", 2}}));
}

TEST(UdpBursts, EachDatagramOfARunCounts) {
  GatewayProcess gateway(std::string("[limits]\nudp_datagrams_per_second = 10\n"));
  Associated client(gateway.listener());
  ASSERT_EQ(client.code(), 0);
  DatagramPeer destination;
  DatagramPeer foreign;
  DatagramPeer stranger("127.0.0.2");
  const std::string header = udp_header(destination.endpoint());
  const std::string run = joined(numbered(60, 20), header);
  // Each is behind the one before it, in one queue, when something of it is seen.
  if (!foreign.send_run(client.relay(), run, header.size() + 20)) {
    GTEST_SKIP() << no_runs;
  }
  ASSERT_TRUE(client.socket.send_run(client.relay(), run, header.size() + 20));
  const std::optional<Datagram> first = destination.receive();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->payload.substr(0, 4), "0000");
  ASSERT_TRUE(
      stranger.send_run(endpoint("127.0.0.1", first->from.port), joined(numbered(60, 20)), 20));
  ASSERT_TRUE(destination.send_run(first->from, joined(numbered(60, 20)), 20));
  ASSERT_TRUE(client.receive());
  client.control.close();
  const Fields record = gateway.next_record();
  const Drops dropped = drops(record);
  const unsigned long up = std::stoul(record.at("datagrams_up"));
  const unsigned long down = std::stoul(record.at("datagrams_down"));
  EXPECT_EQ(up + down + dropped.at("rate"), 120U);
  EXPECT_GE(up, 10U);
  EXPECT_LT(up, 60U);
  EXPECT_GE(down, 10U);
  EXPECT_LT(down, 60U);
  EXPECT_EQ(dropped.at("foreign"), 60U);
  EXPECT_EQ(dropped.at("unsolicited"), 60U);
}

// More than a turn and more than a batch, and two associations that push at the same time.
TEST(UdpBursts, MoreThanATurnHolds) {
  GatewayProcess gateway(std::string("threads = 1\n"));
  Associated one(gateway.listener());
  Associated two(gateway.listener());
  ASSERT_EQ(one.code(), 0);
  ASSERT_EQ(two.code(), 0);
  DatagramPeer at_one;
  DatagramPeer at_two;
  const std::vector<std::string> sent = numbered(300, 40);
  for (std::size_t i = 0; i < sent.size(); ++i) {
    one.send(at_one.endpoint(), sent[i]);
    two.send(at_two.endpoint(), sent[i]);
  }
  EXPECT_EQ(payloads_at(at_one, sent.size()), sent);
  EXPECT_EQ(payloads_at(at_two, sent.size()), sent);
}

// What a small link cannot take whole is fragmented, each datagram by itself.
TEST(UdpBursts, SmallLinksOnBothSides) {
  const bool ran = in_own_network(1'280, [] {
    GatewayProcess gateway(
        GatewayProcess::Options{{}, {"--listen", "127.0.0.1:0", "--listen", "[::1]:0"}});
    for (std::size_t listener = 0; listener < 2; ++listener) {
      Associated client(gateway.listener(listener));
      ASSERT_EQ(client.code(), 0);
      for (const char* address : {"127.0.0.1", "::1"}) {
        DatagramPeer destination(address);
        for (const std::size_t size : {1'232UL, 1'252UL, 1'400UL, 9'000UL}) {
          const std::vector<std::string> sent = numbered(10, size);
          for (const std::string& payload : sent) {
            client.send(destination.endpoint(), payload);
          }
          Endpoint source;
          EXPECT_EQ(payloads_at(destination, sent.size(), &source), sent) << size;
          for (const std::string& payload : sent) {
            destination.send(source, payload);
          }
          EXPECT_EQ(replies(client, sent.size(), destination.endpoint()), sent) << size;
        }
      }
      client.control.close();
      const Fields record = gateway.next_record();
      EXPECT_EQ(record.at("datagrams_up"), "80");
      EXPECT_EQ(record.at("datagrams_down"), "80");
      EXPECT_EQ(record.at("dropped"), "-");
    }
  });
  if (!ran) {
    GTEST_SKIP() << "NOT RUN: a network namespace needs CAP_SYS_ADMIN";
  }
}

}  // namespace
}  // namespace socks64::gateway::test
