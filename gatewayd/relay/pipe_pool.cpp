#include "relay/pipe_pool.hpp"

#include <array>
#include <fcntl.h>
#include <unistd.h>

namespace socks64::gateway {

namespace {

constexpr unsigned kCallsToHoldOff = 64;

}  // namespace

Pipe::~Pipe() {
  if (read_end_ >= 0) {
    ::close(read_end_);
  }
  if (write_end_ >= 0) {
    ::close(write_end_);
  }
}

PipePool::PipePool(std::size_t capacity, std::size_t limit) : capacity_(capacity), limit_(limit) {
  idle_.reserve(limit);  // take_back() must not allocate
}

Pipe PipePool::lend() noexcept {
  if (!idle_.empty()) {
    Pipe pipe = std::move(idle_.back());
    idle_.pop_back();
    ++lent_;
    return pipe;
  }
  if (lent_ >= limit_) {
    return {};
  }
  if (hold_off_ > 0) {
    --hold_off_;
    return {};
  }
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
    hold_off_ = kCallsToHoldOff;
    return {};
  }
  Pipe pipe(ends[0], ends[1]);
  if (::fcntl(pipe.write_end(), F_SETPIPE_SZ, static_cast<int>(capacity_)) < 0) {
    hold_off_ = kCallsToHoldOff;
    return {};
  }
  ++lent_;
  return pipe;
}

void PipePool::take_back(Pipe pipe, bool empty) noexcept {
  --lent_;
  if (empty) {
    idle_.push_back(std::move(pipe));
  }
}

}  // namespace socks64::gateway
