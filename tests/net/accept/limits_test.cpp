// What happens when descriptors or sessions are used up, and that none are lost.
#include "accept/limits.hpp"

#include <chrono>
#include <poll.h>
#include <sys/resource.h>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "rig/process.hpp"
#include "rig/sockets.hpp"

namespace socks64::gateway::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// As long as it exists, the daemon gets no new one. Ends before the daemon does: LeakSanitizer
/// needs some for its work.
class NoDescriptors {
 public:
  explicit NoDescriptors(const GatewayProcess& gateway) : pid_(gateway.pid()) {
    EXPECT_EQ(::prlimit(pid_, RLIMIT_NOFILE, nullptr, &before_), 0);
    const rlimit none{3,
                      before_.rlim_max};  // those are in use, and poll(2) takes no more than that
    EXPECT_EQ(::prlimit(pid_, RLIMIT_NOFILE, &none, nullptr), 0);
  }
  ~NoDescriptors() { ::prlimit(pid_, RLIMIT_NOFILE, &before_, nullptr); }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  pid_t pid_;
  rlimit before_{};
};

TEST(Limits, TicketsAreCountedAndGivenBack) {
  SessionLimit limit(2);
  int idle = 0;
  limit.when_idle([&idle] { ++idle; });
  {
    auto first = limit.admit();
    auto second = limit.admit();
    EXPECT_TRUE(first && second);
    EXPECT_FALSE(limit.admit());
    const SessionLimit::Ticket moved = std::move(*first);
    first.reset();
    EXPECT_EQ(limit.count(), 2U);
  }
  EXPECT_EQ(limit.count(), 0U);
  EXPECT_EQ(idle, 1);
}

TEST(Limits, SessionsFollowFromDescriptors) {
  EXPECT_EQ(sessions_for_descriptors(20'000, 2), (20'000U - 32 - 10 - 128) / 2);
  EXPECT_GE(sessions_for_descriptors(64, 2), 1U);
  EXPECT_EQ(sessions_for_descriptors(10, 2), 1U);
}

TEST(Limits, MoreSessionsThanAllowedWait) {
  GatewayProcess gateway("[limits]\nsessions = 2\n");
  Destination destination;
  Stream first = Stream::connect(gateway.listener());
  Stream second = Stream::connect(gateway.listener());
  ASSERT_EQ(ask(first, destination.endpoint()).code, 0);
  ASSERT_EQ(ask(second, destination.endpoint()).code, 0);
  Stream third = Stream::connect(gateway.listener());
  third.send(greeting_none + request(destination.endpoint()));
  ASSERT_NE(gateway.wait_for_log("limits.sessions is reached"), "");
  pollfd readable{third.fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&readable, 1, 200), 0) << "a third session was served";
  first.reset();
  EXPECT_EQ(receive_answer(third).code, 0);
}

TEST(Limits, DescriptorsRunOutAndComeBack) {
  GatewayProcess gateway("threads = 2\n[limits]\nsessions = 200\n");
  // Fewer than it has counted on, from now on.
  const rlimit few{48, 48};
  ASSERT_EQ(::prlimit(gateway.pid(), RLIMIT_NOFILE, &few, nullptr), 0);
  Destination destination;
  std::vector<Stream> clients;
  for (int i = 0; i < 80; ++i) {
    clients.push_back(Stream::connect(gateway.listener()));
  }
  ASSERT_NE(gateway.wait_for_log("descriptors or memory ran out"), "");
  // The loop pauses; it does not spin.
  const long before = gateway.processor_time();
  pollfd nothing{-1, 0, 0};
  ASSERT_EQ(::poll(&nothing, 1, 1000), 0);
  EXPECT_LT(gateway.processor_time() - before, 500);
  clients.clear();
  Stream client = Stream::connect(gateway.listener());
  client.send(greeting_none + request(destination.endpoint()) + "alive");
  Stream server = destination.accept();
  EXPECT_EQ(server.receive(5), "alive");
  EXPECT_EQ(receive_answer(client).code, 0);
}

// They would hang for as long as others hold their descriptors.
TEST(Limits, WhoWaitsForADescriptorIsRefused) {
  GatewayProcess gateway("threads = 2\n[limits]\nsessions = 200\n[timeouts]\nhandshake = \"10s\"");
  const rlimit few{40, 40};
  ASSERT_EQ(::prlimit(gateway.pid(), RLIMIT_NOFILE, &few, nullptr), 0);
  std::vector<Stream> clients;
  for (int i = 0; i < 60; ++i) {
    clients.push_back(Stream::connect(gateway.listener()));
  }
  ASSERT_NE(gateway.wait_for_log("descriptors or memory ran out"), "");
  bool reset = false;
  const Clock::time_point begin = Clock::now();
  EXPECT_EQ(clients.back().receive_all(&reset), "");
  EXPECT_TRUE(reset);
  EXPECT_LT(Clock::now() - begin, 9s) << "it was somebody's time limit that ended it";
}

TEST(Limits, NoDescriptorForTheDialIsAFailingReply) {
  GatewayProcess gateway;
  Destination destination;
  Stream first = Stream::connect(gateway.listener());
  ASSERT_EQ(ask(first, destination.endpoint()).code, 0);
  Stream client = Stream::connect(gateway.listener());
  client.send(greeting_none);
  ASSERT_EQ(client.receive(2), std::string("\x05\x00", 2));
  const std::size_t before = gateway.open_descriptors();
  const NoDescriptors none(gateway);
  client.send(request(destination.endpoint()));
  EXPECT_EQ(receive_reply(client).code, 1);
  EXPECT_EQ(gateway.next_record()["reason"], "no-resources");
  EXPECT_LE(gateway.open_descriptors(), before);
  Stream server = destination.accept();
  first.send("alive");
  EXPECT_EQ(server.receive(5), "alive");
}

// "Network unreachable" would have the client give up a network that is there.
TEST(Limits, NoDescriptorForABindIsAFailureOfOurOwn) {
  GatewayProcess gateway;
  Stream client = Stream::connect(gateway.listener());
  client.send(greeting_none);
  ASSERT_EQ(client.receive(2), std::string("\x05\x00", 2));
  const NoDescriptors none(gateway);
  client.send(request(endpoint("127.0.0.1", 0), Command::bind));
  EXPECT_EQ(receive_reply(client).code, 1);
  EXPECT_EQ(gateway.next_record()["reason"], "no-resources");
}

TEST(Limits, MoreSessionsThanDescriptorsAreNotPromised) {
  GatewayProcess::Options options;
  options.config = "threads = 2\n[limits]\nsessions = 100000\n";
  options.descriptors = 128;
  GatewayProcess gateway(options);
  EXPECT_NE(gateway.wait_for_log(
                "limits.sessions is 100000, but a limit of 128 open files allows only 29 sessions"),
            "");
  std::vector<Stream> clients;
  for (int i = 0; i < 39; ++i) {
    clients.push_back(Stream::connect(gateway.listener()));
  }
  EXPECT_NE(gateway.wait_for_log("limits.sessions is reached; 29 sessions"), "");
}

TEST(Limits, NoDescriptorIsLost) {
  GatewayProcess gateway;
  Destination destination;
  const ClosedPort closed;
  const auto some_sessions = [&] {
    for (int i = 0; i < 10; ++i) {
      Stream relayed = Stream::connect(gateway.listener());
      ASSERT_EQ(ask(relayed, destination.endpoint()).code, 0);
      Stream server = destination.accept();
      if (i % 3 == 0) {
        server.reset();
      }
      Stream refused = Stream::connect(gateway.listener());
      ASSERT_EQ(ask(refused, closed.endpoint()).code, 5);
      Stream garbage = Stream::connect(gateway.listener());
      garbage.send("garbage");
      Stream silent = Stream::connect(gateway.listener());
      if (i % 2 == 0) {
        silent.reset();
      }
    }
    for (int i = 0; i < 40; ++i) {
      (void)gateway.next_record();
    }
  };
  some_sessions();
  const std::size_t before = gateway.open_descriptors();
  for (int round = 0; round < 5; ++round) {
    some_sessions();
  }
  const Clock::time_point until = Clock::now() + 10s;
  while (gateway.open_descriptors() > before && Clock::now() < until) {
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_LE(gateway.open_descriptors(), before);
}

}  // namespace
}  // namespace socks64::gateway::test
