// The reckoning behind every "so many a second".
#include "base/token_bucket.hpp"

#include <array>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace socks64::gateway {
namespace {

using namespace std::chrono_literals;
using Time = TokenBucket::Clock::time_point;

/// How many of `asked` single tokens are there.
int taken(TokenBucket& bucket, int asked, std::uint64_t rate, Time now) {
  int count = 0;
  for (int i = 0; i < asked; ++i) {
    count += bucket.take(1, rate, now) ? 1 : 0;
  }
  return count;
}

TEST(TokenBucket, BeginsFullWhateverTheTime) {
  for (const Time now : {Time{}, Time{} + 1ns, Time{} + 24h * 365, TokenBucket::Clock::now()}) {
    TokenBucket bucket(2s);
    EXPECT_TRUE(bucket.full(now));
    EXPECT_EQ(taken(bucket, 100, 10, now), 20);
    EXPECT_FALSE(bucket.full(now));
  }
}

// 1e9 / 3 is no whole number of nanoseconds: the last token of a burst must not be lost to that.
TEST(TokenBucket, AnyRateHasItsWholeBurst) {
  for (const int rate : {1, 3, 7, 333, 1'000, 9'001}) {
    TokenBucket bucket(1s);
    EXPECT_EQ(taken(bucket, 200'000, static_cast<std::uint64_t>(rate), Time{} + 1h), rate);
  }
  TokenBucket fast(1s);
  const int burst = taken(fast, 400'000, 299'993, Time{} + 1h);
  EXPECT_GE(burst, 299'993);
  EXPECT_LE(burst, 300'300) << "a share of a second is a whole number of nanoseconds";
}

TEST(TokenBucket, FillsAtItsRateAndNoFurther) {
  TokenBucket bucket(1s);
  Time now{};
  EXPECT_EQ(taken(bucket, 100, 10, now), 10);
  now += 99ms;
  EXPECT_EQ(taken(bucket, 100, 10, now), 0);
  now += 1ms;
  EXPECT_EQ(taken(bucket, 100, 10, now), 1);
  now += 500ms;
  EXPECT_EQ(taken(bucket, 100, 10, now), 5);
  EXPECT_FALSE(bucket.full(now + 999ms));
  EXPECT_TRUE(bucket.full(now + 1s));
  now += 1h;
  EXPECT_EQ(taken(bucket, 100, 10, now), 10);
}

TEST(TokenBucket, WhatIsRefusedCostsNothing) {
  TokenBucket bucket(1s);
  const Time now{};
  EXPECT_FALSE(bucket.take(11, 10, now)) << "more than it ever holds";
  EXPECT_TRUE(bucket.full(now));
  EXPECT_TRUE(bucket.take(10, 10, now));
  EXPECT_EQ(taken(bucket, 1000, 10, now), 0);
  EXPECT_EQ(taken(bucket, 1000, 10, now + 100ms), 1);
}

TEST(TokenBucket, OnCreditTheLastTakerMayOweTheRest) {
  TokenBucket bucket(100ms);
  Time now{};
  EXPECT_TRUE(bucket.take_on_credit(1000, 1000, now));  // it holds 100
  EXPECT_FALSE(bucket.take_on_credit(1, 1000, now));
  EXPECT_FALSE(bucket.take_on_credit(1, 1000, now + 899ms));
  EXPECT_TRUE(bucket.take_on_credit(1, 1000, now + 900ms));
  EXPECT_FALSE(bucket.take(1, 1000, now + 900ms));
}

TEST(TokenBucket, ReservationsFollowEachOther) {
  TokenBucket bucket(100ms);
  const Time now = Time{} + 1h;
  EXPECT_EQ(bucket.reserve(100, 1000, now), now - 100ms);
  EXPECT_EQ(bucket.reserve(500, 1000, now), now);
  EXPECT_EQ(bucket.reserve(1, 1000, now), now + 500ms);
  EXPECT_EQ(bucket.reserve(1, 1000, now + 1h), now + 1h - 100ms) << "silence earns a burst only";
}

TEST(TokenBucket, WhatIsGivenBackWasNeverTaken) {
  TokenBucket bucket(1s);
  const Time now{};
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(bucket.take(10, 10, now));
    bucket.give_back(10, 10);
  }
  TokenBucket untouched(1s);  // the rate was 0 when they were taken, and is not any more
  untouched.give_back(1'000'000, 1);
  EXPECT_EQ(taken(untouched, 100, 10, now), 10);
}

TEST(TokenBucket, AnotherRateFindsItAsFullInProportion) {
  TokenBucket bucket(1s);
  const Time now{};
  EXPECT_EQ(taken(bucket, 500, 1000, now), 500);
  EXPECT_EQ(taken(bucket, 100, 10, now), 5);
}

TEST(TokenBucket, ThreadsTakeNoMoreThanThereIs) {
  TokenBucket bucket(1s);
  const Time now = Time{} + 1h;
  std::array<int, 4> got{};
  std::vector<std::thread> threads;
  for (int& mine : got) {
    threads.emplace_back([&] { mine = taken(bucket, 20'000, 40'000, now); });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(got[0] + got[1] + got[2] + got[3], 40'000);
}

}  // namespace
}  // namespace socks64::gateway
