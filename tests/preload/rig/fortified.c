/* Compiled with -O2 -D_FORTIFY_SOURCE=2: libc's headers then call __poll_chk, __ppoll_chk,
 * __read_chk and __recv_chk. The compiler must not see that the sizes fit, or it would call the
 * plain functions. */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "rig/probe.h"

int fortified_poll(struct pollfd* one, int timeout_ms) {
  struct pollfd array[4];
  volatile nfds_t count = 1;
  array[0] = *one;
  const int result = poll(array, count, timeout_ms);
  *one = array[0];
  return result;
}

int fortified_ppoll(struct pollfd* one, int timeout_ms) {
#ifdef __USE_TIME_BITS64
  /* The headers of glibc up to 2.39 give __ppoll_chk a time of another size here: it has no use. */
  return fortified_poll(one, timeout_ms);
#endif
  const struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
  struct pollfd array[4];
  volatile nfds_t count = 1;
  array[0] = *one;
  const int result = ppoll(array, count, timeout_ms < 0 ? NULL : &timeout, NULL);
  *one = array[0];
  return result;
}

long fortified_read(int fd, char* out, size_t size) {
  char buffer[64];
  volatile size_t asked = size;
  const ssize_t got = read(fd, buffer, asked);
  if (got > 0) {
    memcpy(out, buffer, (size_t)got);
  }
  return got;
}

long fortified_recv(int fd, char* out, size_t size) {
  char buffer[64];
  volatile size_t asked = size;
  const ssize_t got = recv(fd, buffer, asked, 0);
  if (got > 0) {
    memcpy(out, buffer, (size_t)got);
  }
  return got;
}
