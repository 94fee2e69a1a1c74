// Octets a second: the reckoning, and what a limited relay still does as every other.
#include <array>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/bandwidth.hpp"
#include "relay_peer.hpp"
#include "rig/relay_rig.hpp"

namespace socks64::gateway::rig {
namespace {

using namespace std::chrono_literals;
constexpr std::uint64_t kMiB = std::uint64_t{1} << 20U;

TEST(Bandwidth, ReservationsFollowEachOtherAtTheRate) {
  Bandwidth bandwidth(kMiB);
  const Clock::time_point begin = Clock::now();
  std::size_t octets = 0;
  Clock::time_point last = begin;
  for (int i = 0; i < 1000; ++i) {
    const Bandwidth::Reservation reserved = bandwidth.reserve(256 << 10, begin);
    EXPECT_GE(reserved.from, last);
    last = reserved.from;
    octets += reserved.octets;
  }
  const double seconds = std::chrono::duration<double>(last - begin).count();
  EXPECT_NEAR(seconds, static_cast<double>(octets) / kMiB, 0.15);
}

TEST(Bandwidth, SilenceEarnsAShortBurstOnly) {
  Bandwidth bandwidth(kMiB);
  const Clock::time_point later = Clock::now() + 1h;
  std::size_t at_once = 0;
  for (Bandwidth::Reservation r = bandwidth.reserve(kMiB, later); r.from <= later;
       r = bandwidth.reserve(kMiB, later)) {
    at_once += r.octets;
  }
  EXPECT_GT(at_once, kMiB / 20);
  EXPECT_LT(at_once, kMiB / 5);
}

TEST(Bandwidth, WhatIsGivenBackIsNotPaidFor) {
  Bandwidth bandwidth(kMiB);
  const Clock::time_point now = Clock::now();
  for (int i = 0; i < 10'000; ++i) {
    const Bandwidth::Reservation reserved = bandwidth.reserve(kMiB, now);
    ASSERT_EQ(reserved.from, now);
    bandwidth.give_back(reserved.octets);
  }
}

TEST(Bandwidth, DatagramsBeyondItAreNotTaken) {
  Bandwidth bandwidth(10'000);
  const Clock::time_point now = Clock::now();
  int taken = 0;
  for (int i = 0; i < 100; ++i) {
    taken += bandwidth.take(1000, now) ? 1 : 0;
  }
  EXPECT_LE(taken, 3);
  EXPECT_GE(taken, 1);
  EXPECT_FALSE(bandwidth.idle(now));
  EXPECT_TRUE(bandwidth.take(1000, now + 1s));
  EXPECT_TRUE(bandwidth.idle(now + 1h));
}

TEST(Bandwidth, WithoutARateNothingIsLimited) {
  Bandwidth bandwidth;
  const Clock::time_point now = Clock::now();
  EXPECT_EQ(bandwidth.reserve(kMiB, now).octets, kMiB);
  EXPECT_EQ(bandwidth.reserve(kMiB, now).from, now);
  EXPECT_TRUE(bandwidth.take(kMiB, now));
}

TEST(Bandwidth, IsSharedByThreads) {
  Bandwidth bandwidth(1000 * kMiB);
  std::vector<std::thread> threads;
  std::array<std::size_t, 4> octets{};
  const Clock::time_point now = Clock::now();
  for (std::size_t& mine : octets) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        mine += bandwidth.reserve(1000, now).octets;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  std::size_t sum = 0;
  for (const std::size_t mine : octets) {
    sum += mine;
  }
  EXPECT_EQ(sum, 4'000'000U);
  // None was lost: what is reserved next comes behind all of them.
  const auto next = bandwidth.reserve(1, now).from - now + Bandwidth::burst;
  const double expected = 4e6 / (1000.0 * static_cast<double>(kMiB));
  EXPECT_LE(std::chrono::duration<double>(next).count(), expected + 0.1);
}

class LimitedRelay : public ::testing::Test {
 protected:
  LimitedRelay() {
    while (up_.reserve(kMiB, Clock::now()).from <= Clock::now()) {
    }
  }  // no burst left

  Worker worker_;
  Stream stream_{1};
  Bandwidth up_{kMiB};
  Bandwidth down_{kMiB};
  BandwidthPair both_{&up_, &down_};
};

TEST_F(LimitedRelay, MovesAtItsRate) {
  Relayed relayed(worker_, {}, {}, 0, both_);
  constexpr std::size_t kSize = 3 * kMiB / 2;
  const auto begin = Clock::now();
  std::thread sender([&] {
    EXPECT_TRUE(send_stream(relayed.client, stream_, 0, kSize));
    ::shutdown(relayed.client.get(), SHUT_WR);
  });
  EXPECT_TRUE(expect_stream(relayed.destination, stream_, 0, kSize));
  EXPECT_EQ(ending(relayed.destination), 0);
  const auto took = Clock::now() - begin;
  sender.join();
  EXPECT_GT(took, 1400ms);
  // The other way has its own rate, and half-close is what it was.
  EXPECT_TRUE(send_stream(relayed.destination, stream_, 0, 10'000));
  ::shutdown(relayed.destination.get(), SHUT_WR);
  EXPECT_TRUE(expect_stream(relayed.client, stream_, 0, 10'000));
  EXPECT_EQ(relayed.report().end, RelayEnd::both_closed);
}

TEST_F(LimitedRelay, ItsSenderIsStopped) {
  Bandwidth slow(8 << 10);
  Relayed relayed(worker_, {}, {}, 64 << 10, {&slow, nullptr});
  const std::size_t taken = send_until_stuck(relayed.client, stream_);
  // Two buffers of the kernel, which it doubles, and the little that the relay took.
  EXPECT_LT(taken, std::size_t{320} << 10);
}

TEST_F(LimitedRelay, SeveralShareOneRate) {
  std::vector<std::unique_ptr<Relayed>> relays;
  std::vector<std::thread> threads;
  constexpr std::size_t kSize = kMiB / 2;
  const auto begin = Clock::now();
  Worker other;
  std::array<Clock::duration, 4> ended{};
  for (std::size_t i = 0; i < 4; ++i) {
    relays.push_back(std::make_unique<Relayed>(i % 2 == 0 ? worker_ : other, RelayLimits{},
                                               std::vector<std::uint8_t>{}, 0, both_));
    Relayed& relayed = *relays.back();
    threads.emplace_back([&] { EXPECT_TRUE(send_stream(relayed.client, stream_, 0, kSize)); });
    threads.emplace_back([&, i] {
      EXPECT_TRUE(expect_stream(relayed.destination, stream_, 0, kSize));
      ended[i] = Clock::now() - begin;
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  const auto [first, last] = std::minmax_element(ended.begin(), ended.end());
  EXPECT_GT(*last, 1900ms);
  EXPECT_GT(*first, 1000ms) << "one of them got more than its share";
}

TEST_F(LimitedRelay, AResetIsSeenWhileItWaits) {
  Bandwidth slow(1 << 10);
  Relayed relayed(worker_, {}, {}, 0, {&slow, &slow});
  ASSERT_TRUE(send_stream(relayed.client, stream_, 0, 200'000));
  ASSERT_TRUE(expect_stream(relayed.destination, stream_, 0, 1));
  relayed.destination.reset();
  std::size_t octets = 0;
  EXPECT_EQ(ending_after_octets(relayed.client, octets), ECONNRESET);
  EXPECT_EQ(relayed.report().end, RelayEnd::destination_reset);
}

// The octets of a side that is dead are not worth a wait, and not to be lost.
TEST_F(LimitedRelay, WhatADeadSideHadSentStillArrives) {
  Bandwidth slow(1 << 10);
  Relayed relayed(worker_, {}, {}, 0, {&slow, &slow});
  ASSERT_TRUE(send_stream(relayed.client, stream_, 0, 60'000));
  ASSERT_TRUE(expect_stream(relayed.destination, stream_, 0, 1));
  relayed.client.reset();
  std::size_t octets = 0;
  EXPECT_EQ(ending_after_octets(relayed.destination, octets), ECONNRESET);
  const RelayReport report = relayed.report();
  EXPECT_EQ(report.end, RelayEnd::client_reset);
  EXPECT_EQ(report.octets_up, 60'000U);
  EXPECT_FALSE(slow.idle(Clock::now() + 10s)) << "and nobody paid for them";
}

// It is we who make it wait.
TEST_F(LimitedRelay, WaitingIsNotIdleness) {
  Bandwidth slow(1 << 10);
  slow.charge(2300, Clock::now());  // more than two seconds
  Relayed relayed(worker_, {1s, 1s}, {}, 0, {&slow, nullptr});
  ASSERT_TRUE(send_stream(relayed.client, stream_, 0, 100));
  EXPECT_TRUE(expect_stream(relayed.destination, stream_, 0, 100));
  EXPECT_EQ(relayed.report().end, RelayEnd::idle_timeout);
}

TEST_F(LimitedRelay, CancelledWhileItWaits) {
  Bandwidth slow(1 << 10);
  slow.charge(1 << 20, Clock::now());
  Relayed relayed(worker_, {}, {}, 0, {&slow, &slow});
  ASSERT_TRUE(send_stream(relayed.client, stream_, 0, 100));
  relayed.cancel();
  EXPECT_EQ(relayed.report().end, RelayEnd::cancelled);
}

}  // namespace
}  // namespace socks64::gateway::rig
