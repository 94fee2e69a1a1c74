// The truth about descriptors.
//
// A program copies, closes and reuses descriptors as it likes, from several threads, in forked
// children, in the strange half-child of a vfork, and sometimes by ways no hook sees (fclose, raw
// system calls). The table has to survive all of it with these rules:
//
// 1. Looking up is lock-free and safe in a signal handler: a two-level array of atomics that only
// grows. Everything that changes more than one word takes lock_, whose critical sections neither
// wait nor allocate.
//
// 2. Entries are released *before* the descriptor is closed, so that another thread that is handed
// the same number by the kernel finds it clean. A pending handshake's own lock is taken for that,
// so that nobody is in the middle of a step on that number.
//
// 3. A close we did not see leaves a stale entry. socket() and epoll_create() wipe it; for other
// ways to get a descriptor a Connection keeps its socket's inode, checked before anything is done
// on its strength that the program could notice, and always before an octet is sent or read for a
// handshake.
//
// 4. Duplicates share one Connection and stand in a ring, so that the end of a handshake reaches
// the epoll registrations of them all.
//
// 5. A child made by vfork runs in its parent's memory: what it closes stays open in the parent, so
// it must change nothing here.
//
// 6. A forked child has its own copy of the table, but shares the sockets. So handshakes live in
// shared memory with a lock of their own and a generation: a process which finds that the slot of
// its handshake has changed hands knows that a relative finished it.
#include "descriptors/fd_table.hpp"

#include <algorithm>
#include <cerrno>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/file_status.hpp"
#include "process/runtime.hpp"

namespace socks64::shim {
FdTable& fd_table() noexcept {
  static constinit FdTable table;
  return table;
}

ino_t inode_of(int fd) noexcept {
  const ErrnoGuard guard;
  FileStatus status{};
  return status_of(fd, status) == 0 ? static_cast<ino_t>(status.st_ino) : 0;
}

bool in_unseen_child() noexcept {
  if (static_cast<pid_t>(syscall(SYS_getpid)) == noted_process_id()) {
    return false;
  }
  if (!take_unseen_fork()) {
    return true;
  }
  fd_table().after_unseen_fork();
  return false;
}

FdEntry* FdTable::find(int fd) const noexcept {
  const auto index = static_cast<std::size_t>(fd);
  if (fd < 0 || index / chunk_size >= chunk_count) {
    return nullptr;
  }
  FdEntry* chunk = chunks_[index / chunk_size].load(std::memory_order_acquire);
  return chunk == nullptr ? nullptr : chunk + index % chunk_size;
}

FdEntry* FdTable::make(int fd) noexcept {
  int highest = highest_.load(std::memory_order_relaxed);
  while (highest < fd && !highest_.compare_exchange_weak(highest, fd, std::memory_order_relaxed)) {
  }
  FdEntry* entry = find(fd);
  const auto index = static_cast<std::size_t>(fd);
  if (entry != nullptr || fd < 0 || index / chunk_size >= chunk_count) {
    return entry;
  }
  // Zeroed pages are valid entries: nothing connected, nothing registered, alone.
  constexpr std::size_t bytes = chunk_size * sizeof(FdEntry);
  const ErrnoGuard guard;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return nullptr;
  }
  FdEntry* expected = nullptr;
  if (!chunks_[index / chunk_size].compare_exchange_strong(expected, static_cast<FdEntry*>(memory),
                                                           std::memory_order_acq_rel)) {
    munmap(memory, bytes);
  }
  return find(fd);
}

Connection* FdTable::connection(int fd) const noexcept {
  const FdEntry* entry = find(fd);
  Connection* connection =
      entry == nullptr ? nullptr : entry->connection.load(std::memory_order_acquire);
  if (connection != nullptr &&
      connection->state.load(std::memory_order_acquire) == ConnectionState::spent) {
    return nullptr;
  }
  return connection;
}

Connection* FdTable::verified_connection(int fd) noexcept {
  Connection* connection = this->connection(fd);
  if (connection == nullptr || connection->has_inode(inode_of(fd))) {
    return connection;
  }
  release_stale(fd);
  return nullptr;
}

int FdTable::overdue(Nanoseconds time) noexcept {
  const TableGuard guard(lock_);
  if (!guard.held()) {
    return -1;
  }
  Nanoseconds next = never;
  for (std::uint32_t i = 0; i < connection_pool_.high_water(); ++i) {
    const Connection* connection = connection_pool_.at(i);
    const PendingHandshake* handshake = connection->handshake.load(std::memory_order_relaxed);
    if (handshake == nullptr || connection->references == 0) {
      continue;
    }
    if (handshake->deadline <= time) {
      return connection->fd;
    }
    next = std::min(next, handshake->deadline);
  }
  next_deadline_.store(next, std::memory_order_relaxed);
  return -1;
}

int FdTable::next_pending(std::uint32_t& cursor) noexcept {
  const TableGuard guard(lock_);
  while (guard.held() && cursor < connection_pool_.high_water()) {
    const Connection* connection = connection_pool_.at(cursor++);
    if (connection->references != 0 &&
        connection->handshake.load(std::memory_order_relaxed) != nullptr) {
      return connection->fd;
    }
  }
  return -1;
}

nfds_t FdTable::pending(pollfd* out, nfds_t most, std::uint32_t& cursor) noexcept {
  const TableGuard guard(lock_);
  const std::uint32_t end = connection_pool_.high_water();
  nfds_t used = 0;
  std::uint32_t seen = 0;
  for (; guard.held() && used < most && seen < end; ++seen) {
    cursor = cursor < end ? cursor : 0;
    const Connection& connection = *connection_pool_.at(cursor++);
    if (connection.references != 0 && !connection.from_parent &&
        connection.state.load(std::memory_order_relaxed) == ConnectionState::pending) {
      out[used++] = {connection.fd, connection.awaits.load(std::memory_order_relaxed), 0};
    }
  }
  return used;
}

}  // namespace socks64::shim
