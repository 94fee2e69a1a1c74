// Questions in a burst: how many may go at once, and in which order the others do.
#include "resolve/query_window.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>

#include <gtest/gtest.h>

#include "resolve/turn_queue.hpp"

namespace socks64::gateway::testing {
namespace {

using namespace std::chrono_literals;

const QueryWindow::Time start{};

std::uint64_t fill(QueryWindow& window, QueryWindow::Time now) {
  std::uint64_t number = 0;
  while (window.is_open(now)) {
    window.sent(++number, now);
  }
  return number;
}

TEST(QueryWindow, ClosesAndOpensWithAnAnswer) {
  QueryWindow window;
  EXPECT_EQ(fill(window, start), QueryWindow::size);
  EXPECT_FALSE(window.is_open(start + 1ms));
  window.answered(7);
  EXPECT_TRUE(window.is_open(start + 1ms));
  window.answered(7);  // twice is once
  window.sent(1000, start + 1ms);
  EXPECT_FALSE(window.is_open(start + 1ms));
}

TEST(QueryWindow, WhatIsStuckHoldsUpNobodyForLong) {
  QueryWindow window;
  fill(window, start);
  EXPECT_EQ(window.opens_at(), start + QueryWindow::old_after);
  EXPECT_FALSE(window.is_open(window.opens_at() - 1ms));
  EXPECT_TRUE(window.is_open(window.opens_at()));
  EXPECT_EQ(fill(window, start + QueryWindow::old_after), QueryWindow::size);
}

TEST(TurnQueue, PassesOverWhatNobodyWantsAnyMore) {
  std::set<int> wanted{1, 3};
  TurnQueue<int> queue([&wanted](int item) { return wanted.contains(item); });
  for (int i = 0; i < 5; ++i) {
    queue.push(i);
  }
  EXPECT_EQ(queue.next(), 1);
  EXPECT_EQ(queue.next(), 3);
  EXPECT_EQ(queue.next(), std::nullopt);
  EXPECT_TRUE(queue.empty());
}

TEST(TurnQueue, IsNeverMuchLongerThanWhatIsWanted) {
  int wanted_from = 0;
  TurnQueue<int> queue([&wanted_from](int item) { return item >= wanted_from; });
  for (int i = 0; i < 100'000; ++i) {
    wanted_from = i - 100;
    queue.push(i);
    ASSERT_LE(queue.size(), 300U);
  }
}

}  // namespace
}  // namespace socks64::gateway::testing
