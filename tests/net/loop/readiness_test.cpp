// Waiting for sockets (readiness.hpp, socket.hpp) and for the time (relay_clock.hpp), against the
// kernel's own idea of an edge.
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <poll.h>
#include <string_view>
#include <sys/socket.h>
#include <utility>
#include <vector>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <gtest/gtest.h>

#include "relay/relay_clock.hpp"
#include "rig/relay_rig.hpp"

namespace socks64::gateway {
namespace {

using rig::Fd;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// Notes what it hears.
struct Probe final : WaitOp {
  void ready(const asio::error_code& error) override {
    heard.push_back(error.value());
    if (then) {
      then();
    }
  }
  void discard() noexcept override { ++discarded; }

  std::vector<int> heard;
  int discarded = 0;
  std::function<void()> then;
};

using Heard = std::vector<int>;

/// The kernel has got so far: what is sent over loopback need not be there when send() returns.
void await(const Socket& socket, short events) {
  pollfd state{socket.native_handle(), events, 0};
  ASSERT_EQ(::poll(&state, 1, 10'000), 1);
  ASSERT_NE(state.revents & events, 0);
}

class ReadinessTest : public ::testing::Test {
 protected:
  struct Link {
    Fd peer;
    Socket socket;
  };

  Link link() {
    auto [peer, near] = rig::connection();
    return {std::move(peer), Socket(context_->get_executor(), Descriptor(near.take()))};
  }
  static void send(const Fd& peer, const char* text, int flags = 0) {
    const std::string_view octets(text);
    ASSERT_EQ(::send(peer.get(), octets.data(), octets.size(), MSG_NOSIGNAL | flags),
              static_cast<ssize_t>(octets.size()));
  }
  static ssize_t receive(const Socket& socket, std::size_t room = 64) {
    std::array<char, 64> octets;
    return ::recv(socket.native_handle(), octets.data(), room, MSG_DONTWAIT);
  }
  void until(const std::function<bool()>& done) {
    const auto patience = Clock::now() + seconds(30);
    while (!done() && Clock::now() < patience) {
      context_->restart();
      context_->run_one_for(milliseconds(100));
    }
    ASSERT_TRUE(done());
  }
  void until_heard(const Probe& probe, std::size_t times = 1) {
    until([&] { return probe.heard.size() >= times; });
  }
  /// Everything that is ready already.
  void turn() {
    context_->restart();
    context_->poll();
  }

  std::optional<asio::io_context> context_{std::in_place, 1};
};

TEST_F(ReadinessTest, AnEdgeThatNobodyWaitedForIsRemembered) {
  Link one = link();
  Probe error;
  Probe read;
  one.socket.wait(Ready::error, error);
  turn();
  send(one.peer, "x");
  await(one.socket, POLLIN);
  turn();
  one.socket.wait(Ready::read, read, true);
  until_heard(read);
  EXPECT_EQ(read.heard, Heard{0});
  EXPECT_TRUE(error.heard.empty());
  one.socket.withdraw(Ready::error, error);
}

TEST_F(ReadinessTest, ASocketThatWasNotDrainedIsAsked) {
  Link one = link();
  Probe read;
  send(one.peer, "ab");
  one.socket.wait(Ready::read, read);
  until_heard(read);
  ASSERT_EQ(receive(one.socket, 1), 1);
  one.socket.wait(Ready::read, read, false);
  until_heard(read, 2);
  ASSERT_EQ(receive(one.socket), 1);
  one.socket.wait(Ready::read, read, true);
  turn();
  EXPECT_EQ(read.heard.size(), 2u) << "nothing is there";
  send(one.peer, "c");
  until_heard(read, 3);
}

TEST_F(ReadinessTest, TheEndBehindAShortReadIsSeen) {
  Link one = link();
  Probe read;
  send(one.peer, "ab");
  ::shutdown(one.peer.get(), SHUT_WR);
  await(one.socket, POLLRDHUP);
  one.socket.wait(Ready::read, read);
  until_heard(read);
  ASSERT_EQ(receive(one.socket), 2);
  one.socket.wait(Ready::read, read, true);
  until_heard(read, 2);
  EXPECT_EQ(receive(one.socket), 0);
}

TEST_F(ReadinessTest, UrgentDataBehindAShortReadIsSeen) {
  Link one = link();
  const int on = 1;
  ::setsockopt(one.socket.native_handle(), SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
  Probe read;
  send(one.peer, "abc");
  send(one.peer, "d", MSG_OOB);
  await(one.socket, POLLPRI);
  one.socket.wait(Ready::read, read);
  until_heard(read);
  ASSERT_EQ(receive(one.socket), 3);
  one.socket.wait(Ready::read, read, true);
  until_heard(read, 2);
  EXPECT_EQ(receive(one.socket), 1);
}

TEST_F(ReadinessTest, AResetIsAnErrorForWhoeverLooks) {
  Link one = link();
  Probe first;
  Probe second;
  one.socket.wait(Ready::error, first);
  one.peer.reset();
  until_heard(first);
  one.socket.wait(Ready::error, second);
  until_heard(second);
  EXPECT_EQ(second.heard, Heard{0});
}

TEST_F(ReadinessTest, RoomIsSeenOnceMore) {
  Link one = link();
  std::vector<char> octets(std::size_t{1} << 20U);
  while (::send(one.socket.native_handle(), octets.data(), octets.size(), MSG_DONTWAIT) > 0) {
  }
  Probe write;
  one.socket.wait(Ready::write, write, true);
  turn();
  ASSERT_TRUE(write.heard.empty());
  until([&] {
    const ssize_t got = ::recv(one.peer.get(), octets.data(), octets.size(), MSG_DONTWAIT);
    return got < 0 && !write.heard.empty();
  });
}

TEST_F(ReadinessTest, WhoeverIsCancelledHearsItOnceAndLater) {
  Link one = link();
  Probe read;
  Probe error;
  one.socket.wait(Ready::read, read);
  one.socket.wait(Ready::error, error);
  one.socket.cancel();
  one.socket.cancel();
  EXPECT_TRUE(read.heard.empty()) << "never from within the call";
  turn();
  EXPECT_EQ(read.heard, Heard{ECANCELED});
  EXPECT_EQ(error.heard, Heard{ECANCELED});
}

TEST_F(ReadinessTest, WhatIsDueIsNeitherCancelledNorLostWithTheSocket) {
  Link one = link();
  Probe read;
  send(one.peer, "x");
  await(one.socket, POLLIN);
  one.socket.wait(Ready::read, read);
  until_heard(read);
  one.socket.wait(Ready::read, read, false);  // due at once, for it is there
  one.socket.cancel();
  one.socket.close();
  turn();
  EXPECT_EQ(read.heard, (Heard{0, 0}));
}

TEST_F(ReadinessTest, WhatIsWithdrawnIsNotHeardOf) {
  Link one = link();
  Probe read;
  send(one.peer, "x");
  await(one.socket, POLLIN);
  one.socket.wait(Ready::read, read);
  until_heard(read);
  one.socket.wait(Ready::read, read, false);
  one.socket.withdraw(Ready::read, read);  // was due
  ASSERT_EQ(receive(one.socket), 1);
  one.socket.wait(Ready::read, read, true);
  one.socket.withdraw(Ready::read, read);  // was waiting
  send(one.peer, "y");
  await(one.socket, POLLIN);
  turn();
  EXPECT_EQ(read.heard, Heard{0});
}

TEST_F(ReadinessTest, AnEdgeIsNotWithdrawnWithTheWait) {
  Link one = link();
  Probe error;
  Probe read;
  one.socket.wait(Ready::error, error);
  turn();
  send(one.peer, "x");
  await(one.socket, POLLIN);
  turn();
  one.socket.wait(Ready::read, read, true);  // due by the edge that was remembered
  one.socket.withdraw(Ready::read, read);
  one.socket.wait(Ready::read, read, true);
  turn();
  EXPECT_EQ(read.heard, Heard{0});
  one.socket.withdraw(Ready::read, read);
  one.socket.withdraw(Ready::error, error);
}

TEST_F(ReadinessTest, WhoTakesThePlaceOfAClosedSocketHearsNothingOfIt) {
  std::vector<Link> links;
  links.push_back(link());
  links.push_back(link());
  Link later = link();
  Fd fresh_peer;
  std::optional<Socket> fresh;
  Probe probes[2];
  Probe newcomer;
  for (std::size_t i = 0; i < 2; ++i) {
    probes[i].then = [&, other = 1 - i] {
      if (fresh) {
        return;
      }
      links[other].socket.close();  // its event is in the same batch
      auto [peer, near] = rig::connection();
      fresh_peer = std::move(peer);
      fresh.emplace(context_->get_executor(), Descriptor(near.take()));
      fresh->wait(Ready::read, newcomer, true);
    };
    links[i].socket.wait(Ready::read, probes[i]);
  }
  for (Link& one : links) {
    send(one.peer, "x");
    await(one.socket, POLLIN);
  }
  until([&] { return !probes[0].heard.empty() && !probes[1].heard.empty(); });
  turn();
  EXPECT_EQ(probes[0].heard[0] + probes[1].heard[0], ECANCELED) << "one each of 0 and ECANCELED";
  EXPECT_TRUE(newcomer.heard.empty());
  send(fresh_peer, "y");
  until_heard(newcomer);
}

TEST_F(ReadinessTest, ARefusedWaitHearsWhy) {
  Socket closed(context_->get_executor());
  Probe read;
  closed.wait(Ready::read, read);
  turn();
  EXPECT_EQ(read.heard, Heard{EBADF});
}

TEST_F(ReadinessTest, ACancellationSlotIsHeeded) {
  Link one = link();
  asio::cancellation_signal signal;
  Heard heard;
  const auto wait = [&] {
    one.socket.async_wait(Ready::read, asio::bind_cancellation_slot(
                                           signal.slot(), [&](const asio::error_code& error) {
                                             heard.push_back(error.value());
                                           }));
  };
  wait();
  signal.emit(asio::cancellation_type::terminal);
  signal.emit(asio::cancellation_type::terminal);
  turn();
  EXPECT_EQ(heard, Heard{ECANCELED});
  send(one.peer, "x");
  wait();
  until([&] { return heard.size() == 2; });
  signal.emit(asio::cancellation_type::terminal);  // of what is over
  turn();
  EXPECT_EQ(heard, (Heard{ECANCELED, 0}));
}

TEST_F(ReadinessTest, ASocketThatIsAlwaysReadyKeepsNobodyWaiting) {
  Link busy = link();
  Link other = link();
  send(busy.peer, "x");
  Probe always;
  bool over = false;
  always.then = [&] {
    if (!over) {
      busy.socket.wait(Ready::read, always, false);
    }
  };
  busy.socket.wait(Ready::read, always);
  until_heard(always, 10);
  Probe read;
  other.socket.wait(Ready::read, read);
  send(other.peer, "x");
  Timer timer(context_->get_executor(), milliseconds(5));
  bool rang = false;
  timer.async_wait([&](const asio::error_code&) { rang = true; });
  until([&] { return rang && !read.heard.empty(); });
  over = true;
  turn();
}

// What other workers hand over, names that are answered, timers: all of that comes by Asio.
TEST_F(ReadinessTest, ManyBusySocketsDoNotKeepPostsWaiting) {
  constexpr std::size_t full = 200;     // always ready, as a source of bulk is
  constexpr std::size_t chatting = 16;  // an edge in every batch
  std::vector<Link> links;
  std::vector<Probe> probes(full + chatting);
  std::size_t calls = 0;
  bool over = false;
  for (std::size_t i = 0; i < probes.size(); ++i) {
    links.push_back(link());
    send(links[i].peer, "x");
  }
  for (std::size_t i = 0; i < probes.size(); ++i) {
    probes[i].then = [&, i] {
      ++calls;
      if (over) {
        return;
      }
      if (i >= full) {
        EXPECT_EQ(receive(links[i].socket), 1);
        send(links[i].peer, "x");
      }
      links[i].socket.wait(Ready::read, probes[i], i >= full);
    };
    await(links[i].socket, POLLIN);
    links[i].socket.wait(Ready::read, probes[i]);
  }
  until_heard(probes.back(), 5);
  std::size_t most = 0;
  for (int post = 0; post < 10; ++post) {
    std::size_t before = calls;
    bool arrived = false;
    asio::post(*context_, [&] { arrived = true; });
    until([&] { return arrived; });
    most = std::max(most, calls - before);
  }
  over = true;
  turn();
  EXPECT_LE(most, 3 * probes.size());
}

TEST_F(ReadinessTest, TheEventLoopEndsWhenNobodyWaits) {
  Link one = link();
  Probe read;
  one.socket.wait(Ready::read, read);
  turn();
  one.socket.withdraw(Ready::read, read);
  context_->restart();
  context_->run();  // would not return
  one.socket.wait(Ready::read, read);
  one.socket.withdraw(Ready::read, read);
  one.socket.wait(Ready::read, read);  // the set is watched again, although it was let go
  send(one.peer, "x");
  until_heard(read);
  one.socket.wait(Ready::read, read, true);
  one.socket.cancel();
  context_->restart();
  context_->run();
  EXPECT_EQ(read.heard.size(), 2u);
}

TEST_F(ReadinessTest, WhoeverStillWaitsIsDiscardedWithTheContext) {
  Probe waiting;
  Probe due;
  auto held = std::make_shared<int>();
  {
    auto links = std::make_shared<std::vector<Link>>();
    links->push_back(link());
    links->push_back(link());
    links->push_back(link());
    (*links)[0].socket.wait(Ready::read, waiting);
    (*links)[1].socket.wait(Ready::read, due);
    (*links)[1].socket.cancel();
    // As a coroutine, it owns the socket that it waits for.
    (*links)[2].socket.async_wait(Ready::read, [held, links](const asio::error_code&) {});
  }
  context_.reset();
  EXPECT_EQ(waiting.discarded, 1);
  EXPECT_EQ(due.discarded, 1);
  EXPECT_TRUE(waiting.heard.empty());
  EXPECT_TRUE(due.heard.empty());
  EXPECT_EQ(held.use_count(), 1);
}

struct Visited final : Timed {
  void look_at_clock(Clock::time_point) noexcept override {
    ++looks;
    if (clock != nullptr) {
      clock->remove(*this);
    }
  }
  void forgotten() noexcept override { ++forgets; }

  RelayClock* clock = nullptr;
  int looks = 0;
  int forgets = 0;
};

TEST(RelayClockTest, LooksAtEachWhoMayLeaveMeanwhile) {
  Visited stays;
  Visited leaves[2];
  {
    asio::io_context context{1};
    RelayClock& clock = RelayClock::of(context);
    clock.add(leaves[0]);
    clock.add(stays);
    clock.add(leaves[1]);
    for (Visited& one : leaves) {
      one.clock = &clock;
    }
    while (stays.looks < 2) {
      ASSERT_EQ(context.run_one_for(seconds(30)), 1u);
    }
  }
  EXPECT_EQ(stays.forgets, 1);
  for (const Visited& one : leaves) {
    EXPECT_EQ(one.looks, 1);
    EXPECT_EQ(one.forgets, 0);
  }
}

}  // namespace
}  // namespace socks64::gateway
