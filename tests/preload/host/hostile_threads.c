/* Hostile threads: closes, cancellations and long jumps in the middle of things, and many at once.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig/probe.h"

struct Wait {
  int fd, epfd;
  const char* by;
  int result;
  uint32_t events;
};
static void* wait_there(void* argument) {
  struct Wait* wait = argument;
  wait->result = wait_by(wait->by, wait->epfd >= 0 ? wait->epfd : wait->fd, EPOLLIN | EPOLLOUT, 700,
                         &wait->events, NULL);
  return NULL;
}

/* Another thread waits for the socket while it is closed. The kernel lets poll go on and takes the
 * socket out of epoll; what matters is that the wait ends at its time, and that a new file under
 * the number is not taken for the old one. closed_while_waited_for WAITER */
PROBE(closed_while_waited_for) {
  struct Wait wait = {.by = argv[1], .epfd = -1};
  wait.fd = dialled(NEVER, SOCK_NONBLOCK);
  if (is_epoll(argv[1])) {
    wait.epfd = epoll_create1(0);
    add_to_epoll(wait.epfd, EPOLL_CTL_ADD, wait.fd, EPOLLIN | EPOLLOUT, 1);
  }
  pthread_t thread;
  const long long start = now_us();
  pthread_create(&thread, NULL, wait_there, &wait);
  sleep_ms(100);
  CHECK_EQ(close(wait.fd), 0);
  const int fresh = connected(HELLO);
  read_exactly(fresh, "HELLO");
  pthread_join(thread, NULL);
  CHECK(now_us() - start < 5000000);
  if (wait.epfd >= 0) {
    CHECK_EQ(wait.result, 0);
  }
  check_echo(fresh);
}

static void* close_soon(void* argument) {
  sleep_ms(100);
  CHECK_EQ(close(*(int*)argument), 0);
  return NULL;
}

/* A blocking connect whose descriptor another thread closes: it ends, some way, within the
 * gateway's time. */
PROBE(closed_while_connecting) {
  int fd = tcp(0);
  pthread_t thread;
  pthread_create(&thread, NULL, close_soon, &fd);
  const long long start = now_us();
  const int result = dial(fd, SLOW);
  CHECK(result == 0 || errno == EBADF || errno == ECONNABORTED);
  CHECK(now_us() - start < 5000000);
  pthread_join(thread, NULL);
  check_echo(connected(ECHO));
}

static void* connect_forever(void* argument) {
  dial(*(int*)argument, NEVER);
  return NULL;
}
static void* poll_forever(void* argument) {
  struct pollfd waited = {*(int*)argument, POLLOUT, 0};
  poll(&waited, 1, -1);
  return NULL;
}
static void* epoll_forever(void* argument) {
  struct epoll_event event;
  const int epfd = epoll_create1(0);
  add_to_epoll(epfd, EPOLL_CTL_ADD, *(int*)argument, EPOLLOUT, 1);
  epoll_wait(epfd, &event, 1, -1);
  return NULL;
}

/* pthread_cancel in the middle of connect, poll or epoll_wait; nothing stays locked. */
PROBE(thread_cancelled) {
  for (int i = 0; i < 20; ++i) {
    int fd = tcp(strcmp(argv[1], "connect") == 0 ? 0 : SOCK_NONBLOCK);
    if (strcmp(argv[1], "connect") != 0) {
      CHECK_FAILS(dial(fd, NEVER), EINPROGRESS);
    }
    pthread_t thread;
    pthread_create(&thread, NULL,
                   strcmp(argv[1], "connect") == 0 ? connect_forever
                   : strcmp(argv[1], "poll") == 0  ? poll_forever
                                                   : epoll_forever,
                   &fd);
    sleep_ms(i);
    CHECK_EQ(pthread_cancel(thread), 0);
    void* result;
    CHECK_EQ(pthread_join(thread, &result), 0);
    CHECK(result == PTHREAD_CANCELED);
    check_echo(connected(ECHO));
    CHECK_EQ(close(fd), 0);
  }
}

static sigjmp_buf jump;
static void jump_away(int signal) {
  (void)signal;
  siglongjmp(jump, 1);
}

/* A handler leaves a blocking connect by siglongjmp, at many moments; the classic timeout of old
 * programs. */
PROBE(long_jump_out_of_connect) {
  struct sigaction action = {.sa_handler = jump_away};
  sigaction(SIGALRM, &action, NULL);
  for (volatile int i = 0; i < 40; ++i) {
    volatile int fd = tcp(0);
    if (sigsetjmp(jump, 1) == 0) {
      set_timer_ms(1 + i, 0);
      dial(fd, NEVER);
      fail_at(__FILE__, __LINE__, "connect returned");
    }
    if (i % 2 == 0) {
      CHECK_EQ(close(fd), 0);
    }
  }
  check_echo(connected(ECHO));
  const int fd = dialled(SOON_HELLO, SOCK_NONBLOCK);
  reach(fd);
  read_exactly(fd, "HELLO");
}

enum { THREADS = 64, CONNECTS = 20 };
static atomic_int finished;

static void* connect_often(void* argument) {
  const int odd = (int)(intptr_t)argument % 2;
  for (int i = 0; i < CONNECTS; ++i) {
    const int fd = dialled(i % 2 == 0 ? HELLO : ECHO, SOCK_CLOEXEC | (odd ? SOCK_NONBLOCK : 0));
    if (odd) {
      reach(fd);
    }
    if (i % 2 == 0) {
      read_exactly(fd, "HELLO");
    }
    char line[32];
    const int size = snprintf(line, sizeof(line), "%d.%d\n", (int)(intptr_t)argument, i);
    CHECK_EQ(write(fd, line, (size_t)size), size);
    read_exactly(fd, line);
    CHECK_EQ(close(fd), 0);
  }
  ++finished;
  return NULL;
}

/* Sixty-four threads connect while the main thread forks and execs. */
PROBE(threads_against_fork) {
  pthread_t threads[THREADS];
  for (intptr_t i = 0; i < THREADS; ++i) {
    pthread_create(&threads[i], NULL, connect_often, (void*)i);
  }
  int children = 0;
  while (finished < THREADS) {
    const pid_t child = fork();
    if (child == 0) {
      if (children % 4 == 0) {
        check_echo(connected(ECHO));
      }
      execl("/bin/true", "true", (char*)NULL);
      _exit(127);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQ(status, 0);
    ++children;
  }
  for (int i = 0; i < THREADS; ++i) {
    pthread_join(threads[i], NULL);
  }
  printf("%d connects beside %d forks\n", THREADS * CONNECTS, children);
}

/* Threads that share one epoll set and one stream of pending sockets. */
static int shared_epfd;
static atomic_int reached_count;
static void* serve_shared(void* argument) {
  (void)argument;
  struct epoll_event event;
  while (epoll_wait(shared_epfd, &event, 1, 1500) == 1) {
    CHECK_EQ(event.events, EPOLLOUT);
    CHECK_EQ(so_error(event.data.fd), 0);
    ++reached_count;
  }
  return NULL;
}
PROBE(threads_share_a_set) {
  enum { SOCKETS = 200 };
  pthread_t threads[4];
  shared_epfd = epoll_create1(0);
  for (int i = 0; i < 4; ++i) {
    pthread_create(&threads[i], NULL, serve_shared, NULL);
  }
  for (int i = 0; i < SOCKETS; ++i) {
    const int fd = tcp(SOCK_NONBLOCK);
    CHECK_FAILS(dial(fd, SOON), EINPROGRESS);
    add_to_epoll(shared_epfd, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, (uint64_t)fd);
  }
  for (int i = 0; i < 4; ++i) {
    pthread_join(threads[i], NULL);
  }
  CHECK_EQ(reached_count, SOCKETS);
}

static atomic_int
    changing; /* 1: the other thread changes the registration; 0: it is told to stop */

struct Registered {
  int epfd, fd;
};

static void* change_registration(void* argument) {
  const struct Registered* registered = argument;
  struct epoll_event event = {.events = EPOLLOUT, .data.u64 = 7};
  while (changing) {
    CHECK_EQ(epoll_ctl(registered->epfd, EPOLL_CTL_MOD, registered->fd, &event), 0);
  }
  return NULL;
}

/* One thread changes the registration while another dials: nothing shows before the destination is
 * reached. */
PROBE(registration_changed_while_dialling) {
  const long long end = now_us() + 3000000;
  do {
    struct Registered registered = {epoll_create1(0), tcp(SOCK_NONBLOCK)};
    add_to_epoll(registered.epfd, EPOLL_CTL_ADD, registered.fd, EPOLLOUT, 7);
    pthread_t thread;
    changing = 1;
    CHECK(pthread_create(&thread, NULL, change_registration, &registered) == 0);
    sched_yield();
    CHECK_FAILS(dial(registered.fd, NEVER), EINPROGRESS);
    changing = 0;
    pthread_join(thread, NULL);
    struct epoll_event event;
    CHECK_EQ(epoll_wait(registered.epfd, &event, 1, 1), 0);
    close(registered.fd);
    close(registered.epfd);
  } while (now_us() < end);
}

static void* poll_until_overwritten(void* argument) {
  const int fd = *(const int*)argument;
  struct pollfd waited = {fd, POLLIN, 0};
  while (changing) {
    poll(&waited, 1, 0);
  }
  return NULL;
}

/* Another file comes under the number while another thread advances the handshake there: nothing is
 * written to it. */
PROBE(overwritten_while_advanced) {
  const long long end = now_us() + 4000000;
  unsigned turn = 0;
  do {
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    int fd = tcp(SOCK_NONBLOCK);
    changing = 1;
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, poll_until_overwritten, &fd) == 0);
    CHECK_FAILS(dial(fd, NEVER), EINPROGRESS);
    for (volatile unsigned spin = 0; spin < turn % 256 * 400; ++spin) {
    }
    ++turn;
    CHECK_EQ(dup2(ends[0], fd), fd);
    changing = 0;
    pthread_join(thread, NULL);
    char octets[64];
    CHECK_FAILS(recv(ends[1], octets, sizeof(octets), MSG_DONTWAIT), EAGAIN);
    close(fd);
    close(ends[0]);
    close(ends[1]);
  } while (now_us() < end);
}
