// Octets: all of them, in order, both ways, whatever path they take, and where EOF belongs.
#include <algorithm>
#include <array>
#include <dirent.h>
#include <string>

#include "relay_peer.hpp"

namespace socks64::gateway::rig {
namespace {

using std::chrono::seconds;

std::size_t open_descriptors() {
  DIR* const dir = ::opendir("/proc/self/fd");
  std::size_t count = 0;
  while (::readdir(dir) != nullptr) {
    ++count;
  }
  ::closedir(dir);
  return count;
}

class RelayPaths : public ::testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    if (const std::string missing = missing_for(GetParam()); !missing.empty()) {
      GTEST_SKIP() << missing;
    }
  }
};

INSTANTIATE_TEST_SUITE_P(, RelayPaths,
                         ::testing::Values(Way::adaptive, Way::copy, Way::splice, Way::kernel),
                         [](const auto& way) { return name_of(way.param); });

TEST_P(RelayPaths, EverySizeArrivesWhole) {
  Worker worker(by(GetParam()));
  const Stream up(1);
  const Stream down(2);
  for (const std::size_t size :
       {0UL, 1UL, 2UL, 4095UL, 65'536UL, 262'144UL, 262'145UL, 1'000'003UL, 16'777'216UL}) {
    Relayed relayed(worker);
    std::thread sender([&] {
      EXPECT_TRUE(send_stream(relayed.client, up, 0, size));
      ::shutdown(relayed.client.get(), SHUT_WR);
    });
    EXPECT_TRUE(expect_stream(relayed.destination, up, 0, size));
    EXPECT_EQ(ending(relayed.destination), 0);
    sender.join();
    std::thread answerer([&] {
      EXPECT_TRUE(send_stream(relayed.destination, down, 0, size));
      ::shutdown(relayed.destination.get(), SHUT_WR);
    });
    EXPECT_TRUE(expect_stream(relayed.client, down, 0, size));
    EXPECT_EQ(ending(relayed.client), 0);
    answerer.join();
    const RelayReport report = relayed.report();
    EXPECT_EQ(report.end, RelayEnd::both_closed);
    EXPECT_EQ(report.octets_up, size);
    EXPECT_EQ(report.octets_down, size);
  }
}

TEST_P(RelayPaths, BothWaysAtOnce) {
  Worker worker(by(GetParam()));
  Relayed relayed(worker);
  const Stream up(3);
  const Stream down(4);
  constexpr std::size_t kUp = std::size_t{64} << 20;
  constexpr std::size_t kDown = (std::size_t{48} << 20) + 7;
  std::thread client_sends([&] {
    EXPECT_TRUE(send_stream(relayed.client, up, 0, kUp, 1'000'000));
    ::shutdown(relayed.client.get(), SHUT_WR);
  });
  std::thread destination_sends([&] {
    EXPECT_TRUE(send_stream(relayed.destination, down, 0, kDown));
    ::shutdown(relayed.destination.get(), SHUT_WR);
  });
  std::thread client_reads([&] {
    EXPECT_TRUE(expect_stream(relayed.client, down, 0, kDown));
    EXPECT_EQ(ending(relayed.client), 0);
  });
  EXPECT_TRUE(expect_stream(relayed.destination, up, 0, kUp));
  EXPECT_EQ(ending(relayed.destination), 0);
  client_sends.join();
  destination_sends.join();
  client_reads.join();
  const RelayReport report = relayed.report();
  EXPECT_EQ(report.end, RelayEnd::both_closed);
  EXPECT_EQ(report.octets_up, kUp);
  EXPECT_EQ(report.octets_down, kDown);
}

TEST_P(RelayPaths, SmallMessagesBackAndForth) {
  Worker worker(by(GetParam()));
  Relayed relayed(worker);
  const Stream stream(5);
  std::size_t position = 0;
  for (std::size_t i = 0; i < 500; ++i) {
    const std::size_t size = i * 37 % 5000 + 1;
    ASSERT_TRUE(send_stream(relayed.client, stream, position, position + size));
    ASSERT_TRUE(expect_stream(relayed.destination, stream, position, position + size));
    ASSERT_TRUE(send_stream(relayed.destination, stream, position, position + size));
    ASSERT_TRUE(expect_stream(relayed.client, stream, position, position + size));
    position += size;
  }
}

// RFC 3089 says nothing of it, applications rely on it.
TEST_P(RelayPaths, UploadEofSilenceDownload) {
  Worker worker(by(GetParam()));
  Relayed relayed(worker, {seconds(2), seconds(20)});
  const Stream stream(6);
  constexpr std::size_t kUp = std::size_t{8} << 20;
  constexpr std::size_t kDown = std::size_t{1} << 20;
  std::thread sender([&] {
    EXPECT_TRUE(send_stream(relayed.client, stream, 0, kUp));
    ::shutdown(relayed.client.get(), SHUT_WR);
  });
  EXPECT_TRUE(expect_stream(relayed.destination, stream, 0, kUp));
  EXPECT_EQ(ending(relayed.destination), 0);
  sender.join();
  // The silence is longer than the idle limit, which half-closed relays are not under.
  pollfd silence{relayed.client.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&silence, 1, 2500), 0);
  std::thread answerer([&] {
    EXPECT_TRUE(send_stream(relayed.destination, stream, 0, kDown));
    relayed.destination.close();
  });
  EXPECT_TRUE(expect_stream(relayed.client, stream, 0, kDown));
  EXPECT_EQ(ending(relayed.client), 0);
  answerer.join();
  EXPECT_EQ(relayed.report().end, RelayEnd::both_closed);
}

TEST_P(RelayPaths, TheDestinationMayEndFirst) {
  Worker worker(by(GetParam()));
  Relayed relayed(worker, {seconds(30), seconds(30)});
  const Stream stream(7);
  constexpr std::size_t kSize = std::size_t{1} << 20;
  ::shutdown(relayed.destination.get(), SHUT_WR);
  EXPECT_EQ(ending(relayed.client), 0);
  EXPECT_FALSE(relayed.ended());
  std::thread sender([&] {
    EXPECT_TRUE(send_stream(relayed.client, stream, 0, kSize));
    ::shutdown(relayed.client.get(), SHUT_WR);
  });
  EXPECT_TRUE(expect_stream(relayed.destination, stream, 0, kSize));
  EXPECT_EQ(ending(relayed.destination), 0);
  sender.join();
  const RelayReport report = relayed.report();
  EXPECT_EQ(report.end, RelayEnd::both_closed);
  EXPECT_EQ(report.octets_up, kSize);
  EXPECT_EQ(report.octets_down, 0u);
}

TEST_P(RelayPaths, EarlyOctetsComeFirst) {
  Worker worker(by(GetParam()));
  const Stream stream(8);
  // Small kernel buffers: not all of it fits at once.
  for (const std::size_t early : {1UL, 1000UL, 1'048'576UL}) {
    Relayed relayed(worker, {}, piece(stream, 0, early), 32 << 10);
    std::thread sender([&] {
      EXPECT_TRUE(send_stream(relayed.client, stream, early, early + 100'000));
      ::shutdown(relayed.client.get(), SHUT_WR);
    });
    EXPECT_TRUE(expect_stream(relayed.destination, stream, 0, early + 100'000));
    EXPECT_EQ(ending(relayed.destination), 0);
    sender.join();
    relayed.destination.close();
    const RelayReport report = relayed.report();
    EXPECT_EQ(report.end, RelayEnd::both_closed);
    EXPECT_EQ(report.octets_up, early + 100'000);
  }
}

TEST_P(RelayPaths, UrgentOctetsStayInTheStream) {
  Worker worker(by(GetParam()));
  Relayed relayed(worker);
  const Stream stream(9);
  constexpr std::size_t kSize = 3'000'000;
  std::thread sender([&] {
    std::size_t sent = 0;
    for (int i = 0; i < 10; ++i) {
      EXPECT_TRUE(send_stream(relayed.client, stream, sent, sent + 99'999));
      sent += 99'999;
      EXPECT_EQ(::send(relayed.client.get(), stream.at(sent), 1, MSG_OOB), 1);
      sent += 1;
    }
    EXPECT_TRUE(send_stream(relayed.client, stream, sent, kSize - 1));
    EXPECT_EQ(::send(relayed.client.get(), stream.at(kSize - 1), 1, MSG_OOB), 1);
    ::shutdown(relayed.client.get(), SHUT_WR);
  });
  EXPECT_TRUE(expect_stream(relayed.destination, stream, 0, kSize));
  EXPECT_EQ(ending(relayed.destination), 0);
  sender.join();
  relayed.destination.close();
  EXPECT_EQ(relayed.report().octets_up, kSize);
}

TEST_P(RelayPaths, NothingIsHeldWhenNothingIsInFlight) {
  Worker worker(by(GetParam()));
  Relayed relayed(worker);
  const Stream stream(10);
  constexpr std::size_t kSize = std::size_t{16} << 20;
  std::thread sender([&] { EXPECT_TRUE(send_stream(relayed.client, stream, 0, kSize)); });
  EXPECT_TRUE(expect_stream(relayed.destination, stream, 0, kSize));
  sender.join();
  // A last exchange: when it has arrived, the turns before it are over.
  ASSERT_TRUE(send_stream(relayed.destination, stream, 0, 1));
  ASSERT_TRUE(expect_stream(relayed.client, stream, 0, 1));
  const auto held = worker.ask(
      [&] { return std::pair(worker.pool().pipes().lent(), worker.pool().blocks_lent()); });
  EXPECT_EQ(held.first, 0u);
  EXPECT_EQ(held.second, 0u);
  if (GetParam() == Way::splice) {
    EXPECT_GE(worker.ask([&] { return worker.pool().pipes().idle(); }), 1u) << "it did splice";
  }
}

TEST(Relay, WithoutPipesItCopies) {
  RelayPoolConfig config = by(Way::splice);
  config.max_pipes = 0;
  Worker worker(config);
  Relayed relayed(worker);
  const Stream stream(11);
  constexpr std::size_t kSize = std::size_t{4} << 20;
  std::thread sender([&] {
    EXPECT_TRUE(send_stream(relayed.client, stream, 0, kSize));
    relayed.client.close();
  });
  EXPECT_TRUE(expect_stream(relayed.destination, stream, 0, kSize));
  EXPECT_EQ(ending(relayed.destination), 0);
  sender.join();
  relayed.destination.close();
  EXPECT_EQ(relayed.report().octets_up, kSize);
}

TEST(Relay, AnIdleRelayHasTwoDescriptorsAndNoneIsLost) {
  const std::size_t before = open_descriptors();
  {
    Worker worker;
    {
      Relayed first(worker);  // with the first socket the reactor opens its own
      first.cancel();
      first.report();
    }
    const std::size_t with_worker = open_descriptors();
    std::vector<std::unique_ptr<Relayed>> relays;
    for (int i = 0; i < 50; ++i) {
      relays.push_back(std::make_unique<Relayed>(worker));
    }
    const Stream stream(12);
    for (auto& relayed : relays) {
      ASSERT_TRUE(send_stream(relayed->client, stream, 0, 1));
      ASSERT_TRUE(expect_stream(relayed->destination, stream, 0, 1));
    }
    EXPECT_EQ(open_descriptors(), with_worker + 50 * 4) << "two of ours, two of the peers'";
    for (std::size_t i = 0; i < relays.size(); ++i) {
      i % 2 == 0 ? relays[i]->client.reset() : relays[i]->client.close();
      relays[i]->destination.close();
      relays[i]->report();
    }
    EXPECT_EQ(open_descriptors(), with_worker);
  }
  EXPECT_EQ(open_descriptors(), before);
}

// A read of a UNIX socket ends behind descriptors, and all that came before it was one edge.
TEST(Relay, AUnixClientMayPassDescriptors) {
  Worker worker;
  int pair[2];
  must(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0, "pair");
  const Fd client(pair[0]);
  auto [near, destination] = connection();
  ::fcntl(near.get(), F_SETFL, O_NONBLOCK);
  const timeval patience{60, 0};
  ::setsockopt(destination.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  struct Owner final : RelayOwner {
    void ended(const RelayReport&) noexcept override {}
  };
  Relay* const relay = worker.ask([&worker, a = pair[1], b = near.take()] {
    const Executor executor = worker.context().get_executor();
    RelayOrder order{Socket(executor, Descriptor(a)), Socket(executor, Descriptor(b)), {}, {}, {}};
    order.client_is_unix = true;
    Relay& made = make_relay(std::move(order), worker.pool(), std::make_unique<Owner>());
    made.start();
    return &made;
  });
  const auto receive = [&peer = destination](std::size_t size) {
    std::string got(size, '?');
    const ssize_t count = ::recv(peer.get(), got.data(), size, MSG_WAITALL);
    got.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
    return got;
  };
  must(::send(client.get(), "first", 5, 0) == 5, "send");
  EXPECT_EQ(receive(5), "first");  // the relay waits by now, or will without being asked
  worker.ask([&client] {           // both are there before the relay looks
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    std::array<char, 2> octets{'a', 'b'};
    iovec data{octets.data(), octets.size()};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int passed = client.get();
    std::copy_n(reinterpret_cast<const char*>(&passed), sizeof passed,
                reinterpret_cast<char*>(CMSG_DATA(header)));
    must(::sendmsg(client.get(), &message, 0) == 2, "sendmsg");
    must(::send(client.get(), "cd", 2, 0) == 2, "send");
    return true;
  });
  EXPECT_EQ(receive(4), "abcd");
  worker.ask([relay] {
    relay->cancel();
    return true;
  });
}

// What a stop without a drain does: coroutines, waits and pipes go with the context.
TEST(Relay, AWorkerMayDieInTheMiddle) {
  const std::size_t before = open_descriptors();
  {
    RelayPoolConfig config = by(Way::splice);
    Worker worker(config);
    const Stream stream(13);
    Relayed idle(worker);
    Relayed stuck(worker, {seconds(100), seconds(100)}, {}, 32 << 10);
    send_until_stuck(stuck.client, stream, 0, std::chrono::milliseconds(100));
    worker.stop();
  }
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
}  // namespace socks64::gateway::rig
