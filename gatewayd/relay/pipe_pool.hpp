// The pipes of one worker, for splice(2): large ones, few, and only lent while octets are in them.
#ifndef SOCKS64_GATEWAYD_PIPE_POOL_HPP
#define SOCKS64_GATEWAYD_PIPE_POOL_HPP

#include <cstddef>
#include <utility>
#include <vector>

namespace socks64::gateway {

/// Both ends of a non-blocking pipe, or nothing.
class Pipe {
 public:
  Pipe() noexcept = default;
  Pipe(int read_end, int write_end) noexcept : read_end_(read_end), write_end_(write_end) {}
  ~Pipe();
  Pipe(Pipe&& other) noexcept
      : read_end_(std::exchange(other.read_end_, -1)),
        write_end_(std::exchange(other.write_end_, -1)) {}
  Pipe& operator=(Pipe&& other) noexcept {
    std::swap(read_end_, other.read_end_);
    std::swap(write_end_, other.write_end_);
    return *this;
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  explicit operator bool() const noexcept { return read_end_ >= 0; }
  [[nodiscard]] int read_end() const noexcept { return read_end_; }
  [[nodiscard]] int write_end() const noexcept { return write_end_; }

 private:
  int read_end_ = -1;
  int write_end_ = -1;
};

class PipePool {
 public:
  /// At most `limit` pipes exist at a time, each of at least `capacity` octets.
  PipePool(std::size_t capacity, std::size_t limit);

  /// An empty pipe; nothing when the limit is reached, or when the system refuses a large one
  /// (pipe-user-pages-soft, EMFILE). A smaller pipe loses against copying, so there is no middle
  /// way, and the next few calls do not ask the system again.
  [[nodiscard]] Pipe lend() noexcept;

  /// `empty` is the lender's word that nothing is left in it; a pipe with octets in it is closed.
  void take_back(Pipe pipe, bool empty) noexcept;

  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] std::size_t lent() const noexcept { return lent_; }
  [[nodiscard]] std::size_t idle() const noexcept { return idle_.size(); }

 private:
  std::size_t capacity_;
  std::size_t limit_;
  std::size_t lent_ = 0;
  unsigned hold_off_ = 0;
  std::vector<Pipe> idle_;
};

}  // namespace socks64::gateway

#endif
