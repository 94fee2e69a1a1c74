// Back pressure: a reader that stops while its sender goes on. SOCKS64_TEST_HEAVY=1: 10 GB.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <poll.h>
#include <sys/socket.h>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "crowd.hpp"
#include "rig/process.hpp"
#include "rig/sockets.hpp"

namespace socks64::gateway::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t mebibyte = std::size_t{1} << 20U;
// A sanitizer keeps what was freed, and the neighbours go on allocating.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t one_buffer = 16 * mebibyte;
#else
constexpr std::size_t one_buffer = 2 * mebibyte;
#endif

/// A stream in which each word tells its place, so nothing can be lost, doubled or swapped unseen.
class Counting {
 public:
  static constexpr std::size_t words = 32'768;
  const char* next() {
    for (std::uint64_t& word : block_) {
      word = count_++ * 0x9e3779b97f4a7c15U;
    }
    return reinterpret_cast<const char*>(block_.data());
  }
  static constexpr std::size_t size = words * sizeof(std::uint64_t);

 private:
  std::uint64_t count_ = 0;
  std::vector<std::uint64_t> block_ = std::vector<std::uint64_t>(words);
};

/// Reads the next block and compares it.
bool receive_block(const Stream& stream, Counting& expected) {
  static thread_local std::vector<char> room(Counting::size);
  std::size_t got = 0;
  while (got < room.size()) {
    const ssize_t n = ::recv(stream.fd(), room.data() + got, room.size() - got, 0);
    if (n <= 0) {
      return false;
    }
    got += static_cast<std::size_t>(n);
  }
  return std::equal(room.begin(), room.end(), expected.next());
}

/// `downwards`: the destination sends and the client does not read, or the other way round.
void stop_and_go(bool downwards) {
  const std::size_t blocks =
      (heavy() ? std::size_t{10'000} * 1'000'000 : 256 * mebibyte) / Counting::size;
  GatewayProcess gateway("threads = 1\n");  // so that the neighbours are of the same worker
  EchoServer echo;
  const Latency alone = measure(gateway.listener(), echo.endpoint(), heavy() ? 3000ms : 500ms);
  print("alone", alone);
  Destination destination;
  Stream client = Stream::connect(gateway.listener());
  ASSERT_EQ(ask(client, destination.endpoint()).code, 0);
  Stream server = destination.accept();
  const Stream& from = downwards ? server : client;
  const Stream& to = downwards ? client : server;

  std::atomic<std::size_t> sent{0};
  std::thread sender([&] {
    Counting octets;
    for (std::size_t i = 0; i < blocks; ++i) {
      const char* block = octets.next();
      for (std::size_t done = 0; done < Counting::size;) {
        const ssize_t n = ::send(from.fd(), block + done, Counting::size - done, MSG_NOSIGNAL);
        if (n > 0) {
          done += static_cast<std::size_t>(n);
          sent += static_cast<std::size_t>(n);
        } else if (errno != EAGAIN) {
          return;
        }
      }
    }
    ::shutdown(from.fd(), SHUT_WR);
  });
  Counting expected;
  const std::size_t first = blocks / 4;
  for (std::size_t i = 0; i < first; ++i) {
    ASSERT_TRUE(receive_block(to, expected)) << i;
  }
  const std::size_t flowing = resident(gateway.pid());
  // The reader stops, until the sender does.
  for (std::size_t before = 0; before != sent;) {
    before = sent;
    std::this_thread::sleep_for(200ms);
  }
  const std::size_t held = sent - first * Counting::size;
  const long busy = gateway.processor_time();
  const Latency beside = measure(gateway.listener(), echo.endpoint(), heavy() ? 3000ms : 500ms);
  const std::size_t stopped = resident(gateway.pid());
  std::printf("%s: %.1f MiB under way in all, the gateway %.1f MiB flowing, %.1f MiB stopped\n",
              downwards ? "down" : "up", static_cast<double>(held) / mebibyte,
              static_cast<double>(flowing) / mebibyte, static_cast<double>(stopped) / mebibyte);
  print("beside the stopped reader", beside);
  EXPECT_EQ(beside.failures, 0U);
  EXPECT_LT(beside.p99, 1s);
  EXPECT_LT(stopped, flowing + one_buffer);
  EXPECT_LT(gateway.processor_time() - busy, 5000);
  for (std::size_t i = first; i < blocks; ++i) {
    ASSERT_TRUE(receive_block(to, expected)) << i;
  }
  char octet = 0;
  EXPECT_EQ(::recv(to.fd(), &octet, 1, 0), 0);
  sender.join();
  std::printf("%zu octets arrived as they were sent\n", blocks * Counting::size);
}

TEST(BackPressure, AClientThatStopsReading) {
  stop_and_go(true);
}

TEST(BackPressure, ADestinationThatStopsReading) {
  stop_and_go(false);
}

// Under the same: the reset of either side overtakes what is held up.
TEST(BackPressure, AResetOvertakesWhatIsHeldUp) {
  GatewayProcess gateway;
  Destination destination;
  for (const bool of_the_client : {false, true}) {
    Stream client = Stream::connect(gateway.listener());
    ASSERT_EQ(ask(client, destination.endpoint()).code, 0);
    Stream server = destination.accept();
    Stream& dies = of_the_client ? client : server;
    Stream& stays = of_the_client ? server : client;
    // What `stays` sends is held up, because `dies` does not read.
    const std::string octets(mebibyte, 'x');
    for (pollfd writable{stays.fd(), POLLOUT, 0}; ::poll(&writable, 1, 300) == 1;) {
      (void)::send(stays.fd(), octets.data(), octets.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    dies.reset();
    bool reset = false;
    EXPECT_EQ(stays.receive_all(&reset), "");
    EXPECT_TRUE(reset);
    EXPECT_EQ(gateway.next_record()["end"], of_the_client ? "client-reset" : "destination-reset");
  }
}

TEST(BackPressure, AResetBehindAHalfCloseIsAReset) {
  GatewayProcess gateway;
  Destination destination;
  for (const bool of_the_client : {false, true}) {
    Stream client = Stream::connect(gateway.listener());
    ASSERT_EQ(ask(client, destination.endpoint()).code, 0);
    Stream server = destination.accept();
    Stream& dies = of_the_client ? client : server;
    Stream& stays = of_the_client ? server : client;
    stays.finish();
    EXPECT_EQ(dies.receive_all(), "");  // the EOF has come through
    dies.reset();
    bool reset = false;
    EXPECT_EQ(stays.receive_all(&reset), "");
    EXPECT_TRUE(reset);
    EXPECT_EQ(gateway.next_record()["end"], of_the_client ? "client-reset" : "destination-reset");
  }
}

// Octets that nobody takes are no sign of life, however they trickle in.
TEST(BackPressure, ATrickleBehindAStalledReaderIsIdle) {
  GatewayProcess gateway("[timeouts]\nhalf_close = \"1s\"\n");
  Destination destination;
  Stream client = Stream::connect(gateway.listener());
  ASSERT_EQ(ask(client, destination.endpoint()).code, 0);
  Stream server = destination.accept();
  client.finish();
  EXPECT_EQ(server.receive_all(), "");
  const std::string octets(mebibyte, 'x');
  for (pollfd writable{server.fd(), POLLOUT, 0}; ::poll(&writable, 1, 300) == 1;) {
    (void)::send(server.fd(), octets.data(), octets.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  const auto until = Clock::now() + patience;
  std::array<char, 65'536> room{};
  pollfd over{server.fd(), POLLIN, 0};
  while (::poll(&over, 1, 100) == 0 && Clock::now() < until) {
    (void)::send(server.fd(), room.data(), 1, MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  EXPECT_EQ(gateway.next_record()["end"], "half-close-timeout");
}

TEST(BackPressure, AHalfClosedRelayThatMovesLives) {
  GatewayProcess gateway("[timeouts]\nhalf_close = \"1s\"\n");
  Destination destination;
  Stream client = Stream::connect(gateway.listener());
  ASSERT_EQ(ask(client, destination.endpoint()).code, 0);
  Stream server = destination.accept();
  client.finish();
  EXPECT_EQ(server.receive_all(), "");
  for (int i = 0; i < 10; ++i) {
    server.send("x");
    ASSERT_EQ(client.receive(1), "x") << i;
    std::this_thread::sleep_for(200ms);
  }
  bool reset = false;
  EXPECT_EQ(client.receive_all(&reset), "");
  EXPECT_TRUE(reset);
  EXPECT_EQ(gateway.next_record()["end"], "half-close-timeout");
}

}  // namespace
}  // namespace socks64::gateway::test
