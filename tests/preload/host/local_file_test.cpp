#include "host/local_file.hpp"

#include <atomic>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

namespace socks64::shim {
namespace {

class LocalFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = ::testing::TempDir() + "socks64-lines-" + std::to_string(getpid());
    file_.emplace(path_.c_str(), true);
    names_.emplace(path_.c_str(), false);
  }
  void TearDown() override { unlink(path_.c_str()); }

  /// By renaming, as editors do: a new inode.
  void write(const std::string& text) const {
    std::ofstream(path_ + ".new") << text;
    ASSERT_EQ(0, rename((path_ + ".new").c_str(), path_.c_str()));
    // The file is looked at once a tick.
    const std::uint32_t tick = current_tick();
    while (current_tick() == tick) {
      std::this_thread::yield();
    }
  }
  std::string lines_with(std::string_view word) { return lines_with(*file_, word); }
  static std::string lines_with(LocalFile& file, std::string_view word) {
    const LocalFile::Reading reading = file.read();
    std::string out;
    std::uint32_t cursor = 0;
    std::string_view line;
    while (reading.next_line_with(word, cursor, line)) {
      out += std::string(line) + "|";
    }
    return out;
  }

  std::string path_;
  std::optional<LocalFile> file_;
  std::optional<LocalFile> names_;  ///< without the first words
};

TEST_F(LocalFileTest, FindsTheLinesOfAWordInTheirOrder) {
  EXPECT_EQ("", lines_with("a"));
  write("a one\nb two # a\n\nc A\nd e#f");
  EXPECT_EQ("a one|c A|", lines_with("a"));
  EXPECT_EQ("b two |", lines_with("TWO"));
  EXPECT_EQ("d e|", lines_with("e"));
  EXPECT_EQ("", lines_with("f"));
  EXPECT_EQ("", lines_with("on"));
}

TEST_F(LocalFileTest, SeesAChange) {
  write("x old\n");
  EXPECT_EQ("x old|", lines_with("x"));
  for (int i = 0; i < 10; ++i) {
    write("x new" + std::to_string(i) + "\n");
    EXPECT_EQ("x new" + std::to_string(i) + "|", lines_with("x"));
  }
  ASSERT_EQ(0, unlink(path_.c_str()));
  const std::uint32_t tick = current_tick();
  while (current_tick() == tick) {
    std::this_thread::yield();
  }
  EXPECT_EQ("", lines_with("x"));
}

TEST_F(LocalFileTest, ReadersKeepWhatTheyRead) {
  write("x 0\n");
  std::vector<std::thread> threads;
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      while (!stop.load()) {
        const LocalFile::Reading reading = file_->read();
        const std::string text(reading.text());
        std::uint32_t cursor = 0;
        std::string_view line;
        if (!reading.next_line_with("x", cursor, line) || text.find(line) == std::string::npos) {
          ++wrong;
        }
      }
    });
  }
  for (int i = 0; i < 40; ++i) {
    write("x " + std::string(static_cast<std::size_t>(i), 'y') + "\n");
  }
  stop.store(true);
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(0, wrong.load());
}

TEST_F(LocalFileTest, ALongFileIsFoundIn) {
  std::string text;
  for (int i = 0; i < 50000; ++i) {
    text += "0.0.0.0 blocked" + std::to_string(i) + ".example\n";
  }
  write(text);
  EXPECT_EQ("0.0.0.0 blocked49999.example|", lines_with(*names_, "blocked49999.example"));
  EXPECT_EQ("", lines_with(*names_, "blocked50000.example"));
  EXPECT_EQ("", lines_with(*names_, "0.0.0.0"));
}

}  // namespace
}  // namespace socks64::shim
