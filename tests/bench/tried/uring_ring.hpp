// io_uring by its three system calls, as much of it as the comparison needs. One thread.
#pragma once

#include <cstdint>
#include <linux/io_uring.h>
#include <memory>
#include <vector>

namespace tried {

class Ring {
 public:
  /// Null with errno set: not permitted here, or the kernel is too old for what we ask of it.
  static std::unique_ptr<Ring> open(unsigned entries);
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  /// A cleared entry that the next wait() submits.
  io_uring_sqe& next();
  /// Submits, and waits for one completion at least.
  void wait();
  /// Takes a completion; false: none is left.
  bool take(io_uring_cqe& completion);
  [[nodiscard]] long calls() const noexcept { return calls_; }

  /// Buffers that the kernel chooses from for IOSQE_BUFFER_SELECT, group 0.
  void provide(unsigned count, std::size_t size);
  [[nodiscard]] char* buffer(unsigned id) noexcept { return memory_.get() + id * buffer_size_; }
  void give_back(unsigned id) noexcept;
  void run_workers_on(int core);

 private:
  Ring() = default;
  void submit(unsigned wait_for);

  int fd_ = -1;
  io_uring_params params_{};
  char* rings_ = nullptr;
  std::size_t rings_size_ = 0;
  io_uring_sqe* entries_ = nullptr;
  unsigned tail_ = 0;
  unsigned unsubmitted_ = 0;
  long calls_ = 0;
  std::unique_ptr<char[]> memory_;
  std::size_t buffer_size_ = 0;
  unsigned buffer_count_ = 0;
  io_uring_buf_ring* buffers_ = nullptr;
  std::uint16_t buffers_tail_ = 0;
};

}  // namespace tried
