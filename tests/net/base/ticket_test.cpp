// The right to count.
#include "base/ticket.hpp"

#include <type_traits>
#include <vector>

#include <gtest/gtest.h>

namespace socks64::gateway {
namespace {

static_assert(!std::is_copy_constructible_v<Ticket<Counter>>);
static_assert(!std::is_copy_assignable_v<Ticket<Counter>>);

TEST(Ticket, CountsAsLongAsItExists) {
  Counter counter;
  {
    const Ticket<Counter> one = counter.add();
    const Ticket<Counter> two = counter.add();
    EXPECT_TRUE(one && two);
    EXPECT_EQ(counter.count(), 2U);
  }
  EXPECT_EQ(counter.count(), 0U);
  EXPECT_FALSE(Ticket<Counter>());
}

TEST(Ticket, CountsOnceWhereverItIsMoved) {
  Counter counter;
  std::vector<Ticket<Counter>> tickets;
  for (int i = 0; i < 100; ++i) {
    tickets.push_back(counter.add());
  }
  EXPECT_EQ(counter.count(), 100U);
  Ticket<Counter> moved = std::move(tickets.back());
  tickets.pop_back();
  EXPECT_EQ(counter.count(), 100U);
  moved = {};
  EXPECT_EQ(counter.count(), 99U);
  tickets.front() = std::move(tickets.back());
  tickets.pop_back();
  EXPECT_EQ(counter.count(), 98U);
  tickets.clear();
  EXPECT_EQ(counter.count(), 0U);
}

TEST(Ticket, ThereAreNoMoreThanTheLimit) {
  Counter counter;
  Ticket<Counter> one = counter.add_below(2);
  const Ticket<Counter> two = counter.add_below(2);
  EXPECT_TRUE(one && two);
  EXPECT_FALSE(counter.add_below(2));
  EXPECT_EQ(counter.count(), 2U);
  EXPECT_TRUE(counter.add_below(3)) << "the limit may be another one";
  one = {};
  EXPECT_TRUE(counter.add_below(2));
  EXPECT_FALSE(counter.add_below(0));
}

}  // namespace
}  // namespace socks64::gateway
