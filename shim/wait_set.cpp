// epoll and a pending handshake.
//
// While the handshake runs on the program's own socket, the kernel would report that socket
// writable when the *gateway* accepted, and readable for each of the gateway's answers. The program
// must see neither, yet somebody must wake up for them. So as long as a handshake is pending, the
// kernel's registration of the socket does not carry the program's events and data but ours:
//
// events: EPOLLIN | EPOLLOUT | EPOLLET, an edge for every step of the handshake, nothing in
// between. With level-triggered marks each step would cost an EPOLL_CTL_MOD, and idle waiters would
// be woken over and over.
//
// data: a mark, made of a random prefix, a generation, and the index of our record of the program's
// registration.
//
// A wait that gets a marked event advances the handshake and waits again for the rest of its time
// (hook_wait.cpp). Whatever thread is in epoll_wait serves whatever handshake is due: no thread of
// ours is needed. At the end EPOLL_CTL_MOD puts the program's events and data in; MOD makes the
// kernel look at the socket anew, so the program gets its edge even with EPOLLET, and EPOLLONESHOT
// is armed.
//
// To have something to put back, registrations are recorded for TCP sockets from socket() on: Asio
// and others register first. A socket that is connected without the gateway is not followed any
// more, and epoll_ctl goes straight to the kernel; one that goes through the gateway stays
// recorded, since it may be disconnected with connect(AF_UNSPEC) and dialled again.
//
// A mark that another thread harvested just before the handshake ended finds its registration
// unmarked, or of another generation, and is dropped: nothing is lost, because MOD has already
// queued the program's own event.
//
// The kernel lets EPOLLEXCLUSIVE be set by EPOLL_CTL_ADD only, and refuses to MOD such a
// registration: those are removed and added again.
//
// A nested epoll set wakes its outer set for marked events too. The program then finds the inner
// set empty: a spurious wake-up, which epoll(7) tells programs to expect.
//
// A program's own data can look like one of our marks only if it is an arbitrary 64-bit number:
// pointers, descriptors and small numbers never do, since the prefix has the two top bits 01, which
// no address or int has. Of arbitrary numbers, one in 2^28 has the prefix, and then must also hold
// the index of a record that exists; such a registration would go unheard.
#include "wait_set.hpp"

#include <memory>
#include <sys/syscall.h>
#include <unistd.h>

#include "gateway_link.hpp"
#include "hook_table.hpp"

namespace socks64::shim {
namespace {

constexpr unsigned index_bits = 20;
constexpr unsigned generation_bits = 16;
constexpr std::uint64_t index_mask = (std::uint64_t{1} << index_bits) - 1;
constexpr std::uint64_t generation_mask = (std::uint64_t{1} << generation_bits) - 1;
constexpr unsigned prefix_shift = index_bits + generation_bits;

// What descriptor_of() says of data that is no live mark.
constexpr int stale = -1;     ///< was one
constexpr int not_ours = -2;  ///< never was one

}  // namespace

WaitSet& wait_set() noexcept {
  static constinit WaitSet set;
  return set;
}

WaitSet::Registration* WaitSet::find(const FdEntry& entry, int epfd) const noexcept {
  for (std::uint32_t index = entry.registrations.load(std::memory_order_relaxed); index != 0;) {
    Registration* registration = pool_.at(index - 1);
    // Duplicates of an epoll descriptor are one set.
    bool same = registration->epfd == epfd;
    if (!same) {
      fd_table().for_each_duplicate(
          epfd, [&](int each, const FdEntry&) { same = same || registration->epfd == each; });
    }
    if (same) {
      return registration;
    }
    index = registration->next;
  }
  return nullptr;
}

void WaitSet::drop(FdEntry& entry, Registration& registration) noexcept {
  const std::uint32_t index = pool_.index_of(&registration) + 1;
  if (entry.registrations.load(std::memory_order_relaxed) == index) {
    entry.registrations.store(registration.next, std::memory_order_relaxed);
  } else {
    Registration* before = pool_.at(entry.registrations.load(std::memory_order_relaxed) - 1);
    while (before->next != index) {
      before = pool_.at(before->next - 1);
    }
    before->next = registration.next;
  }
  registration.epfd = -1;
  registration.marked = false;
  ++registration.generation;
  pool_.release(&registration);
}

bool WaitSet::is_mark(std::uint64_t data) const noexcept {
  return data >> prefix_shift == prefix_.load(std::memory_order_relaxed);
}

epoll_event WaitSet::marked_event(Registration& registration) noexcept {
  if (prefix_.load(std::memory_order_relaxed) == 0) {
    std::uint64_t random = 0;
    const ErrnoGuard guard;
    if (syscall(SYS_getrandom, &random, sizeof(random), 0) != sizeof(random)) {
      random = reinterpret_cast<std::uintptr_t>(this) * 0x9e3779b97f4a7c15U;
    }
    prefix_.store((random >> prefix_shift >> 2U) | std::uint64_t{1} << (64 - prefix_shift - 2),
                  std::memory_order_relaxed);
  }
  ever_marked_.store(true, std::memory_order_release);
  registration.marked = true;
  ++registration.generation;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLET;
  event.data.u64 = prefix_.load(std::memory_order_relaxed) << prefix_shift |
                   (registration.generation & generation_mask) << index_bits |
                   pool_.index_of(&registration);
  return event;
}

int WaitSet::descriptor_of(std::uint64_t mark) noexcept {
  const WordGuard guard(fd_table().lock());
  const auto index = static_cast<std::uint32_t>(mark & index_mask);
  if (index >= pool_.high_water()) {
    return not_ours;
  }
  const Registration* registration = pool_.at(index);
  const bool live =
      registration->epfd >= 0 && registration->marked &&
      (registration->generation & generation_mask) == ((mark >> index_bits) & generation_mask);
  return live ? registration->fd : stale;
}

// The lock is held around the kernel's call only for a pending socket, whose handshake may end at
// any moment. Otherwise the kernel goes first and the record follows.
int WaitSet::control(int epfd, int operation, int fd, epoll_event* event) noexcept {
  FdEntry* entry = fd_table().find(fd);
  const Connection* connection = fd_table().verified_connection(fd);
  if (entry == nullptr || !entry->is_followed()) {
    return libc::epoll_ctl(epfd, operation, fd, event);
  }
  if (connection == nullptr || connection->state.load() != ConnectionState::pending) {
    const int result = libc::epoll_ctl(epfd, operation, fd, event);
    if (result == 0) {
      const WordGuard guard(fd_table().lock());
      Registration* registration = guard.held() ? find(*entry, epfd) : nullptr;
      if (operation == EPOLL_CTL_DEL) {
        if (registration != nullptr) {
          drop(*entry, *registration);
        }
      } else if (guard.held()) {
        registration = registration != nullptr ? registration : add(*entry, epfd, fd);
        if (registration != nullptr) {
          registration->program = *event;
        }
      }
    }
    return result;
  }
  const SignalBlock signals;
  const WordGuard guard(fd_table().lock());
  Registration* registration = guard.held() ? find(*entry, epfd) : nullptr;
  if (!guard.held() || event == nullptr || operation == EPOLL_CTL_DEL) {
    const int result = libc::epoll_ctl(epfd, operation, fd, event);
    if (result == 0 && registration != nullptr) {
      drop(*entry, *registration);
    }
    return result;
  }
  if (registration != nullptr && operation == EPOLL_CTL_MOD && registration->marked) {
    // The kernel keeps our mark; it would have refused exactly this.
    if (((event->events | registration->program.events) & EPOLLEXCLUSIVE) != 0) {
      errno = EINVAL;
      return -1;
    }
    registration->program = *event;
    return 0;
  }
  const bool added = registration == nullptr;
  registration = added ? add(*entry, epfd, fd) : registration;
  if (registration == nullptr) {
    return libc::epoll_ctl(epfd, operation, fd, event);  // no room: this one shows its handshake
  }
  // The handshake may have ended while we waited for the lock; a mark would stay for ever then.
  const bool pending = connection->state.load() == ConnectionState::pending;
  const Registration before = *registration;
  epoll_event marked{};
  if (pending) {
    marked = marked_event(*registration);
  }
  const int result = libc::epoll_ctl(epfd, operation, fd, pending ? &marked : event);
  if (result == 0) {
    registration->program = *event;
  } else if (added) {
    drop(*entry, *registration);
  } else {
    *registration = before;  // EEXIST: what the kernel has stays valid
  }
  return result;
}

WaitSet::Registration* WaitSet::add(FdEntry& entry, int epfd, int fd) noexcept {
  Registration* registration = pool_.allocate();
  if (registration == nullptr) {
    return nullptr;
  }
  const std::uint32_t generation = registration->generation;
  std::construct_at(registration);
  registration->generation = generation;
  registration->epfd = epfd;
  registration->fd = fd;
  registration->next = entry.registrations.load(std::memory_order_relaxed);
  entry.registrations.store(pool_.index_of(registration) + 1, std::memory_order_relaxed);
  return registration;
}

void WaitSet::mark(FdEntry& entry) noexcept {
  const ErrnoGuard errno_guard;
  for (std::uint32_t index = entry.registrations.load(std::memory_order_relaxed); index != 0;) {
    Registration* registration = pool_.at(index - 1);
    index = registration->next;
    if (registration->marked) {
      continue;
    }
    epoll_event event = marked_event(*registration);
    int operation = EPOLL_CTL_MOD;
    if ((registration->program.events & EPOLLEXCLUSIVE) != 0) {
      libc::epoll_ctl(registration->epfd, EPOLL_CTL_DEL, registration->fd, nullptr);
      operation = EPOLL_CTL_ADD;
    }
    if (libc::epoll_ctl(registration->epfd, operation, registration->fd, &event) != 0) {
      drop(entry, *registration);  // the set was closed behind our back
    }
  }
}

void WaitSet::restore(FdEntry& entry) noexcept {
  const ErrnoGuard errno_guard;
  for (std::uint32_t index = entry.registrations.load(std::memory_order_relaxed); index != 0;) {
    Registration* registration = pool_.at(index - 1);
    index = registration->next;
    if (!registration->marked) {
      continue;
    }
    registration->marked = false;
    int operation = EPOLL_CTL_MOD;
    if ((registration->program.events & EPOLLEXCLUSIVE) != 0) {
      libc::epoll_ctl(registration->epfd, EPOLL_CTL_DEL, registration->fd, nullptr);
      operation = EPOLL_CTL_ADD;
    }
    if (libc::epoll_ctl(registration->epfd, operation, registration->fd, &registration->program) !=
        0) {
      drop(entry, *registration);
    }
  }
}

void WaitSet::take_out(const FdEntry& entry) noexcept {
  const ErrnoGuard errno_guard;
  for (std::uint32_t index = entry.registrations.load(std::memory_order_relaxed); index != 0;) {
    const Registration* registration = pool_.at(index - 1);
    libc::epoll_ctl(registration->epfd, EPOLL_CTL_DEL, registration->fd, nullptr);
    index = registration->next;
  }
}

void WaitSet::put_in(FdEntry& entry) noexcept {
  const ErrnoGuard errno_guard;
  for (std::uint32_t index = entry.registrations.load(std::memory_order_relaxed); index != 0;) {
    Registration* registration = pool_.at(index - 1);
    index = registration->next;
    epoll_event event = registration->marked ? marked_event(*registration) : registration->program;
    if (libc::epoll_ctl(registration->epfd, EPOLL_CTL_ADD, registration->fd, &event) != 0) {
      drop(entry, *registration);
    }
  }
}

void WaitSet::forget(FdEntry& entry) noexcept {
  while (const std::uint32_t index = entry.registrations.load(std::memory_order_relaxed)) {
    drop(entry, *pool_.at(index - 1));
  }
}

void WaitSet::epoll_closed(int epfd, int duplicate) noexcept {
  for (std::uint32_t index = 0; index < pool_.high_water(); ++index) {
    Registration* registration = pool_.at(index);
    if (registration->epfd != epfd) {
      continue;
    }
    if (duplicate >= 0) {
      registration->epfd = duplicate;
    } else if (FdEntry* entry = fd_table().find(registration->fd)) {
      drop(*entry, *registration);
    }
  }
}

int WaitSet::filter(epoll_event* events, int count) noexcept {
  int kept = 0;
  for (int i = 0; i < count; ++i) {
    const epoll_event event = events[i];
    if (!is_mark(event.data.u64)) {
      events[kept++] = event;
      continue;
    }
    const int fd = descriptor_of(event.data.u64);
    if (fd == not_ours) {
      events[kept++] = event;
    } else if (fd != stale) {
      static_cast<void>(drive(fd));
    }
  }
  return kept;
}

}  // namespace socks64::shim
