// What is true of each descriptor: which connection it belongs to, what else it is registered with.
// See fd_table.cpp.
#ifndef SOCKS64_SHIM_FD_TABLE_HPP
#define SOCKS64_SHIM_FD_TABLE_HPP

#include <array>
#include <atomic>
#include <cstdint>

#include "descriptors/connection.hpp"
#include "descriptors/dns_record.hpp"
#include "host/host_guard.hpp"
#include "host/mapped_pool.hpp"

namespace socks64::shim {

enum class FdKind : std::uint8_t {
  other,         ///< nothing we follow
  fresh_stream,  ///< made by socket() for TCP: its epoll registrations are recorded, until it is
                 ///< connected without the gateway
  epoll,         ///< made by epoll_create
};

/// How a program waits in an epoll set, as far as that is known.
enum class SetWaits : std::uint8_t {
  unknown,
  hooked,  ///< a hooked wait has served it
  raw,     ///< by system calls that no hook sees
};

struct FdEntry {
  std::atomic<Connection*> connection{nullptr};
  std::atomic<std::uint32_t> registrations{0};  ///< head of its epoll registrations, index + 1
  std::atomic<std::int32_t> next_duplicate{0};  ///< ring of duplicates: descriptor + 1; 0: alone
  std::atomic<FdKind> kind{FdKind::other};
  std::atomic<SetWaits> waits{SetWaits::unknown};  ///< of an epoll set
  std::atomic<DnsLink*> dns{nullptr};              ///< when it speaks with a resolver

  [[nodiscard]] bool is_followed() const noexcept {
    return kind.load(std::memory_order_relaxed) != FdKind::other ||
           connection.load(std::memory_order_relaxed) != nullptr ||
           dns.load(std::memory_order_relaxed) != nullptr ||
           next_duplicate.load(std::memory_order_relaxed) != 0;
  }
};

/// A lock and no signal handler: one that left by longjmp would leave the lock behind.
class TableGuard {
 public:
  explicit TableGuard(WordLock& lock) noexcept : guard_(lock) {}
  /// False: this thread holds the lock already, leave things as they are.
  [[nodiscard]] bool held() const noexcept { return guard_.held(); }

 private:
  SignalBlock signals_;
  WordGuard guard_;
};

class FdTable {
 public:
  constexpr FdTable() noexcept = default;

  /// Null for a descriptor nothing was ever noted of. Lock-free.
  [[nodiscard]] FdEntry* find(int fd) const noexcept;
  /// The same, made if need be; null when there is no memory. Lock-free.
  [[nodiscard]] FdEntry* make(int fd) noexcept;
  /// The connection of a descriptor, unless spent. Lock-free; does not look at the file behind it.
  [[nodiscard]] Connection* connection(int fd) const noexcept;
  /// The same, spent or not.
  [[nodiscard]] Connection* last_connection(int fd) const noexcept {
    const FdEntry* entry = find(fd);
    return entry == nullptr ? nullptr : entry->connection.load(std::memory_order_acquire);
  }
  /// As connection(), after checking that the descriptor still is the file it was (a close that we
  /// did not see may have changed it).
  [[nodiscard]] Connection* verified_connection(int fd) noexcept;
  /// No descriptor above has ever been noted.
  [[nodiscard]] int highest() const noexcept { return highest_.load(std::memory_order_relaxed); }

  /// Connections that are pending or have an error to deliver. 0 lets every hook go straight on.
  [[nodiscard]] bool any_unsettled() const noexcept {
    return unsettled_.load(std::memory_order_relaxed) != 0;
  }
  /// There is one such connection, and no other.
  [[nodiscard]] bool one_unsettled() const noexcept {
    return unsettled_.load(std::memory_order_relaxed) == 1;
  }
  /// Connections through the gateway, settled or not.
  [[nodiscard]] bool any_connection() const noexcept {
    return connections_.load(std::memory_order_relaxed) != 0;
  }

  /// After socket(), epoll_create(): forgets what an unseen close left behind, then notes the kind.
  void note(int fd, FdKind kind) noexcept;
  /// The socket went elsewhere without the gateway: it and its duplicates are not followed any
  /// more.
  void unfollow(int fd) noexcept;

  // A connection is made in two steps, so that no other thread sees it half made: reserve it, fill
  // it while holding its handshake's lock, publish it. Precondition of both: signals are blocked
  // (SignalBlock).

  /// A connection nobody sees yet, with a handshake's slot of a new generation. Null: no memory.
  [[nodiscard]] Connection* reserve(ino_t inode) noexcept;
  /// Makes it the connection of `fd` and its duplicates, and marks their epoll registrations. 0, or
  /// an errno and the reservation is given back: EALREADY when there is one, ENOMEM.
  [[nodiscard]] int publish(int fd, Connection& connection) noexcept;

  /// The handshake is over. Gives the slot back, and the program's epoll registrations their own
  /// form. Precondition: the caller holds the handshake's lock. `generation` is that of the
  /// handshake which ended: when the connection has another by now, the program closed the
  /// descriptor meanwhile, and nothing happens.
  void settle(int fd, Connection& connection, std::uint32_t generation, int error) noexcept;
  /// The same for this process alone, with ECONNABORTED: a relative took the handshake to another
  /// socket.
  void settle_lost(int fd, Connection& connection, std::uint32_t generation) noexcept;
  /// The program has been told of the failure. False when another thread was faster.
  bool spend(Connection& connection) noexcept;
  /// As if connect() had not been called.
  void detach(int fd, Connection& connection) noexcept;

  /// Before close(): the descriptor goes. Does nothing in the child of a vfork, whose memory is its
  /// parent's.
  void release(int fd) noexcept;
  void release_range(unsigned first, unsigned last) noexcept;
  /// The descriptor is another file by now: what is registered for the old one gets its own form
  /// back, in case a duplicate keeps that alive.
  void release_stale(int fd) noexcept;
  /// After dup() and kin: `copy` is what `original` is.
  void duplicate(int original, int copy) noexcept;

  /// When the first of the pending handshakes runs out of time, at the earliest.
  [[nodiscard]] Nanoseconds next_deadline() const noexcept {
    return next_deadline_.load(std::memory_order_relaxed);
  }
  /// A pending handshake has got this deadline.
  void expect_deadline(Nanoseconds deadline) noexcept {
    Nanoseconds next = next_deadline_.load(std::memory_order_relaxed);
    while (deadline < next && !next_deadline_.compare_exchange_weak(next, deadline)) {
    }
  }
  /// A descriptor whose handshake has run out of time, or -1.
  [[nodiscard]] int overdue(Nanoseconds time) noexcept;
  /// A descriptor with a pending handshake, another one with each call, or -1. `cursor` begins
  /// with 0, and a round is over when it does not grow.
  [[nodiscard]] int next_pending(std::uint32_t& cursor) noexcept;

  /// The pending handshakes that this process began, as poll(2) is to wait for them: up to `most`
  /// descriptors from `cursor` on, which moves and begins again with 0. Returns how many.
  [[nodiscard]] nfds_t pending(pollfd* out, nfds_t most, std::uint32_t& cursor) noexcept;

  /// Calls `visit(descriptor, entry)` for a descriptor that has an entry, and for its duplicates.
  /// Precondition: lock() is held.
  template <class Visit>
  void for_each_duplicate(int fd, Visit visit) const noexcept {
    int current = fd;
    do {
      FdEntry* entry = find(current);
      if (entry == nullptr) {
        return;
      }
      const int next = entry->next_duplicate.load(std::memory_order_relaxed);
      visit(current, *entry);
      current = next == 0 ? fd : next - 1;
    } while (current != fd);
  }

  /// Guards the rings, the pools and the registrations. Taken inside a handshake's lock, never
  /// around one.
  [[nodiscard]] WordLock& lock() noexcept { return lock_; }

  void before_fork() noexcept;
  void after_fork_in_parent() noexcept;
  void after_fork_in_child() noexcept;
  /// The same for a child whose parent did not hear of the fork.
  void after_unseen_fork() noexcept;

 private:
  /// What a child has to do, whichever way it was made.
  void become_child() noexcept;

  static constexpr std::size_t chunk_size = 1024;
  static constexpr std::size_t chunk_count = 1024;

  enum class Close : std::uint8_t { seen, unseen };

  [[nodiscard]] PendingHandshake* reserve_handshake() noexcept;
  void leave_ring(int fd, FdEntry& entry) noexcept;
  void drop_stale_duplicates(int fd, ino_t inode) noexcept;
  void drop_reference(Connection& connection) noexcept;
  void give_back_handshake(Connection& connection, bool abandoned) noexcept;
  void settle(int fd, Connection& connection, std::uint32_t generation, int error,
              bool lost) noexcept;
  void release(int fd, Close how) noexcept;
  void release_locked(int fd, FdEntry& entry, Close how) noexcept;

  std::array<std::atomic<FdEntry*>, chunk_count> chunks_{};
  std::atomic<int> highest_{-1};
  std::atomic<int> unsettled_{0};
  std::atomic<int> connections_{0};
  std::atomic<Nanoseconds> next_deadline_{never};
  WordLock lock_;
  // More than one gateway address has ephemeral ports for.
  MappedPool<Connection, 1U << 17U> connection_pool_;
  MappedPool<PendingHandshake, 1U << 14U, Sharing::shared_over_fork> handshake_pool_;
  std::uint32_t abandoned_ = 0;  ///< list of slots that a relative may still use, index + 1
  bool forking_ = false;
  std::uint64_t signals_before_fork_ = 0;
};

[[nodiscard]] FdTable& fd_table() noexcept;

/// The inode behind a descriptor, 0 if there is none.
[[nodiscard]] ino_t inode_of(int fd) noexcept;

/// In a child that shares its parent's memory (vfork, posix_spawn): what it does to its descriptors
/// is nothing to remember here. A child with a memory of its own that fork's handlers did not see
/// (a raw system call, _Fork) is taken over first, see
/// take_unseen_fork().
[[nodiscard]] bool in_unseen_child() noexcept;

}  // namespace socks64::shim

#endif
