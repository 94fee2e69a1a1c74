/* Readiness by poll and select: never ready before the destination is reached, and then ready at
 * once. */
#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rig/probe.h"

enum { GENEROUS = 20000 };

/* scan_ready WAITER out|in|both */
PROBE(scan_ready) {
  const char* waiter = argv[1];
  const uint32_t interest = strcmp(argv[2], "out") == 0  ? (uint32_t)EPOLLOUT
                            : strcmp(argv[2], "in") == 0 ? (uint32_t)EPOLLIN
                                                         : (uint32_t)(EPOLLIN | EPOLLOUT);
  const int fd = tcp(SOCK_NONBLOCK);
  const long long start = now_us();
  CHECK_FAILS(dial(fd, SOON_HELLO), EINPROGRESS);
  uint32_t events = 99;
  CHECK_EQ(wait_by(waiter, fd, interest, 0, &events, NULL), 0);
  CHECK_EQ(events, 0);
  const long long waited_from = now_us();
  CHECK_EQ(wait_by(waiter, fd, interest, 100, &events, NULL), 0);
  CHECK_EQ(events, 0);
  CHECK_TIME(now_us() - waited_from, 100000, 250000);
  CHECK_EQ(wait_by(waiter, fd, interest, GENEROUS, &events, NULL), 1);
  CHECK_TIME(now_us() - start, SOON_US, SOON_US * 5 / 2);
  /* Data came with the reply, in one segment: both are true at once. */
  CHECK_EQ(events, interest);
  CHECK_EQ(wait_by(waiter, fd, interest, GENEROUS, &events, NULL), 1);
  CHECK_EQ(events, interest);
  read_exactly(fd, "HELLO");
  CHECK_EQ(so_error(fd), 0);
  CHECK_EQ(wait_by(waiter, fd, EPOLLIN, 0, &events, NULL), 0);
  char octet;
  CHECK_FAILS(read(fd, &octet, 1), EAGAIN);
  check_echo(fd);
}

/* Waits for input alone, while the gateway's replies arrive and the destination says nothing. */
PROBE(scan_readable_only) {
  const int fd = dialled(SOON, SOCK_NONBLOCK);
  const long long start = now_us();
  uint32_t events;
  CHECK_EQ(wait_by(argv[1], fd, EPOLLIN, 700, &events, NULL), 0);
  CHECK_TIME(now_us() - start, 700000, 1750000);
  CHECK_EQ(events, 0);
  CHECK_EQ(wait_by(argv[1], fd, EPOLLOUT, 0, &events, NULL), 1);
  check_echo(fd);
}

/* The timeout of a wait on a destination that never answers. */
PROBE(scan_timeout) {
  const int fd = dialled(NEVER, SOCK_NONBLOCK);
  for (int i = 0; i < 3; ++i) {
    const long long start = now_us();
    uint32_t events;
    CHECK_EQ(wait_by(argv[1], fd, EPOLLIN | EPOLLOUT, 200, &events, NULL), 0);
    CHECK_TIME(now_us() - start, 200000, 500000);
  }
}

struct Writer {
  int fd;
  int after_ms;
};
static void* write_later(void* argument) {
  const struct Writer* writer = argument;
  sleep_ms(writer->after_ms);
  CHECK_EQ(write(writer->fd, "x", 1), 1);
  return NULL;
}

/* Ordinary descriptors in the same call are reported when they are ready. */
PROBE(scan_mixed_poll) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  const int pending = dialled(SLOW, SOCK_NONBLOCK);
  struct Writer writer = {ends[1], 100};
  pthread_t thread;
  pthread_create(&thread, NULL, write_later, &writer);
  const long long start = now_us();
  struct pollfd waited[] = {{pending, POLLIN | POLLOUT, 7}, {-1, POLLIN, 7}, {ends[0], POLLIN, 7}};
  CHECK_EQ(poll(waited, 3, GENEROUS), 1);
  CHECK_TIME(now_us() - start, 90000, 600000);
  CHECK_EQ(waited[0].revents, 0);
  CHECK_EQ(waited[1].revents, 0);
  CHECK_EQ(waited[2].revents, POLLIN);
  /* What the program passed is as it was. */
  CHECK_EQ(waited[0].events, POLLIN | POLLOUT);
  CHECK_EQ(waited[0].fd, pending);
  CHECK_EQ(poll(waited, 1, GENEROUS), 1);
  CHECK_EQ(waited[0].revents, POLLOUT);
  pthread_join(thread, NULL);
}

PROBE(scan_mixed_select) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  const int pending = dialled(SLOW, SOCK_NONBLOCK);
  struct Writer writer = {ends[1], 100};
  pthread_t thread;
  pthread_create(&thread, NULL, write_later, &writer);
  fd_set reads, writes;
  FD_ZERO(&reads);
  FD_ZERO(&writes);
  FD_SET(pending, &reads);
  FD_SET(ends[0], &reads);
  FD_SET(pending, &writes);
  struct timeval timeout = {20, 0};
  const long long start = now_us();
  CHECK_EQ(select(pending + 1, &reads, &writes, NULL, &timeout), 1);
  CHECK_TIME(now_us() - start, 90000, 600000);
  CHECK(FD_ISSET(ends[0], &reads));
  CHECK(!FD_ISSET(pending, &reads));
  CHECK(!FD_ISSET(pending, &writes));
  /* Linux leaves the rest of the time in the timeout. */
  CHECK_TIME((long long)timeout.tv_sec * 1000000 + timeout.tv_usec, 19000000, 19950000);
  pthread_join(thread, NULL);
}

/* The same descriptor twice, invalid and negative ones, and none at all. */
PROBE(scan_odd_lists) {
  const int fd = dialled(SOON_HELLO, SOCK_NONBLOCK);
  struct pollfd closed[] = {{fd, POLLOUT, 0}, {999, POLLIN, 0}};
  const long long start = now_us();
  CHECK_EQ(poll(closed, 2, GENEROUS), 1);
  CHECK(now_us() - start < SOON_US);
  CHECK_EQ(closed[0].revents, 0);
  CHECK_EQ(closed[1].revents, POLLNVAL);
  struct pollfd twice[] = {{fd, POLLIN, 0}, {fd, POLLOUT, 0}, {fd, 0, 0}};
  CHECK_EQ(poll(twice, 3, GENEROUS), 2);
  CHECK_EQ(twice[0].revents, POLLIN);
  CHECK_EQ(twice[1].revents, POLLOUT);
  CHECK_EQ(twice[2].revents, 0);
  const long long idle = now_us();
  CHECK_EQ(poll(NULL, 0, 50), 0);
  CHECK_TIME(now_us() - idle, 50000, 250000);
}

/* A long list: more descriptors than any array of the library's own would hold. */
PROBE(scan_many) {
  enum { MANY = 600 };
  static struct pollfd waited[MANY];
  int ends[2];
  CHECK(pipe(ends) == 0);
  for (int i = 0; i < MANY; ++i) {
    waited[i] = (struct pollfd){ends[0], POLLIN, 0};
  }
  waited[MANY - 1] = (struct pollfd){dialled(SOON, SOCK_NONBLOCK), POLLOUT, 0};
  CHECK_EQ(poll(waited, MANY, GENEROUS), 1);
  CHECK_EQ(waited[MANY - 1].revents, POLLOUT);
  check_echo(waited[MANY - 1].fd);
}

/* The descriptor is a copy, made before or after connect. */
PROBE(scan_duplicate) {
  const int fd = tcp(SOCK_NONBLOCK);
  const int before = dup(fd);
  CHECK_FAILS(dial(fd, SOON_HELLO), EINPROGRESS);
  const long long start = now_us();
  const int after = dup(fd);
  close(fd);
  struct pollfd waited[] = {{before, POLLIN, 0}, {after, POLLOUT, 0}};
  while (poll(waited, 2, GENEROUS) != 2) {
    CHECK(now_us() - start < 10000000);
  }
  CHECK_TIME(now_us() - start, SOON_US - 50000, SOON_US * 3);
  CHECK_EQ(waited[0].revents, POLLIN);
  CHECK_EQ(waited[1].revents, POLLOUT);
  CHECK_EQ(so_error(before), 0);
  read_exactly(after, "HELLO");
  check_echo(before);
}

static volatile sig_atomic_t handled;
static void on_signal(int signal) {
  (void)signal;
  ++handled;
}

static int wait_with_mask(const char* waiter, int fd, int epfd, const sigset_t* mask) {
  const struct timespec timeout = {20, 0};
  struct pollfd waited = {fd, POLLOUT, 0};
  struct epoll_event event;
  fd_set writes;
  FD_ZERO(&writes);
  FD_SET(fd, &writes);
  if (strcmp(waiter, "ppoll") == 0) {
    return ppoll(&waited, 1, &timeout, mask);
  }
  if (strcmp(waiter, "pselect") == 0) {
    return pselect(fd + 1, NULL, &writes, NULL, &timeout, mask);
  }
  if (strcmp(waiter, "epoll_pwait") == 0) {
    return epoll_pwait(epfd, &event, 1, GENEROUS, mask);
  }
  return epoll_pwait2(epfd, &event, 1, &timeout, mask);
}

/* A signal blocked outside of the wait and let in by its mask ends the wait; also one that is
 * pending already. */
PROBE(mask_lets_in) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  sigset_t alarm_only, none;
  sigemptyset(&none);
  sigemptyset(&alarm_only);
  sigaddset(&alarm_only, SIGALRM);
  sigprocmask(SIG_BLOCK, &alarm_only, NULL);
  const int fd = dialled(SLOW, SOCK_NONBLOCK), epfd = epoll_create1(0);
  add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT, 5);
  raise(SIGALRM);
  long long start = now_us();
  CHECK_FAILS(wait_with_mask(argv[1], fd, epfd, &none), EINTR);
  CHECK(now_us() - start < 500000);
  CHECK_EQ(handled, 1);
  set_timer_ms(100, 0);
  start = now_us();
  CHECK_FAILS(wait_with_mask(argv[1], fd, epfd, &none), EINTR);
  CHECK_TIME(now_us() - start, 90000, 700000);
  CHECK_EQ(handled, 2);
  CHECK_EQ(wait_with_mask(argv[1], fd, epfd, &none), 1);
  check_echo(fd);
}

/* A signal that the mask keeps out does not end the wait, and is delivered behind it. */
PROBE(mask_keeps_out) {
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGALRM, &action, NULL);
  sigset_t alarm_only;
  sigemptyset(&alarm_only);
  sigaddset(&alarm_only, SIGALRM);
  const int fd = dialled(SOON, SOCK_NONBLOCK), epfd = epoll_create1(0);
  add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT, 5);
  const struct timespec soon = {0, 100000000};
  timer_t timer;
  CHECK(timer_create(CLOCK_MONOTONIC, NULL, &timer) == 0);
  CHECK(timer_settime(timer, 0, &(struct itimerspec){{0, 0}, soon}, NULL) == 0);
  const long long start = now_us();
  CHECK_EQ(wait_with_mask(argv[1], fd, epfd, &alarm_only), 1);
  CHECK(now_us() - start >= 250000);
  CHECK_EQ(handled, 1);
}

/* poll, select and epoll_wait are never restarted: signal(7). */
PROBE(wait_interrupted) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  const int fd = dialled(SLOW, SOCK_NONBLOCK);
  const int epfd = is_epoll(argv[1]) ? epoll_create1(0) : -1;
  if (epfd >= 0) {
    add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT, 5);
  }
  const int waited = epfd >= 0 ? epfd : fd;
  /* Again and again: on a busy machine the first may come before the wait has begun. */
  set_timer_ms(100, 100);
  const long long start = now_us();
  CHECK_FAILS(wait_by(argv[1], waited, EPOLLOUT, GENEROUS, NULL, NULL), EINTR);
  CHECK_TIME(now_us() - start, 90000, 700000);
  set_timer_ms(0, 0);
  CHECK_EQ(wait_by(argv[1], waited, EPOLLOUT, GENEROUS, NULL, NULL), 1);
  CHECK(now_us() - start >= SLOW_US - 50000);
  check_echo(fd);
}

/* A program that waits by raw system call sees the gateway's readiness; its stream is right all the
 * same. */
static long (*raw_syscall(void))(long, ...) {
  long (*call)(long, ...);
  /* libc's own, whatever the library makes of syscall(). */
  *(void**)&call = dlsym(dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD), "syscall");
  CHECK(call != NULL);
  return call;
}

PROBE(raw_poll) {
  const int fd = dialled(SOON_HELLO, SOCK_NONBLOCK);
  char got[6] = {0};
  ssize_t size;
  do {
    struct pollfd waited = {fd, POLLIN, 0};
    CHECK_EQ(raw_syscall()(SYS_ppoll, &waited, 1, NULL, NULL, 8), 1);
    size = read(fd, got, sizeof(got));
    CHECK(size > 0 || errno == EAGAIN);
  } while (size < 0);
  CHECK_EQ(size, 5);
  CHECK(strcmp(got, "HELLO") == 0);
  check_echo(fd);
}

PROBE(raw_epoll) {
  const int fd = dialled(SOON, SOCK_NONBLOCK), epfd = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLOUT, .data.fd = fd};
  /* The library sees neither the registration nor the wait. */
  CHECK_EQ(raw_syscall()(SYS_epoll_ctl, epfd, EPOLL_CTL_ADD, fd, &event), 0);
  const long long start = now_us();
  while (write(fd, "ping", 4) != 4) {
    CHECK_EQ(errno, EAGAIN);
    CHECK(now_us() - start < 10000000);
    CHECK(raw_syscall()(SYS_epoll_pwait, epfd, &event, 1, 20, NULL, 8) >= 0);
    CHECK_EQ(so_error(fd), 0);
  }
  CHECK_TIME(now_us() - start, SOON_US - 50000, SOON_US * 3);
  read_exactly(fd, "ping");
}

/* By syscall(2): as if it were libc's function, data and all. raw_wait_in_epoll both|ctl|wait */
PROBE(raw_wait_in_epoll) {
  const int raw_ctl = strcmp(argv[1], "wait") != 0, raw_wait = strcmp(argv[1], "ctl") != 0;
  const uint64_t cookie = 0x0123456789abcdefU;
  const int fd = tcp(SOCK_NONBLOCK), epfd = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u64 = cookie};
  const struct timespec limit = {20, 0};
  CHECK_EQ(raw_ctl ? syscall(SYS_epoll_ctl, epfd, EPOLL_CTL_ADD, fd, &event)
                   : epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event),
           0);
  CHECK_EQ(raw_wait ? syscall(SYS_epoll_pwait, epfd, &event, 1, 0, NULL, 8)
                    : epoll_wait(epfd, &event, 1, 0),
           1);
  const long long start = now_us();
  CHECK_FAILS(dial(fd, SOON_HELLO), EINPROGRESS);
  CHECK_EQ(raw_wait ? syscall(SYS_epoll_pwait2, epfd, &event, 1, &limit, NULL, 8)
                    : epoll_wait(epfd, &event, 1, 20000),
           1);
  CHECK_TIME(now_us() - start, SOON_US, SOON_US * 8);
  CHECK(event.data.u64 == cookie);
  CHECK_EQ(event.events, EPOLLIN | EPOLLOUT);
  CHECK_EQ(syscall(SYS_epoll_pwait, epfd, &event, 1, 0, NULL, 8), 0);
  CHECK_EQ(syscall(SYS_getpid), getpid());
  CHECK_FAILS(syscall(SYS_epoll_ctl, epfd, EPOLL_CTL_ADD, fd, &event), EEXIST);
  read_exactly(fd, "HELLO");
}

/* Waiting by ways that no hook sees, and then only ever asking the socket: each question alone ends
 * the handshake. asked_after_raw_waits SO_ERROR|getpeername|connect|write */
PROBE(asked_after_raw_waits) {
  const int fd = dialled(SOON, SOCK_NONBLOCK);
  const long long start = now_us();
  for (int reached = 0; !reached;) {
    CHECK(now_us() - start < 10000000);
    struct pollfd waited = {fd, POLLIN | POLLOUT, 0};
    const struct timespec slice = {0, 20000000};
    CHECK(raw_syscall()(SYS_ppoll, &waited, 1, &slice, NULL, 8) >= 0);
    struct sockaddr_storage peer;
    socklen_t length = sizeof(peer);
    if (strcmp(argv[1], "SO_ERROR") == 0) {
      CHECK_EQ(so_error(fd), 0);
      length = sizeof(peer);
      /* The hooked wait knows the outcome, and does not wait. */
      waited = (struct pollfd){fd, POLLOUT, 0};
      reached = now_us() - start > SOON_US + 200000 && poll(&waited, 1, 0) == 1;
    } else if (strcmp(argv[1], "getpeername") == 0) {
      reached = getpeername(fd, (struct sockaddr*)&peer, &length) == 0;
      CHECK(reached || errno == ENOTCONN);
    } else if (strcmp(argv[1], "connect") == 0) {
      reached = dial(fd, SOON) == 0;
      CHECK(reached || errno == EALREADY);
    } else {
      reached = write(fd, "ping", 4) == 4;
      CHECK(reached || errno == EAGAIN);
      if (reached) {
        read_exactly(fd, "ping");
      }
    }
  }
  CHECK_TIME(now_us() - start, SOON_US, SOON_US * 10);
  check_echo(fd);
}
