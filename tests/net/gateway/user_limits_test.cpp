// What a user has of the gateway: the table.
#include "user_limits.hpp"

#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace socks64::gateway::test {
namespace {

using namespace std::chrono_literals;
using Clock = UserCounts::Clock;

TEST(UserLimits, NobodyIsNotLimited) {
  UserCounts table;
  const UserLimits limits{1, 1, 1024};
  std::vector<UserCounts::Ticket> tickets;
  for (int i = 0; i < 10; ++i) {
    UserCounts::Admission admission = table.admit("", limits, Clock::now());
    EXPECT_EQ(admission.refused, "");
    EXPECT_EQ(admission.ticket.bandwidth().up, nullptr);
    tickets.push_back(std::move(admission.ticket));
  }
  EXPECT_EQ(table.size(), 0U);
}

TEST(UserLimits, SessionsAreCountedForEach) {
  UserCounts table;
  const UserLimits limits{2, 0, 0};
  const Clock::time_point now = Clock::now();
  auto first = table.admit("alice", limits, now);
  auto second = table.admit("alice", limits, now);
  EXPECT_EQ(first.refused, "");
  EXPECT_EQ(second.refused, "");
  EXPECT_EQ(table.admit("alice", limits, now).refused, "user-session-limit");
  EXPECT_EQ(table.admit("bob", limits, now).refused, "");
  first.ticket = {};
  EXPECT_EQ(table.admit("alice", limits, now).refused, "");
}

TEST(UserLimits, RateHasABurstAndRecovers) {
  UserCounts table;
  const UserLimits limits{0, 5, 0};
  const Clock::time_point now = Clock::now();
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(table.admit("alice", limits, now).refused, "");
  EXPECT_EQ(table.admit("alice", limits, now).refused, "user-rate-limit");
  EXPECT_EQ(table.admit("bob", limits, now).refused, "");
  EXPECT_EQ(table.admit("alice", limits, now + 250ms).refused, "");
}

TEST(UserLimits, BandwidthIsOneForAllSessions) {
  UserCounts table;
  const Clock::time_point now = Clock::now();
  auto first = table.admit("alice", {0, 0, 4096}, now);
  auto second = table.admit("alice", {0, 0, 4096}, now);
  auto other = table.admit("bob", {0, 0, 4096}, now);
  ASSERT_NE(first.ticket.bandwidth().up, nullptr);
  EXPECT_EQ(first.ticket.bandwidth().up, second.ticket.bandwidth().up);
  EXPECT_EQ(first.ticket.bandwidth().down, second.ticket.bandwidth().down);
  EXPECT_NE(first.ticket.bandwidth().up, first.ticket.bandwidth().down);
  EXPECT_NE(first.ticket.bandwidth().up, other.ticket.bandwidth().up);
  // What a reload changed holds for the sessions that run.
  auto third = table.admit("alice", {0, 0, 8192}, now);
  EXPECT_EQ(first.ticket.bandwidth().up->rate(), 8192U);
}

TEST(UserLimits, WhoIsAwayIsForgotten) {
  UserCounts table;
  const UserLimits limits{0, 100, 0};
  const Clock::time_point now = Clock::now();
  auto stays = table.admit("stays", limits, now);
  for (int i = 0; i < 100'000; ++i)
    (void)table.admit(std::to_string(i), limits, now + i * 1ms);
  EXPECT_LT(table.size(), 10'000U);
  EXPECT_EQ(stays.refused, "");
}

TEST(UserLimits, AreKeptByAllWorkersTogether) {
  UserCounts table;
  const UserLimits limits{3, 0, 0};
  std::vector<std::thread> threads;
  std::atomic<int> at_once{0};
  std::atomic<int> most{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int turn = 0; turn < 5000; ++turn) {
        const auto admission = table.admit("alice", limits, Clock::now());
        if (!admission.refused.empty()) continue;
        const int now = ++at_once;
        for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
        }
        --at_once;
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_LE(most, 3);
}

}  // namespace
}  // namespace socks64::gateway::test
