/* Hostile processes: fork, vfork, exec, and descriptors closed by the hundred. */
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig/probe.h"

extern char** environ;

static void join_child(pid_t child) {
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK_EQ(status, 0);
}

/* fork with a connect pending. child: the child goes on and the parent closes; parent: the reverse.
 */
PROBE(fork_while_pending) {
  const int in_child = strcmp(argv[1], "child") == 0;
  const int fd = dialled(SOON_HELLO, SOCK_NONBLOCK);
  const pid_t child = fork();
  if ((child == 0) == in_child) {
    const long long start = now_us();
    reach(fd);
    CHECK(now_us() - start >= SOON_US / 2);
    read_exactly(fd, "HELLO");
    check_echo(fd);
  }
  if (child == 0) {
    _exit(0);
  }
  if (in_child) {
    close(fd);
  }
  join_child(child);
}

/* Both wait; one of them drives each step, and both hear of the end. The child owns the first half
 * of the stream. */
PROBE(fork_and_both_wait) {
  const int epfd = epoll_create1(0), fd = dialled(SOON_HELLO, SOCK_NONBLOCK);
  add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT, 3);
  const long long start = now_us();
  const pid_t child = fork();
  reach(fd);
  CHECK_TIME(now_us() - start, SOON_US - 50000, SOON_US * 3);
  if (child == 0) {
    read_exactly(fd, "HELLO");
    check_echo(fd);
    _exit(0);
  }
  join_child(child);
  check_echo(fd);
}

PROBE(fork_and_child_exits) {
  const int fd = dialled(SOON_HELLO, SOCK_NONBLOCK);
  const pid_t child = fork();
  if (child == 0) {
    _exit(0);
  }
  join_child(child);
  reach(fd);
  read_exactly(fd, "HELLO");
  check_echo(fd);
}

/* A child connects on its own, while its parent has connects of its own pending. */
PROBE(fork_and_both_connect) {
  const int before = dialled(SLOW, SOCK_NONBLOCK);
  for (int i = 0; i < 5; ++i) {
    const pid_t child = fork();
    const int fd = dialled(SOON_HELLO, SOCK_NONBLOCK);
    reach(fd);
    read_exactly(fd, "HELLO");
    check_echo(fd);
    if (child == 0) {
      _exit(0);
    }
    join_child(child);
    close(fd);
  }
  reach(before);
  check_echo(before);
}

static void spawn_vandal(int fd) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addclose(&actions, fd);
  posix_spawn_file_actions_addopen(&actions, 9, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, 9, fd);
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  char* arguments[] = {"true", NULL};
  pid_t child;
  CHECK(posix_spawn(&child, "/bin/true", &actions, NULL, arguments, environ) == 0);
  posix_spawn_file_actions_destroy(&actions);
  join_child(child);
}

/* The child of a vfork has its parent's memory: what it closes there must not be forgotten here. */
static void vfork_vandal(int fd) {
  const pid_t child = vfork();
  if (child == 0) {
    close(fd);
    dup2(0, fd);
    close_range(3, ~0U, 0);
    execl("/bin/true", "true", (char*)NULL);
    _exit(127);
  }
  join_child(child);
}

/* spawn_disturbs_nothing spawn|vfork */
PROBE(spawn_disturbs_nothing) {
  void (*vandal)(int) = strcmp(argv[1], "spawn") == 0 ? spawn_vandal : vfork_vandal;
  const int epfd = epoll_create1(EPOLL_CLOEXEC), fd = tcp(SOCK_NONBLOCK);
  vandal(fd); /* fresh */
  add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, 3);
  vandal(fd); /* registered */
  struct epoll_event event;
  CHECK_EQ(epoll_wait(epfd, &event, 1, 0), 1);
  const long long start = now_us();
  CHECK_FAILS(dial(fd, SOON_HELLO), EINPROGRESS);
  vandal(fd); /* pending */
  CHECK_EQ(epoll_wait(epfd, &event, 1, 20000), 1);
  CHECK_TIME(now_us() - start, SOON_US, SOON_US * 3);
  CHECK_EQ(event.events, EPOLLOUT);
  vandal(fd); /* established */
  CHECK_EQ(so_error(fd), 0);
  struct sockaddr_storage peer, expected;
  socklen_t length = sizeof(peer);
  const socklen_t size = target(SOON_HELLO, &expected);
  CHECK_EQ(getpeername(fd, (struct sockaddr*)&peer, &length), 0);
  CHECK(memcmp(&peer, &expected, size) == 0);
  read_exactly(fd, "HELLO");
  check_echo(fd);
}

/* A program that closes what it did not open, and copies over everything. */
PROBE(descriptors_vandalised) {
  for (int round = 0; round < 3; ++round) {
    const int fd = dialled(NEVER, SOCK_NONBLOCK);
    CHECK(fd < 200);
    const int kept = fcntl(connected(ECHO), F_DUPFD, 700);
    if (round == 0) {
      for (int i = 3; i < 256; ++i) {
        close(i);
      }
    } else if (round == 1) {
      for (int i = 3; i < 256; ++i) {
        CHECK_EQ(dup2(0, i), i);
      }
      for (int i = 3; i < 256; ++i) {
        close(i);
      }
    } else {
      CHECK_EQ(close_range(3, 699, 0), 0);
    }
    check_echo(kept);
    close(kept);
    const int again = dialled(SOON_HELLO, SOCK_NONBLOCK);
    reach(again);
    read_exactly(again, "HELLO");
    check_echo(again);
    closefrom(3);
  }
  CHECK_EQ(close_range(3, ~0U, CLOSE_RANGE_UNSHARE), 0);
  check_echo(connected(HELLO) >= 0 ? connected(ECHO) : -1);
}

/* Another file takes the number of a pending socket. It is an ordinary file at once, and the
 * connection is gone. */
PROBE(pending_overwritten) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  const int epfd = epoll_create1(0), fd = dialled(SOON, SOCK_NONBLOCK);
  add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT, 3);
  CHECK_EQ(strcmp(argv[1], "dup2") == 0 ? dup2(ends[1], fd) : dup3(ends[1], fd, O_CLOEXEC), fd);
  CHECK_EQ(write(fd, "x", 1), 1);
  struct pollfd waited = {fd, POLLOUT, 0};
  CHECK_EQ(poll(&waited, 1, 0), 1);
  struct epoll_event event;
  CHECK_EQ(epoll_wait(epfd, &event, 1, 500), 0);
  struct sockaddr_storage peer;
  socklen_t length = sizeof(peer);
  CHECK_FAILS(getpeername(fd, (struct sockaddr*)&peer, &length), ENOTSOCK);
  close(fd);
  CHECK_FAILS(close(fd), EBADF);
}

/* A close that no hook sees, and a new file under the number. */
PROBE(closed_behind_the_back) {
  const int fd = dialled(NEVER, SOCK_NONBLOCK);
  FILE* stream = fdopen(fd, "r+");
  CHECK(stream != NULL);
  fclose(stream);
  int port;
  const int server = listener(&port);
  CHECK_EQ(server, fd);
  struct pollfd waited = {server, POLLIN, 0};
  CHECK_EQ(poll(&waited, 1, 0), 0);
  const int other = dialled(NEVER, SOCK_NONBLOCK);
  stream = fdopen(other, "r+");
  fclose(stream);
  int ends[2];
  CHECK(pipe(ends) == 0);
  CHECK_EQ(ends[0], other);
  CHECK_EQ(write(ends[1], "piped", 5), 5);
  read_exactly(ends[0], "piped");
  struct sockaddr_storage peer;
  socklen_t length = sizeof(peer);
  CHECK_FAILS(getpeername(ends[0], (struct sockaddr*)&peer, &length), ENOTSOCK);
  check_echo(connected(ECHO));
}

/* The gateway dies while connects are pending (the runner kills it when it hears of this one). */
PROBE(gateway_dies) {
  const int epfd = epoll_create1(0), fd = tcp(SOCK_NONBLOCK), other = dialled(NEVER, SOCK_NONBLOCK);
  add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLET, 3);
  struct epoll_event event;
  CHECK_EQ(epoll_wait(epfd, &event, 1, 0), 1);
  struct pollfd bystander = {other, POLLOUT, 0};
  CHECK_EQ(poll(&bystander, 1, 300),
           0); /* its request is sent: a handshake advances in the program's own calls */
  if (strcmp(argv[1], "blocking") == 0) {
    set_blocking(fd, 1);
    CHECK_FAILS(dial(fd, NEVER), ECONNRESET);
  } else {
    CHECK_FAILS(dial(fd, NEVER), EINPROGRESS);
    CHECK_EQ(epoll_wait(epfd, &event, 1, 20000), 1);
    CHECK((event.events & EPOLLHUP) != 0);
    CHECK_EQ(so_error(fd), ECONNRESET);
  }
  CHECK_EQ(poll(&bystander, 1, 20000), 1);
  CHECK_EQ(so_error(other), ECONNRESET);
  CHECK_FAILS(dial(tcp(0), ECHO), ECONNREFUSED);
}

/* After the constructor of early_library.c connected. */
PROBE(connected_by_constructor) {
  const char* outcome = getenv("PROBE_EARLY");
  CHECK(outcome != NULL);
  CHECK(strcmp(outcome, "HELLO") == 0);
  check_echo(connected(ECHO));
}
