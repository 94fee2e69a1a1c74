// The kernel's part of a relay: that it has one, what ends it, and what is bounded about it. What
// it has in common with the other ways is in the other relay tests, under "kernel".
#include <atomic>
#include <linux/capability.h>
#include <string>
#include <sys/syscall.h>

#include "relay_peer.hpp"

namespace socks64::gateway::rig {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class KernelRelayed : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string missing = missing_for(Way::kernel); !missing.empty()) {
      GTEST_SKIP() << missing;
    }
    worker_.emplace(by(Way::kernel));
  }
  /// Until the worker has nothing more to do. What it does last in its turn is to lease the relay
  /// to the kernel, which it cannot while a message is on its way: where the worker has to stand in
  /// line for a processor, the peers' next message would be there first, each time.
  void let_worker_finish() {
    worker_->ask([] { return true; });
  }
  /// `times` messages there and back.
  void round_trips(Relayed& relayed, std::size_t size, std::size_t times) {
    for (std::size_t i = 0; i < times; ++i, position_ += size) {
      ASSERT_TRUE(send_stream(relayed.client, stream_, position_, position_ + size));
      ASSERT_TRUE(expect_stream(relayed.destination, stream_, position_, position_ + size));
      let_worker_finish();
      ASSERT_TRUE(send_stream(relayed.destination, stream_, position_, position_ + size));
      ASSERT_TRUE(expect_stream(relayed.client, stream_, position_, position_ + size));
      let_worker_finish();
    }
  }
  RelayReport finish(Relayed& relayed) {
    ::shutdown(relayed.client.get(), SHUT_WR);
    EXPECT_EQ(ending(relayed.destination), 0);
    ::shutdown(relayed.destination.get(), SHUT_WR);
    EXPECT_EQ(ending(relayed.client), 0);
    return relayed.report();
  }

  std::optional<Worker> worker_;
  Stream stream_{51};
  std::size_t position_ = 0;
};

TEST_F(KernelRelayed, SmallMessagesAreTheKernels) {
  Relayed relayed(*worker_);
  round_trips(relayed, 64, 3000);
  const RelayReport report = finish(relayed);
  EXPECT_EQ(report.end, RelayEnd::both_closed);
  EXPECT_EQ(report.octets_up, 3000 * 64u);
  EXPECT_EQ(report.octets_down, 3000 * 64u);
  EXPECT_GT(report.octets_redirected, 2 * 3000 * 64u * 8 / 10);
}

// As configured, it joins in the middle of traffic, and answers that are there already delay it.
TEST_F(KernelRelayed, JoinsWhileMessagesGoBackAndForth) {
  RelayPoolConfig config;
  config.sockmap = true;
  Worker worker(config);
  Relayed relayed(worker);
  std::thread echo([&] {
    char room[64];
    while (::recv(relayed.destination.get(), room, sizeof room, MSG_WAITALL) == sizeof room) {
      ASSERT_EQ(::send(relayed.destination.get(), room, sizeof room, MSG_NOSIGNAL), 64);
    }
    ::shutdown(relayed.destination.get(), SHUT_WR);
  });
  for (std::size_t i = 0; i < 3000; ++i, position_ += 64) {
    ASSERT_TRUE(send_stream(relayed.client, stream_, position_, position_ + 64));
    ASSERT_TRUE(expect_stream(relayed.client, stream_, position_, position_ + 64));
  }
  ::shutdown(relayed.client.get(), SHUT_WR);
  EXPECT_EQ(ending(relayed.client), 0);
  echo.join();
  EXPECT_GT(relayed.report().octets_redirected, 3000 * 64u);
}

TEST_F(KernelRelayed, AfterBulkItIsLentAgain) {
  Relayed relayed(*worker_);
  round_trips(relayed, 64, 100);
  round_trips(relayed, std::size_t{1} << 20, 4);
  round_trips(relayed, 64, 2000);
  const RelayReport report = finish(relayed);
  EXPECT_EQ(report.octets_up, 2100 * 64u + (std::size_t{4} << 20));
  EXPECT_GT(report.octets_redirected, 2 * 2100 * 64u / 2);
  EXPECT_LT(report.octets_redirected, std::size_t{1} << 20) << "bulk by the kernel, unbounded";
}

// The kernel alone would take all of it, and each message of an octet costs it most of a page.
TEST_F(KernelRelayed, AReaderThatStopsLeavesOneLease) {
  constexpr int kBuffers = 64 << 10;
  Relayed relayed(*worker_, {}, {}, kBuffers);
  round_trips(relayed, 64, 100);
  std::size_t sent = 0;
  for (int still = 0; still < 5 && sent < (std::size_t{16} << 20);) {
    const char octet = 'x';
    if (::send(relayed.destination.get(), &octet, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1) {
      ++sent;
      still = 0;
    } else {
      pollfd ready{relayed.destination.get(), POLLOUT, 0};
      if (::poll(&ready, 1, 200) == 0) {
        ++still;
      }
    }
  }
  EXPECT_LT(sent, 4 * 2 * std::size_t{kBuffers} + (std::size_t{256} << 10) + 65'536);
  // The other way does not stand behind it. No more than goes out before an acknowledgement has to
  // come back: a TCP whose memory for what arrives is full of tiny segments drops some within the
  // window it has offered, and with them the acknowledgements.
  const std::size_t up = std::size_t{32} << 10;
  std::thread sender([&] {
    EXPECT_TRUE(send_stream(relayed.client, stream_, position_, position_ + up));
    ::shutdown(relayed.client.get(), SHUT_WR);
  });
  EXPECT_TRUE(expect_stream(relayed.destination, stream_, position_, position_ + up));
  EXPECT_EQ(ending(relayed.destination), 0);
  sender.join();
  ::shutdown(relayed.destination.get(), SHUT_WR);
  std::size_t got = 0;
  std::vector<char> room(65'536);
  for (ssize_t n = 0; (n = ::recv(relayed.client.get(), room.data(), room.size(), 0)) > 0;) {
    got += static_cast<std::size_t>(n);
  }
  EXPECT_EQ(got, sent);
  EXPECT_EQ(relayed.report().end, RelayEnd::both_closed);
}

TEST_F(KernelRelayed, OctetsOfTheKernelAreNoSilence) {
  Relayed relayed(*worker_, {seconds(2), seconds(20)});
  round_trips(relayed, 64, 20);
  const auto begin = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - begin < milliseconds(2500)) {
    round_trips(relayed, 1, 1);
    std::this_thread::sleep_for(milliseconds(200));
  }
  EXPECT_FALSE(relayed.ended());
  EXPECT_EQ(relayed.report().end, RelayEnd::idle_timeout);
}

TEST_F(KernelRelayed, WithALimitOnBandwidthItHasNoPart) {
  Bandwidth up(std::uint64_t{1} << 30);
  Bandwidth down(std::uint64_t{1} << 30);
  Relayed relayed(*worker_, {}, {}, 0, {&up, &down});
  round_trips(relayed, 64, 200);
  EXPECT_EQ(finish(relayed).octets_redirected, 0u);
}

TEST_F(KernelRelayed, ManyShortOnesWithFinRightBehind) {
  std::atomic<std::uint64_t> redirected{0};
  std::vector<std::thread> peers;
  for (unsigned id = 0; id < 4; ++id) {
    peers.emplace_back([&, id] {
      for (std::size_t i = 0; i < 100; ++i) {
        Relayed relayed(*worker_);
        const Stream stream(id * 1000 + static_cast<unsigned>(i));
        std::size_t at = 0;
        for (std::size_t turn = 0; turn < i % 7; ++turn, at += 50) {
          ASSERT_TRUE(send_stream(relayed.client, stream, at, at + 50));
          ASSERT_TRUE(expect_stream(relayed.destination, stream, at, at + 50));
        }
        const std::size_t last = at + i * 211 % 20'000 + 1;
        ASSERT_TRUE(send_stream(relayed.client, stream, at, last));
        ::shutdown(relayed.client.get(), SHUT_WR);
        ASSERT_TRUE(expect_stream(relayed.destination, stream, at, last));
        ASSERT_EQ(ending(relayed.destination), 0);
        ASSERT_TRUE(send_stream(relayed.destination, stream, 0, last));
        relayed.destination.close();
        ASSERT_TRUE(expect_stream(relayed.client, stream, 0, last));
        ASSERT_EQ(ending(relayed.client), 0);
        const RelayReport report = relayed.report();
        ASSERT_EQ(report.end, RelayEnd::both_closed);
        ASSERT_EQ(report.octets_up, last);
        ASSERT_EQ(report.octets_down, last);
        redirected += report.octets_redirected;
      }
    });
  }
  for (std::thread& peer : peers) {
    peer.join();
  }
  EXPECT_GT(redirected, 0u);
}

/// Of the calling thread.
bool drop_all_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  return ::syscall(SYS_capset, &header, none) == 0;
}

TEST(KernelRelay, SaysWhatItTakes) {
  std::string problem;
  std::thread without([&] {
    ASSERT_TRUE(drop_all_capabilities());
    EXPECT_EQ(Sockmap::open(problem), nullptr);
  });
  without.join();
  EXPECT_NE(problem, "");
  if (missing_for(Way::kernel).empty()) {
    EXPECT_NE(problem.find("CAP_BPF"), std::string::npos) << problem;
  }
}

}  // namespace
}  // namespace socks64::gateway::rig
