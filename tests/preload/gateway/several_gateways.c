/* Several gateways. Which of them is asked, the runner sees. */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig/probe.h"

static void connect_once(void) {
  const int fd = connected(ECHO);
  check_echo(fd);
  CHECK_EQ(close(fd), 0);
}

/* several_connects COUNT [milliseconds between] */
PROBE(several_connects) {
  for (int i = 0; i < atoi(argv[1]); ++i) {
    if (i != 0 && argc > 2) {
      sleep_ms(atoi(argv[2]));
    }
    connect_once();
  }
}

/* Each in a child of its own. several_children COUNT */
PROBE(several_children) {
  for (int i = 0; i < atoi(argv[1]); ++i) {
    const pid_t child = fork();
    if (child == 0) {
      connect_once();
      _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQ(status, 0);
  }
}

/* several_failures COUNT ERRNO: on a new socket each, then on one again and again. */
PROBE(several_failures) {
  for (int i = 0; i < atoi(argv[1]); ++i) {
    const int fd = tcp(0);
    CHECK_FAILS(dial(fd, ECHO), errno_named(argv[2]));
    CHECK_EQ(close(fd), 0);
  }
  const int fd = tcp(0);
  for (int i = 0; i < atoi(argv[1]); ++i) {
    CHECK_FAILS(dial(fd, ECHO), errno_named(argv[2]));
  }
}

/* The child goes on with a handshake that has to fail over. several_and_fork child|parent */
PROBE(several_and_fork) {
  const int fd = tcp(SOCK_NONBLOCK);
  CHECK_FAILS(dial(fd, SOON), EINPROGRESS);
  const pid_t child = fork();
  const int ours = (child == 0) == (strcmp(argv[1], "child") == 0);
  if (ours) {
    reach(fd);
    check_echo(fd);
  }
  if (child == 0) {
    _exit(0);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK_EQ(status, 0);
}

/* What failed over to the program's own family is the program's in every way. */
PROBE(several_back_to_own) {
  const int fd = tcp(0);
  CHECK_EQ(dial(fd, ECHO), 0);
  struct sockaddr_storage local;
  socklen_t length = sizeof(local);
  CHECK_EQ(getsockname(fd, (struct sockaddr*)&local, &length), 0);
  CHECK_EQ(local.ss_family, family());
  CHECK_EQ(ntohs(((struct sockaddr_in*)&local)->sin_port), 4242);
  CHECK_EQ(get_option(fd, SOL_SOCKET, SO_DOMAIN), family());
  CHECK_EQ(get_option(fd, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
  check_echo(fd);
}

/* A failover that takes its time. several_async WAITER */
PROBE(several_async) {
  const int fd = tcp(SOCK_NONBLOCK), epfd = epoll_create1(0);
  add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLONESHOT, 7);
  CHECK_FAILS(dial(fd, SOON), EINPROGRESS);
  add_to_epoll(epfd, EPOLL_CTL_MOD, fd, EPOLLOUT | EPOLLET, 8);
  uint32_t events = 0;
  uint64_t data = 8;
  const long long start = now_us();
  CHECK_EQ(wait_by(argv[1], is_epoll(argv[1]) ? epfd : fd, EPOLLOUT, 20000, &events, &data), 1);
  CHECK(now_us() - start >= SOON_US - 50000);
  CHECK_EQ(events, EPOLLOUT);
  CHECK_EQ(data, 8);
  CHECK_EQ(so_error(fd), 0);
  check_echo(fd);
}

/* The way of old programs to limit a call. What was jumped out of must not leave a door open. */
static sigjmp_buf way_out;
static void jump(int number) {
  (void)number;
  siglongjmp(way_out, 1);
}
PROBE(several_jump_out) {
  CHECK(signal(SIGALRM, jump) != SIG_ERR);
  if (sigsetjmp(way_out, 1) == 0) {
    set_timer_ms(200, 0);
    const int fd = tcp(0);
    const int result = dial(fd, ECHO);
    CHECK_EQ(result, -1);
  }
  set_timer_ms(0, 0);
  CHECK_FAILS(dial(tcp(0), ECHO), EHOSTUNREACH);
}
