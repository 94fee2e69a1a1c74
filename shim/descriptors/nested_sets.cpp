// Sets inside sets, and sets in poll and select. See wait_set.cpp.
#include <algorithm>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "descriptors/wait_set.hpp"
#include "host/hook_table.hpp"

namespace socks64::shim {
namespace {

/// The kernel's own limit of sets inside sets.
constexpr unsigned deepest = 5;

bool is_readable_now(int epfd) noexcept {
  pollfd set{epfd, POLLIN, 0};
  const timespec at_once{};
  return syscall(SYS_ppoll, &set, 1, &at_once, nullptr, std::size_t{0}) != 0;
}

}  // namespace

WaitSet::Holds WaitSet::next_held(int epfd, std::uint32_t& index, Registration& out) noexcept {
  const TableGuard guard(fd_table().lock());
  while (guard.held() && index < pool_.high_water()) {
    const Registration& registration = *pool_.at(index++);
    if ((registration.marked || registration.is_set) && is_same_set(registration.epfd, epfd)) {
      out = registration;
      return registration.is_set ? Holds::sets : Holds::marks;
    }
  }
  return Holds::nothing;
}

bool WaitSet::holds_marks(int epfd, unsigned depth) noexcept {
  const FdEntry* entry = fd_table().find(epfd);
  if (marked_.load(std::memory_order_relaxed) == 0 || entry == nullptr ||
      entry->kind.load(std::memory_order_relaxed) != FdKind::epoll) {
    return false;
  }
  Registration held;
  for (std::uint32_t index = 0;;) {
    const Holds what = next_held(epfd, index, held);
    if (what != Holds::sets) {
      return what == Holds::marks;
    }
    if (depth < deepest && holds_marks(held.fd, depth + 1)) {
      return true;
    }
  }
}

bool WaitSet::holds_marks(int epfd) noexcept {
  if (bare_.load(std::memory_order_relaxed) != 0) {
    const FdEntry* entry = fd_table().find(epfd);
    if (entry != nullptr && entry->kind.load(std::memory_order_relaxed) == FdKind::epoll) {
      serve(epfd);
    }
  }
  return holds_marks(epfd, 0);
}

/// The mark asks for what the handshake waits for, and for nothing else.
void WaitSet::narrow(std::uint32_t index, const Registration& seen, short events) noexcept {
  const ErrnoGuard errno_guard;
  const TableGuard guard(fd_table().lock());
  Registration& registration = *pool_.at(index);
  if (!guard.held() || !registration.marked || registration.generation != seen.generation ||
      registration.narrowed == events) {
    return;
  }
  registration.narrowed = events;
  epoll_event event{};
  event.events = static_cast<std::uint32_t>(events) | EPOLLET;  // POLLIN is EPOLLIN
  event.data.u64 = mark_of(registration);
  libc::epoll_ctl(registration.epfd, EPOLL_CTL_MOD, registration.fd, &event);
}

void WaitSet::advance(int epfd, unsigned depth, Drive drive) noexcept {
  Registration held;
  for (std::uint32_t index = 0;;) {
    const Holds what = next_held(epfd, index, held);
    if (what == Holds::nothing) {
      return;
    }
    if (what == Holds::marks) {
      const Progress progress = drive(held.fd, {});
      if (progress.state == Progress::State::pending) {
        narrow(index - 1, held, progress.events);
      }
    } else if (depth < deepest) {
      advance(held.fd, depth + 1, drive);
    }
  }
}

void WaitSet::advance(int epfd, Drive drive) noexcept {
  advance(epfd, 0, drive);
}

bool WaitSet::is_readable_set(int epfd, Drive drive) noexcept {
  const ErrnoGuard errno_guard;
  // Twice: the gateway may have answered meanwhile.
  for (int tries = 0; tries < 2 && holds_marks(epfd); ++tries) {
    advance(epfd, drive);
    if (!is_readable_now(epfd)) {
      return false;
    }
  }
  return is_readable_now(epfd);
}

bool WaitSet::keeps(int epfd, const epoll_event& event, Drive drive) noexcept {
  if (nested_.load(std::memory_order_relaxed) == 0 ||
      marked_.load(std::memory_order_relaxed) == 0 || (event.events & EPOLLIN) == 0) {
    return true;
  }
  bool dropped = false;
  Registration held;
  for (std::uint32_t index = 0;;) {
    const Holds what = next_held(epfd, index, held);
    if (what == Holds::nothing) {
      return !dropped;
    }
    if (what != Holds::sets || held.program.data.u64 != event.data.u64) {
      continue;
    }
    if (is_readable_set(held.fd, drive)) {
      return true;
    }
    dropped = true;
    if ((held.program.events & EPOLLONESHOT) != 0) {
      const ErrnoGuard errno_guard;
      libc::epoll_ctl(held.epfd, EPOLL_CTL_MOD, held.fd, &held.program);
    }
  }
}

}  // namespace socks64::shim
