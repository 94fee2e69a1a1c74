// Parts of the daemon, in this process, at the moments that a client cannot bring about at will: no
// memory, and a cancellation that comes between an operation's end and its completion.
#include <cerrno>
#include <chrono>
#include <exception>
#include <future>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/post.hpp>
#include <gtest/gtest.h>

#include "accept/limits.hpp"
#include "accept/listener.hpp"
#include "authorise/authorise.hpp"
#include "authorise/policy.hpp"
#include "base/line_writer.hpp"
#include "base/log.hpp"
#include "bind/bind.hpp"
#include "bind/peer_wait.hpp"
#include "handshake/handshake.hpp"
#include "loop/deadline.hpp"
#include "rig/process.hpp"
#include "rig/sockets.hpp"
#include "scarce_memory.hpp"

namespace socks64::gateway::test {
namespace {

using namespace std::chrono_literals;

/// A connected pair: the client, and the gateway's side in Asio's hands.
struct Connection {
  explicit Connection(const Executor& executor) : gateway_side(executor) {
    const ListeningSocket listening = open_listener(endpoint("127.0.0.1", 0));
    client.emplace(Stream::connect(listening.local.endpoint));
    Descriptor accepted(::accept4(listening.socket.get(), nullptr, nullptr, SOCK_NONBLOCK));
    gateway_side = Socket(executor, std::move(accepted));
  }

  Socket gateway_side;
  std::optional<Stream> client;
};

/// What handshake() asks for, with one user, "alice"; `verify` judges the password.
struct Host {
  explicit Host(const Executor& executor, std::chrono::milliseconds time,
                PasswordPool::Verify verify)
      : deadlines(executor, time), passwords({2, 256, 4096, std::move(verify)}) {
    EXPECT_EQ(writer.start(), 0);
    policy.users = std::make_shared<const UserTable>(
        parse_users("alice:" + std::string(nobodys_hash) + "\n", "users").users);
  }

  TemporaryDirectory directory;
  LineWriter writer{directory.path("log")};
  Log log{writer, LogLevel::info};
  DeadlineQueue deadlines;
  PasswordPool passwords;
  AuthPolicy policy;
  Client from;
  AuthServices services{passwords, log};
  Methods methods{Method::none, Method::userpass};
  Reception reception{from, methods, policy, services, {}, deadlines};
};

TEST(Handshake, CancellationBetweenReadAndCompletionIsNotLost) {
  asio::io_context context(1);
  Connection connection(context.get_executor());
  connection.client->send("\x05\x03");  // a greeting that goes on
  connection.client->flush();
  const Host host(context.get_executor(), 30s, verify_password);
  asio::cancellation_signal signal;
  std::optional<HandshakeEnd> end;
  const auto served = [&]() -> Task<> {
    co_await asio::this_coro::throw_if_cancelled(false);
    const HandshakeResult result = co_await handshake(connection.gateway_side, host.reception);
    end = result.end;
    context.stop();
  };
  asio::post(context, [&] {
    // Runs to its first read, which finds the two octets; the completion is queued behind us.
    spawn_logged(context.get_executor(), "test", signal.slot(), 0, served());
    signal.emit(asio::cancellation_type::terminal);
  });
  const auto began = Clock::now();
  context.run();
  ASSERT_TRUE(end);
  EXPECT_EQ(*end, HandshakeEnd::cancelled);
  EXPECT_LT(Clock::now() - began, 10s);
}

/// A verification that takes until it is let go.
class SlowVerdict {
 public:
  PasswordVerdict operator()() {
    begun_.set_value();
    (void)go_.get_future().wait_for(patience);
    return PasswordVerdict::good;
  }
  void wait_until_begun() {
    EXPECT_EQ(begun_.get_future().wait_for(patience), std::future_status::ready);
  }
  void let_go() { go_.set_value(); }

 private:
  std::promise<void> begun_;
  std::promise<void> go_;
};

const std::string alice_logs_in(
    "\x05\x01\x02\x01\x05"
    "alice\x02pw",
    13);

// The verdict comes when session, connection and event loop are gone, and is good. The session's
// time is up as soon as the verification has begun, however long that took.
TEST(Handshake, ALateVerdictFindsNobody) {
  const auto slow = std::make_shared<SlowVerdict>();  // the pool's thread may outlive us
  std::optional<HandshakeEnd> end;
  const PasswordPool::Verify verify = [slow](const Secret&, std::string_view) { return (*slow)(); };
  {
    asio::io_context context(1);
    Connection connection(context.get_executor());
    Host host(context.get_executor(), 10min, verify);
    connection.client->send(alice_logs_in);
    const auto served = [&]() -> Task<> {
      const HandshakeResult result = co_await handshake(connection.gateway_side, host.reception);
      end = result.end;
      context.stop();
    };
    spawn_logged(context.get_executor(), "test", served());
    std::thread clock([&] {
      slow->wait_until_begun();
      asio::post(context, [&] { host.deadlines.hurry(0ms, 1); });
    });
    context.run_for(2 * patience);
    clock.join();
    ASSERT_TRUE(end);
    EXPECT_EQ(*end, HandshakeEnd::timed_out);
  }
  slow->let_go();
}

TEST(Handshake, CancellationEndsTheWaitForAVerdict) {
  const auto slow = std::make_shared<SlowVerdict>();
  asio::io_context context(1);
  Connection connection(context.get_executor());
  const Host host(context.get_executor(), 30s,
                  [slow](const Secret&, std::string_view) { return (*slow)(); });
  connection.client->send(alice_logs_in);
  asio::cancellation_signal signal;
  std::optional<HandshakeEnd> end;
  const auto served = [&]() -> Task<> {
    co_await asio::this_coro::throw_if_cancelled(false);
    const HandshakeResult result = co_await handshake(connection.gateway_side, host.reception);
    end = result.end;
    context.stop();
  };
  spawn_logged(context.get_executor(), "test", signal.slot(), 0, served());
  std::thread canceller([&] {
    slow->wait_until_begun();
    asio::post(context, [&] { signal.emit(asio::cancellation_type::terminal); });
  });
  const auto began = Clock::now();
  context.run_for(patience);
  canceller.join();
  ASSERT_TRUE(end);
  EXPECT_EQ(*end, HandshakeEnd::cancelled);
  EXPECT_LT(Clock::now() - began, 10s);
  slow->let_go();
}

TEST(Deadlines, NoMemoryForTheTimerLeavesNothingBehind) {
  asio::io_context context(1);
  Connection connection(context.get_executor());
  DeadlineQueue deadlines(context.get_executor(), 50ms);
  {
    const ScarceMemory scarce;
    EXPECT_THROW(DeadlineQueue::Entry(deadlines, connection.gateway_side), std::bad_alloc);
  }
  // The next one is linked to no ghost, and the timer is set for it.
  const DeadlineQueue::Entry entry(deadlines, connection.gateway_side);
  context.run_for(patience);
  EXPECT_TRUE(entry.expired());
}

/// No descriptor can be opened while it exists.
class ScarceDescriptors {
 public:
  ScarceDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const Descriptor lowest(::dup(STDERR_FILENO));
    const rlimit now{static_cast<rlim_t>(lowest.get()), before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &now);
  }
  ~ScarceDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  ScarceDescriptors(const ScarceDescriptors&) = delete;
  ScarceDescriptors& operator=(const ScarceDescriptors&) = delete;

 private:
  rlimit before_{};
};

TEST(PeerWait, NoDescriptorForThePeerOnlyDelaysIt) {
  asio::io_context context(1);
  Connection connection(context.get_executor());
  Rendezvous rendezvous = open_rendezvous({}, *IpAddress::parse("127.0.0.1"), 0);
  ASSERT_EQ(rendezvous.failure, Failure::none);
  const Stream peer = Stream::connect(rendezvous.announced);
  const Endpoint from = peer.local();
  std::vector<std::uint8_t> early;
  const AddressFilter is_right = [&from](const Endpoint& who) { return who == from; };
  std::optional<PeerArrival> arrival;
  const auto waits = [&]() -> Task<> {
    co_await asio::this_coro::throw_if_cancelled(false);
    arrival.emplace(co_await wait_for_peer(connection.gateway_side, early, rendezvous, is_right,
                                           std::chrono::hours(1)));
    context.stop();
  };
  {
    const ScarceDescriptors scarce;
    spawn_logged(context.get_executor(), "test", waits());
    context.run_for(300ms);
    EXPECT_FALSE(arrival);
  }
  context.run_for(patience);
  ASSERT_TRUE(arrival);
  EXPECT_EQ(arrival->end, PeerArrival::End::peer);
  EXPECT_EQ(arrival->remote, from);
  EXPECT_EQ(arrival->connections, 1U);
}

// Which addresses are ours is asked of the kernel, and that takes a descriptor.
TEST(Protection, OfOwnListenersHoldsWithoutDescriptors) {
  Policy policy;
  policy.own = {endpoint("0.0.0.0", 1080)};
  const Requester requester{Client(endpoint("127.0.0.1", 2)), 0, {}};
  const Endpoint other = endpoint("192.0.2.1", 1080);
  EXPECT_TRUE(judge(policy, requester, Command::connect, other, other).allowed);
  const ScarceDescriptors scarce;
  EXPECT_EQ(judge(policy, requester, Command::connect, other, other).reason,
            "protected-own-listener");
}

TEST(Accepting, GoesOnAfterAConnectionThatMemoryDidNotReach) {
  const TemporaryDirectory directory;
  LineWriter writer(directory.path("log"));
  ASSERT_EQ(writer.start(), 0);
  Log log(writer, LogLevel::info);
  asio::io_context context(1);
  SessionLimit limit(1);  // a ticket that is not given back shows at once
  ClientTable known({});
  ListeningSocket opened = open_listener(endpoint("127.0.0.1", 0));
  int failures = 3;
  std::vector<Descriptor> delivered;
  Listener listener(context.get_executor(), std::move(opened), limit, known, log,
                    [&](Accepted accepted) {
                      if (failures-- > 0) {
                        throw std::bad_alloc();
                      }
                      delivered.push_back(std::move(accepted.socket));
                      context.stop();
                    });
  spawn_logged(context.get_executor(), "listener", listener.accept_connections());
  std::vector<Stream> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(Stream::connect(listener.local()));
  }
  context.run_for(patience);
  EXPECT_EQ(delivered.size(), 1U);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(clients[static_cast<std::size_t>(i)].receive_all(), "") << i;
  }
  listener.close();
}

// A crowd that connects as fast as it is taken must not be able to keep the gateway from ending.
TEST(Accepting, EndsAlthoughClientsKeepComing) {
  constexpr int for_ever = 20'000;
  const TemporaryDirectory directory;
  LineWriter writer(directory.path("log"));
  ASSERT_EQ(writer.start(), 0);
  Log log(writer, LogLevel::info);
  asio::io_context context(1);
  SessionLimit limit(1);
  ClientTable known({});
  ListeningSocket opened = open_listener(endpoint("127.0.0.1", 0));
  const Endpoint local = opened.local.endpoint;
  const auto come = [&local] { Stream::connect(local).reset(); };
  int delivered = 0;
  Listener listener(context.get_executor(), std::move(opened), limit, known, log,
                    [&](const Accepted&) {
                      if (++delivered < for_ever) {
                        come();
                      }
                    });
  for (int i = 0; i < 64; ++i) {
    come();  // so that a batch is always full
  }
  listener.close();
  EXPECT_GE(delivered, 64) << "these had connected before";
  EXPECT_LT(delivered, for_ever);
}

}  // namespace
}  // namespace socks64::gateway::test
