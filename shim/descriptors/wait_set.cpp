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
// data: a mark, made of a prefix that is the same in every process, a generation, and the index of
// our record of the program's registration.
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
// A set inside a set, or in poll and select, is readable for marked events too. So sets are
// recorded like sockets, and where one is reported while it holds marks, its handshakes are
// advanced, their marks are narrowed to what the handshake waits for (so that what was readable for
// them is not any more), and the kernel is asked again: is_readable_set().
//
// A set may be in several hands: relatives inherit it, strangers get it over a UNIX socket. Each
// records what it registered itself. A mark that somebody else made says nothing to us, but it is
// known for a mark, and dropped; its edge is lost to its owner, who therefore looks after its
// handshakes from time to time while it waits (hook_wait.cpp).
//
// A oneshot that has fired before the connect began is off, and stays off: the kernel tells
// (epoll_info.hpp). At the end it keeps a mark that means nothing any more, as a oneshot again,
// since the kernel has no other way to say "nothing, not even errors".
//
// A program's own data can look like one of our marks only if it is an arbitrary 64-bit number:
// pointers, descriptors and small numbers never do, since the prefix has the two top bits 01, which
// no address or int has. Of arbitrary numbers, one in 2^36 has the prefix; such a registration
// would go unheard.
#include "descriptors/wait_set.hpp"

#include <memory>

#include "descriptors/epoll_info.hpp"
#include "host/hook_table.hpp"

namespace socks64::shim {
namespace {

constexpr unsigned index_bits = 20;
constexpr unsigned generation_bits = 8;
constexpr std::uint64_t index_mask = (std::uint64_t{1} << index_bits) - 1;
constexpr std::uint64_t generation_mask = (std::uint64_t{1} << generation_bits) - 1;
constexpr unsigned prefix_shift = index_bits + generation_bits;
constexpr std::uint64_t prefix = 0x5'c3a7'91e6;

/// Another one after each connect through the gateway.
std::uint32_t generation_of(int fd) noexcept {
  const Connection* last = fd_table().last_connection(fd);
  return last == nullptr ? 0 : last->generation.load(std::memory_order_relaxed);
}

constexpr bool is_mark(std::uint64_t data) noexcept {
  return data >> prefix_shift == prefix;
}

}  // namespace

bool WaitSet::is_same_set(int one, int other) noexcept {
  bool same = one == other;
  if (!same) {
    fd_table().for_each_duplicate(other,
                                  [&](int each, const FdEntry&) { same = same || one == each; });
  }
  return same;
}

WaitSet& wait_set() noexcept {
  static constinit WaitSet set;
  return set;
}

WaitSet::Registration* WaitSet::find(const FdEntry& entry, int epfd) const noexcept {
  for (std::uint32_t index = entry.registrations.load(std::memory_order_relaxed); index != 0;) {
    Registration* registration = pool_.at(index - 1);
    if (is_same_set(registration->epfd, epfd)) {
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
  if (registration.marked) {
    registration.marked = false;
    marked_.fetch_sub(1, std::memory_order_relaxed);
  }
  if (registration.is_set) {
    registration.is_set = false;
    nested_.fetch_sub(1, std::memory_order_relaxed);
  }
  end_bare(registration);
  ++registration.generation;
  pool_.release(&registration);
}

std::uint64_t WaitSet::mark_of(const Registration& registration) const noexcept {
  return prefix << prefix_shift | (registration.generation & generation_mask) << index_bits |
         pool_.index_of(&registration);
}

epoll_event WaitSet::marked_event(Registration& registration) noexcept {
  if (!registration.marked) {
    registration.marked = true;
    marked_.fetch_add(1, std::memory_order_relaxed);
  }
  ++registration.generation;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLET;
  event.data.u64 = mark_of(registration);
  registration.narrowed = 0;
  return event;
}

int WaitSet::descriptor_of(std::uint64_t mark) noexcept {
  const TableGuard guard(fd_table().lock());
  const auto index = static_cast<std::uint32_t>(mark & index_mask);
  if (index >= pool_.high_water()) {
    return -1;
  }
  const Registration* registration = pool_.at(index);
  const bool live =
      registration->epfd >= 0 && registration->marked &&
      (registration->generation & generation_mask) == ((mark >> index_bits) & generation_mask);
  return live ? registration->fd : -1;
}

void WaitSet::record(FdEntry& entry, int epfd, int fd, const epoll_event& event) noexcept {
  Registration* registration = find(entry, epfd);
  registration = registration != nullptr ? registration : add(entry, epfd, fd);
  if (registration != nullptr) {
    registration->program = event;
  }
}

// The lock is held around the kernel's call only for a pending socket, whose handshake may end at
// any moment. Otherwise the kernel goes first and the record follows; a connect that began between
// the two has found nothing to mark, or what was there before, and may be over already: the kernel
// is told again then.
int WaitSet::control(int epfd, int operation, int fd, epoll_event* event) noexcept {
  FdEntry* entry = fd_table().find(fd);
  const std::uint32_t before = generation_of(fd);
  const Connection* connection = fd_table().verified_connection(fd);
  if (entry == nullptr || !entry->is_followed()) {
    return libc::epoll_ctl(epfd, operation, fd, event);
  }
  if (connection == nullptr || connection->state.load() != ConnectionState::pending) {
    const int before_call = errno;
    const int result = libc::epoll_ctl(epfd, operation, fd, event);
    const TableGuard guard(fd_table().lock());
    if (result != 0 && errno == ENOENT && guard.held() && operation != EPOLL_CTL_ADD) {
      // A connect that began meanwhile has taken it out of the set for a moment: to the program it
      // is there.
      Registration* registration = find(*entry, epfd);
      if (registration == nullptr || !registration->out) {
        return result;
      }
      if (operation == EPOLL_CTL_DEL) {
        drop(*entry, *registration);
      } else {
        registration->program = *event;
      }
      errno = before_call;
      return 0;
    }
    if (result != 0 || !guard.held()) {
      return result;
    }
    if (operation != EPOLL_CTL_DEL) {
      record(*entry, epfd, fd, *event);
      Registration* registration = generation_of(fd) != before ? find(*entry, epfd) : nullptr;
      if (registration != nullptr) {
        const ErrnoGuard errno_guard;
        connection = fd_table().connection(fd);
        const bool pending =
            connection != nullptr && connection->state.load() == ConnectionState::pending;
        if (pending && waits_of(epfd) != SetWaits::hooked) {
          make_bare(*registration, false);
        } else {
          put(*entry, *registration, pending ? marked_event(*registration) : *event);
        }
      }
    } else if (Registration* registration = find(*entry, epfd)) {
      drop(*entry, *registration);
    }
    return result;
  }
  const bool wrong = operation != EPOLL_CTL_DEL && !is_readable(event, sizeof(*event));
  const TableGuard guard(fd_table().lock());
  Registration* registration = guard.held() && !wrong ? find(*entry, epfd) : nullptr;
  if (!guard.held() || wrong || operation == EPOLL_CTL_DEL) {
    const bool out = registration != nullptr && registration->out;
    const int result = out ? 0 : libc::epoll_ctl(epfd, operation, fd, event);
    if (result == 0 && registration != nullptr) {
      drop(*entry, *registration);
    }
    return result;
  }
  if (registration != nullptr && registration->out) {
    errno = EEXIST;
    if (operation == EPOLL_CTL_MOD) {
      registration->program = *event;
      return 0;
    }
    return -1;
  }
  if (registration != nullptr && operation == EPOLL_CTL_MOD && registration->marked) {
    // The kernel keeps our mark; it would have refused exactly this.
    if (((event->events | registration->program.events) & EPOLLEXCLUSIVE) != 0) {
      errno = EINVAL;
      return -1;
    }
    registration->program = *event;
    registration->spent = false;
    return 0;
  }
  const bool added = registration == nullptr;
  registration = added ? add(*entry, epfd, fd) : registration;
  if (registration == nullptr) {
    return libc::epoll_ctl(epfd, operation, fd, event);  // no room: this one shows its handshake
  }
  // The handshake may have ended while we waited for the lock; a mark would stay for ever then.
  const bool still_pending = connection->state.load() == ConnectionState::pending;
  const bool bare = still_pending && waits_of(epfd) != SetWaits::hooked;
  const bool pending = still_pending && !bare;
  const bool was_marked = registration->marked;
  epoll_event marked{};
  if (pending) {
    marked = marked_event(*registration);
  }
  const int result = libc::epoll_ctl(epfd, operation, fd, pending ? &marked : event);
  if (result == 0) {
    registration->program = *event;
    registration->spent = false;
    if (bare) {
      make_bare(*registration, false);
    }
  } else if (added) {
    drop(*entry, *registration);
  } else if (pending) {
    // EEXIST: what the kernel has stays valid, and with it the mark's old generation.
    --registration->generation;
    if (!was_marked) {
      registration->marked = false;
      marked_.fetch_sub(1, std::memory_order_relaxed);
    }
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
  if (entry.kind.load(std::memory_order_relaxed) == FdKind::epoll) {
    registration->is_set = true;
    nested_.fetch_add(1, std::memory_order_relaxed);
  }
  registration->next = entry.registrations.load(std::memory_order_relaxed);
  entry.registrations.store(pool_.index_of(registration) + 1, std::memory_order_relaxed);
  return registration;
}

/// Changes what the kernel has; a set that was closed behind our back loses its record.
void WaitSet::put(FdEntry& entry, Registration& registration, epoll_event event) noexcept {
  int operation = EPOLL_CTL_MOD;
  if (registration.out) {
    registration.out = false;
    operation = EPOLL_CTL_ADD;
  } else if ((registration.program.events & EPOLLEXCLUSIVE) != 0) {
    libc::epoll_ctl(registration.epfd, EPOLL_CTL_DEL, registration.fd, nullptr);
    operation = EPOLL_CTL_ADD;
  }
  if (libc::epoll_ctl(registration.epfd, operation, registration.fd, &event) != 0) {
    drop(entry, registration);
  }
}

bool WaitSet::is_spent(const Registration& registration) noexcept {
  KernelRegistrations all(registration.epfd);
  KernelRegistration each;
  while (all.next(each)) {
    if (each.fd == registration.fd && each.data == registration.program.data.u64 &&
        each.is_spent()) {
      return true;
    }
  }
  return false;
}

void WaitSet::discover(int fd, FdEntry& entry, ino_t inode) noexcept {
  for (int epfd = 0; epfd <= fd_table().highest(); ++epfd) {
    const FdEntry* set = fd_table().find(epfd);
    if (set == nullptr || set->kind.load(std::memory_order_relaxed) != FdKind::epoll) {
      continue;
    }
    KernelRegistrations all(epfd);
    KernelRegistration each;
    while (all.next(each)) {
      if (each.fd == fd && each.inode == inode && find(entry, epfd) == nullptr) {
        epoll_event event{};
        event.events = each.events & ~static_cast<std::uint32_t>(EPOLLERR | EPOLLHUP);
        event.data.u64 = each.data;
        record(entry, epfd, fd, event);
      }
    }
  }
}

void WaitSet::mark(FdEntry& entry) noexcept {
  const ErrnoGuard errno_guard;
  for (std::uint32_t index = entry.registrations.load(std::memory_order_relaxed); index != 0;) {
    Registration* registration = pool_.at(index - 1);
    index = registration->next;
    if (registration->marked || registration->is_set) {
      continue;
    }
    const epoll_event& program = registration->program;
    registration->spent = (program.events & EPOLLONESHOT) != 0 && is_spent(*registration);
    const SetWaits waits = waits_of(registration->epfd);
    if (waits == SetWaits::hooked) {
      put(entry, *registration, marked_event(*registration));
    } else if (!registration->bare) {
      make_bare(*registration, waits == SetWaits::raw);
    }
  }
}

void WaitSet::restore(FdEntry& entry) noexcept {
  const ErrnoGuard errno_guard;
  for (std::uint32_t index = entry.registrations.load(std::memory_order_relaxed); index != 0;) {
    Registration* registration = pool_.at(index - 1);
    index = registration->next;
    if (registration->bare) {
      const bool off = registration->spent && !registration->out;
      end_bare(*registration);
      if (!off) {
        put(entry, *registration, registration->program);
      }
      continue;
    }
    if (!registration->marked) {
      continue;
    }
    epoll_event event = registration->program;
    if (registration->spent) {
      event = marked_event(*registration);
      event.events = EPOLLET | EPOLLONESHOT;
    }
    registration->marked = false;
    marked_.fetch_sub(1, std::memory_order_relaxed);
    put(entry, *registration, event);
  }
}

void WaitSet::make_bare(Registration& registration, bool out) noexcept {
  if (!registration.bare) {
    registration.bare = true;
    bare_.fetch_add(1, std::memory_order_relaxed);
  }
  if (out && !registration.spent && !registration.out) {
    registration.out =
        libc::epoll_ctl(registration.epfd, EPOLL_CTL_DEL, registration.fd, nullptr) == 0;
  }
}

// `out` stays: put() needs it.
void WaitSet::end_bare(Registration& registration) noexcept {
  if (registration.bare) {
    registration.bare = false;
    bare_.fetch_sub(1, std::memory_order_relaxed);
  }
}

void WaitSet::serve_slowly(int epfd, unsigned depth) noexcept {
  constexpr unsigned deepest = 5;  // the kernel's own limit of sets inside sets
  if (FdEntry* set = fd_table().make(epfd)) {
    set->waits.store(SetWaits::hooked, std::memory_order_relaxed);
    any_served_.store(true, std::memory_order_relaxed);
  }
  if (bare_.load(std::memory_order_relaxed) == 0) {
    return;
  }
  const ErrnoGuard errno_guard;
  for (std::uint32_t index = 0;; ++index) {
    int inner = -1;
    {
      const TableGuard guard(fd_table().lock());
      for (; guard.held() && index < pool_.high_water(); ++index) {
        Registration& each = *pool_.at(index);
        if (!(each.bare || each.is_set) || each.epfd < 0 || !is_same_set(each.epfd, epfd)) {
          continue;
        }
        if (each.is_set) {
          inner = each.fd;
          break;
        }
        end_bare(each);
        if (FdEntry* entry = fd_table().find(each.fd)) {
          put(*entry, each, marked_event(each));
        }
      }
    }
    if (inner < 0) {
      return;
    }
    if (depth < deepest) {
      serve_slowly(inner, depth + 1);
    }
  }
}

void WaitSet::note_raw(int epfd) noexcept {
  if (FdEntry* set = fd_table().make(epfd)) {
    SetWaits unknown = SetWaits::unknown;
    set->waits.compare_exchange_strong(unknown, SetWaits::raw, std::memory_order_relaxed);
  }
}

SetWaits WaitSet::waits_for_bare(int fd) noexcept {
  const FdEntry* entry = fd_table().find(fd);
  if (bare_.load(std::memory_order_relaxed) == 0 || entry == nullptr) {
    return SetWaits::hooked;
  }
  SetWaits found = SetWaits::hooked;
  const TableGuard guard(fd_table().lock());
  for (std::uint32_t index = entry->registrations.load(std::memory_order_relaxed);
       guard.held() && index != 0;) {
    const Registration& each = *pool_.at(index - 1);
    index = each.next;
    if (each.bare && !each.spent && found != SetWaits::raw) {
      found = waits_of(each.epfd);
    }
  }
  return found;
}

nfds_t WaitSet::without_marked(pollfd* fds, nfds_t count) noexcept {
  if (marked_.load(std::memory_order_relaxed) == 0) {
    return count;
  }
  const TableGuard guard(fd_table().lock());
  nfds_t left = 0;
  for (nfds_t i = 0; i < count; ++i) {
    const FdEntry* entry = fd_table().find(fds[i].fd);
    bool marked = false;
    for (std::uint32_t index =
             entry == nullptr ? 0 : entry->registrations.load(std::memory_order_relaxed);
         guard.held() && index != 0 && !marked; index = pool_.at(index - 1)->next) {
      marked = pool_.at(index - 1)->marked;
    }
    if (!marked) {
      fds[left++] = fds[i];
    }
  }
  return left;
}

bool WaitSet::any_unserved(int fd) noexcept {
  const FdEntry* entry = fd_table().find(fd);
  if (entry == nullptr || entry->registrations.load(std::memory_order_relaxed) == 0) {
    return false;
  }
  bool found = false;
  const TableGuard guard(fd_table().lock());
  for (std::uint32_t index = entry->registrations.load(std::memory_order_relaxed);
       guard.held() && index != 0 && !found;) {
    const Registration& each = *pool_.at(index - 1);
    index = each.next;
    found = !each.is_set && !each.spent && waits_of(each.epfd) != SetWaits::hooked;
  }
  return found;
}

void WaitSet::note_raw_for(int fd) noexcept {
  const FdEntry* entry = fd_table().find(fd);
  const TableGuard guard(fd_table().lock());
  for (std::uint32_t index =
           entry == nullptr ? 0 : entry->registrations.load(std::memory_order_relaxed);
       guard.held() && index != 0;) {
    const Registration& each = *pool_.at(index - 1);
    index = each.next;
    note_raw(each.epfd);
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
    if (registration->out) {
      continue;
    }
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

bool WaitSet::is_of_failed(int epfd, std::uint64_t data) noexcept {
  const TableGuard guard(fd_table().lock());
  for (std::uint32_t index = 0; guard.held() && index < pool_.high_water(); ++index) {
    const Registration& each = *pool_.at(index);
    if (each.epfd < 0 || each.program.data.u64 != data || !is_same_set(each.epfd, epfd)) {
      continue;
    }
    const Connection* connection = fd_table().connection(each.fd);
    if (connection != nullptr && connection->state.load() == ConnectionState::failed) {
      return true;
    }
  }
  return false;
}

int WaitSet::filter(int epfd, epoll_event* events, int count, Drive drive) noexcept {
  int kept = 0;
  for (int i = 0; i < count; ++i) {
    epoll_event event = events[i];
    if (!is_mark(event.data.u64)) {
      // Multipath TCP leaves no note of a disconnect: the hang-up alone shows.
      if ((event.events & (EPOLLHUP | EPOLLERR)) == EPOLLHUP && fd_table().any_unsettled() &&
          is_of_failed(epfd, event.data.u64)) {
        event.events |= EPOLLERR;
      }
      if (keeps(epfd, event, drive)) {
        events[kept++] = event;
      }
      continue;
    }
    const int fd = descriptor_of(event.data.u64);
    if (fd >= 0) {
      // An edge for what arrives from now on, unless there is something to be read already.
      static_cast<void>(drive(fd, {(event.events & EPOLLERR) == 0, (event.events & EPOLLIN) == 0}));
    }
  }
  return kept;
}

}  // namespace socks64::shim
