// How a relay ends, as its peers see it: a reset is a reset, a limit is kept, a cancellation is
// prompt.
#include <string>

#include "relay_peer.hpp"

namespace socks64::gateway::rig {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

enum class Who { client, destination };

struct State {
  Who resets;
  Way way;
};

class RelayReset : public ::testing::TestWithParam<State> {
 protected:
  void SetUp() override {
    if (const std::string missing = missing_for(GetParam().way); !missing.empty()) {
      GTEST_SKIP() << missing;
    }
    worker_.emplace(by(GetParam().way));
  }

  static bool by_client() { return GetParam().resets == Who::client; }
  static Fd& resetting(Relayed& relayed) {
    return by_client() ? relayed.client : relayed.destination;
  }
  static Fd& other(Relayed& relayed) { return by_client() ? relayed.destination : relayed.client; }
  static RelayEnd expected() {
    return by_client() ? RelayEnd::client_reset : RelayEnd::destination_reset;
  }

  std::optional<Worker> worker_;
  Stream stream_{21};
};

std::string name_of(const ::testing::TestParamInfo<State>& state) {
  return std::string(state.param.resets == Who::client ? "client" : "destination") + "_" +
         name_of(state.param.way);
}

INSTANTIATE_TEST_SUITE_P(
    , RelayReset,
    ::testing::Values(State{Who::client, Way::copy}, State{Who::client, Way::splice},
                      State{Who::client, Way::kernel}, State{Who::destination, Way::copy},
                      State{Who::destination, Way::splice}, State{Who::destination, Way::kernel}),
    name_of);

TEST_P(RelayReset, WhileIdle) {
  Relayed relayed(*worker_);
  resetting(relayed).reset();
  EXPECT_EQ(ending(other(relayed)), ECONNRESET);
  EXPECT_EQ(relayed.report().end, expected());
}

TEST_P(RelayReset, BehindOctetsThatStillArrive) {
  Relayed relayed(*worker_);
  ASSERT_TRUE(send_stream(resetting(relayed), stream_, 0, 10'000));
  resetting(relayed).reset();
  EXPECT_TRUE(expect_stream(other(relayed), stream_, 0, 10'000));
  EXPECT_EQ(ending(other(relayed)), ECONNRESET);
  EXPECT_EQ(relayed.report().end, expected());
}

// The resetting side's own octets are stuck, so nobody reads from it.
TEST_P(RelayReset, WhileItsOctetsAreHeldUp) {
  Relayed relayed(*worker_, {}, {}, 32 << 10);
  ASSERT_GT(send_until_stuck(resetting(relayed), stream_), 0u);
  resetting(relayed).reset();
  EXPECT_EQ(relayed.report().end, expected()) << "noticed although the other side never reads";
  std::size_t octets = 0;
  EXPECT_EQ(ending_after_octets(other(relayed), octets), ECONNRESET);
}

// The resetting side is the one that does not read.
TEST_P(RelayReset, WhileItHoldsUpTheOther) {
  Relayed relayed(*worker_, {}, {}, 32 << 10);
  ASSERT_GT(send_until_stuck(other(relayed), stream_), 0u);
  resetting(relayed).reset();
  EXPECT_EQ(ending(other(relayed)), ECONNRESET);
  EXPECT_EQ(relayed.report().end, expected());
}

TEST_P(RelayReset, AfterTheOtherSidesEof) {
  Relayed relayed(*worker_);
  ::shutdown(other(relayed).get(), SHUT_WR);
  ASSERT_EQ(ending(resetting(relayed)), 0);
  resetting(relayed).reset();
  EXPECT_EQ(ending(other(relayed)), ECONNRESET);
  EXPECT_EQ(relayed.report().end, expected());
}

TEST_P(RelayReset, AfterItsOwnEof) {
  Relayed relayed(*worker_);
  ::shutdown(resetting(relayed).get(), SHUT_WR);
  ASSERT_EQ(ending(other(relayed)), 0);
  resetting(relayed).reset();
  EXPECT_EQ(relayed.report().end, expected()) << "noticed although its octets are all read";
  // Its EOF is already there, so the reset shows in what the other side sends.
  pollfd broken{other(relayed).get(), 0, 0};
  EXPECT_EQ(::poll(&broken, 1, 10'000), 1);
  EXPECT_NE(broken.revents & (POLLERR | POLLHUP), 0);
  EXPECT_EQ(::send(other(relayed).get(), "x", 1, MSG_NOSIGNAL), -1);
}

TEST_P(RelayReset, InTheMiddleOfAFlood) {
  Relayed relayed(*worker_);
  constexpr std::size_t kSize = std::size_t{4} << 20;
  std::thread sender([&] {
    std::size_t sent = 0;
    while (sent < std::size_t{1} << 30) {
      const ssize_t n = ::send(other(relayed).get(), stream_.at(sent), 100'000, MSG_NOSIGNAL);
      if (n < 0) {
        EXPECT_TRUE(errno == ECONNRESET || errno == EPIPE) << std::strerror(errno);
        return;
      }
      sent += static_cast<std::size_t>(n);
    }
    ADD_FAILURE() << "the sender never saw the reset";
  });
  EXPECT_TRUE(expect_stream(resetting(relayed), stream_, 0, kSize));
  resetting(relayed).reset();
  sender.join();
  EXPECT_EQ(relayed.report().end, expected());
}

// An answer followed by a close with unread octets, which is a reset: the answer still arrives.
TEST_P(RelayReset, AnAnswerBeforeUnreadOctets) {
  Relayed relayed(*worker_);
  ASSERT_TRUE(send_stream(other(relayed), stream_, 0, 100));
  pollfd there{resetting(relayed).get(), POLLIN, 0};
  ASSERT_EQ(::poll(&there, 1, 10'000), 1);
  ASSERT_TRUE(send_stream(resetting(relayed), stream_, 0, 50));
  resetting(relayed).close();
  EXPECT_TRUE(expect_stream(other(relayed), stream_, 0, 50));
  EXPECT_EQ(ending(other(relayed)), ECONNRESET);
  EXPECT_EQ(relayed.report().end, expected());
}

// Urgent data that nobody reads is no trouble (readiness.hpp), and hides none behind it.
TEST_P(RelayReset, BehindUrgentOctetsThatAreHeldUp) {
  Relayed relayed(*worker_, {}, {}, 32 << 10);
  ASSERT_GT(send_until_stuck(resetting(relayed), stream_), 0u);
  ::send(resetting(relayed).get(), "!", 1, MSG_OOB | MSG_DONTWAIT);
  resetting(relayed).reset();
  EXPECT_EQ(relayed.report().end, expected());
  std::size_t octets = 0;
  EXPECT_EQ(ending_after_octets(other(relayed), octets), ECONNRESET);
}

TEST(RelayLimit, IdleResetsBoth) {
  Worker worker;
  const Stream stream(22);
  Relayed relayed(worker, {seconds(1), seconds(30)});
  const auto begin = Clock::now();
  // Octets move the limit: three times 600 ms is more than it.
  for (std::size_t i = 0; i < 3; ++i) {
    pollfd silence{relayed.client.get(), POLLIN, 0};
    ASSERT_EQ(::poll(&silence, 1, 600), 0);
    ASSERT_TRUE(send_stream(relayed.client, stream, i, i + 1));
    ASSERT_TRUE(expect_stream(relayed.destination, stream, i, i + 1));
  }
  EXPECT_FALSE(relayed.ended());
  EXPECT_EQ(ending(relayed.client), ECONNRESET);
  EXPECT_EQ(ending(relayed.destination), ECONNRESET);
  EXPECT_EQ(relayed.report().end, RelayEnd::idle_timeout);
  EXPECT_GE(Clock::now() - begin, milliseconds(2800));
}

TEST(RelayLimit, APeerThatNeverClosesIsReaped) {
  for (const Who who : {Who::client, Who::destination}) {
    Worker worker;
    Relayed relayed(worker, {seconds(600), seconds(1)});
    Fd& closing = who == Who::client ? relayed.client : relayed.destination;
    Fd& staying = who == Who::client ? relayed.destination : relayed.client;
    const auto begin = Clock::now();
    closing.close();
    EXPECT_EQ(ending(staying), 0);
    const RelayReport report = relayed.report();
    EXPECT_EQ(report.end, RelayEnd::half_close_timeout);
    EXPECT_GE(Clock::now() - begin, milliseconds(1000));
    EXPECT_LT(Clock::now() - begin, seconds(20));
    EXPECT_EQ(::send(staying.get(), "x", 1, MSG_NOSIGNAL), -1) << "it was reset";
  }
}

TEST(RelayLimit, AHalfClosedRelayThatStillMovesLives) {
  Worker worker;
  const Stream stream(23);
  Relayed relayed(worker, {seconds(600), seconds(1)});
  ::shutdown(relayed.client.get(), SHUT_WR);
  for (std::size_t i = 0; i < 4; ++i) {
    pollfd silence{relayed.client.get(), POLLIN, 0};
    ASSERT_EQ(::poll(&silence, 1, 500), 0);
    ASSERT_TRUE(send_stream(relayed.destination, stream, i, i + 1));
    ASSERT_TRUE(expect_stream(relayed.client, stream, i, i + 1));
  }
  EXPECT_FALSE(relayed.ended());
  relayed.destination.close();
  EXPECT_EQ(ending(relayed.client), 0);
  EXPECT_EQ(relayed.report().end, RelayEnd::both_closed);
}

TEST(RelayLimit, AStalledReaderIsIdle) {
  Worker worker;
  const Stream stream(24);
  Relayed relayed(worker, {seconds(1), seconds(1)}, {}, 32 << 10);
  send_until_stuck(relayed.client, stream, 0, milliseconds(200));
  EXPECT_EQ(relayed.report().end, RelayEnd::idle_timeout);
}

TEST(RelayCancel, ResetsBothSidesInEveryState) {
  Worker worker;
  const Stream stream(25);
  enum class At { once, idle, stuck, half_closed };
  for (const At at : {At::once, At::idle, At::stuck, At::half_closed}) {
    Relayed relayed(worker, {}, {}, 32 << 10);
    if (at == At::idle) {
      ASSERT_TRUE(send_stream(relayed.client, stream, 0, 10));
      ASSERT_TRUE(expect_stream(relayed.destination, stream, 0, 10));
    }
    if (at == At::stuck) {
      send_until_stuck(relayed.client, stream, 0, milliseconds(100));
    }
    if (at == At::half_closed) {
      ::shutdown(relayed.client.get(), SHUT_WR);
      ASSERT_EQ(ending(relayed.destination), 0);
    }
    relayed.cancel();
    EXPECT_EQ(relayed.report().end, RelayEnd::cancelled);
    std::size_t octets = 0;
    EXPECT_EQ(ending_after_octets(relayed.client, octets), ECONNRESET);
    if (at != At::half_closed) {
      EXPECT_EQ(ending_after_octets(relayed.destination, octets), ECONNRESET);
    }
  }
}

TEST(RelayEnds, HaveNames) {
  for (const RelayEnd end :
       {RelayEnd::both_closed, RelayEnd::client_reset, RelayEnd::destination_reset,
        RelayEnd::idle_timeout, RelayEnd::half_close_timeout, RelayEnd::cancelled,
        RelayEnd::no_resources}) {
    EXPECT_NE(describe(end), "unknown");
  }
}

}  // namespace
}  // namespace socks64::gateway::rig
