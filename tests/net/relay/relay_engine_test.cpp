// relay.engine: whichever it is, the octets, their order, their end and their back-pressure are the
// same. Through the whole daemon; the other files here ask the relay itself.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <system_error>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include "rig/process.hpp"
#include "rig/sockets.hpp"

namespace socks64::gateway::test {
namespace {

using namespace std::chrono_literals;

class RelayEngine : public ::testing::TestWithParam<const char*> {
 protected:
  [[nodiscard]] static std::string config() {
    return std::string("threads = 1\n[relay]\nengine = \"") + GetParam() + "\"\n";
  }
  /// A client's and a destination's end of one relay.
  std::pair<Stream, Stream> relayed() {
    Stream client = Stream::connect(gateway_.listener());
    EXPECT_EQ(ask(client, destination_.endpoint()).code, 0);
    return {std::move(client), destination_.accept()};
  }
  /// How many ends of pipes the daemon has open.
  [[nodiscard]] std::size_t pipe_ends() const {
    const std::filesystem::path fds = "/proc/" + std::to_string(gateway_.pid()) + "/fd";
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(fds)) {
      std::error_code gone;
      if (std::filesystem::read_symlink(entry, gone).string().starts_with("pipe:")) {
        ++count;
      }
    }
    return count;
  }
  /// Sends until nothing has been taken for a while: it, the relay and the kernel are full.
  static std::size_t fill(const Stream& from, const std::string& octets) {
    std::size_t sent = 0;
    while (sent < octets.size()) {
      pollfd ready{from.fd(), POLLOUT, 0};
      if (::poll(&ready, 1, 1000) != 1) {
        break;
      }
      const ssize_t put = ::send(from.fd(), octets.data() + sent, octets.size() - sent,
                                 MSG_DONTWAIT | MSG_NOSIGNAL);
      if (put > 0) {
        sent += static_cast<std::size_t>(put);
      }
    }
    return sent;
  }

  GatewayProcess gateway_{config()};
  Destination destination_;
};

INSTANTIATE_TEST_SUITE_P(, RelayEngine, ::testing::Values("auto", "splice", "copy", "sockmap"),
                         [](const auto& engine) { return std::string(engine.param); });

TEST_P(RelayEngine, BothWaysAtOnceToTheLastOctet) {
  auto [client, server] = relayed();
  const std::string up = pattern((std::size_t{8} << 20U) + 1, 1);
  const std::string down = pattern((std::size_t{6} << 20U) + 7, 2);
  std::thread uploads([&client = client, &up] {
    client.send(up);
    client.finish();
  });
  std::thread downloads([&server = server, &down] {
    server.send(down);
    server.finish();
  });
  std::string got_down;
  std::thread reads([&client = client, &got_down] { got_down = client.receive_all(); });
  EXPECT_TRUE(server.receive_all() == up);
  uploads.join();
  downloads.join();
  reads.join();
  EXPECT_TRUE(got_down == down);
  Fields record = gateway_.next_record();
  EXPECT_EQ(record["end"], "both-closed");
  EXPECT_EQ(record["up"], std::to_string(up.size()));
  EXPECT_EQ(record["down"], std::to_string(down.size()));
}

TEST_P(RelayEngine, MessagesOfEverySizeInTurns) {
  auto [client, server] = relayed();
  std::size_t total = 0;
  for (std::size_t i = 0; i < 300; ++i) {
    const std::string message = pattern(i * i % 9000 + 1, static_cast<unsigned>(i));
    client.send(message);
    ASSERT_TRUE(server.receive(message.size()) == message) << i;
    server.send(message);
    ASSERT_TRUE(client.receive(message.size()) == message) << i;
    total += message.size();
  }
  client.finish();
  EXPECT_EQ(server.receive_all(), "");
  server.send("the last word");
  server.finish();
  EXPECT_EQ(client.receive_all(), "the last word");
  Fields record = gateway_.next_record();
  EXPECT_EQ(record["end"], "both-closed");
  EXPECT_EQ(record["up"], std::to_string(total));
  EXPECT_EQ(record["down"], std::to_string(total + 13));
}

TEST_P(RelayEngine, AResetIsAResetEitherWay) {
  for (const bool of_client : {true, false}) {
    auto [client, server] = relayed();
    Stream& dead = of_client ? client : server;
    Stream& other = of_client ? server : client;
    for (int i = 0; i < 20; ++i) {
      dead.send("ping");
      ASSERT_EQ(other.receive(4), "ping");
      other.send("pong");
      ASSERT_EQ(dead.receive(4), "pong");
    }
    dead.reset();
    bool reset = false;
    EXPECT_EQ(other.receive_all(&reset), "");
    EXPECT_TRUE(reset) << "an orderly end was seen";
    EXPECT_EQ(gateway_.next_record()["end"], of_client ? "client-reset" : "destination-reset");
  }
}

TEST_P(RelayEngine, AStalledReaderStopsItsSenderAndThenGetsAll) {
  const std::size_t usual = pipe_ends();  // its stderr is one of ours
  auto [client, server] = relayed();
  const std::string octets = pattern(std::size_t{64} << 20U, 3);
  const std::size_t taken = fill(client, octets);
  ASSERT_LT(taken, octets.size()) << "nothing stopped the sender";
  const std::size_t pipes = pipe_ends() - usual;
  const std::string_view engine = GetParam();
  EXPECT_TRUE(engine != "splice" || pipes >= 2U) << "it does not splice";
  EXPECT_TRUE(engine != "copy" || pipes == 0U) << "it does not copy";
  std::thread rest([&client = client, &octets, taken] {
    client.send(std::string_view(octets).substr(taken));
    client.finish();
  });
  EXPECT_TRUE(server.receive_all() == octets);
  rest.join();
  server.finish();
  EXPECT_EQ(client.receive_all(), "");
  EXPECT_EQ(gateway_.next_record()["end"], "both-closed");
}

}  // namespace
}  // namespace socks64::gateway::test
