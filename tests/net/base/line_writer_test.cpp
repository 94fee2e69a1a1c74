// Whoever reads a log may stop reading: the gateway goes on, and ends.
#include "base/line_writer.hpp"

#include <array>
#include <chrono>
#include <fcntl.h>
#include <fstream>
#include <iterator>
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

TEST(LineWriter, DropsAndCountsWhatASlowReaderLeaves) {
  const Fifo fifo;
  LineWriter writer(fifo.path);
  ASSERT_EQ(writer.start(), 0);
  const std::string line(1023, 'x');
  for (std::size_t i = 0; i < 3 * LineWriter::max_pending / 1024; ++i) {
    writer.write(line);
  }
  std::string text;
  const Clock::time_point until = Clock::now() + 30s;
  while (text.find(" lines were dropped") == std::string::npos && Clock::now() < until) {
    text += fifo.read_on();
    std::this_thread::sleep_for(1ms);
  }
  const std::size_t notice = text.find("log: ");
  ASSERT_NE(notice, std::string::npos);
  const std::size_t dropped = std::stoul(text.substr(notice + 5));
  EXPECT_GT(dropped, 0U);
  EXPECT_TRUE(writer.stop(30s));
  text += fifo.read_on();
  std::size_t lines = 0;
  for (const char c : text) {
    lines += c == '\n' ? 1 : 0;
  }
  EXPECT_EQ(lines - 1 + dropped, 3 * LineWriter::max_pending / 1024);
}

}  // namespace
}  // namespace socks64::gateway::test
