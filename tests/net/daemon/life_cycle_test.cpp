// Signals: drain, cancel, log rotation.
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "rig/process.hpp"
#include "rig/sockets.hpp"

namespace socks64::gateway::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

TEST(LifeCycle, IdleGatewayEndsAtOnce) {
  for (const int signal : {SIGTERM, SIGINT}) {
    GatewayProcess gateway("[timeouts]\ndrain = \"10m\"\n");
    gateway.signal(signal);
    EXPECT_EQ(gateway.wait_for_end(10s), 0);
  }
}

// Signals that come while it starts or ends are no reason to die without the last records.
TEST(LifeCycle, ManySignalsEndItInOrder) {
  GatewayProcess gateway;
  for (int i = 0; i < 1000; ++i) {
    gateway.signal(i % 2 == 0 ? SIGTERM : SIGINT);
  }
  EXPECT_EQ(gateway.wait_for_end(10s), 0);
}

TEST(LifeCycle, DrainLetsStreamsComplete) {
  GatewayProcess gateway("[timeouts]\ndrain = \"5m\"\n");
  Destination destination;
  Stream client = Stream::connect(gateway.listener());
  ASSERT_EQ(ask(client, destination.endpoint()).code, 0);
  Stream server = destination.accept();
  gateway.signal(SIGTERM);
  ASSERT_NE(gateway.wait_for_log("draining: 1 sessions"), "");
  EXPECT_EQ(Stream::try_connect(gateway.listener()), ECONNREFUSED);

  const std::string up = pattern(std::size_t{1} << 20U, 1);
  std::thread sender([&] {
    client.send(up);
    client.finish();
  });
  EXPECT_TRUE(server.receive_all() == up);
  sender.join();
  server.send("done");
  server.finish();
  EXPECT_EQ(client.receive_all(), "done");
  EXPECT_EQ(gateway.next_record()["end"], "both-closed");
  EXPECT_EQ(gateway.wait_for_end(10s), 0);
}

// A client that the kernel has accepted on our behalf thinks that it is connected.
TEST(LifeCycle, DrainServesWhoeverIsInTheQueue) {
  GatewayProcess gateway;
  Destination destination;
  Stream client = Stream::connect(gateway.listener());
  gateway.signal(SIGTERM);
  client.send(greeting_none + request(destination.endpoint()));
  EXPECT_EQ(receive_answer(client).code, 0);
  destination.accept().close();
  client.close();
  EXPECT_EQ(gateway.wait_for_end(10s), 0);
}

TEST(LifeCycle, DrainEndsWithItsTime) {
  GatewayProcess gateway("[timeouts]\ndrain = \"300ms\"\n");
  Destination destination;
  Stream client = Stream::connect(gateway.listener());
  ASSERT_EQ(ask(client, destination.endpoint()).code, 0);
  Stream server = destination.accept();
  gateway.signal(SIGTERM);
  bool reset = false;
  EXPECT_EQ(client.receive_all(&reset), "");
  EXPECT_TRUE(reset) << "a cut stream must not look like a complete one";
  EXPECT_EQ(gateway.next_record()["end"], "shutdown");
  EXPECT_EQ(gateway.wait_for_end(10s), 0);
}

TEST(LifeCycle, SecondSignalEndsWhateverIsUnderWay) {
  GatewayProcess gateway("[timeouts]\ndrain = \"10m\"\nconnect = \"5m\"\n");
  Destination destination;
  const BlackHole hole;
  Stream relayed = Stream::connect(gateway.listener());
  ASSERT_EQ(ask(relayed, destination.endpoint()).code, 0);
  Stream silent = Stream::connect(gateway.listener());
  Stream dialling = Stream::connect(gateway.listener());
  dialling.send(greeting_none + request(hole.endpoint()));
  ASSERT_EQ(dialling.receive(2), std::string("\x05\x00", 2));
  gateway.signal(SIGTERM);
  ASSERT_NE(gateway.wait_for_log("draining: 3 sessions"), "");
  gateway.signal(SIGTERM);
  EXPECT_EQ(receive_reply(dialling).code, 1);
  std::string ends;
  for (int i = 0; i < 3; ++i) {
    Fields record = gateway.next_record();
    ends += record["end"] + "/" + record["reason"] + " ";
  }
  EXPECT_NE(ends.find("request-failed/shutting-down "), std::string::npos) << ends;
  EXPECT_NE(ends.find("shutdown/- "), std::string::npos) << ends;
  EXPECT_EQ(gateway.wait_for_end(10s), 0);
}

// stderr is a pipe whose reader has stopped reading, as a hung supervisor does.
TEST(LifeCycle, EndsAlthoughNobodyReadsItsLog) {
  GatewayProcess gateway;
  const std::string path = "/proc/" + std::to_string(gateway.pid()) + "/fd/2";
  const Descriptor pipe(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  ASSERT_TRUE(pipe);
  const std::string filler(4096, 'x');
  while (::write(pipe.get(), filler.data(), filler.size()) > 0) {
  }
  ASSERT_EQ(errno, EAGAIN);
  gateway.signal(SIGTERM);
  EXPECT_EQ(gateway.wait_for_end(20s), 0);
}

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Waits until the file holds `part`.
bool wait_for_text(const std::string& path, const std::string& part) {
  const Clock::time_point until = Clock::now() + patience;
  while (Clock::now() < until) {
    if (read_file(path).find(part) != std::string::npos) {
      return true;
    }
    std::this_thread::sleep_for(5ms);
  }
  return false;
}

TEST(LifeCycle, HangUpReopensTheAccessLog) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("access.log");
  const std::string old = directory.path("access.log.1");
  GatewayProcess gateway("[access_log]\ntarget = \"" + path + "\"\n");
  const ClosedPort closed;
  const auto one_session = [&] {
    Stream client = Stream::connect(gateway.listener());
    EXPECT_EQ(ask(client, closed.endpoint()).code, 5);
  };
  one_session();
  ASSERT_TRUE(wait_for_text(path, " id=1 "));
  ASSERT_EQ(std::rename(path.c_str(), old.c_str()), 0);
  gateway.signal(SIGHUP);
  ASSERT_NE(gateway.wait_for_log("log files reopened"), "");
  ASSERT_TRUE(wait_for_text(old, " id=1 "));
  one_session();
  EXPECT_TRUE(wait_for_text(path, " id=2 "));
  EXPECT_EQ(read_file(old).find(" id=2 "), std::string::npos);
}

TEST(LifeCycle, StandardDescriptorsAreNeverSomethingElse) {
  const TemporaryDirectory directory;
  const std::string log = directory.path("log");
  const std::string config = directory.write("gatewayd.toml", "[log]\ntarget = \"" + log + "\"\n");
  const pid_t pid = ::fork();
  if (pid == 0) {
    for (const int fd : {0, 1, 2}) {
      ::close(fd);
    }
    ::execl(GATEWAYD_BINARY, GATEWAYD_BINARY, "--config", config.c_str(), "--listen", "127.0.0.1:0",
            nullptr);
    ::_exit(127);
  }
  EXPECT_TRUE(wait_for_text(log, "listening on"));
  for (const char* fd : {"0", "1", "2"}) {
    std::error_code error;
    EXPECT_EQ(std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/fd/" + fd, error),
              "/dev/null");
  }
  ::kill(pid, SIGTERM);
  int status = -1;
  ::waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace socks64::gateway::test
