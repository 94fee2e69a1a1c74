// What a user has of the gateway: the table, and the daemon.
#include "accept/user_limits.hpp"

#include <atomic>
#include <crypt.h>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "rig/process.hpp"
#include "rig/sockets.hpp"

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
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(table.admit("alice", limits, now).refused, "");
  }
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
  for (int i = 0; i < 100'000; ++i) {
    (void)table.admit(std::to_string(i), limits, now + i * 1ms);
  }
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
        if (!admission.refused.empty()) {
          continue;
        }
        const int now = ++at_once;
        for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
        }
        --at_once;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_LE(most, 3);
}

/// The daemon with alice and bob, who log in by their passwords.
class UserLimitsOfTheDaemon : public ::testing::Test {
 protected:
  [[nodiscard]] std::string config(const std::string& limits) const {
    // SHA-256 with few rounds: what is tested is not how long a hash takes.
    const std::string hash = ::crypt("secret", "$5$rounds=1000$socks64$");
    const std::string users = directory_.write("users", "alice:" + hash + "\nbob:" + hash + "\n");
    return "[timeouts]\ndrain = \"100ms\"\n[auth]\nmethods = [\"password\"]\nusers_file = \"" +
           users + "\"\n[limits]\n" + limits;
  }
  /// Logs in and asks; the REP.
  static int ask_as(Stream& client, const std::string& user, const Endpoint& to) {
    client.send(std::string("\x05\x01\x02\x01") + static_cast<char>(user.size()) + user +
                "\x06secret" + request(to));
    EXPECT_EQ(client.receive(4), std::string("\x05\x02\x01\x00", 4));
    return receive_reply(client).code;
  }

  Destination destination_;

 private:
  TemporaryDirectory directory_;
};

TEST_F(UserLimitsOfTheDaemon, OneSessionTooManyGetsReplyTwo) {
  GatewayProcess gateway(config("sessions_per_user = 1\n"));
  Stream first = Stream::connect(gateway.listener());
  ASSERT_EQ(ask_as(first, "alice", destination_.endpoint()), 0);
  Stream second = Stream::connect(gateway.listener());
  EXPECT_EQ(ask_as(second, "alice", destination_.endpoint()), 2);
  Fields record = gateway.next_record();
  EXPECT_EQ(record["reason"], "user-session-limit");
  EXPECT_EQ(record["user"], "alice");
  Stream other = Stream::connect(gateway.listener());
  EXPECT_EQ(ask_as(other, "bob", destination_.endpoint()), 0);
  first.reset();
  EXPECT_EQ(gateway.next_record()["end"], "client-reset");
  Stream third = Stream::connect(gateway.listener());
  EXPECT_EQ(ask_as(third, "alice", destination_.endpoint()), 0);
}

TEST_F(UserLimitsOfTheDaemon, TooFastGetsReplyTwo) {
  GatewayProcess gateway(config("rate_per_user = 1\n"));
  int codes[3] = {};
  for (int i = 0; i < 20; ++i) {
    Stream client = Stream::connect(gateway.listener());
    const int code = ask_as(client, "alice", destination_.endpoint());
    ASSERT_TRUE(code == 0 || code == 2) << code;
    ++codes[code];
  }
  EXPECT_GE(codes[0], 2);
  EXPECT_GE(codes[2], 1);
}

TEST_F(UserLimitsOfTheDaemon, BandwidthIsSharedByHisRelays) {
  GatewayProcess gateway(config("bandwidth_per_user = \"1MiB\"\n"));
  std::vector<Stream> clients;
  std::vector<std::thread> threads;
  constexpr std::size_t size = std::size_t{1} << 20U;
  const std::string octets = pattern(size, 7);
  const auto begin = Clock::now();
  for (int i = 0; i < 2; ++i) {
    Stream client = Stream::connect(gateway.listener());
    ASSERT_EQ(ask_as(client, "alice", destination_.endpoint()), 0);
    threads.emplace_back([this, &octets] {
      Stream server = destination_.accept();
      server.send(octets);
    });
    clients.push_back(std::move(client));
  }
  for (Stream& client : clients) {
    EXPECT_TRUE(client.receive(size) == octets);
  }
  EXPECT_GT(Clock::now() - begin, 1800ms);
  for (std::thread& thread : threads) {
    thread.join();
  }
}

}  // namespace
}  // namespace socks64::gateway::test
