// Whoever reads a log may stop reading: the gateway goes on, and ends.
#include "base/line_writer.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <poll.h>
#include <sstream>
#include <string>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include <climits>
#include <gtest/gtest.h>

#include "rig/process.hpp"

namespace socks64::gateway::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

struct Fifo {
  Fifo() {
    EXPECT_EQ(::mkfifo(path.c_str(), 0600), 0);
    reader = Descriptor(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  }
  std::string read_on() const {
    std::string text;
    std::array<char, 65536> piece;
    ssize_t got = 0;
    while ((got = ::read(reader.get(), piece.data(), piece.size())) > 0) {
      text.append(piece.data(), static_cast<std::size_t>(got));
    }
    return text;
  }
  /// Waits a little for it, too.
  std::string read_more() const {
    pollfd ready{reader.get(), POLLIN, 0};
    (void)::poll(&ready, 1, 20);
    return read_on();
  }

  TemporaryDirectory directory;
  std::string path = directory.path("fifo");
  Descriptor reader;
};

TEST(LineWriter, WritesWhatIsPendingWhenItStops) {
  const TemporaryDirectory directory;
  LineWriter writer(directory.path("log"));
  ASSERT_EQ(writer.start(), 0);
  std::string expected;
  for (int i = 0; i < 10'000; ++i) {
    const std::string line = "line " + std::to_string(i);
    writer.write(line);
    expected += line + "\n";
  }
  EXPECT_TRUE(writer.stop(30s));
  std::ifstream file(directory.path("log"));
  EXPECT_TRUE(std::string(std::istreambuf_iterator<char>(file), {}) == expected);
}

TEST(LineWriter, StopsAlthoughNobodyReads) {
  const Fifo fifo;
  LineWriter writer(fifo.path);
  ASSERT_EQ(writer.start(), 0);
  const std::string line(100, 'x');
  for (int i = 0; i < 10'000; ++i) {
    writer.write(line);  // a megabyte: no pipe takes that by default
  }
  const Clock::time_point began = Clock::now();
  EXPECT_TRUE(writer.stop(100ms));
  EXPECT_LT(Clock::now() - began, 10s);
  const std::string text = fifo.read_on();
  EXPECT_GT(text.size(), std::size_t{PIPE_BUF});
  EXPECT_EQ(text.size() % (line.size() + 1), 0U) << "a line was cut";
}

/// The lines of `text` that are the writer's own notices, and what they say was dropped.
struct Notices {
  explicit Notices(const std::string& text) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("log: ") && line.find(" lines were dropped") != std::string::npos) {
        ++count;
        dropped += std::stoul(line.substr(5));
      }
    }
  }
  std::size_t count = 0;
  std::size_t dropped = 0;
};

// Nobody reads while three times as much is written as may be pending; then somebody does. The
// writer may say more than once that it has dropped lines: each time for those since the last.
TEST(LineWriter, DropsAndCountsWhatASlowReaderLeaves) {
  const Fifo fifo;
  LineWriter writer(fifo.path);
  ASSERT_EQ(writer.start(), 0);
  const std::string line(1023, 'x');
  constexpr std::size_t written = 3 * LineWriter::max_pending / 1024;
  for (std::size_t i = 0; i < written; ++i) {
    writer.write(line);
  }
  std::string text;
  const Clock::time_point until = Clock::now() + 60s;
  while (text.find(" lines were dropped") == std::string::npos && Clock::now() < until) {
    text += fifo.read_more();
  }
  EXPECT_NE(text.find(" lines were dropped"), std::string::npos)
      << "told only when the writer stops";
  // More may follow, and nothing of it fits into the pipe: what stops also has to be read.
  std::atomic<bool> stopped{false};
  std::thread reader([&] {
    while (!stopped) {
      text += fifo.read_more();
    }
    text += fifo.read_on();
  });
  EXPECT_TRUE(writer.stop(60s));
  stopped = true;
  reader.join();
  const Notices notices(text);
  EXPECT_GT(notices.dropped, 0U);
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  EXPECT_EQ(lines - notices.count + notices.dropped, written);
}

}  // namespace
}  // namespace socks64::gateway::test
