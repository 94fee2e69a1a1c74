// One epoll, one thread. Level-triggered, so that a handler may leave work for the next turn.
#ifndef SOCKS64_BENCH_LOOP_HPP
#define SOCKS64_BENCH_LOOP_HPP

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

namespace load {

using Clock = std::chrono::steady_clock;

/// Whatever makes figures worthless: a failed connection, a wrong octet, an early end. Ends the
/// run.
struct Failed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Throws Failed with `what` and the text of errno.
[[noreturn]] void fail_errno(const std::string& what);

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { reset(); }
  int get() const { return fd_; }
  void reset();

 private:
  int fd_ = -1;
};

/// The owner of one registered descriptor. It may close it, and delete itself, in its own ready()
/// only: then no event of the same turn can be meant for what is gone.
class Handler {
 public:
  virtual ~Handler() = default;
  virtual void ready(std::uint32_t events) = 0;

 protected:
  Handler() = default;
  Handler(const Handler&) = default;
  Handler& operator=(const Handler&) = default;
};

class Loop {
 public:
  Loop();
  void add(int fd, std::uint32_t events, Handler& handler);
  void change(int fd, std::uint32_t events, Handler& handler);
  /// Handles what is ready; waits at most that long if nothing is. Negative: for ever.
  void turn(int timeout_ms);

 private:
  Descriptor epoll_;
};

}  // namespace load

#endif
