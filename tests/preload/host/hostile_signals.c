/* Hostile signals and cancellation: threads that are cancelled and handlers that jump, in every
 * call that waits, and handlers that use sockets themselves. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#include "rig/probe.h"

/* A pending socket for `call`: the waits want it non-blocking, the I/O blocking. */
static int pending_for(const char* call) {
  if (strcmp(call, "connect") == 0) {
    return tcp(0);
  }
  const int fd = dialled(NEVER, SOCK_NONBLOCK);
  if (strstr(call, "poll") == NULL && strstr(call, "select") == NULL) {
    set_blocking(fd, 1);
  }
  return fd;
}

/* Calls it, and returns only if the call does. */
static void call_once(const char* call, int fd, int epfd) {
  char octets[8] = "octets";
  struct pollfd waited = {fd, POLLOUT, 0};
  struct epoll_event event;
  struct iovec part = {octets, 6};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  struct mmsghdr messages = {.msg_hdr = message};
  fd_set writes;
  FD_ZERO(&writes);
  FD_SET(fd, &writes);
  if (strcmp(call, "connect") == 0) {
    dial(fd, NEVER);
  }
  if (strcmp(call, "poll") == 0) {
    poll(&waited, 1, -1);
  }
  if (strcmp(call, "ppoll") == 0) {
    ppoll(&waited, 1, NULL, NULL);
  }
  if (strcmp(call, "select") == 0) {
    select(fd + 1, NULL, &writes, NULL, NULL);
  }
  if (strcmp(call, "pselect") == 0) {
    pselect(fd + 1, NULL, &writes, NULL, NULL, NULL);
  }
  if (strcmp(call, "epoll_wait") == 0) {
    epoll_wait(epfd, &event, 1, -1);
  }
  if (strcmp(call, "epoll_pwait") == 0) {
    epoll_pwait(epfd, &event, 1, -1, NULL);
  }
  if (strcmp(call, "epoll_pwait2") == 0) {
    epoll_pwait2(epfd, &event, 1, NULL, NULL);
  }
  if (strcmp(call, "read") == 0) {
    (void)!read(fd, octets, 6);
  }
  if (strcmp(call, "readv") == 0) {
    (void)!readv(fd, &part, 1);
  }
  if (strcmp(call, "recv") == 0) {
    recv(fd, octets, 6, 0);
  }
  if (strcmp(call, "recvfrom") == 0) {
    recvfrom(fd, octets, 6, 0, NULL, NULL);
  }
  if (strcmp(call, "recvmsg") == 0) {
    recvmsg(fd, &message, 0);
  }
  if (strcmp(call, "recvmmsg") == 0) {
    recvmmsg(fd, &messages, 1, 0, NULL);
  }
  if (strcmp(call, "write") == 0) {
    (void)!write(fd, octets, 6);
  }
  if (strcmp(call, "writev") == 0) {
    (void)!writev(fd, &part, 1);
  }
  if (strcmp(call, "send") == 0) {
    send(fd, octets, 6, 0);
  }
  if (strcmp(call, "sendto") == 0) {
    sendto(fd, octets, 6, 0, NULL, 0);
  }
  if (strcmp(call, "sendmsg") == 0) {
    sendmsg(fd, &message, 0);
  }
  if (strcmp(call, "sendmmsg") == 0) {
    sendmmsg(fd, &messages, 1, 0);
  }
}

struct Victim {
  const char* call;
  int fd, epfd, cleaned;
};

static void clean_up(void* argument) {
  struct Victim* victim = argument;
  CHECK_EQ(close(victim->fd), 0); /* as cleanup handlers do */
  ++victim->cleaned;
}

static void* wait_until_cancelled(void* argument) {
  struct Victim* victim = argument;
  pthread_cleanup_push(clean_up, victim);
  for (;;) {
    call_once(victim->call, victim->fd, victim->epfd);
    /* A cancellation point that did not act would come back here. */
    fail_at(__FILE__, __LINE__, "%s came back", victim->call);
  }
  pthread_cleanup_pop(0);
  return NULL;
}

static struct Victim victim_of(const char* call) {
  struct Victim victim = {.call = call, .fd = pending_for(call), .epfd = epoll_create1(0)};
  if (is_epoll(call)) {
    add_to_epoll(victim.epfd, EPOLL_CTL_ADD, victim.fd, EPOLLOUT, 1);
  }
  return victim;
}

/* A thread is cancelled inside a call, or just before it: its handlers run, nothing stays locked,
 * the descriptor can be closed. cancelled_in CALL */
PROBE(cancelled_in) {
  for (int i = 0; i < 12; ++i) {
    struct Victim victim = victim_of(argv[1]);
    pthread_t thread;
    pthread_create(&thread, NULL, wait_until_cancelled, &victim);
    sleep_ms(i);
    CHECK_EQ(pthread_cancel(thread), 0);
    void* result;
    CHECK_EQ(pthread_join(thread, &result), 0);
    CHECK(result == PTHREAD_CANCELED);
    CHECK_EQ(victim.cleaned, 1);
    CHECK_EQ(close(victim.epfd), 0);
    check_echo(connected(ECHO));
  }
  const int fd = dialled(SOON_HELLO, SOCK_NONBLOCK);
  reach(fd);
  read_exactly(fd, "HELLO");
}

/* The call does not wait, on a non-blocking socket, and is a cancellation point all the same: a
 * thread that only ever gets EAGAIN can be cancelled. */
static atomic_int turns;
static void* call_for_ever(void* argument) {
  struct Victim* victim = argument;
  pthread_cleanup_push(clean_up, victim);
  for (;;) {
    if (strcmp(victim->call, "connect") == 0) {
      dial(victim->fd, NEVER);
    } else {
      call_once(victim->call, victim->fd, victim->epfd);
    }
    ++turns;
  }
  pthread_cleanup_pop(0);
  return NULL;
}
PROBE(cancelled_in_a_busy_loop) {
  alarm(20);
  struct Victim victim = {.call = argv[1], .epfd = -1};
  victim.fd = strcmp(argv[1], "connect") == 0 ? tcp(SOCK_NONBLOCK) : dialled(NEVER, SOCK_NONBLOCK);
  set_blocking(victim.fd, 0);
  pthread_t thread;
  pthread_create(&thread, NULL, call_for_ever, &victim);
  while (turns < 10) {
    sleep_ms(1);
  }
  CHECK_EQ(pthread_cancel(thread), 0);
  void* result;
  CHECK_EQ(pthread_join(thread, &result), 0);
  CHECK(result == PTHREAD_CANCELED);
  CHECK_EQ(victim.cleaned, 1);
}

/* A close() that is cancelled has not happened: the descriptor is what it was. */
static void* close_when_cancelled(void* argument) {
  struct Victim* victim = argument;
  int old;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
  while (turns == 0) {
    sleep_ms(1);
  }
  pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
  close(victim->fd);
  fail_at(__FILE__, __LINE__, "close came back");
}
PROBE(cancelled_close) {
  struct Victim victim = {.fd = dialled(SOON_HELLO, SOCK_NONBLOCK)};
  pthread_t thread;
  pthread_create(&thread, NULL, close_when_cancelled, &victim);
  CHECK_EQ(pthread_cancel(thread), 0);
  turns = 1;
  void* result;
  CHECK_EQ(pthread_join(thread, &result), 0);
  CHECK(result == PTHREAD_CANCELED);
  reach(victim.fd);
  read_exactly(victim.fd, "HELLO");
  check_echo(victim.fd);
  CHECK_EQ(close(victim.fd), 0);
}

static sigjmp_buf jump;
static void jump_away(int signal) {
  (void)signal;
  siglongjmp(jump, 1);
}

static void set_timer_us(int microseconds) {
  const struct itimerspec timer = {{0, 0}, {0, microseconds * 1000L}};
  static timer_t id;
  static int made;
  if (!made) {
    CHECK(timer_create(CLOCK_MONOTONIC, NULL, &id) == 0);
    made = 1;
  }
  CHECK(timer_settime(id, 0, &timer, NULL) == 0);
}

/* An alarm takes the program out of the call, as old programs did it, at many moments.
 * jumps_out_of CALL */
PROBE(jumps_out_of) {
  struct sigaction action = {.sa_handler = jump_away};
  sigaction(SIGALRM, &action, NULL);
  static volatile int fd, epfd;
  for (volatile int i = 0; i < 300; ++i) {
    fd = pending_for(argv[1]);
    epfd = epoll_create1(0);
    if (is_epoll(argv[1])) {
      add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT, 1);
    }
    if (sigsetjmp(jump, 1) == 0) {
      set_timer_us(20 + i * 7);
      call_once(argv[1], fd, epfd);
      fail_at(__FILE__, __LINE__, "%s came back", argv[1]);
    }
    CHECK_EQ(close(fd), 0);
    CHECK_EQ(close(epfd), 0);
  }
  fd = dialled(SOON_HELLO, SOCK_NONBLOCK);
  reach(fd);
  read_exactly(fd, "HELLO");
}

/* The same out of calls that do not wait: whatever is locked inside them must not stay so, or the
 * other thread would stand still. */
static atomic_int other_stops;
static void* use_sockets(void* argument) {
  sigset_t alarms;
  sigemptyset(&alarms);
  sigaddset(&alarms, SIGALRM);
  pthread_sigmask(SIG_BLOCK, &alarms, NULL);
  const int epfd = epoll_create1(0);
  while (!other_stops) {
    const int fd = dialled(NEVER, SOCK_NONBLOCK);
    add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT, 1);
    struct epoll_event event;
    CHECK_EQ(epoll_wait(epfd, &event, 1, 0), 0);
    CHECK_EQ(close(fd), 0);
    ++*(atomic_int*)argument;
  }
  return NULL;
}
PROBE(jumps_out_of_short_calls) {
  struct sigaction action = {.sa_handler = jump_away};
  sigaction(SIGALRM, &action, NULL);
  sigset_t alarms;
  sigemptyset(&alarms);
  sigaddset(&alarms, SIGALRM);
  pthread_sigmask(SIG_BLOCK, &alarms, NULL);
  atomic_int rounds_of_other = 0;
  pthread_t thread;
  pthread_create(&thread, NULL, use_sockets, &rounds_of_other);
  static volatile int fd, copy, epfd;
  epfd = epoll_create1(0);
  fd = dialled(NEVER, SOCK_NONBLOCK);
  pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
  const long long start = now_us();
  for (volatile int i = 0; now_us() - start < 2000000; ++i) {
    if (sigsetjmp(jump, 1) != 0) {
      continue;
    }
    set_timer_us(10 + i % 90);
    for (;;) {
      struct epoll_event event = {.events = EPOLLOUT};
      epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event);
      epoll_wait(epfd, &event, 1, 0);
      copy = dup(fd);
      so_error(copy);
      epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL);
      close(copy);
    }
  }
  pthread_sigmask(SIG_BLOCK, &alarms, NULL);
  const int before = rounds_of_other;
  const long long end = now_us() + 10000000;
  while (rounds_of_other < before + 3 && now_us() < end) {
    sleep_ms(5);
  }
  CHECK(rounds_of_other >= before + 3);
  other_stops = 1;
  pthread_join(thread, NULL);
  check_echo(connected(ECHO));
}

/* A handler that uses sockets itself: the one that the program is waiting for, or others. */
static volatile sig_atomic_t handled, handler_fd = -1;
static const char* handler_does;
static void use_in_handler(int signal) {
  (void)signal;
  const int saved = errno;
  char octet;
  ++handled;
  if (strcmp(handler_does, "same") == 0) {
    if (handled >= 5) {
      return;
    } /* it may be connected by now */
    /* All of it on the socket that is being waited for. */
    CHECK_FAILS(recv(handler_fd, &octet, 1, MSG_DONTWAIT), EAGAIN);
    CHECK_FAILS(send(handler_fd, "x", 1, MSG_DONTWAIT), EAGAIN);
    CHECK_EQ(so_error(handler_fd), 0);
    struct pollfd waited = {handler_fd, POLLOUT, 0};
    CHECK_EQ(poll(&waited, 1, 0), 0);
  } else if (strcmp(handler_does, "connect") == 0) {
    const int fd = connected(ECHO);
    check_echo(fd);
    close(fd);
  } else {
    close(dup(handler_fd));
    const int fd = dialled(NEVER, SOCK_NONBLOCK);
    close(fd);
  }
  errno = saved;
}

/* handler_uses_sockets same|connect|lifetime WAITER|connect */
PROBE(handler_uses_sockets) {
  struct sigaction action = {.sa_handler = use_in_handler, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  /* A crash handler, as many programs have one: it has no part in this. */
  action.sa_flags = 0;
  sigaction(SIGSEGV, &action, NULL);
  handler_does = argv[1];
  const int blocking = strcmp(argv[2], "connect") == 0, epfd = epoll_create1(0);
  const int fd = tcp(blocking ? 0 : SOCK_NONBLOCK);
  if (is_epoll(argv[2])) {
    add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, 1);
  }
  struct epoll_event event;
  if (is_epoll(argv[2])) {
    CHECK_EQ(epoll_wait(epfd, &event, 1, 0), 1);
  }
  handler_fd = fd;
  const long long start = now_us();
  if (blocking) {
    set_timer_ms(100, 100);
    CHECK_EQ(dial(fd, SLOW), 0);
  } else {
    CHECK_FAILS(dial(fd, SLOW), EINPROGRESS);
    set_timer_ms(100, 100);
    int ready;
    while ((ready = wait_by(argv[2], is_epoll(argv[2]) ? epfd : fd, EPOLLOUT, 20000, NULL, NULL)) <
           0) {
      CHECK_EQ(errno, EINTR);
    }
    CHECK_EQ(ready, 1);
  }
  set_timer_ms(0, 0);
  CHECK_TIME(now_us() - start, SLOW_US, SLOW_US * 5);
  CHECK(handled >= 3);
  CHECK_EQ(so_error(fd), 0);
  check_echo(fd);
}

/* Signal-driven: O_ASYNC and SIGIO, and a program that looks at its socket when it is told to. */
static volatile sig_atomic_t told;
static void note_sigio(int signal) {
  (void)signal;
  told = 1;
}
PROBE(signal_driven) {
  struct sigaction action = {.sa_handler = note_sigio};
  sigaction(SIGIO, &action, NULL);
  sigset_t block, none;
  sigemptyset(&none);
  sigemptyset(&block);
  sigaddset(&block, SIGIO);
  sigprocmask(SIG_BLOCK, &block, NULL);
  const int fd = tcp(SOCK_NONBLOCK);
  CHECK_EQ(fcntl(fd, F_SETOWN, getpid()), 0);
  CHECK_EQ(fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK), 0);
  const long long start = now_us();
  CHECK_FAILS(dial(fd, SOON_HELLO), EINPROGRESS);
  struct pollfd waited = {fd, POLLOUT, 0};
  alarm(20);
  do {
    while (!told) {
      sigsuspend(&none);
    }
    told = 0;
  } while (poll(&waited, 1, 0) == 0);
  CHECK_EQ(waited.revents, POLLOUT);
  CHECK_TIME(now_us() - start, SOON_US, SOON_US * 5);
  CHECK_EQ(so_error(fd), 0);
  read_exactly(fd, "HELLO");
  CHECK((fcntl(fd, F_GETFL) & O_ASYNC) != 0);
  CHECK_EQ(fcntl(fd, F_GETOWN), getpid());
  check_echo(fd);
}
