/* The process around the sockets: other ways to fork, limits, roots and users taken away,
 * calls before main() and after it, standard streams that are sockets. */
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rig/probe.h"

enum { GENEROUS = 20000 };

static void join_child(pid_t child) {
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK_EQ(status, 0);
}

static void hello_by_epoll(void) {
  const int epfd = epoll_create1(0), fd = tcp(SOCK_NONBLOCK);
  add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, 7);
  struct epoll_event event;
  CHECK_EQ(epoll_wait(epfd, &event, 1, 0), 1);
  const long long start = now_us();
  CHECK_FAILS(dial(fd, SOON_HELLO), EINPROGRESS);
  CHECK_EQ(epoll_wait(epfd, &event, 1, GENEROUS), 1);
  CHECK_TIME(now_us() - start, SOON_US, SOON_US * 8);
  CHECK_EQ(event.data.u64, 7);
  CHECK_EQ(event.events, EPOLLOUT);
  CHECK_EQ(so_error(fd), 0);
  read_exactly(fd, "HELLO");
  check_echo(fd);
  CHECK_EQ(close(fd), 0);
  CHECK_EQ(close(epfd), 0);
}

static void hello_by_poll(void) {
  const int fd = dialled(SOON_HELLO, SOCK_NONBLOCK);
  reach(fd);
  read_exactly(fd, "HELLO");
  check_echo(fd);
  CHECK_EQ(close(fd), 0);
}

/* The ways to a new process that libc hears nothing of. */
static pid_t forked_by(const char* how) {
  if (strcmp(how, "_Fork") == 0) {
    return _Fork();
  }
  if (strcmp(how, "clone") == 0) {
    return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
  }
  CHECK(strcmp(how, "fork") == 0);
#ifdef SYS_fork
  return (pid_t)syscall(SYS_fork);
#else
  return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
#endif
}

/* Such a child is a process of its own: it closes, connects, copies; and so does its parent.
 * unseen_fork fork|clone|_Fork */
PROBE(unseen_fork) {
  const int pending = dialled(SLOW, SOCK_NONBLOCK), done = connected(ECHO);
  const int other = dialled(NEVER, SOCK_NONBLOCK);
  const pid_t child = forked_by(argv[1]);
  CHECK(child >= 0);
  if (child == 0) {
    CHECK_EQ(close(pending), 0);
    /* Under the numbers of the parent's. */
    CHECK_EQ(connected(ECHO), pending);
    check_echo(pending);
    CHECK_EQ(dup2(pending, other), other);
    check_echo(other);
    CHECK_EQ(close(pending), 0);
    CHECK_EQ(tcp(SOCK_NONBLOCK), pending);
    CHECK_FAILS(dial(pending, SOON_HELLO), EINPROGRESS);
    reach(pending);
    read_exactly(pending, "HELLO");
    hello_by_epoll();
    const pid_t grandchild = fork();
    hello_by_poll();
    if (grandchild == 0) {
      _exit(0);
    }
    join_child(grandchild);
    hello_by_poll();
    _exit(0);
  }
  hello_by_poll();
  join_child(child);
  reach(pending);
  check_echo(pending);
  check_echo(done);
  CHECK_EQ(so_error(other), 0);
  struct pollfd waited = {other, POLLOUT, 0};
  CHECK_EQ(poll(&waited, 1, 0), 0);
}

/* daemon(3) in the middle of a connect; the runner sees the end by this process's own last word. */
PROBE(daemon_while_pending) {
  const int epfd = epoll_create1(0), fd = tcp(SOCK_NONBLOCK);
  int ends[2];
  CHECK(pipe(ends) == 0);
  add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, 3);
  struct epoll_event event;
  CHECK_EQ(epoll_wait(epfd, &event, 1, 0), 1);
  CHECK_FAILS(dial(fd, SOON_HELLO), EINPROGRESS);
  const pid_t watcher = fork(); /* daemon() ends the process that calls it */
  if (watcher != 0) {
    char octet = 0;
    close(ends[1]);
    CHECK_EQ(read(ends[0], &octet, 1), 1);
    CHECK_EQ(octet, 'x');
    join_child(watcher);
    return;
  }
  CHECK_EQ(daemon(0, 1), 0);
  CHECK_EQ(epoll_wait(epfd, &event, 1, GENEROUS), 1);
  CHECK_EQ(event.data.u64, 3);
  read_exactly(fd, "HELLO");
  check_echo(fd);
  hello_by_epoll();
  CHECK_EQ(write(ends[1], "x", 1), 1);
}

/* An empty root, no user, no capabilities. */
PROBE(root_and_user_taken_away) {
  const int pending = dialled(SOON_HELLO, SOCK_NONBLOCK);
  char folder[] = "/tmp/socks64-probe-XXXXXX";
  CHECK(mkdtemp(folder) != NULL);
  CHECK_EQ(chmod(folder, 0755), 0);
  if (chroot(folder) == 0) {
    CHECK_EQ(chdir("/"), 0);
  }
  (void)!setgroups(0, NULL);
  if (setgid(65534) == 0) {
    CHECK_EQ(setuid(65534), 0);
  }
  reach(pending);
  read_exactly(pending, "HELLO");
  check_echo(connected(HELLO) >= 0 ? connected(ECHO) : -1);
  hello_by_poll();
  hello_by_epoll();
  const pid_t child = fork();
  hello_by_epoll();
  if (child == 0) {
    _exit(0);
  }
  join_child(child);
}

static long long cpu_us(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return (long long)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

/* As in sandboxes: not one more descriptor, and poll(2) takes none at all.
 * no_descriptors_allowed blocking|epoll|again */
PROBE(no_descriptors_allowed) {
  const char* how = argv[1];
  const int fd = tcp(strcmp(how, "blocking") == 0 ? 0 : SOCK_NONBLOCK), epfd = epoll_create1(0);
  add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, 7);
  struct epoll_event event;
  CHECK_EQ(epoll_wait(epfd, &event, 1, 0), 1);
  const struct rlimit none = {0, 0};
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const long long start = now_us(), cpu = cpu_us();
  if (strcmp(how, "blocking") == 0) {
    CHECK_EQ(dial(fd, SOON_HELLO), 0);
  } else {
    CHECK_FAILS(dial(fd, SOON_HELLO), EINPROGRESS);
    if (strcmp(how, "epoll") == 0) {
      CHECK_EQ(epoll_wait(epfd, &event, 1, GENEROUS), 1);
    } else {
      int result;
      while ((result = dial(fd, SOON_HELLO)) != 0) {
        CHECK_EQ(errno, EALREADY);
        sleep_ms(10);
      }
    }
    CHECK_EQ(so_error(fd), 0);
  }
  CHECK_TIME(now_us() - start, SOON_US, SOON_US * 10);
  CHECK(cpu_us() - cpu < SOON_US / 2); /* it waited, and did not spin */
  set_blocking(fd, 1);
  char got[8] = {0};
  CHECK_EQ(recv(fd, got, 5, MSG_WAITALL), 5);
  CHECK(strcmp(got, "HELLO") == 0);
}

/* Before main(), before any library's constructor: .preinit_array. And behind main(). */
static int early_result = -2;
static int runs_early(void) {
  /* The environment is not libc's yet; the kernel's is there. */
  FILE* file = fopen("/proc/self/cmdline", "r");
  char line[4096] = {0};
  const size_t size = file == NULL ? 0 : fread(line, 1, sizeof(line) - 1, file);
  if (file != NULL) {
    fclose(file);
  }
  for (size_t i = 0; i + 1 < size; ++i) {
    if (strcmp(line + i, "early_and_late") == 0) {
      return 1;
    }
  }
  return 0;
}
static void before_everything(int argc, char** argv, char** envp) {
  (void)argc, (void)argv, (void)envp;
  if (!runs_early()) {
    return;
  }
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_storage there;
  const socklen_t size = address_of("192.0.2.1", HELLO, &there);
  char got[8] = {0};
  early_result = connect(fd, (struct sockaddr*)&there, size);
  if (early_result == 0) {
    early_result = (int)recv(fd, got, 5, MSG_WAITALL);
  }
  close(fd);
}
__attribute__((section(".preinit_array"), used)) static void (*preinit)(int, char**,
                                                                        char**) = before_everything;

static int late_connects;
static void connect_late(void) {
  hello_by_poll();
  hello_by_epoll();
  check_echo(connected(ECHO));
}
__attribute__((destructor)) static void destroyed(void) {
  if (!late_connects) {
    return;
  }
  connect_late();
  printf("destroyed\n");
}
PROBE(early_and_late) {
  CHECK_EQ(early_result, 5);
  late_connects = 1;
  CHECK(atexit(connect_late) == 0);
  check_echo(connected(ECHO));
}

/* The program has closed its standard streams, and its sockets got their numbers: whatever is said
 * to standard error must not be said to them. */
PROBE(sockets_as_standard_streams) {
  const int channel = fcntl(1, F_DUPFD, 50);
  for (int fd = 0; fd < 3; ++fd) {
    close(fd);
  }
  CHECK_EQ(tcp(SOCK_NONBLOCK), 0);
  CHECK_EQ(tcp(SOCK_NONBLOCK), 1);
  CHECK_EQ(tcp(0), 2);
  char got[16] = {0};
  int good = dial(0, SOON_HELLO) == -1 && errno == EINPROGRESS;
  good = good && dial(1, REFUSE + 5) == -1 && errno == EINPROGRESS;
  good = good && dial(2, ECHO) == 0;
  struct pollfd waited[] = {{0, POLLIN, 0}, {1, POLLOUT, 0}};
  good = good && poll(waited, 1, GENEROUS) == 1 && poll(waited + 1, 1, GENEROUS) == 1;
  good = good && recv(0, got, 5, MSG_WAITALL) == 5 && strcmp(got, "HELLO") == 0;
  const int refused = connect(1, NULL, 0);
  good = good && refused == -1;
  const int third = tcp(0);
  good = good && dial(third, ECHO) == 0 && dial(tcp(0), REFUSE + 5) == -1;
  good = good && send(2, "echo", 4, 0) == 4 && recv(2, got, sizeof(got), 0) == 4 &&
         memcmp(got, "echo", 4) == 0;
  good = good && send(0, "tail", 4, 0) == 4;
  waited[0].events = POLLIN;
  good = good && poll(waited, 1, GENEROUS) == 1 && recv(0, got, sizeof(got), 0) == 4 &&
         memcmp(got, "tail", 4) == 0;
  (void)!write(channel, good ? "good\n" : "bad\n", 5);
  _exit(!good);
}

/* Standard error is a pipe that nobody reads any more; what is said there ends nobody. */
PROBE(standard_error_is_gone) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  CHECK_EQ(dup2(ends[1], 2), 2);
  close(ends[0]);
  close(ends[1]);
  check_echo(connected(ECHO));
  CHECK_FAILS(dial(tcp(0), REFUSE + 5), ECONNREFUSED);
  sigset_t pending;
  CHECK_EQ(sigpending(&pending), 0);
  CHECK_EQ(sigismember(&pending, SIGPIPE), 0);
}

/* With the malloc of malloc_library.c, which uses descriptors inside: everything works. */
PROBE(under_a_busy_malloc) {
  for (int i = 0; i < 20; ++i) {
    void* memory = malloc((size_t)(i * 1000 + 1));
    hello_by_epoll();
    free(memory);
    check_echo(connected(ECHO));
  }
  const pid_t child = fork();
  hello_by_poll();
  if (child == 0) {
    _exit(0);
  }
  join_child(child);
}

/* fails_somehow blocking|epoll|poll: prints the errno of a connect that fails, or "connected". */
PROBE(fails_somehow) {
  const int blocking = strcmp(argv[1], "blocking") == 0;
  const int fd = tcp(blocking ? 0 : SOCK_NONBLOCK);
  int error = 0;
  if (blocking) {
    error = dial(fd, ECHO) == 0 ? 0 : errno;
  } else {
    const int result = dial(fd, ECHO);
    CHECK_EQ(result, -1);
    if (errno != EINPROGRESS) {
      error = errno;
    } else if (strcmp(argv[1], "epoll") == 0) {
      const int epfd = epoll_create1(0);
      add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLET, 1);
      struct epoll_event event;
      CHECK_EQ(epoll_wait(epfd, &event, 1, GENEROUS), 1);
      error = so_error(fd);
      CHECK_EQ((event.events & EPOLLERR) != 0, error != 0);
      CHECK_EQ((event.events & EPOLLHUP) != 0, error != 0);
    } else {
      struct pollfd waited = {fd, POLLOUT, 0};
      CHECK_EQ(poll(&waited, 1, GENEROUS), 1);
      error = so_error(fd);
      CHECK_EQ((waited.revents & POLLERR) != 0, error != 0);
    }
  }
  CHECK_EQ(so_error(fd), 0);
  struct sockaddr_storage peer;
  socklen_t length = sizeof(peer);
  if (error != 0) {
    CHECK_FAILS(getpeername(fd, (struct sockaddr*)&peer, &length), ENOTCONN);
  }
  CHECK_EQ(close(fd), 0);
  printf("%s\n", error == 0 ? "connected" : strerrorname_np(error));
}
