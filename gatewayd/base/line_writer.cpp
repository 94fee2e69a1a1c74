#include "base/line_writer.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <climits>
#include <fmt/format.h>

namespace socks64::gateway {
namespace {

// How long the writer gathers lines after the first one has woken it. A line is seen this much
// later, and a busy gateway pays for a hundred wake-ups a second, not for one a session.
constexpr std::chrono::milliseconds gather_time{10};

constexpr std::chrono::milliseconds stop_time{2000};
constexpr int look_again_ms = 100;
// Ten times what a thread in poll(2) needs to see that it is to give up.
constexpr std::chrono::milliseconds give_up_time{10 * look_again_ms};

/// What a pipe takes in one piece when poll(2) has said that it has room at all, and does not mix
/// with what others write to it (pipe(7), PIPE_BUF); whole lines if possible.
std::string_view atomic_piece(std::string_view text) noexcept {
  if (text.size() <= PIPE_BUF) {
    return text;
  }
  const std::size_t newline = text.rfind('\n', PIPE_BUF - 1);
  return text.substr(0, newline == std::string_view::npos ? PIPE_BUF : newline + 1);
}

bool make_room(std::string& text, std::size_t size) noexcept {
  try {
    if (size > text.capacity()) {
      text.reserve(std::max(size, 2 * text.capacity()));
    }
    return true;
  } catch (...) {
    return false;
  }
}

/// A line of the writer's own, made without memory from the heap.
class Notice {
 public:
  template <class... Args>
  explicit Notice(fmt::format_string<Args...> format, Args&&... args) {
    const auto made =
        fmt::format_to_n(text_.data(), text_.size(), format, std::forward<Args>(args)...);
    size_ = std::min(made.size, text_.size());
  }
  [[nodiscard]] std::string_view text() const noexcept { return {text_.data(), size_}; }

 private:
  std::array<char, 512> text_{};
  std::size_t size_;
};

}  // namespace

LineWriter::LineWriter(std::string target) : target_(std::move(target)) {}

LineWriter::~LineWriter() {
  if (!stop(stop_time)) {
    thread_.join();
  }
}

bool LineWriter::stop(std::chrono::milliseconds limit) {
  if (!thread_.joinable()) {
    return true;
  }
  {
    std::unique_lock lock(mutex_);
    const auto ended = [this] { return ended_; };
    stop_ = true;
    wake_.notify_one();
    if (!end_.wait_for(lock, limit, ended)) {
      give_up_ = true;
      if (!end_.wait_for(lock, give_up_time, ended)) {
        return false;
      }
    }
  }
  thread_.join();
  return true;
}

int LineWriter::open() noexcept {
  if (target_ != "stderr") {
    Descriptor file(::open(target_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640));
    if (!file) {
      return errno;
    }
    file_ = std::move(file);
  }
  struct stat status {};
  may_wait_ = ::fstat(outlet(), &status) != 0 || !S_ISREG(status.st_mode);
  return 0;
}

int LineWriter::outlet() const noexcept {
  return file_ ? file_.get() : STDERR_FILENO;
}

int LineWriter::start() {
  const int error = open();
  if (error == 0) {
    thread_ = std::thread([this] { run(); });
  }
  return error;
}

void LineWriter::write(std::string_view line) noexcept {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    const std::size_t size = pending_.size() + line.size() + 1;
    if (size > max_pending || !make_room(pending_, size)) {
      ++dropped_;
      return;
    }
    pending_.append(line);
    pending_.push_back('\n');
    wake = std::exchange(waiting_, false);
  }
  if (wake) {
    wake_.notify_one();
  }
}

void LineWriter::reopen() {
  {
    const std::lock_guard lock(mutex_);
    reopen_at_ = pending_.size();
    waiting_ = false;
  }
  wake_.notify_one();
}

void LineWriter::run() {
  std::string batch;
  std::unique_lock lock(mutex_);
  for (;;) {
    if (pending_.empty() && !reopen_at_ && !stop_) {
      waiting_ = true;
      wake_.wait(lock, [this] { return !pending_.empty() || reopen_at_ || stop_; });
      waiting_ = false;
    }
    if (!stop_) {
      wake_.wait_for(lock, gather_time, [this] { return stop_; });
    }
    batch.clear();
    batch.swap(pending_);
    const std::uint64_t dropped = std::exchange(dropped_, 0);
    const std::optional<std::size_t> reopen_at = std::exchange(reopen_at_, std::nullopt);
    const bool last = stop_;
    lock.unlock();
    const std::string_view text = batch;
    put(text.substr(0, reopen_at.value_or(text.size())));
    if (reopen_at) {
      const int error = open();
      if (error != 0) {
        put(Notice("log: cannot reopen {}, errno {}\n", target_, error).text());
      }
      put(text.substr(*reopen_at));
    }
    if (dropped != 0) {
      put(Notice("log: {} lines were dropped because their reader is too slow\n", dropped).text());
    }
    lock.lock();
    if (last && (pending_.empty() || give_up_)) {
      ended_ = true;
      end_.notify_all();
      return;
    }
  }
}

bool LineWriter::await_room(int fd) const noexcept {
  pollfd ready{fd, POLLOUT, 0};
  while (!give_up_) {
    if (::poll(&ready, 1, look_again_ms) > 0) {
      return true;  // also for an error, which write(2) will name
    }
  }
  return false;
}

void LineWriter::put(std::string_view text) noexcept {
  const int fd = outlet();
  while (!text.empty() && await_room(fd)) {
    const std::string_view piece = may_wait_ ? atomic_piece(text) : text;
    const ssize_t written = ::write(fd, piece.data(), piece.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      // Others write to the same pipe, and were faster.
      (void)::poll(nullptr, 0, look_again_ms / 10);
    } else if (errno != EINTR) {
      return;  // a full disk or a closed pipe: there is nobody left to tell
    }
  }
}

}  // namespace socks64::gateway
