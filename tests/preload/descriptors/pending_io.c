/* I/O on a socket whose connect is not over. A non-blocking one says EAGAIN (same_answers.c
 * compares all calls with the kernel's own answers); a blocking one waits until the destination is
 * reached, then does what it was asked. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "rig/probe.h"

static void pipe_with(int* ends, const char* text) {
  CHECK(pipe(ends) == 0);
  CHECK_EQ(write(ends[1], text, strlen(text)), (ssize_t)strlen(text));
}

static int file_with(const char* text) {
  FILE* file = tmpfile();
  CHECK(file != NULL && fputs(text, file) >= 0 && fflush(file) == 0);
  return fileno(file);
}

static ssize_t output_by(const char* call, int fd) {
  struct iovec parts[] = {{"fir", 3}, {"st", 2}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  struct mmsghdr messages = {.msg_hdr = message};
  int ends[2];
  pipe_with(ends, "first");
  if (strcmp(call, "write") == 0) {
    return write(fd, "first", 5);
  }
  if (strcmp(call, "writev") == 0) {
    return writev(fd, parts, 2);
  }
  if (strcmp(call, "send") == 0) {
    return send(fd, "first", 5, 0);
  }
  if (strcmp(call, "sendto") == 0) {
    return sendto(fd, "first", 5, 0, NULL, 0);
  }
  if (strcmp(call, "sendmsg") == 0) {
    return sendmsg(fd, &message, 0);
  }
  if (strcmp(call, "sendmmsg") == 0) {
    return sendmmsg(fd, &messages, 1, 0) == 1 ? (ssize_t)messages.msg_len : -1;
  }
  if (strcmp(call, "sendfile") == 0) {
    return sendfile(fd, file_with("first"), &(off_t){0}, 5);
  }
  CHECK(strcmp(call, "splice") == 0);
  return splice(ends[0], NULL, fd, NULL, 5, 0);
}

static ssize_t input_by(const char* call, int fd, char* out) {
  struct iovec parts[] = {{out, 3}, {out + 3, 2}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  struct mmsghdr messages = {.msg_hdr = message};
  if (strcmp(call, "read") == 0) {
    return read(fd, out, 5);
  }
  if (strcmp(call, "__read_chk") == 0) {
    return fortified_read(fd, out, 5);
  }
  if (strcmp(call, "__recv_chk") == 0) {
    return fortified_recv(fd, out, 5);
  }
  if (strcmp(call, "readv") == 0) {
    return readv(fd, parts, 2);
  }
  if (strcmp(call, "recv") == 0) {
    return recv(fd, out, 5, MSG_WAITALL);
  }
  if (strcmp(call, "recvfrom") == 0) {
    return recvfrom(fd, out, 5, 0, NULL, NULL);
  }
  if (strcmp(call, "recvmsg") == 0) {
    return recvmsg(fd, &message, 0);
  }
  if (strcmp(call, "recvmmsg") == 0) {
    return recvmmsg(fd, &messages, 1, 0, NULL) == 1 ? (ssize_t)messages.msg_len : -1;
  }
  CHECK(strcmp(call, "splice") == 0);
  int ends[2];
  CHECK(pipe(ends) == 0);
  const ssize_t moved = splice(fd, NULL, ends[1], NULL, 5, 0);
  return moved < 0 ? moved : read(ends[0], out, 5);
}

/* A pending socket that blocks: its connect ran into SO_SNDTIMEO, or the program switched it over.
 */
static int pending_blocking(int port) {
  const int fd = dialled(port, SOCK_NONBLOCK);
  set_blocking(fd, 1);
  return fd;
}

/* output_waits CALL */
PROBE(output_waits) {
  const long long start = now_us();
  const int fd = pending_blocking(SOON);
  CHECK_EQ(output_by(argv[1], fd), 5);
  CHECK_TIME(now_us() - start, SOON_US, SOON_US * 3);
  read_exactly(fd, "first");
  CHECK_EQ(so_error(fd), 0);
}

/* input_waits CALL */
PROBE(input_waits) {
  const long long start = now_us();
  const int fd = pending_blocking(SOON_HELLO);
  char got[6] = {0};
  CHECK_EQ(input_by(argv[1], fd, got), 5);
  CHECK_TIME(now_us() - start, SOON_US, SOON_US * 3);
  CHECK(strcmp(got, "HELLO") == 0);
  check_echo(fd);
}

/* The wait of a blocking read or write ends at its own timeout, and with a signal. */
PROBE(io_wait_is_limited) {
  const struct timeval time = {0, 200000};
  const int fd = pending_blocking(NEVER);
  char octet = 'x';
  CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)) == 0);
  CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time)) == 0);
  long long start = now_us();
  CHECK_FAILS(recv(fd, &octet, 1, 0), EAGAIN);
  CHECK_TIME(now_us() - start, 190000, 500000);
  start = now_us();
  CHECK_FAILS(send(fd, &octet, 1, 0), EAGAIN);
  CHECK_TIME(now_us() - start, 190000, 500000);
  start = now_us();
  CHECK_FAILS(recv(fd, &octet, 1, MSG_DONTWAIT), EAGAIN);
  CHECK(now_us() - start < 100000);
}

/* A pending connect that fails tells the I/O that waits for it; no SIGPIPE comes. */
PROBE(io_wait_fails) {
  char octet = 'x';
  CHECK_FAILS(read(pending_blocking(SOON_REFUSE + 5), &octet, 1), ECONNREFUSED);
  CHECK_FAILS(write(pending_blocking(SOON_REFUSE + 4), &octet, 1), EHOSTUNREACH);
  CHECK_FAILS(sendfile(pending_blocking(SOON_CUT), file_with("x"), &(off_t){0}, 1), ECONNRESET);
}

static int reached_fd;
static volatile sig_atomic_t written = -2;
static void write_from_handler(int signal) {
  (void)signal;
  const int saved = errno;
  written = (sig_atomic_t)write(reached_fd, "handler", 7);
  errno = saved;
}

/* A signal handler writes to another socket that is pending, while the program is busy with a
 * third. */
PROBE(handler_writes) {
  struct sigaction action = {.sa_handler = write_from_handler, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  reached_fd = dialled(SOON, SOCK_NONBLOCK);
  const int fd = dialled(SLOW, SOCK_NONBLOCK);
  set_timer_ms(5, 5);
  struct pollfd waited = {fd, POLLOUT, 0};
  int ready;
  while ((ready = poll(&waited, 1, 20000)) < 0) {
    CHECK_EQ(errno, EINTR);
  }
  set_timer_ms(0, 0);
  CHECK_EQ(ready, 1);
  CHECK_EQ(written, 7);
  read_exactly(reached_fd, "handlerhandler");
  check_echo(fd);
}
