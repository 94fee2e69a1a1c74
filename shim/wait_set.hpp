// epoll while a handshake is pending: recorded registrations, and the marks that stand in for them.
// See wait_set.cpp.
#ifndef SOCKS64_SHIM_WAIT_SET_HPP
#define SOCKS64_SHIM_WAIT_SET_HPP

#include <atomic>
#include <cstdint>
#include <sys/epoll.h>

#include "fd_table.hpp"
#include "mapped_pool.hpp"

namespace socks64::shim {

class WaitSet {
 public:
  constexpr WaitSet() noexcept = default;

  /// epoll_ctl for a descriptor that is followed: tells the kernel, and keeps the record. As
  /// epoll_ctl(2), errno included.
  int control(int epfd, int operation, int fd, epoll_event* event) noexcept;

  /// While a handshake is pending: puts our mark in place of the program's events. Precondition:
  /// fd_table().lock() is held.
  void mark(FdEntry& entry) noexcept;
  /// Puts the program's own events and data back; the kernel then reports readiness afresh. Same
  /// precondition.
  void restore(FdEntry& entry) noexcept;
  /// Before and after another file is put under the descriptor: its registrations leave the
  /// kernel's sets, and come back as they were, marked or not. Same precondition.
  void take_out(const FdEntry& entry) noexcept;
  void put_in(FdEntry& entry) noexcept;
  /// Drops the records of a descriptor. Same precondition.
  void forget(FdEntry& entry) noexcept;
  /// `epfd` is about to be closed: its records go on under `duplicate`, or end if that is -1. Same
  /// precondition.
  void epoll_closed(int epfd, int duplicate) noexcept;

  /// Takes marked events out of what the kernel reported, and advances their handshakes. Returns
  /// how many events are left.
  int filter(epoll_event* events, int count) noexcept;

  /// False until the first mark was made: then no event can be one of ours.
  [[nodiscard]] bool ever_marked() const noexcept {
    return ever_marked_.load(std::memory_order_acquire);
  }

 private:
  struct Registration {
    epoll_event program{};  ///< what the program registered
    int epfd = -1;          ///< -1: the slot is free
    int fd = -1;
    std::uint32_t generation =
        0;  ///< grows with every mark, so that a stale one is not taken for a new one
    std::uint32_t next = 0;  ///< of the same descriptor, index + 1
    bool marked = false;
  };

  [[nodiscard]] Registration* find(const FdEntry& entry, int epfd) const noexcept;
  /// Null when the pool is exhausted.
  [[nodiscard]] Registration* add(FdEntry& entry, int epfd, int fd) noexcept;
  void drop(FdEntry& entry, Registration& registration) noexcept;
  [[nodiscard]] epoll_event marked_event(Registration& registration) noexcept;
  [[nodiscard]] bool is_mark(std::uint64_t data) const noexcept;
  /// The descriptor a live mark stands for; negative for any other data, see wait_set.cpp.
  [[nodiscard]] int descriptor_of(std::uint64_t mark) noexcept;

  MappedPool<Registration, 1U << 18U> pool_;
  std::atomic<std::uint64_t> prefix_{0};
  std::atomic<bool> ever_marked_{false};
};

[[nodiscard]] WaitSet& wait_set() noexcept;

}  // namespace socks64::shim

#endif
