// Lines to a file or to stderr, from any thread, without ever waiting for the disk.
//
// A worker that writes to a file itself stops all its relays while the disk is busy or the reader
// of a pipe is slow. Here a producer appends to a buffer under a lock that is held for a memcpy;
// one thread writes what has gathered, many lines in one write(2). The buffer is bounded: when the
// outlet does not keep up, or memory runs out, lines are dropped and counted, and the gateway goes
// on.
//
// A reader may stop reading for good. The thread therefore never enters a write(2) that may wait:
// it waits in poll(2), where it can be told to give up, and writes to a pipe, socket or terminal
// what that is then sure to take. (stderr is shared with others, so making it non-blocking is not
// for us to do.) Only a disk that hangs can still hold it; stop() does not wait for that either.
#ifndef SOCKS64_GATEWAYD_LINE_WRITER_HPP
#define SOCKS64_GATEWAYD_LINE_WRITER_HPP

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "base/descriptor.hpp"

namespace socks64::gateway {

class LineWriter {
 public:
  static constexpr std::size_t max_pending = std::size_t{4} << 20U;

  /// `target`: "stderr", or the path of a file to append to.
  explicit LineWriter(std::string target);
  /// As stop(), but waits for a disk that hangs.
  ~LineWriter();
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;

  /// Opens the target and starts the thread. 0, or the errno of the failure.
  [[nodiscard]] int start();
  /// `line` without its newline.
  void write(std::string_view line) noexcept;
  /// Writes what is pending and ends the thread; what the outlet has not taken after `limit` is
  /// lost. False when the thread hangs in the kernel: then leave by std::_Exit, for there is no
  /// ending it. Nothing may be written afterwards.
  [[nodiscard]] bool stop(std::chrono::milliseconds limit);
  /// Opens the file anew before the next line: for log rotation. No effect on stderr. If that fails
  /// the old file stays in use.
  void reopen();

  [[nodiscard]] const std::string& target() const noexcept { return target_; }

 private:
  [[nodiscard]] int open() noexcept;
  [[nodiscard]] int outlet() const noexcept;
  void run();
  void put(std::string_view text) noexcept;
  [[nodiscard]] bool await_room(int fd) const noexcept;

  const std::string target_;
  Descriptor file_;       ///< empty when the target is stderr
  bool may_wait_ = true;  ///< not a regular file: write(2) waits for whoever reads
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable end_;
  std::string pending_;
  std::uint64_t dropped_ = 0;
  std::optional<std::size_t> reopen_at_;  ///< what lies before that in pending_ is the old file's
  bool stop_ = false;
  bool waiting_ = false;
  bool ended_ = false;
  std::atomic<bool> give_up_{false};
  std::thread thread_;
};

}  // namespace socks64::gateway

#endif
