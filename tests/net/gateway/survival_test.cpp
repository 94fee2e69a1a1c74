// Parts of the daemon, in this process, at the moments that a client cannot bring about at will: no
// memory, and a cancellation that comes between an operation's end and its completion.
#include <cerrno>
#include <chrono>
#include <exception>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/post.hpp>
#include <gtest/gtest.h>

#include "deadline.hpp"
#include "handshake.hpp"
#include "limits.hpp"
#include "line_writer.hpp"
#include "listener.hpp"
#include "log.hpp"
#include "process.hpp"
#include "scarce_memory.hpp"
#include "sockets.hpp"

namespace socks64::gateway::test {
namespace {

using namespace std::chrono_literals;

/// A connected pair: the client, and the gateway's side in Asio's hands.
struct Connection {
  explicit Connection(const Executor& executor) : gateway_side(executor) {
    const ListeningSocket listening = open_listener(endpoint("127.0.0.1", 0));
    client.emplace(Stream::connect(listening.local.endpoint));
    gateway_side.assign(tcp::v4(),
                        ::accept4(listening.socket.get(), nullptr, nullptr, SOCK_NONBLOCK));
  }

  Socket gateway_side;
  std::optional<Stream> client;
};

TEST(Handshake, CancellationBetweenReadAndCompletionIsNotLost) {
  asio::io_context context(1);
  Connection connection(context.get_executor());
  connection.client->send("\x05\x03");  // a greeting that goes on
  connection.client->flush();
  DeadlineQueue deadlines(context.get_executor(), 30s);
  asio::cancellation_signal signal;
  std::optional<HandshakeEnd> end;
  const auto served = [&]() -> Task<> {
    co_await asio::this_coro::throw_if_cancelled(false);
    const HandshakeResult result = co_await handshake(connection.gateway_side, deadlines, {});
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

TEST(Accepting, GoesOnAfterAConnectionThatMemoryDidNotReach) {
  const TemporaryDirectory directory;
  LineWriter writer(directory.path("log"));
  ASSERT_EQ(writer.start(), 0);
  Log log(writer, LogLevel::info);
  asio::io_context context(1);
  SessionLimit limit(1);  // a ticket that is not given back shows at once
  ListeningSocket opened = open_listener(endpoint("127.0.0.1", 0));
  int failures = 3;
  std::vector<Descriptor> delivered;
  Listener listener(context.get_executor(), std::move(opened), limit, log,
                    [&](Descriptor socket, const Client&, SessionLimit::Ticket) {
                      if (failures-- > 0) throw std::bad_alloc();
                      delivered.push_back(std::move(socket));
                      context.stop();
                    });
  spawn_logged(context.get_executor(), "listener", listener.accept_connections());
  std::vector<Stream> clients;
  for (int i = 0; i < 4; ++i)
    clients.push_back(Stream::connect(listener.local()));
  context.run_for(patience);
  EXPECT_EQ(delivered.size(), 1U);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(clients[static_cast<std::size_t>(i)].receive_all(), "") << i;
  listener.close();
}

}  // namespace
}  // namespace socks64::gateway::test
