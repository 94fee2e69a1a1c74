/* After connect the descriptor is what it was. */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig/probe.h"

extern char** environ;

static const struct {
  int level, name, value;
} options[] = {{IPPROTO_TCP, TCP_NODELAY, 1},  {SOL_SOCKET, SO_KEEPALIVE, 1},
               {SOL_SOCKET, SO_RCVBUF, 50000}, {SOL_SOCKET, SO_SNDBUF, 60000},
               {SOL_SOCKET, SO_REUSEADDR, 1},  {IPPROTO_TCP, TCP_KEEPIDLE, 77},
               {SOL_SOCKET, SO_PRIORITY, 3},   {SOL_SOCKET, SO_OOBINLINE, 1}};
enum { OPTION_COUNT = sizeof(options) / sizeof(options[0]) };

struct Picture {
  struct stat status;
  int flags, descriptor_flags;
  struct linger linger;
  int values[OPTION_COUNT];
  int domain, type, protocol;
};

static void take_picture(int fd, struct Picture* picture) {
  memset(picture, 0, sizeof(*picture));
  CHECK(fstat(fd, &picture->status) == 0);
  picture->flags = fcntl(fd, F_GETFL);
  picture->descriptor_flags = fcntl(fd, F_GETFD);
  socklen_t length = sizeof(picture->linger);
  CHECK(getsockopt(fd, SOL_SOCKET, SO_LINGER, &picture->linger, &length) == 0);
  for (int i = 0; i < OPTION_COUNT; ++i) {
    picture->values[i] = get_option(fd, options[i].level, options[i].name);
  }
  picture->domain = get_option(fd, SOL_SOCKET, SO_DOMAIN);
  picture->type = get_option(fd, SOL_SOCKET, SO_TYPE);
  picture->protocol = get_option(fd, SOL_SOCKET, SO_PROTOCOL);
}

static void check_same_picture(const struct Picture* before, const struct Picture* after) {
  if (getenv("PROBE_SWAPPED") == NULL) {
    CHECK_EQ(after->status.st_ino, before->status.st_ino);
  }
  CHECK_EQ(after->status.st_mode, before->status.st_mode);
  CHECK_EQ(after->flags, before->flags);
  CHECK_EQ(after->descriptor_flags, before->descriptor_flags);
  CHECK_EQ(after->linger.l_onoff, before->linger.l_onoff);
  CHECK_EQ(after->linger.l_linger, before->linger.l_linger);
  for (int i = 0; i < OPTION_COUNT; ++i) {
    CHECK_EQ(after->values[i], before->values[i]);
  }
  CHECK_EQ(after->domain, before->domain);
  CHECK_EQ(after->type, before->type);
  CHECK_EQ(after->protocol, before->protocol);
}

/* same_picture blocking|async */
PROBE(same_picture) {
  const int async = strcmp(argv[1], "async") == 0;
  const int fd = tcp(SOCK_CLOEXEC | (async ? SOCK_NONBLOCK : 0));
  for (int i = 0; i < OPTION_COUNT; ++i) {
    set_option(fd, options[i].level, options[i].name, options[i].value);
  }
  const struct linger linger = {1, 5};
  CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
  struct Picture before, after;
  take_picture(fd, &before);
  if (async) {
    CHECK_FAILS(dial(fd, SOON), EINPROGRESS);
    take_picture(fd, &after);
    check_same_picture(&before, &after);
    reach(fd);
  } else {
    CHECK_EQ(dial(fd, SOON), 0);
  }
  take_picture(fd, &after);
  check_same_picture(&before, &after);
  check_echo(fd);
}

/* The flags change while the handshake is pending: the program's wish holds. */
PROBE(same_flags_changed_while_pending) {
  const int fd = dialled(SOON, SOCK_NONBLOCK);
  CHECK_EQ(fcntl(fd, F_SETFD, FD_CLOEXEC), 0);
  set_blocking(fd, 1);
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  const long long start = now_us();
  check_echo(fd); /* blocks until reached */
  CHECK(now_us() - start >= SOON_US - 50000);
  CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
  CHECK_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
  CHECK_EQ(get_option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
}

/* bind() before connect; prints the port for the runner to compare with the one the gateway saw. */
PROBE(same_local_port) {
  const int fd = tcp(0);
  struct sockaddr_storage address = {.ss_family = (sa_family_t)family()};
  socklen_t length = family() == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
  CHECK(bind(fd, (struct sockaddr*)&address, length) == 0);
  CHECK(getsockname(fd, (struct sockaddr*)&address, &length) == 0);
  const int port = ntohs(((struct sockaddr_in*)&address)->sin_port);
  CHECK(port != 0);
  CHECK_EQ(dial(fd, ECHO), 0);
  length = sizeof(address);
  CHECK(getsockname(fd, (struct sockaddr*)&address, &length) == 0);
  CHECK_EQ(address.ss_family, family());
  CHECK_EQ(ntohs(((struct sockaddr_in*)&address)->sin_port), port);
  check_echo(fd);
  printf("%d\n", port);
}

/* No descriptor is left for the moment in which one is needed; then there is. */
PROBE(swap_at_descriptor_limit) {
  const int fd = tcp(0);
  struct rlimit limit, none = {(rlim_t)fd + 1, (rlim_t)fd + 1};
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  none.rlim_max = limit.rlim_max;
  CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
  CHECK_FAILS(dial(fd, ECHO), EMFILE);
  CHECK_EQ(get_option(fd, SOL_SOCKET, SO_DOMAIN), family());
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  CHECK_EQ(dial(fd, ECHO), 0);
  check_echo(fd);
}

/* No descriptor is left when connect is called. same_at_descriptor_limit blocking|poll|select|epoll
 */
PROBE(same_at_descriptor_limit) {
  const int fd = tcp(strcmp(argv[1], "blocking") == 0 ? 0 : SOCK_NONBLOCK);
  const int epfd = epoll_create1(0);
  add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, 1);
  struct epoll_event event;
  CHECK_EQ(epoll_wait(epfd, &event, 1, 0), 1);
  const struct rlimit none = {(rlim_t)epfd + 1, (rlim_t)epfd + 1};
  CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
  CHECK_FAILS(dup(fd), EMFILE);
  if (strcmp(argv[1], "blocking") == 0) {
    CHECK_EQ(dial(fd, SOON), 0);
  } else {
    CHECK_FAILS(dial(fd, SOON), EINPROGRESS);
    if (strcmp(argv[1], "epoll") == 0) {
      CHECK_EQ(epoll_wait(epfd, &event, 1, 20000), 1);
    } else {
      CHECK_EQ(wait_by(argv[1], fd, EPOLLOUT, 20000, NULL, NULL), 1);
    }
    CHECK_EQ(so_error(fd), 0);
  }
  check_echo(fd);
}

/* Its open descriptors, one line. */
PROBE(list_descriptors) {
  DIR* directory = opendir("/proc/self/fd");
  char open[64] = {0};
  for (const struct dirent* entry; (entry = readdir(directory)) != NULL;) {
    const int fd = atoi(entry->d_name);
    if (entry->d_name[0] != '.' && fd != dirfd(directory) && fd < (int)sizeof(open)) {
      open[fd] = 1;
    }
    if (fd >= (int)sizeof(open)) {
      printf("high descriptor %d\n", fd);
    }
  }
  for (int fd = 0; fd < (int)sizeof(open); ++fd) {
    if (open[fd]) {
      printf("%d ", fd);
    }
  }
  printf("\n");
}

/* The same in a child, while one socket is pending and one failed. */
PROBE(child_descriptors) {
  const int pending = dialled(NEVER, SOCK_NONBLOCK);
  const int second = dialled(NEVER, SOCK_NONBLOCK | SOCK_CLOEXEC);
  struct pollfd waited = {pending, POLLOUT, 0};
  poll(&waited, 1, 50);
  const int epfd = epoll_create1(EPOLL_CLOEXEC);
  add_to_epoll(epfd, EPOLL_CTL_ADD, second, EPOLLOUT, 1);
  fflush(stdout);
  char* arguments[] = {"probe", "list_descriptors", NULL};
  pid_t child = fork();
  if (child == 0) {
    execv("/proc/self/exe", arguments);
    _exit(127);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK_EQ(status, 0);
  CHECK(posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ) == 0);
  CHECK(waitpid(child, &status, 0) == child);
  CHECK_EQ(status, 0);
}
