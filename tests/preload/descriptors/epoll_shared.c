/* Epoll sets that are shared: a set inside a set, a set that relatives or strangers hold, and
 * registrations that had their say before the connect. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig/probe.h"

enum { GENEROUS = 20000 };
static const uint64_t cookie = 0x0123456789abcdefU;

/* One wait for the outermost descriptor. */
static int wait_outside(const char* waiter, int fd, int timeout_ms) {
  uint32_t events = 0;
  uint64_t data = 0;
  const int result = wait_by(waiter, fd, EPOLLIN, timeout_ms, &events, &data);
  if (result == 1) {
    CHECK_EQ(events, EPOLLIN);
    if (is_epoll(waiter)) {
      CHECK(data == cookie);
    }
  }
  return result;
}

/* A set inside a set, `depth` deep, or looked at by poll and select: it is readable when, and not
 * before, the innermost set has an event for the program.
 * nested_is_ready_in_time WAITER DEPTH level|edge|oneshot before|after */
PROBE(nested_is_ready_in_time) {
  const char* waiter = argv[1];
  const int depth = atoi(argv[2]), before = strcmp(argv[4], "before") == 0;
  const uint32_t mode = strcmp(argv[3], "edge") == 0      ? (uint32_t)EPOLLET
                        : strcmp(argv[3], "oneshot") == 0 ? (uint32_t)EPOLLONESHOT
                                                          : 0;
  const int inner = epoll_create1(0), fd = tcp(SOCK_NONBLOCK);
  int outermost = inner;
  for (int i = 0; i < depth; ++i) {
    const int outer = epoll_create1(0);
    /* The sets in the middle are waited for by nobody: there only level makes sense. */
    add_to_epoll(outer, EPOLL_CTL_ADD, outermost, EPOLLIN | (i + 1 == depth ? mode : 0), cookie);
    outermost = outer;
  }
  const uint32_t asked = EPOLLIN | EPOLLOUT | EPOLLET;
  struct epoll_event event;
  if (before) {
    add_to_epoll(inner, EPOLL_CTL_ADD, fd, asked, 7);
    /* An unconnected socket is hung up, and a oneshot of the outer set would be spent on it. */
    CHECK_EQ(epoll_wait(inner, &event, 1, 0), 1);
  }
  const long long start = now_us();
  CHECK_FAILS(dial(fd, SOON_HELLO), EINPROGRESS);
  if (!before) {
    add_to_epoll(inner, EPOLL_CTL_ADD, fd, asked, 7);
  }
  CHECK_EQ(wait_outside(waiter, outermost, 0), 0);
  CHECK_EQ(wait_outside(waiter, outermost, 100), 0);
  CHECK_EQ(wait_outside(waiter, outermost, GENEROUS), 1);
  CHECK_TIME(now_us() - start, SOON_US, SOON_US * 3);
  CHECK_EQ(epoll_wait(inner, &event, 1, 0), 1);
  CHECK_EQ(event.events, EPOLLIN | EPOLLOUT);
  CHECK_EQ(event.data.u64, 7);
  CHECK_EQ(wait_outside(waiter, outermost, 50), 0);
  read_exactly(fd, "HELLO");
  CHECK_EQ(write(fd, "again", 5), 5);
  if (mode == EPOLLONESHOT && depth > 0) {
    CHECK_EQ(wait_outside(waiter, outermost, 50), 0);
    return;
  }
  CHECK_EQ(wait_outside(waiter, outermost, GENEROUS), 1);
  CHECK_EQ(epoll_wait(inner, &event, 1, 0), 1);
  read_exactly(fd, "again");
}

/* Beside the pending socket the inner set has something that is ready at once. */
PROBE(nested_beside_ready_ones) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  const int inner = epoll_create1(0), outer = epoll_create1(0);
  add_to_epoll(outer, EPOLL_CTL_ADD, inner, EPOLLIN, cookie);
  add_to_epoll(inner, EPOLL_CTL_ADD, ends[0], EPOLLIN | EPOLLET, 1);
  add_to_epoll(inner, EPOLL_CTL_ADD, dialled(SLOW, SOCK_NONBLOCK), EPOLLOUT | EPOLLET, 2);
  const long long start = now_us();
  CHECK_EQ(write(ends[1], "x", 1), 1);
  CHECK_EQ(wait_outside("epoll_wait", outer, GENEROUS), 1);
  CHECK_TIME(now_us() - start, 0, SLOW_US - 100000);
  struct epoll_event event;
  CHECK_EQ(epoll_wait(inner, &event, 1, 0), 1);
  CHECK_EQ(event.data.u64, 1);
  CHECK_EQ(wait_outside("epoll_wait", outer, GENEROUS), 1);
  CHECK_TIME(now_us() - start, SLOW_US - 100000, SLOW_US * 5 / 2);
  CHECK_EQ(epoll_wait(inner, &event, 1, 0), 1);
  CHECK_EQ(event.data.u64, 2);
}

/* A connect that fails shows through the outer set too. */
PROBE(nested_failure) {
  const int inner = epoll_create1(0), outer = epoll_create1(0);
  const int fd = dialled(SOON_REFUSE + 5, SOCK_NONBLOCK);
  add_to_epoll(outer, EPOLL_CTL_ADD, inner, EPOLLIN, cookie);
  add_to_epoll(inner, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, 2);
  const long long start = now_us();
  CHECK_EQ(wait_outside("epoll_wait", outer, GENEROUS), 1);
  CHECK_TIME(now_us() - start, SOON_US - 50000, SOON_US * 4);
  struct epoll_event event;
  CHECK_EQ(epoll_wait(inner, &event, 1, 0), 1);
  CHECK((event.events & EPOLLERR) != 0);
  CHECK_EQ(so_error(fd), ECONNREFUSED);
}

/* A oneshot that was spent on the unconnected socket stays spent: it hears neither of the handshake
 * nor of its end until it is armed again. spent_oneshot SOON|REFUSE during|after ""|edge */
PROBE(spent_oneshot) {
  const int port = strcmp(argv[1], "SOON") == 0 ? SOON : SOON_REFUSE + 5;
  const int during = strcmp(argv[2], "during") == 0;
  const uint32_t mode = EPOLLONESHOT | (strcmp(argv[3], "edge") == 0 ? (uint32_t)EPOLLET : 0);
  const int epfd = epoll_create1(0), fd = tcp(SOCK_NONBLOCK);
  add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | mode, 1);
  struct epoll_event event = {0};
  CHECK_EQ(epoll_wait(epfd, &event, 1, 0), 1);
  CHECK_EQ(epoll_wait(epfd, &event, 1, 0), 0);
  const long long start = now_us();
  CHECK_FAILS(dial(fd, port), EINPROGRESS);
  if (during) {
    CHECK_EQ(epoll_wait(epfd, &event, 1, 100), 0);
    add_to_epoll(epfd, EPOLL_CTL_MOD, fd, EPOLLOUT | mode, 2);
    CHECK_EQ(epoll_wait(epfd, &event, 1, GENEROUS), 1);
    CHECK_TIME(now_us() - start, SOON_US, SOON_US * 4);
  } else {
    CHECK_EQ(epoll_wait(epfd, &event, 1, 800), 0);
    struct pollfd waited = {fd, POLLOUT, 0};
    CHECK_EQ(poll(&waited, 1, GENEROUS), 1);
    CHECK_EQ(epoll_wait(epfd, &event, 1, 100), 0);
    add_to_epoll(epfd, EPOLL_CTL_MOD, fd, EPOLLOUT | mode, 2);
    CHECK_EQ(epoll_wait(epfd, &event, 1, 0), 1);
  }
  CHECK_EQ(event.data.u64, 2);
  CHECK_EQ(event.events, port == SOON ? EPOLLOUT : EPOLLOUT | EPOLLERR | EPOLLHUP);
  CHECK_EQ(epoll_wait(epfd, &event, 1, 50), 0);
  CHECK_EQ(so_error(fd), port == SOON ? 0 : ECONNREFUSED);
  CHECK_EQ(epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL), 0);
}

static void join_child(pid_t child) {
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK_EQ(status, 0);
}

static void wait_for_the_end(int epfd, int fd, uint64_t data, long long start) {
  struct epoll_event event;
  CHECK_EQ(epoll_wait(epfd, &event, 1, GENEROUS), 1);
  CHECK_TIME(now_us() - start, SOON_US, SOON_US * 10);
  CHECK_EQ(event.events, EPOLLOUT);
  CHECK(event.data.u64 == data);
  CHECK_EQ(so_error(fd), 0);
  read_exactly(fd, "HELLO");
  check_echo(fd);
}

/* The parent makes set and registration, the child connects. The parent does nothing, waits in the
 * same set for something else, or is gone. inherited_set idle|waits|gone */
PROBE(inherited_set) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  const int epfd = epoll_create1(0), fd = tcp(SOCK_NONBLOCK);
  add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, cookie);
  struct epoll_event event;
  CHECK_EQ(epoll_wait(epfd, &event, 1, 0), 1);
  const pid_t child = fork();
  if (strcmp(argv[1], "gone") == 0 && child != 0) {
    /* As daemon(3): the one that goes on is the child, and the runner waits for its output. */
    char octet;
    close(ends[1]);
    CHECK_EQ(read(ends[0], &octet, 1), 1);
    return;
  }
  if (child == 0) {
    if (strcmp(argv[1], "gone") == 0) {
      close(ends[0]);
    }
    const long long start = now_us();
    CHECK_FAILS(dial(fd, SOON_HELLO), EINPROGRESS);
    if (strcmp(argv[1], "waits") == 0) {
      /* Whoever is faster has the event; the stream is the child's. */
      while (epoll_wait(epfd, &event, 1, 100) == 0 && so_error(fd) == 0) {
        struct pollfd waited = {fd, POLLOUT, 0};
        if (poll(&waited, 1, 0) == 1) {
          break;
        }
        CHECK(now_us() - start < SOON_US * 20);
      }
      read_exactly(fd, "HELLO");
      check_echo(fd);
    } else {
      wait_for_the_end(epfd, fd, cookie, start);
    }
    CHECK_EQ(write(ends[1], "x", 1), 1);
    _exit(0);
  }
  if (strcmp(argv[1], "waits") == 0) {
    /* It may hear of the end, for it has the set; of the handshake it may not. */
    const long long start = now_us();
    const int heard = epoll_wait(epfd, &event, 1, 2000);
    if (heard == 1) {
      CHECK(now_us() - start > SOON_US / 2);
      CHECK_EQ(event.events & ~(uint32_t)EPOLLIN, EPOLLOUT);
      CHECK(event.data.u64 == cookie);
    }
  }
  join_child(child);
}

/* A relative that holds the set waits in it while the other one connects sockets that it made and
 * registered after the fork. Neither sees a handshake, and each event comes to one of them; the one
 * that connects loses no time by it. set_of_both parent|child */
PROBE(set_of_both) {
  enum { SOCKETS = 20 };
  const int parent_connects = strcmp(argv[1], "parent") == 0;
  const int epfd = epoll_create1(0);
  int stop[2];
  CHECK(pipe(stop) == 0);
  add_to_epoll(epfd, EPOLL_CTL_ADD, stop[0], EPOLLIN, 1000);
  const pid_t child = fork();
  CHECK(child >= 0);
  const int i_connect = (child != 0) == parent_connects;
  if (!i_connect) {
    for (;;) {
      struct epoll_event event;
      CHECK_EQ(epoll_wait(epfd, &event, 1, GENEROUS), 1);
      if (event.data.u64 == 1000) {
        break;
      }
      CHECK(event.data.u64 < SOCKETS);
      /* Between registration and connect an unconnected socket is hung up. */
      CHECK_EQ(event.events & ~(uint32_t)EPOLLHUP, EPOLLOUT);
    }
  } else {
    int fds[SOCKETS];
    const long long start = now_us();
    for (int i = 0; i < SOCKETS; ++i) {
      fds[i] = tcp(SOCK_NONBLOCK);
      if (i % 2 == 0) {
        CHECK_FAILS(dial(fds[i], SOON_HELLO), EINPROGRESS);
      }
      add_to_epoll(epfd, EPOLL_CTL_ADD, fds[i],
                   EPOLLOUT | EPOLLONESHOT | (i % 2 == 0 ? (uint32_t)EPOLLET : 0), (uint64_t)i);
      if (i % 2 == 1) {
        CHECK(dial(fds[i], SOON_HELLO) == -1 && errno == EINPROGRESS);
      }
    }
    struct epoll_event event;
    for (int heard = 0; heard < 40; ++heard) {
      if (epoll_wait(epfd, &event, 1, 30) != 1) {
        continue;
      }
      CHECK(event.data.u64 < SOCKETS);
      CHECK_EQ(event.events & ~(uint32_t)EPOLLHUP, EPOLLOUT);
    }
    for (int i = 0; i < SOCKETS; ++i) {
      reach(fds[i]);
      read_exactly(fds[i], "HELLO");
      check_echo(fds[i]);
    }
    CHECK_TIME(now_us() - start, SOON_US, SOON_US * 20);
    CHECK_EQ(write(stop[1], "x", 1), 1);
  }
  if (child == 0) {
    _exit(0);
  }
  join_child(child);
}

static void send_descriptor(int channel, int fd) {
  char octet = 'x', control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec part = {&octet, 1};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  CHECK_EQ(sendmsg(channel, &message, 0), 1);
}

static int received_descriptor(int channel) {
  char octet, control[CMSG_SPACE(sizeof(int))];
  struct iovec part = {&octet, 1};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
  CHECK_EQ(recvmsg(channel, &message, 0), 1);
  int fd;
  memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
  return fd;
}

/* What passed_set and passed_socket start: a stranger with the library, on channel 0. */
PROBE(stranger_waits_in_a_set) {
  const int epfd = received_descriptor(0);
  CHECK_EQ(write(0, "x", 1), 1);
  for (;;) {
    struct epoll_event event;
    CHECK_EQ(epoll_wait(epfd, &event, 1, GENEROUS), 1);
    if (event.data.u64 == 1000) {
      return;
    }
    CHECK(event.data.u64 == cookie);
    CHECK_EQ(event.events, EPOLLOUT);
  }
}

static pid_t start_stranger(const char* probe, int channel) {
  const pid_t child = fork();
  if (child == 0) {
    CHECK_EQ(dup2(channel, 0), 0);
    execl("/proc/self/exe", "probe", probe, (char*)NULL);
    _exit(127);
  }
  return child;
}

/* A set is sent to another program, which waits in it beside us. */
PROBE(passed_set) {
  int channel[2], stop[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) == 0);
  CHECK(pipe(stop) == 0);
  const pid_t child = start_stranger("stranger_waits_in_a_set", channel[1]);
  const int epfd = epoll_create1(EPOLL_CLOEXEC);
  add_to_epoll(epfd, EPOLL_CTL_ADD, stop[0], EPOLLIN, 1000);
  send_descriptor(channel[0], epfd);
  char octet;
  CHECK_EQ(read(channel[0], &octet, 1), 1);
  const long long start = now_us();
  const int fd = dialled(SOON_HELLO, SOCK_NONBLOCK);
  add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, cookie);
  struct epoll_event event;
  /* One of the two has the event. */
  (void)epoll_wait(epfd, &event, 1, 1500);
  reach(fd);
  CHECK(now_us() - start >= SOON_US);
  read_exactly(fd, "HELLO");
  check_echo(fd);
  CHECK_EQ(write(stop[1], "x", 1), 1);
  join_child(child);
}

PROBE(stranger_uses_a_socket) {
  const int fd = received_descriptor(0);
  reach(fd);
  read_exactly(fd, "HELLO");
  check_echo(fd);
}

/* A socket whose connect is pending is sent to another program: what it gets is a stream to the
 * destination. passed_socket pending|reached async|blocking */
PROBE(passed_socket) {
  int channel[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) == 0);
  const pid_t child = start_stranger("stranger_uses_a_socket", channel[1]);
  const int fd = dialled(SOON_HELLO, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (strcmp(argv[1], "reached") == 0) {
    reach(fd);
  }
  if (strcmp(argv[2], "blocking") == 0) {
    set_blocking(fd, 1);
  }
  send_descriptor(channel[0], fd);
  CHECK_EQ(close(fd), 0);
  join_child(child);
}

/* epoll_ctl while pending, with memory that is not there. */
PROBE(epoll_ctl_of_wrong_memory) {
  const int epfd = epoll_create1(0), fd = dialled(SOON_HELLO, SOCK_NONBLOCK);
  struct epoll_event* volatile nowhere = (struct epoll_event*)8;
  struct epoll_event* volatile none = NULL;
  CHECK_FAILS(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, nowhere), EFAULT);
  CHECK_FAILS(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, none), EFAULT);
  add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, cookie);
  CHECK_FAILS(epoll_ctl(epfd, EPOLL_CTL_MOD, fd, nowhere), EFAULT);
  CHECK_FAILS(epoll_ctl(epfd, EPOLL_CTL_MOD, fd, none), EFAULT);
  CHECK_FAILS(epoll_ctl(epfd, 77, fd, nowhere), EFAULT);
  struct epoll_event event = {.events = EPOLLIN};
  CHECK_FAILS(epoll_ctl(epfd, 77, fd, &event), EINVAL);
  CHECK_FAILS(epoll_ctl(999, EPOLL_CTL_MOD, fd, &event), EBADF);
  wait_for_the_end(epfd, fd, cookie, now_us() - SOON_US);
}

/* One thread registers, another connects, again and again: no order shows the handshake. */
static int race_fd;
static pthread_barrier_t both;
static void* dial_at_the_barrier(void* argument) {
  (void)argument;
  pthread_barrier_wait(&both);
  CHECK(dial(race_fd, SOON_HELLO) == -1 && errno == EINPROGRESS);
  pthread_barrier_wait(&both);
  return NULL;
}
PROBE(registration_against_connect) {
  enum { ROUNDS = 200 };
  const int epfd = epoll_create1(0);
  pthread_barrier_init(&both, NULL, 2);
  for (int i = 0; i < ROUNDS; ++i) {
    race_fd = tcp(SOCK_NONBLOCK);
    pthread_t thread;
    pthread_create(&thread, NULL, dial_at_the_barrier, NULL);
    pthread_barrier_wait(&both);
    add_to_epoll(epfd, EPOLL_CTL_ADD, race_fd, EPOLLOUT | EPOLLET, (uint64_t)i);
    pthread_barrier_wait(&both);
    pthread_join(thread, NULL);
    struct epoll_event event;
    for (int empty = 0; !empty;) {
      empty = epoll_wait(epfd, &event, 1, 5) == 0;
      /* Hung up: it was not connected yet. Anything else would be the gateway's. */
      if (!empty) {
        CHECK((event.events & EPOLLHUP) != 0);
      }
    }
    CHECK_EQ(close(race_fd), 0);
  }
}
