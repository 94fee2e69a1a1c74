// Manners of a guest: what our code must leave as it found it in a stranger's process.
#ifndef SOCKS64_SHIM_HOST_GUARD_HPP
#define SOCKS64_SHIM_HOST_GUARD_HPP

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <sys/types.h>

namespace socks64::shim {

/// Puts errno back at the end of the scope: libc promises that a successful call leaves it alone,
/// and programs rely on it.
class ErrnoGuard {
 public:
  ErrnoGuard() noexcept : saved_(errno) {}
  ~ErrnoGuard() { errno = saved_; }
  ErrnoGuard(const ErrnoGuard&) = delete;
  ErrnoGuard& operator=(const ErrnoGuard&) = delete;
  /// Leave this errno instead.
  void set(int error) noexcept { saved_ = error; }

 private:
  int saved_;
};

/// Who we believe to be: noted at start-up and in the child of every fork that libc makes.
void note_process_id() noexcept;
[[nodiscard]] pid_t noted_process_id() noexcept;

/// Whether the program may read `size` octets, at least 8, at `memory`: a wild pointer is for the
/// kernel to refuse (EFAULT), not for us to crash on. Looks at
/// both ends: one system call, or two where that spans pages.
[[nodiscard]] bool is_readable(const void* memory, std::size_t size) noexcept;
/// The same for any size, without a system call for what lies in the frames of our callers, where
/// most programs keep such things.
[[nodiscard]] bool can_read(const void* memory, std::size_t size) noexcept;

/// A lock that is a single word, so that it may live in memory shared over fork. Short critical
/// sections only: nothing inside may wait, allocate, or be a cancellation point. A signal handler
/// that interrupts the owner on its own thread cannot get the lock: `lock()` says false then,
/// instead of hanging.
class WordLock {
 public:
  /// False only when this very thread (or, after fork, its copy) holds it already.
  [[nodiscard]] bool lock() noexcept;
  void unlock() noexcept;
  /// In the child of a fork: a lock that another thread of the parent held has no owner here.
  void reset() noexcept { word_.store(0, std::memory_order_relaxed); }

 private:
  std::atomic<std::uint32_t> word_{0};  ///< 0, or the thread id of the owner
};

/// Holds a WordLock for a scope; `held()` false means re-entry from a signal handler: leave things
/// as they are.
class WordGuard {
 public:
  explicit WordGuard(WordLock& lock) noexcept : lock_(lock), held_(lock.lock()) {}
  ~WordGuard() {
    if (held_) {
      lock_.unlock();
    }
  }
  WordGuard(const WordGuard&) = delete;
  WordGuard& operator=(const WordGuard&) = delete;
  [[nodiscard]] bool held() const noexcept { return held_; }

 private:
  WordLock& lock_;
  bool held_;
};

/// Blocks every signal of this thread, and returns the mask that was; restore_signals() puts it
/// back. For what begins in one function and ends in another; else SignalBlock.
[[nodiscard]] std::uint64_t block_signals() noexcept;
void restore_signals(std::uint64_t mask) noexcept;

/// Blocks every signal for a scope, so that a handler that leaves by longjmp cannot leave a lock
/// behind. Two system calls: only where a handshake is under way anyway.
class SignalBlock {
 public:
  SignalBlock() noexcept : saved_(block_signals()) {}
  ~SignalBlock() { restore_signals(saved_); }
  SignalBlock(const SignalBlock&) = delete;
  SignalBlock& operator=(const SignalBlock&) = delete;

 private:
  std::uint64_t saved_;
};

}  // namespace socks64::shim

#endif
