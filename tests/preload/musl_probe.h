/* Included before everything else where a probe is built for musl: what it wants of glibc, said by
 * other means. Nothing here goes round libc's own functions, which are what the library stands in
 * front of. */
#ifndef SOCKS64_TESTS_MUSL_PROBE_H
#define SOCKS64_TESTS_MUSL_PROBE_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <resolv.h>
#include <spawn.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* The names that the tests expect; any other errno is told in words. */
static inline const char* strerrorname_np(int error) {
  static const struct {
    int error;
    const char* name;
  } names[] = {
#define NAME(one) {one, #one}
      NAME(EACCES),       NAME(EADDRINUSE),  NAME(EADDRNOTAVAIL), NAME(EAFNOSUPPORT),
      NAME(EAGAIN),       NAME(EALREADY),    NAME(EBADF),         NAME(ECONNABORTED),
      NAME(ECONNREFUSED), NAME(ECONNRESET),  NAME(EDESTADDRREQ),  NAME(EFAULT),
      NAME(EHOSTUNREACH), NAME(EINPROGRESS), NAME(EINTR),         NAME(EINVAL),
      NAME(EISCONN),      NAME(EMFILE),      NAME(ENETDOWN),      NAME(ENETUNREACH),
      NAME(ENOSYS),       NAME(ENOTCONN),    NAME(EOPNOTSUPP),    NAME(EPERM),
      NAME(EPIPE),        NAME(EPROTO),      NAME(EPROTOTYPE),    NAME(ETIMEDOUT),
#undef NAME
  };
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
    if (names[i].error == error) {
      return names[i].name;
    }
  }
  return strerror(error);
}

/* netdb.h: the two outcomes of h_errno that musl has no names for. */
#define NETDB_INTERNAL (-1)
#define NETDB_SUCCESS 0

/* resolver(3) with a state: there is one, and it is nobody's. */
static inline int res_told(struct __res_state* state, int length) {
  state->res_h_errno = h_errno;
  return length;
}
#define res_nquery(state, ...) res_told(state, res_query(__VA_ARGS__))
#define res_nsearch(state, ...) res_told(state, res_search(__VA_ARGS__))
#define res_nquerydomain(state, ...) res_told(state, res_querydomain(__VA_ARGS__))
#define res_nsend(state, ...) res_told(state, res_send(__VA_ARGS__))

/* Neither libc converts without being asked; musl has no words to ask. */
#define AI_IDN 0
#define AI_CANONIDN 0

static inline int close_range(unsigned first, unsigned last, int flags) {
  if (last < first || (flags & ~6) != 0) {
    errno = EINVAL;
    return -1;
  }
  const unsigned end = last < 4096 ? last + 1 : 4096; /* no probe has more open */
  for (unsigned fd = first; fd < end; ++fd) {
    if ((flags & 4) == 0) {
      close((int)fd);
    } else {
      fcntl((int)fd, F_SETFD, FD_CLOEXEC);
    }
  }
  return 0;
}

static inline void closefrom(int first) {
  close_range(first < 0 ? 0U : (unsigned)first, ~0U, 0);
}

static inline int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t* actions,
                                                           int first) {
  int error = 0;
  for (int fd = first; fd < 256 && error == 0;
       ++fd) { /* musl does not mind those that are closed */
    error = posix_spawn_file_actions_addclose(actions, fd);
  }
  return error;
}

static inline int execveat(int folder, const char* path, char* const* arguments, char* const* list,
                           int flags) {
  (void)flags;
  if (folder != AT_FDCWD && path[0] != '/') {
    return path[0] == '\0' ? fexecve(folder, arguments, list) : -1;
  }
  return execve(path, arguments, list);
}

static inline int epoll_pwait2(int epfd, struct epoll_event* events, int count,
                               const struct timespec* timeout, const sigset_t* mask) {
  const int milliseconds =
      timeout == NULL ? -1 : (int)(timeout->tv_sec * 1000 + timeout->tv_nsec / 1000000);
  return epoll_pwait(epfd, events, count, milliseconds, mask);
}

static inline ssize_t probe_preadv2(int fd, const struct iovec* parts, int count, off_t offset,
                                    int flags) {
  (void)flags;
  return offset == -1 ? readv(fd, parts, count) : preadv(fd, parts, count, offset);
}

static inline ssize_t probe_pwritev2(int fd, const struct iovec* parts, int count, off_t offset,
                                     int flags) {
  (void)flags;
  return offset == -1 ? writev(fd, parts, count) : pwritev(fd, parts, count, offset);
}

/* musl 1.2.5 declares two of these. */
#define preadv2 probe_preadv2
#define pwritev2 probe_pwritev2
#define preadv64v2 probe_preadv2
#define pwritev64v2 probe_pwritev2

#endif
