// What happens to descriptors over time, and to whatever is registered for them: they are followed,
// connected, copied, closed, and inherited by a fork. The rules stand in fd_table.cpp.
#include <algorithm>
#include <cerrno>
#include <sys/syscall.h>
#include <unistd.h>

#include "descriptors/fd_table.hpp"
#include "descriptors/socket_swap.hpp"
#include "descriptors/wait_set.hpp"
#include "host/file_status.hpp"

namespace socks64::shim {

void FdTable::note(int fd, FdKind kind) noexcept {
  FdEntry* entry = kind == FdKind::other ? find(fd) : make(fd);
  if (entry == nullptr) {
    return;
  }
  if (entry->is_followed()) {
    if (in_unseen_child()) {
      return;
    }
    release(fd, Close::unseen);
  }
  entry->kind.store(kind, std::memory_order_relaxed);
  entry->waits.store(SetWaits::unknown, std::memory_order_relaxed);
}

void FdTable::unfollow(int fd) noexcept {
  const FdEntry* entry = find(fd);
  if (entry == nullptr || entry->kind.load(std::memory_order_relaxed) != FdKind::fresh_stream ||
      in_unseen_child()) {
    return;
  }
  const TableGuard guard(lock_);
  if (guard.held()) {
    for_each_duplicate(fd, [](int, FdEntry& each) {
      wait_set().forget(each);
      each.kind.store(FdKind::other, std::memory_order_relaxed);
      each.next_duplicate.store(0, std::memory_order_relaxed);
    });
  }
}

// When the pool is exhausted, what relatives abandoned long ago is taken back: a handshake past its
// deadline is failed by whoever still has it, so a minute later nobody has.
PendingHandshake* FdTable::reserve_handshake() noexcept {
  constexpr Nanoseconds grace = 60'000'000'000;
  PendingHandshake* handshake = handshake_pool_.allocate();
  if (handshake != nullptr || abandoned_ == 0) {
    return handshake;
  }
  const Nanoseconds time = now();
  std::uint32_t kept = 0;
  for (std::uint32_t index = abandoned_; index != 0;) {
    PendingHandshake* slot = handshake_pool_.at(index - 1);
    const std::uint32_t next = slot->next_abandoned;
    if (slot->deadline + grace < time) {
      slot->next_abandoned = 0;
      handshake_pool_.release(slot);
    } else {
      slot->next_abandoned = kept;
      kept = index;
    }
    index = next;
  }
  abandoned_ = kept;
  return handshake_pool_.allocate();
}

Connection* FdTable::reserve(ino_t inode) noexcept {
  static_cast<void>(in_unseen_child());  // a pool that is shared with a parent is not ours to use
  const WordGuard guard(lock_);
  Connection* connection = guard.held() ? connection_pool_.allocate() : nullptr;
  if (connection == nullptr) {
    return nullptr;
  }
  PendingHandshake* handshake = reserve_handshake();
  if (handshake == nullptr) {
    connection_pool_.release(connection);
    return nullptr;
  }
  // Unique over the family's lifetime, so that no relative takes a later handshake in the same slot
  // for its own.
  static constinit std::atomic<std::uint32_t> generations{0};
  const std::uint32_t generation = (static_cast<std::uint32_t>(noted_process_id()) << 16U) +
                                   (generations.fetch_add(1, std::memory_order_relaxed) & 0xffffU) +
                                   1;
  handshake->generation.store(generation, std::memory_order_release);
  handshake->inherited.store(false, std::memory_order_relaxed);
  connection->renew();
  connection->inode.store(inode, std::memory_order_relaxed);
  connection->generation.store(generation, std::memory_order_relaxed);
  connection->handshake.store(handshake, std::memory_order_release);
  connection->state.store(ConnectionState::pending, std::memory_order_release);
  return connection;
}

void FdTable::drop_stale_duplicates(int fd, ino_t inode) noexcept {
  for (bool again = true; again;) {
    int stale = -1;
    for_each_duplicate(fd, [&](int each, const FdEntry&) {
      if (each != fd && inode_of(each) != inode) {
        stale = each;
      }
    });
    again = stale >= 0;
    if (again) {
      release_locked(stale, *find(stale), Close::unseen);
    }
  }
}

int FdTable::publish(int fd, Connection& connection) noexcept {
  FdEntry* entry = make(fd);
  const WordGuard guard(lock_);
  int error = entry == nullptr || !guard.held() ? ENOMEM : 0;
  Connection* previous = error != 0 ? nullptr : entry->connection.load(std::memory_order_relaxed);
  if (previous != nullptr &&
      previous->state.load(std::memory_order_relaxed) != ConnectionState::spent) {
    error = EALREADY;  // another thread dials the same socket
  }
  if (error != 0) {
    connection.state.store(ConnectionState::spent, std::memory_order_relaxed);
    give_back_handshake(connection, false);
    connection_pool_.release(&connection);
    return error;
  }
  if (entry->next_duplicate.load(std::memory_order_relaxed) != 0) {
    drop_stale_duplicates(fd, connection.inode);
  }
  if (entry->kind.load(std::memory_order_relaxed) != FdKind::fresh_stream) {
    // Not from socket(), or connected without the gateway before.
    entry->kind.store(FdKind::fresh_stream, std::memory_order_relaxed);
    wait_set().discover(fd, *entry, connection.inode);
  }
  connection.fd = fd;
  for_each_duplicate(fd, [&](int, FdEntry& each) {
    if (Connection* old = each.connection.exchange(&connection, std::memory_order_acq_rel)) {
      drop_reference(*old);
    }
    ++connection.references;
    wait_set().mark(each);
  });
  unsettled_.fetch_add(1);
  connections_.fetch_add(1);
  expect_deadline(connection.handshake.load(std::memory_order_relaxed)->deadline);
  return 0;
}

// The slot goes back to the pool of the process that made it; whoever else still refers to it sees
// another generation. One that is abandoned while a relative may go on with it waits in a list.
void FdTable::give_back_handshake(Connection& connection, bool abandoned) noexcept {
  PendingHandshake* handshake = connection.handshake.exchange(nullptr, std::memory_order_acq_rel);
  if (handshake == nullptr) {
    return;
  }
  if (abandoned && handshake->inherited.load(std::memory_order_relaxed)) {
    if (!connection.from_parent) {
      handshake->next_abandoned = abandoned_;
      abandoned_ = handshake_pool_.index_of(handshake) + 1;
    }
    return;
  }
  std::uint32_t ours = connection.generation.load(std::memory_order_relaxed);
  handshake->generation.compare_exchange_strong(ours, 0, std::memory_order_acq_rel);
  if (!connection.from_parent) {
    handshake_pool_.release(handshake);
  }
}

void FdTable::settle(int fd, Connection& connection, std::uint32_t generation, int error) noexcept {
  settle(fd, connection, generation, error, false);
}

void FdTable::settle_lost(int fd, Connection& connection, std::uint32_t generation) noexcept {
  settle(fd, connection, generation, ECONNABORTED, true);
}

void FdTable::settle(int fd, Connection& connection, std::uint32_t generation, int error,
                     bool lost) noexcept {
  const WordGuard guard(lock_);
  if (!guard.held() || connection.generation.load(std::memory_order_relaxed) != generation ||
      connection.state.load(std::memory_order_relaxed) != ConnectionState::pending) {
    return;
  }
  connection.error.store(error, std::memory_order_relaxed);
  connection.state.store(error == 0 ? ConnectionState::established : ConnectionState::failed,
                         std::memory_order_release);
  for_each_duplicate(fd, [](int, FdEntry& each) { wait_set().restore(each); });
  give_back_handshake(connection, lost);
  if (error == 0) {
    unsettled_.fetch_sub(1);
  }
}

bool FdTable::spend(Connection& connection) noexcept {
  ConnectionState failed = ConnectionState::failed;
  if (!connection.state.compare_exchange_strong(failed, ConnectionState::spent)) {
    return false;
  }
  unsettled_.fetch_sub(1);
  return true;
}

void FdTable::drop_reference(Connection& connection) noexcept {
  if (--connection.references != 0) {
    return;
  }
  const ConnectionState state =
      connection.state.exchange(ConnectionState::spent, std::memory_order_acq_rel);
  if (state == ConnectionState::pending || state == ConnectionState::failed) {
    unsettled_.fetch_sub(1);
  }
  give_back_handshake(connection, true);
  forget_swap(connection);
  connections_.fetch_sub(1);
  connection_pool_.release(&connection);
}

void FdTable::detach(int fd, Connection& connection) noexcept {
  const TableGuard guard(lock_);
  if (!guard.held()) {
    return;
  }
  for_each_duplicate(fd, [&](int, FdEntry& each) {
    Connection* ours = &connection;
    if (each.connection.compare_exchange_strong(ours, nullptr, std::memory_order_acq_rel)) {
      wait_set().restore(each);
      drop_reference(connection);
    }
  });
}

void FdTable::leave_ring(int fd, FdEntry& entry) noexcept {
  const int next = entry.next_duplicate.exchange(0, std::memory_order_relaxed);
  if (next == 0) {
    return;
  }
  FdEntry* previous = find(next - 1);
  while (previous->next_duplicate.load(std::memory_order_relaxed) != fd + 1) {
    previous = find(previous->next_duplicate.load(std::memory_order_relaxed) - 1);
  }
  // A ring of one is nobody's ring.
  const bool alone = previous == find(next - 1);
  previous->next_duplicate.store(alone ? 0 : next, std::memory_order_relaxed);
}

void FdTable::release_locked(int fd, FdEntry& entry, Close how) noexcept {
  const int next = entry.next_duplicate.load(std::memory_order_relaxed);
  const FdKind kind = entry.kind.exchange(FdKind::other, std::memory_order_relaxed);
  if (kind == FdKind::epoll) {
    wait_set().epoll_closed(fd, next == 0 ? -1 : next - 1);
  }
  if (how == Close::unseen) {
    wait_set().restore(entry);
  }
  wait_set().forget(entry);
  leave_ring(fd, entry);
  if (Connection* connection = entry.connection.exchange(nullptr, std::memory_order_acq_rel)) {
    if (connection->fd == fd && next != 0) {
      connection->fd = next - 1;
    }
    drop_reference(*connection);
  }
  if (DnsLink* link = entry.dns.exchange(nullptr, std::memory_order_acq_rel)) {
    drop(*link);
  }
}

void FdTable::release(int fd, Close how) noexcept {
  FdEntry* entry = find(fd);
  if (entry == nullptr || !entry->is_followed() || in_unseen_child()) {
    return;
  }
  const SignalBlock signals;
  const Connection* connection = entry->connection.load(std::memory_order_acquire);
  PendingHandshake* handshake =
      connection == nullptr ? nullptr : connection->handshake.load(std::memory_order_acquire);
  // Not while somebody is in the middle of a step. (Not held: we are that somebody.)
  const bool locked = handshake != nullptr && handshake->lock.lock();
  {
    const WordGuard guard(lock_);
    if (guard.held()) {
      release_locked(fd, *entry, how);
    }
  }
  if (locked) {
    handshake->lock.unlock();
  }
}

void FdTable::release(int fd) noexcept {
  release(fd, Close::seen);
}

void FdTable::release_stale(int fd) noexcept {
  release(fd, Close::unseen);
}

void FdTable::release_range(unsigned first, unsigned last) noexcept {
  const auto top = static_cast<unsigned>(std::max(highest(), 0));
  for (unsigned fd = first; fd <= std::min(last, top); ++fd) {
    release(static_cast<int>(fd));
  }
}

void FdTable::duplicate(int original, int copy) noexcept {
  if (original == copy) {
    return;
  }
  release(copy);
  FdEntry* source = find(original);
  if (source == nullptr || !source->is_followed() || in_unseen_child()) {
    return;
  }
  FdEntry* to = make(copy);
  const TableGuard guard(lock_);
  if (to == nullptr || !guard.held() || to->is_followed()) {
    return;
  }
  to->kind.store(source->kind.load(std::memory_order_relaxed), std::memory_order_relaxed);
  to->waits.store(source->waits.load(std::memory_order_relaxed), std::memory_order_relaxed);
  Connection* connection = source->connection.load(std::memory_order_relaxed);
  if (connection != nullptr) {
    ++connection->references;
    to->connection.store(connection, std::memory_order_release);
  }
  if (DnsLink* link = source->dns.load(std::memory_order_relaxed)) {
    share(*link);
    to->dns.store(link, std::memory_order_release);
  }
  const int next = source->next_duplicate.load(std::memory_order_relaxed);
  to->next_duplicate.store(next == 0 ? original + 1 : next, std::memory_order_relaxed);
  source->next_duplicate.store(copy + 1, std::memory_order_relaxed);
}

// A handler that left by longjmp between here and the end of fork() would leave the lock behind.
void FdTable::before_fork() noexcept {
  const std::uint64_t signals = block_signals();
  forking_ = lock_.lock();
  signals_before_fork_ = signals;
  for (std::uint32_t i = 0; i < connection_pool_.high_water(); ++i) {
    const Connection* connection = connection_pool_.at(i);
    if (PendingHandshake* handshake = connection->handshake.load(std::memory_order_relaxed)) {
      handshake->inherited.store(true, std::memory_order_relaxed);
    }
  }
}

void FdTable::after_fork_in_parent() noexcept {
  const std::uint64_t signals = signals_before_fork_;
  if (forking_) {
    lock_.unlock();
  }
  restore_signals(signals);
}

void FdTable::after_unseen_fork() noexcept {
  for (std::uint32_t i = 0; i < connection_pool_.high_water(); ++i) {
    const Connection* connection = connection_pool_.at(i);
    if (PendingHandshake* handshake = connection->handshake.load(std::memory_order_relaxed)) {
      handshake->inherited.store(true, std::memory_order_relaxed);
    }
  }
  become_child();
}

void FdTable::after_fork_in_child() noexcept {
  const std::uint64_t signals = signals_before_fork_;
  become_child();
  restore_signals(signals);
}

void FdTable::become_child() noexcept {
  lock_.reset();
  for (std::uint32_t i = 0; i < connection_pool_.high_water(); ++i) {
    Connection* connection = connection_pool_.at(i);
    if (connection->handshake.load(std::memory_order_relaxed) != nullptr) {
      connection->from_parent = true;
    }
  }
  handshake_pool_.abandon();
  abandoned_ = 0;
}

}  // namespace socks64::shim
