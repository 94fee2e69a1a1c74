// epoll while a handshake is pending: recorded registrations, and the marks that stand in for them.
// See wait_set.cpp.
#ifndef SOCKS64_SHIM_WAIT_SET_HPP
#define SOCKS64_SHIM_WAIT_SET_HPP

#include <atomic>
#include <cstdint>
#include <sys/epoll.h>

#include "descriptors/fd_table.hpp"
#include "descriptors/progress.hpp"
#include "host/mapped_pool.hpp"

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
  /// Records the registrations of a socket that was not followed while they were made. Same
  /// precondition.
  void discover(int fd, FdEntry& entry, ino_t inode) noexcept;
  /// Puts the program's own events and data back; the kernel then reports readiness afresh. Same
  /// precondition.
  void restore(FdEntry& entry) noexcept;
  /// Before and after another file is put under the descriptor: its registrations leave the
  /// kernel's sets, and come back as they were, marked or not. Same precondition.
  void take_out(const FdEntry& entry) noexcept;
  void put_in(FdEntry& entry) noexcept;
  /// A hooked wait is about to serve `epfd`: from now on its pending sockets are marked. Nearly
  /// free once that is known.
  void serve(int epfd) noexcept {
    const FdEntry* entry = fd_table().find(epfd);
    if (entry == nullptr || entry->waits.load(std::memory_order_relaxed) != SetWaits::hooked ||
        bare_.load(std::memory_order_relaxed) != 0) {
      serve_slowly(epfd, 0);
    }
  }
  /// Notes that the program waits for this set by system calls that no hook sees, unless a hooked
  /// wait has served it.
  void note_raw(int epfd) noexcept;
  /// How the program waits in the sets where `fd` is registered without a mark while it is pending:
  /// hooked if there is no such set, raw if it is for one of them.
  [[nodiscard]] SetWaits waits_for_bare(int fd) noexcept;
  /// Whether `fd` is registered in a set that no hooked wait has served.
  [[nodiscard]] bool any_unserved(int fd) noexcept;
  /// note_raw() for every set where `fd` is registered.
  void note_raw_for(int fd) noexcept;
  /// There are sets, and no hooked wait has served any.
  [[nodiscard]] bool none_served() const noexcept {
    return any_set_.load(std::memory_order_relaxed) && !any_served_.load(std::memory_order_relaxed);
  }
  /// A set was made.
  void note_set() noexcept { any_set_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] static SetWaits waits_of(int epfd) noexcept {
    const FdEntry* entry = fd_table().find(epfd);
    return entry == nullptr ? SetWaits::unknown : entry->waits.load(std::memory_order_relaxed);
  }

  /// Drops the records of a descriptor. Same precondition.
  void forget(FdEntry& entry) noexcept;
  /// `epfd` is about to be closed: its records go on under `duplicate`, or end if that is -1. Same
  /// precondition.
  void epoll_closed(int epfd, int duplicate) noexcept;

  /// Takes marked events out of what the kernel reported of `epfd`, and advances their handshakes;
  /// takes out sets inside `epfd` that are readable for nothing but marks. Returns how many events
  /// are left.
  int filter(int epfd, epoll_event* events, int count, Drive drive) noexcept;

  /// Leaves out what is marked in any set: a hooked wait there is woken for it. Returns how many
  /// are left.
  [[nodiscard]] nfds_t without_marked(pollfd* fds, nfds_t count) noexcept;

  /// A set that holds marks, in itself or in a set inside it: the kernel calls it readable for a
  /// step of a handshake too. Cheap when nothing is marked.
  [[nodiscard]] bool holds_marks(int epfd) noexcept;
  /// Whether such a set is readable for the program. Advances the handshakes that it is readable
  /// for otherwise. Leaves errno alone.
  [[nodiscard]] bool is_readable_set(int epfd, Drive drive) noexcept;
  /// Advances the handshakes in such a set.
  void advance(int epfd, Drive drive) noexcept;

 private:
  struct Registration {
    epoll_event program{};  ///< what the program registered
    int epfd = -1;          ///< -1: the slot is free
    int fd = -1;
    std::uint32_t generation =
        0;  ///< grows with every mark, so that a stale one is not taken for a new one
    std::uint32_t next = 0;  ///< of the same descriptor, index + 1
    bool marked = false;
    bool spent = false;   ///< a oneshot that had fired before it was marked
    bool is_set = false;  ///< `fd` is an epoll set itself
    /// Pending without a mark, in a set that no hooked wait has served: the kernel has the
    /// program's own form,
    bool bare = false;
    bool out = false;    ///< or nothing at all
    short narrowed = 0;  ///< what the mark asks for, when that is not everything
  };

  [[nodiscard]] Registration* find(const FdEntry& entry, int epfd) const noexcept;
  /// Null when the pool is exhausted.
  [[nodiscard]] Registration* add(FdEntry& entry, int epfd, int fd) noexcept;
  void drop(FdEntry& entry, Registration& registration) noexcept;
  /// Duplicates of an epoll descriptor are one set. Precondition: fd_table().lock() is held.
  [[nodiscard]] static bool is_same_set(int one, int other) noexcept;
  [[nodiscard]] std::uint64_t mark_of(const Registration& registration) const noexcept;
  [[nodiscard]] epoll_event marked_event(Registration& registration) noexcept;
  /// The descriptor a live mark stands for, or -1.
  [[nodiscard]] int descriptor_of(std::uint64_t mark) noexcept;
  [[nodiscard]] static bool is_spent(const Registration& registration) noexcept;
  void make_bare(Registration& registration, bool out) noexcept;
  void end_bare(Registration& registration) noexcept;
  void serve_slowly(int epfd, unsigned depth) noexcept;
  void put(FdEntry& entry, Registration& registration, epoll_event event) noexcept;
  void record(FdEntry& entry, int epfd, int fd, const epoll_event& event) noexcept;

  enum class Holds : std::uint8_t { nothing, marks, sets };
  /// The next record of `epfd` at or behind `index` that is marked, or is a set; its descriptor and
  /// a copy of it.
  [[nodiscard]] Holds next_held(int epfd, std::uint32_t& index, Registration& out) noexcept;
  void narrow(std::uint32_t index, const Registration& seen, short events) noexcept;
  [[nodiscard]] bool holds_marks(int epfd, unsigned depth) noexcept;
  void advance(int epfd, unsigned depth, Drive drive) noexcept;
  [[nodiscard]] bool is_of_failed(int epfd, std::uint64_t data) noexcept;
  [[nodiscard]] bool keeps(int epfd, const epoll_event& event, Drive drive) noexcept;

  MappedPool<Registration, 1U << 18U> pool_;
  std::atomic<int> marked_{0};  ///< registrations that are marked
  std::atomic<int> nested_{0};  ///< registrations that are sets
  std::atomic<int> bare_{0};    ///< registrations that are bare
  std::atomic<bool> any_set_{false};
  std::atomic<bool> any_served_{false};
};

[[nodiscard]] WaitSet& wait_set() noexcept;

}  // namespace socks64::shim

#endif
