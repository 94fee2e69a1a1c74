// Descriptors that come and go: the table follows before they close and after they are copied.
#include <cstdarg>
#include <pthread.h>
#include <sys/epoll.h>

#include "descriptors/fd_table.hpp"
#include "descriptors/gateway_socket.hpp"
#include "descriptors/wait_set.hpp"
#include "gateway/gateway_connect.hpp"
#include "hooks/start.hpp"
#include "host/hook_table.hpp"

using namespace socks64::shim;

namespace {

constexpr unsigned close_range_unshare = 1U << 1U;
constexpr unsigned close_range_cloexec = 1U << 2U;

/// Before another file comes under `target`: as before a close, nobody may be in the middle of a
/// step of a handshake on that number. What the kernel would refuse changes nothing.
void make_way(int original, int target) noexcept {
  const FdEntry* entry = fd_table().find(target);
  const ErrnoGuard guard;
  if (original != target && entry != nullptr && entry->is_followed() &&
      libc::fcntl(original, F_GETFD) >= 0) {
    fd_table().release(target);
  }
}

int copied(int original, int copy) noexcept {
  if (copy >= 0) {
    fd_table().duplicate(original, copy);
  }
  return copy;
}

}  // namespace

// A cancellation acts before a descriptor is closed, and then it is what it was: so it is asked for
// before the table forgets, and kept away from there on.
S64_EXPORT int close(int fd) {
  const FdEntry* entry = fd_table().find(fd);
  if (entry == nullptr || !entry->is_followed()) {
    return libc::close(fd);
  }
  pthread_testcancel();
  int state = PTHREAD_CANCEL_ENABLE;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
  fd_table().release(fd);
  const int result = libc::close(fd);
  pthread_setcancelstate(state, nullptr);
  return result;
}

S64_EXPORT int close_range(unsigned first, unsigned last, int flags) noexcept {
  // Wrong arguments close nothing, and the kernel says what is wrong with them.
  const auto known = static_cast<int>(close_range_unshare | close_range_cloexec);
  if (first <= last && (flags & ~known) == 0 &&
      (static_cast<unsigned>(flags) & close_range_cloexec) == 0) {
    fd_table().release_range(first, last);
  }
  return libc::close_range(first, last, flags);
}

S64_EXPORT int dup(int fd) noexcept {
  return copied(fd, libc::dup(fd));
}

S64_EXPORT int dup2(int fd, int target) noexcept {
  make_way(fd, target);
  const int copy = libc::dup2(fd, target);
  return fd == target ? copy : copied(fd, copy);
}

S64_EXPORT int dup3(int fd, int target, int flags) noexcept {
  if ((flags & ~O_CLOEXEC) == 0) {
    make_way(fd, target);
  }
  return copied(fd, libc::dup3(fd, target, flags));
}

namespace {

bool copies(int command) noexcept {
  return command == F_DUPFD || command == F_DUPFD_CLOEXEC;
}

}  // namespace

S64_EXPORT int fcntl(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  const int result = libc::fcntl(fd, command, argument);
  return copies(command) ? copied(fd, result) : result;
}

#ifdef __GLIBC__
S64_EXPORT int fcntl64(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  const int result = libc::fcntl64(fd, command, argument);
  return copies(command) ? copied(fd, result) : result;
}

S64_EXPORT void closefrom(int first) noexcept {
  fd_table().release_range(first < 0 ? 0 : static_cast<unsigned>(first), ~0U);
  libc::closefrom(first);
}
#endif

#ifdef __GLIBC__
// libc's other names for the same calls.
S64_EXPORT int __close(int fd) {
  return close(fd);
}

S64_EXPORT int __dup2(int fd, int target) noexcept {
  return dup2(fd, target);
}

S64_EXPORT int __fcntl(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  return fcntl(fd, command, argument);
}
#endif

// The calls that stdio makes inside libc pass no hook: before a stream is made of a socket that
// blocks, its handshake has to be over. One that does not block is not waited for; see
// docs/limits.md.
S64_EXPORT FILE* fdopen(int fd, const char* mode) noexcept {
  if (fd_table().any_unsettled() && fd_table().verified_connection(fd) != nullptr &&
      !is_non_blocking(fd)) {
    while (!finish_handshake(fd)) {
    }
  }
  return libc::fdopen(fd, mode);
}

// epoll sets are known by their descriptors, so that registrations made through a duplicate are
// found.
S64_EXPORT int epoll_create(int size) noexcept {
  const int fd = libc::epoll_create(size);
  if (fd >= 0 && ready()) {
    fd_table().note(fd, FdKind::epoll);
    wait_set().note_set();
  }
  return fd;
}

S64_EXPORT int epoll_create1(int flags) noexcept {
  const int fd = libc::epoll_create1(flags);
  if (fd >= 0 && ready()) {
    fd_table().note(fd, FdKind::epoll);
    wait_set().note_set();
  }
  return fd;
}
