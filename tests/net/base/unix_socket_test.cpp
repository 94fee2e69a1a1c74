// Listeners on UNIX sockets: the file and who may connect, and a session whose client is there.
#include "base/unix_socket.hpp"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "rig/process.hpp"
#include "rig/sockets.hpp"

namespace socks64::gateway::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class Unix : public ::testing::Test {
 protected:
  [[nodiscard]] GatewayProcess::Options options(const std::string& config = {}) const {
    return {config, {"--listen", "unix:" + path()}};
  }
  [[nodiscard]] std::string path() const { return directory_.path("gateway.sock"); }
  [[nodiscard]] std::string client() const {
    return "unix:" + std::to_string(::getuid()) + ":" + std::to_string(::getpid());
  }
  [[nodiscard]] const TemporaryDirectory& directory() const { return directory_; }

 private:
  TemporaryDirectory directory_;
};

mode_t mode_of(const std::string& path) {
  struct stat file {};
  return ::stat(path.c_str(), &file) == 0 ? file.st_mode : 0;
}

/// What a gateway leaves behind that was killed.
void leave_stale_socket(const std::string& path) {
  UnixListeningSocket left = open_unix_listener(path, 0600, 1);
  ASSERT_TRUE(left.socket) << left.error;
  const std::string elsewhere = path + ".kept";
  std::filesystem::create_hard_link(path, elsewhere);
  left = {};
  std::filesystem::rename(elsewhere, path);
  ASSERT_EQ(Stream::try_connect(path), ECONNREFUSED);
}

TEST_F(Unix, SessionAndItsRecord) {
  GatewayProcess gateway(options());
  Destination destination;
  Stream stream = Stream::connect(path());
  const ReplyMessage reply = ask(stream, destination.endpoint());
  ASSERT_EQ(reply.code, 0);
  Stream server = destination.accept();
  EXPECT_EQ(reply.bound, server.remote());
  stream.send("ping");
  EXPECT_EQ(server.receive(4), "ping");
  server.send("pong");
  EXPECT_EQ(stream.receive(4), "pong");
  stream.finish();
  server.finish();
  EXPECT_EQ(stream.receive_all(), "");
  Fields record = gateway.next_record();
  EXPECT_EQ(record["client"], client());
  EXPECT_EQ(record["crossing"], "unix>v4");
  EXPECT_EQ(record["up"], "4");
  EXPECT_EQ(record["down"], "4");
  EXPECT_EQ(record["end"], "both-closed");
}

TEST_F(Unix, RecordOfAFailedSession) {
  GatewayProcess gateway(options("[access_log]\nformat = \"json\"\n"));
  const ClosedPort closed;
  Stream stream = Stream::connect(path());
  EXPECT_EQ(ask(stream, closed.endpoint()).code, 5);
  stream.close();
  const std::string line = gateway.wait_for_log("\"id\":1,");
  EXPECT_NE(line.find("\"client\":\"" + client() + "\""), std::string::npos) << line;
}

TEST_F(Unix, BulkAndHalfCloseBothWays) {
  GatewayProcess gateway(options());
  Destination destination;
  // Enough for the relay to turn to splice(2), and more than all buffers on the way together.
  const std::string up = pattern(std::size_t{24} << 20U, 1);
  const std::string down = pattern(std::size_t{16} << 20U, 2);
  for (const bool client_first : {true, false}) {
    Stream stream = Stream::connect(path());
    ASSERT_EQ(ask(stream, destination.endpoint()).code, 0);
    Stream server = destination.accept();
    Stream& first = client_first ? stream : server;
    Stream& second = client_first ? server : stream;
    std::thread sender([&] {
      first.send(up);
      first.finish();
    });
    EXPECT_TRUE(second.receive_all() == up);
    sender.join();
    std::thread answerer([&] {
      second.send(down);
      second.finish();
    });
    EXPECT_TRUE(first.receive_all() == down);
    answerer.join();
    Fields record = gateway.next_record();
    EXPECT_EQ(record["up"], std::to_string(client_first ? up.size() : down.size()));
    EXPECT_EQ(record["down"], std::to_string(client_first ? down.size() : up.size()));
    EXPECT_EQ(record["end"], "both-closed");
  }
}

TEST_F(Unix, BothDirectionsAtOnce) {
  GatewayProcess gateway(options());
  Destination destination;
  const std::string up = pattern(std::size_t{8} << 20U, 3);
  const std::string down = pattern(std::size_t{8} << 20U, 4);
  Stream stream = Stream::connect(path());
  ASSERT_EQ(ask(stream, destination.endpoint()).code, 0);
  Stream server = destination.accept();
  std::thread client_sends([&] {
    stream.send(up);
    stream.finish();
  });
  std::thread server_sends([&] {
    server.send(down);
    server.finish();
  });
  std::string arrived;
  std::thread client_reads([&] { arrived = stream.receive_all(); });
  EXPECT_TRUE(server.receive_all() == up);
  client_reads.join();
  client_sends.join();
  server_sends.join();
  EXPECT_TRUE(arrived == down);
}

TEST_F(Unix, EarlyDataReachesTheDestination) {
  GatewayProcess gateway(options());
  Destination destination;
  const std::string early = pattern(std::size_t{1} << 20U, 5);
  Stream stream = Stream::connect(path());
  std::thread sender([&] {
    stream.send(greeting_none + request(destination.endpoint()) + early);
    stream.finish();
  });
  Stream server = destination.accept();
  EXPECT_TRUE(server.receive_all() == early);
  sender.join();
  EXPECT_EQ(receive_answer(stream).code, 0);
}

// The client is still sending when its request has failed: the reply is not lost, and neither are
// the octets it could not have known to be in vain (no EPIPE under its hands).
TEST_F(Unix, FailingReplyArrivesBehindEarlyData) {
  GatewayProcess gateway(options());
  const ClosedPort closed;
  Stream stream = Stream::connect(path());
  bool sent = false;
  std::thread sender([&] {
    sent = stream.try_send(greeting_none + request(closed.endpoint()) +
                           pattern(std::size_t{4} << 20U, 6));
    stream.finish();
  });
  EXPECT_EQ(receive_answer(stream).code, 5);
  EXPECT_EQ(stream.receive_all(), "");
  sender.join();
  EXPECT_TRUE(sent);
  EXPECT_EQ(gateway.next_record()["reply"], "5");
}

// A UNIX socket that is closed over unread octets is as good as a TCP reset.
TEST_F(Unix, ResetOfTheClientReachesTheDestination) {
  GatewayProcess gateway(options());
  Destination destination;
  Stream stream = Stream::connect(path());
  ASSERT_EQ(ask(stream, destination.endpoint()).code, 0);
  Stream server = destination.accept();
  server.send("unread");
  char octet = 0;
  ASSERT_EQ(::recv(stream.fd(), &octet, 1, MSG_PEEK), 1);
  stream.close();
  bool reset = false;
  EXPECT_EQ(server.receive_all(&reset), "");
  EXPECT_TRUE(reset) << "the destination saw an orderly end";
  EXPECT_EQ(gateway.next_record()["end"], "client-reset");
}

TEST_F(Unix, ResetOfTheDestinationEndsTheSession) {
  GatewayProcess gateway(options());
  Destination destination;
  Stream stream = Stream::connect(path());
  ASSERT_EQ(ask(stream, destination.endpoint()).code, 0);
  Stream server = destination.accept();
  server.reset();
  EXPECT_EQ(stream.receive_all(), "");
  EXPECT_EQ(gateway.next_record()["end"], "destination-reset");
}

TEST_F(Unix, ClientThatClosesEndsItsDial) {
  GatewayProcess gateway(options("[timeouts]\nconnect = \"5m\"\n"));
  const BlackHole hole;
  Stream stream = Stream::connect(path());
  stream.send(greeting_none + request(hole.endpoint()));
  ASSERT_EQ(stream.receive(2), std::string("\x05\x00", 2));
  stream.close();
  const Clock::time_point start = Clock::now();
  EXPECT_EQ(gateway.next_record()["end"], "client-gone");
  EXPECT_LT(Clock::now() - start, 10s) << "the dial was not cancelled";
}

TEST_F(Unix, DrainServesWhoeverIsThereAndRemovesTheFile) {
  GatewayProcess gateway(options("[timeouts]\ndrain = \"5m\"\n"));
  Destination destination;
  Stream relayed = Stream::connect(path());
  ASSERT_EQ(ask(relayed, destination.endpoint()).code, 0);
  Stream server = destination.accept();
  Stream queued = Stream::connect(path());
  gateway.signal(SIGTERM);
  ASSERT_NE(gateway.wait_for_log("draining: 2 sessions"), "");
  EXPECT_EQ(Stream::try_connect(path()), ENOENT);
  EXPECT_EQ(ask(queued, destination.endpoint()).code, 0);
  destination.accept().close();
  queued.close();
  relayed.send("still here");
  relayed.finish();
  EXPECT_EQ(server.receive_all(), "still here");
  server.close();
  EXPECT_EQ(relayed.receive_all(), "");
  EXPECT_EQ(gateway.wait_for_end(10s), 0);
}

TEST_F(Unix, DrainThatRunsOutOfTimeEndsTheSession) {
  GatewayProcess gateway(options("[timeouts]\ndrain = \"300ms\"\n"));
  Destination destination;
  Stream stream = Stream::connect(path());
  ASSERT_EQ(ask(stream, destination.endpoint()).code, 0);
  Stream server = destination.accept();
  gateway.signal(SIGTERM);
  EXPECT_EQ(stream.receive_all(), "");
  EXPECT_EQ(gateway.next_record()["end"], "shutdown");
  EXPECT_EQ(gateway.wait_for_end(10s), 0);
}

TEST_F(Unix, PermissionsAreThoseOfTheFile) {
  {
    GatewayProcess gateway(options());
    EXPECT_EQ(mode_of(path()), S_IFSOCK | 0660U) << "the default";
  }
  GatewayProcess gateway(GatewayProcess::Options{
      "[[listener]]\naddress = \"unix:" + path() + "\"\nmode = \"0602\"\n", {}});
  EXPECT_EQ(mode_of(path()), S_IFSOCK | 0602U);
}

TEST_F(Unix, SocketOfAGatewayThatWasKilledIsReplaced) {
  leave_stale_socket(path());
  GatewayProcess gateway(options());
  EXPECT_EQ(Stream::try_connect(path()), 0);
}

TEST_F(Unix, SecondGatewayDoesNotStart) {
  GatewayProcess first(options());
  const Finished second = run_gatewayd({"--listen", "unix:" + path()});
  EXPECT_EQ(second.status, 1);
  EXPECT_EQ(second.err,
            "gatewayd: cannot listen on unix:" + path() + ": another process listens there\n");
  EXPECT_EQ(Stream::try_connect(path()), 0) << "the first one suffered";
}

TEST_F(Unix, AFileIsNotRemoved) {
  const std::string file = directory().write("notes", "mine");
  const Finished finished = run_gatewayd({"--listen", "unix:" + file});
  EXPECT_EQ(finished.status, 1);
  EXPECT_EQ(finished.err, "gatewayd: cannot listen on unix:" + file +
                              ": a file that is not a socket has this path\n");
  EXPECT_EQ(std::filesystem::file_size(file), 4U);
}

TEST_F(Unix, OnlyItsOwnFileIsRemovedAtTheEnd) {
  UnixListeningSocket other;
  {
    GatewayProcess gateway(options());
    std::filesystem::remove(path());
    other = open_unix_listener(path(), 0600, 8);
    ASSERT_TRUE(other.socket) << other.error;
    gateway.signal(SIGTERM);
    EXPECT_EQ(gateway.wait_for_end(10s), 0);
  }
  EXPECT_EQ(Stream::try_connect(path()), 0) << "it removed somebody else's socket";
}

TEST_F(Unix, NothingStaysWhenAnotherListenerCannotBeOpened) {
  const Destination taken;
  const Finished finished = run_gatewayd(
      {"--listen", "unix:" + path(), "--listen", std::string(taken.endpoint().text().view())});
  EXPECT_EQ(finished.status, 1);
  EXPECT_FALSE(std::filesystem::exists(path()));
}

}  // namespace
}  // namespace socks64::gateway::test
