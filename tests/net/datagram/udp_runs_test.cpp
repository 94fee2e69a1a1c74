// What comes out at the other end of SendBatch, and of ReceivedBatch: the same datagrams, with runs
// and without.
#include "datagram/udp_runs.hpp"

#include <cerrno>
#include <map>
#include <poll.h>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "datagram/udp_batch.hpp"
#include "rig/datagrams.hpp"
#include "rig/own_network.hpp"
#include "rig/sockets.hpp"
#include "udp/udp_socket.hpp"

namespace socks64::gateway::test {
namespace {

Bytes bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// The kernel's word, or none at all.
enum class Runs { as_the_kernel_takes_them, never };

class Sender {
 public:
  explicit Sender(Runs runs = Runs::as_the_kernel_takes_them, const char* address = "127.0.0.1")
      : socket_(open_udp_socket(*IpAddress::parse(address))) {
    if (runs == Runs::as_the_kernel_takes_them) {
      segmentation = Segmentation::of(fd());
    }
  }

  [[nodiscard]] int fd() const { return socket_.socket.get(); }
  [[nodiscard]] const Endpoint& local() const { return socket_.local; }
  SendBatch::Sent flush() { return batch.flush(fd(), segmentation, counts); }

  Segmentation segmentation;
  SendBatch batch;
  UdpCounts counts;

 private:
  UdpSocket socket_;
};

#define REQUIRE_RUNS(sender)                                            \
  if (!(sender).segmentation.takes(1)) {                                \
    GTEST_SKIP() << "NOT RUN: this kernel takes no runs (UDP_SEGMENT)"; \
  }

/// All that has come by now: on loopback, all that was sent.
std::vector<std::string> received(DatagramPeer& peer, std::size_t count) {
  std::vector<std::string> datagrams;
  while (datagrams.size() < count) {
    std::optional<Datagram> datagram = peer.receive();
    if (!datagram) {
      break;
    }
    datagrams.push_back(std::move(datagram->payload));
  }
  if (peer.receive(std::chrono::milliseconds(0))) {
    ADD_FAILURE() << "more than was sent";
  }
  return datagrams;
}

std::vector<std::string> of_sizes(const std::vector<std::size_t>& sizes) {
  std::vector<std::string> datagrams;
  for (const std::size_t size : sizes) {
    datagrams.push_back(pattern(size, static_cast<unsigned>(datagrams.size())));
  }
  return datagrams;
}

class UdpRuns : public ::testing::TestWithParam<Runs> {};

TEST_P(UdpRuns, SizesOfAllKindsArriveInOrder) {
  Sender sender(GetParam());
  DatagramPeer peer;
  const std::vector<std::vector<std::size_t>> bursts{
      {200, 200, 200, 100, 200, 200, 300, 300, 299, 299, 1, 1, 1, 2, 2, 1},
      {0, 0, 5, 5, 0, 5, 3, 0, 3, 3, 0},
      {1},
      {65'507, 1, 65'507, 65'506},
      {1'400, 1'400, 65'507, 1'400, 1'400, 20'000, 20'000, 20'000, 20'000, 20'000},
      std::vector<std::size_t>(100, 1'400),
      std::vector<std::size_t>(SendBatch::capacity, 16),
  };
  for (const std::vector<std::size_t>& sizes : bursts) {
    const std::vector<std::string> datagrams = of_sizes(sizes);
    std::size_t octets = 0;
    for (const std::string& datagram : datagrams) {
      ASSERT_FALSE(sender.batch.full());
      sender.batch.add(peer.endpoint(), {}, bytes(datagram));
      octets += datagram.size();
    }
    const SendBatch::Sent sent = sender.flush();
    EXPECT_EQ(sent.datagrams, datagrams.size());
    EXPECT_EQ(sent.octets, octets);
    EXPECT_TRUE(sender.batch.empty());
    EXPECT_EQ(received(peer, datagrams.size()), datagrams);
  }
}

TEST_P(UdpRuns, WhatStandsInFrontIsEachOnesOwn) {
  Sender sender(GetParam());
  DatagramPeer peer;
  std::vector<std::string> expected;
  std::vector<std::string> payloads;
  for (int i = 0; i < 40; ++i) {
    payloads.push_back(pattern(i % 10 == 9 ? 0 : 100, static_cast<unsigned>(i)));
  }
  for (std::size_t i = 0; i < payloads.size(); ++i) {
    // Of one sender in a row, and then of another, with a header as long or longer.
    const std::string front(i % 8 == 7 ? 22 : 10, static_cast<char>('a' + i / 5));
    sender.batch.add(peer.endpoint(), bytes(front), bytes(payloads[i]));
    expected.push_back(front + payloads[i]);
  }
  const SendBatch::Sent sent = sender.flush();
  EXPECT_EQ(sent.datagrams, 40U);
  EXPECT_EQ(sent.octets, 36U * 100) << "what stands in front is no payload";
  EXPECT_EQ(received(peer, expected.size()), expected);
}

TEST_P(UdpRuns, OrderIsKeptForEachDestination) {
  Sender sender(GetParam());
  std::vector<DatagramPeer> peers(20);
  std::minstd_rand random(64);  // NOLINT: the same ones each time
  for (int burst = 0; burst < 20; ++burst) {
    std::vector<std::string> payloads;
    std::vector<std::vector<std::string>> expected(peers.size());
    const std::size_t among = burst % 2 == 0 ? 3 : peers.size();
    for (std::size_t i = 0; i < SendBatch::capacity; ++i) {
      const std::size_t sizes[] = {40, 40, 40, 40, 39, 41, 0};
      std::string payload = std::to_string(i) + "|";
      const std::size_t size = sizes[random() % 7];
      payload.resize(size, '.');
      payloads.push_back(payload);
    }
    for (const std::string& payload : payloads) {
      const std::size_t to = random() % among;
      sender.batch.add(peers[to].endpoint(), {}, bytes(payload));
      expected[to].push_back(payload);
    }
    EXPECT_EQ(sender.flush().datagrams, payloads.size());
    for (std::size_t i = 0; i < peers.size(); ++i) {
      EXPECT_EQ(received(peers[i], expected[i].size()), expected[i]);
    }
  }
}

TEST_P(UdpRuns, OneThatIsTooLargeIsDroppedAlone) {
  Sender sender(GetParam());
  DatagramPeer peer;
  const std::vector<std::string> datagrams = of_sizes({500, 500, 65'508, 500, 65'508, 400});
  for (const std::string& datagram : datagrams) {
    sender.batch.add(peer.endpoint(), {}, bytes(datagram));
  }
  EXPECT_EQ(sender.flush().datagrams, 4U);
  EXPECT_EQ(sender.counts.dropped_for(UdpDrop::oversized), 2U);
  EXPECT_EQ(received(peer, 4),
            (std::vector<std::string>{datagrams[0], datagrams[1], datagrams[3], datagrams[5]}));
}

TEST_P(UdpRuns, WhatCannotGoIsCountedEach) {
  const bool ran = in_own_network(1'500, [&] {
    Sender sender(GetParam());
    DatagramPeer peer;
    const Endpoint nowhere = endpoint("192.0.2.1", 53);
    const Endpoint broadcast = endpoint("127.255.255.255", 53);
    const std::vector<std::string> datagrams = of_sizes({20, 20, 20, 20, 10});
    for (const std::string& datagram : datagrams) {
      sender.batch.add(nowhere, {}, bytes(datagram));
      sender.batch.add(broadcast, {}, bytes(datagram));
      sender.batch.add(peer.endpoint(), {}, bytes(datagram));
    }
    const bool takes_runs = sender.segmentation.takes(20);
    EXPECT_EQ(sender.flush().datagrams, 5U);
    EXPECT_EQ(sender.counts.dropped_for(UdpDrop::unreachable), 5U);
    EXPECT_EQ(sender.counts.dropped_for(UdpDrop::destination), 5U);
    EXPECT_EQ(received(peer, 5), datagrams);
    EXPECT_EQ(sender.segmentation.takes(20), takes_runs) << "that there is no route says nothing";
  });
  if (!ran) {
    GTEST_SKIP() << "NOT RUN: a network namespace needs CAP_SYS_ADMIN";
  }
}

// A datagram that the link cannot take whole is fragmented, which no run can be.
TEST_P(UdpRuns, LinksTooSmallForADatagram) {
  for (const char* address : {"127.0.0.1", "::1"}) {
    const bool ran = in_own_network(1'280, [&] {
      Sender sender(GetParam(), address);
      DatagramPeer peer(address);
      const bool takes_runs = sender.segmentation.takes(1);
      const std::vector<std::string> datagrams = of_sizes(
          {1'100, 1'100, 1'400, 1'400, 1'400, 10'000, 10'000, 9'000, 1'100, 1'100, 1'300, 1'300});
      for (int burst = 0; burst < 2; ++burst) {
        for (const std::string& datagram : datagrams) {
          sender.batch.add(peer.endpoint(), {}, bytes(datagram));
        }
        EXPECT_EQ(sender.flush().datagrams, datagrams.size());
        EXPECT_EQ(received(peer, datagrams.size()), datagrams);
      }
      EXPECT_FALSE(sender.segmentation.takes(1'300)) << "to be refused each time";
      EXPECT_EQ(sender.segmentation.takes(1'100), takes_runs);
    });
    if (!ran) {
      GTEST_SKIP() << "NOT RUN: a network namespace needs CAP_SYS_ADMIN";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, UdpRuns, ::testing::Values(Runs::as_the_kernel_takes_them, Runs::never),
                         [](const auto& instance) {
                           return instance.param == Runs::never ? "singly" : "in_runs";
                         });

/// What a socket with UDP_GRO is handed in one call.
ReceivedBatch::Got wait_for(ReceivedBatch& batch, int socket) {
  pollfd ready{socket, POLLIN, 0};
  if (::poll(&ready, 1, 30'000) != 1) {
    return {};
  }
  return batch.receive(socket);
}

TEST(UdpRun, IsOneMessageForWhoTakesRuns) {
  Sender sender;
  REQUIRE_RUNS(sender);
  Sender peer;
  std::vector<std::size_t> sizes(SendBatch::most_segments, 200);
  sizes.back() = 7;
  const std::vector<std::string> datagrams = of_sizes(sizes);
  for (const std::string& datagram : datagrams) {
    sender.batch.add(peer.local(), {}, bytes(datagram));
  }
  EXPECT_EQ(sender.flush().datagrams, datagrams.size());
  ReceivedBatch batch;
  const ReceivedBatch::Got got = wait_for(batch, peer.fd());
  EXPECT_EQ(got.messages, 1U);
  EXPECT_EQ(got.datagrams, datagrams.size());
  EXPECT_EQ(got.octets, 63U * 200 + 7);
  for (const std::string& expected : datagrams) {
    const ReceivedDatagram* const datagram = batch.next();
    ASSERT_NE(datagram, nullptr);
    EXPECT_EQ(std::string(datagram->octets.begin(), datagram->octets.end()), expected);
    EXPECT_EQ(datagram->from, endpoint("127.0.0.1", sender.local().port));
  }
  EXPECT_EQ(batch.next(), nullptr);
}

TEST(UdpRun, SendersAreToldApart) {
  Sender first;
  Sender second;
  Sender peer;
  const std::vector<std::string> datagrams = of_sizes({9, 9, 0, 9, 4});
  for (int round = 0; round < 2; ++round) {
    for (Sender* const sender : {&first, &second}) {
      for (const std::string& datagram : datagrams) {
        sender->batch.add(peer.local(), {}, bytes(datagram));
      }
      EXPECT_EQ(sender->flush().datagrams, datagrams.size());
    }
  }
  ReceivedBatch batch;
  const ReceivedBatch::Got got = wait_for(batch, peer.fd());
  EXPECT_EQ(got.datagrams, 20U);
  for (int i = 0; i < 20; ++i) {
    const ReceivedDatagram* const datagram = batch.next();
    ASSERT_NE(datagram, nullptr);
    EXPECT_EQ(datagram->from.port, (i / 5 % 2 == 0 ? first : second).local().port) << i;
    EXPECT_EQ(std::string(datagram->octets.begin(), datagram->octets.end()),
              datagrams[static_cast<std::size_t>(i) % 5]);
  }
  EXPECT_EQ(batch.next(), nullptr);
  EXPECT_EQ(batch.receive(peer.fd()).messages, 0U);
  EXPECT_EQ(batch.next(), nullptr);
}

TEST(UdpSegmentation, RemembersOnlyWhatWouldFailAgain) {
  const Sender sender;
  REQUIRE_RUNS(sender);
  Segmentation segmentation = sender.segmentation;
  for (const int error : {ENETUNREACH, ENOBUFS, EPERM, ENOMEM}) {
    segmentation.refused(error, 1'400);
    EXPECT_TRUE(segmentation.takes(1'400)) << error;
  }
  for (const int error : {EMSGSIZE, EINVAL}) {
    segmentation = sender.segmentation;
    segmentation.refused(error, 1'400);
    EXPECT_FALSE(segmentation.takes(1'400)) << error;
    EXPECT_TRUE(segmentation.takes(1'399)) << error;
    segmentation.refused(error, 1'452);
    EXPECT_TRUE(segmentation.takes(1'399)) << error;
  }
  for (const int error : {EIO, ENOPROTOOPT, EOPNOTSUPP}) {
    segmentation = sender.segmentation;
    segmentation.refused(error, 1'400);
    EXPECT_FALSE(segmentation.takes(1)) << error;
  }
}

}  // namespace
}  // namespace socks64::gateway::test
