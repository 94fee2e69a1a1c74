// Destinations that refuse or keep silent, with many requests at once, beside names that nobody
// answers for.
#include <algorithm>
#include <chrono>
#include <iostream>
#include <string>
#include <vector>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <gtest/gtest.h>

#include "rig/dial_fixture.hpp"

namespace socks64::gateway::testing {
namespace {

class DialLoad : public Dial {
 protected:
  struct Outcome {
    Failure failure = Failure::internal;
    IpAddress remote;
    unsigned attempts = 0;
    std::chrono::milliseconds took{0};
  };

  /// So many dials of one target at the same time, beside 64 names that are stuck.
  std::vector<Outcome> dial_at_once(const Target& to, int count, const DialConfig& config) {
    dns_.drop_below("stuck");
    DialConfig patient;
    patient.connect_timeout = 10min;
    const Dialer stuck_dialer(resolver_, patient);
    const Dialer dialer(resolver_, config);
    std::vector<asio::cancellation_signal> cancel(64);
    int still_stuck = 64;
    for (std::size_t i = 0; i < cancel.size(); ++i) {
      asio::co_spawn(
          context_.get_executor(),
          dialled(stuck_dialer, target(std::to_string(i) + ".stuck", 9), permit_all),
          asio::bind_cancellation_slot(
              cancel[i].slot(), [&](std::exception_ptr, const DialResult&) { --still_stuck; }));
    }
    std::vector<Outcome> outcomes;
    const Clock::time_point start = Clock::now();
    for (int i = 0; i < count; ++i) {
      asio::co_spawn(context_.get_executor(), dialled(dialer, to, permit_all),
                     [&](std::exception_ptr escaped, const DialResult& result) {
                       EXPECT_FALSE(escaped);
                       outcomes.push_back({result.failure, result.remote.address, result.attempts,
                                           elapsed_since(start)});
                       if (outcomes.size() < static_cast<std::size_t>(count)) {
                         return;
                       }
                       EXPECT_EQ(still_stuck, 64);
                       for (asio::cancellation_signal& each : cancel) {
                         each.emit(asio::cancellation_type::terminal);
                       }
                     });
    }
    context_.restart();
    context_.run();
    EXPECT_EQ(still_stuck, 0);
    std::ranges::sort(outcomes, {}, &Outcome::took);
    return outcomes;
  }
  static void print(const char* what, const std::vector<Outcome>& outcomes) {
    std::cout << what << ": " << outcomes.size() << " at once, median "
              << outcomes[outcomes.size() / 2].took.count() << " ms, worst "
              << outcomes.back().took.count() << " ms\n";
  }
};

TEST_F(DialLoad, ASecondAddressAfterARefusal) {
  const Listener good({ip("127.0.0.3"), 0});
  name("g2.test", {"127.0.0.2", "127.0.0.3"});
  const std::vector<Outcome> outcomes = dial_at_once(target("g2.test", good.port()), 100, {});
  ASSERT_EQ(outcomes.size(), 100U);
  for (const Outcome& outcome : outcomes) {
    ASSERT_EQ(outcome.failure, Failure::none);
    EXPECT_EQ(outcome.remote, ip("127.0.0.3"));
    EXPECT_EQ(outcome.attempts, 2U);
  }
  print("refused first", outcomes);
  // Far below the 250 ms of an attempt delay: nobody waited for one.
  EXPECT_LT(outcomes[outcomes.size() / 2].took, 200ms * slowdown);
}

TEST_F(DialLoad, ABlackHoleCostsEachOneAttemptDelay) {
  const BlackHole hole({ip("::1"), 0});
  const Listener good({ip("127.0.0.1"), hole.port()});
  name("g3.test", {"127.0.0.1"}, {"::1"});
  const std::size_t before = open_descriptors();
  const std::vector<Outcome> outcomes = dial_at_once(target("g3.test", hole.port()), 100, {});
  ASSERT_EQ(outcomes.size(), 100U);
  for (const Outcome& outcome : outcomes) {
    ASSERT_EQ(outcome.failure, Failure::none);
    EXPECT_EQ(outcome.remote, ip("127.0.0.1"));
    EXPECT_EQ(outcome.attempts, 2U);
    EXPECT_GE(outcome.took, 250ms);
  }
  print("silent first", outcomes);
  EXPECT_LT(outcomes[outcomes.size() / 2].took, 600ms * slowdown);
  // A hundred losers; the resolver has a few sockets under way (DnsChannels::max_retired).
  EXPECT_LE(open_descriptors(), before + 20) << "losers are still open";
}

TEST_F(DialLoad, AllDeadWithinTheBudget) {
  const BlackHole four({ip("127.0.0.2"), 0});
  const BlackHole six({ip("::1"), four.port()});
  name("dead.test", {"127.0.0.2"}, {"::1"});
  DialConfig config;
  config.connect_timeout = 700ms;
  const std::vector<Outcome> outcomes = dial_at_once(target("dead.test", four.port()), 100, config);
  ASSERT_EQ(outcomes.size(), 100U);
  for (const Outcome& outcome : outcomes) {
    EXPECT_EQ(outcome.failure, Failure::timed_out);
  }
  print("all dead, 700 ms allowed", outcomes);
  EXPECT_GE(outcomes.front().took, 700ms);
  EXPECT_LT(outcomes.back().took, 1500ms * slowdown);
}

}  // namespace
}  // namespace socks64::gateway::testing
