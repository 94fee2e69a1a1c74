/* A non-blocking connect does not wait, and many of them run side by side in one thread. */
#include <poll.h>
#include <sys/select.h>

#include "rig/probe.h"

enum { PARALLEL = 50 };

PROBE(async_latency) {
  long long worst = 0;
  for (int i = 0; i < 20; ++i) {
    const int fd = tcp(SOCK_NONBLOCK);
    const long long start = now_us();
    CHECK_FAILS(dial(fd, SLOW), EINPROGRESS);
    const long long took = now_us() - start;
    worst = took > worst ? took : worst;
    if (i == 19) {
      reach(fd);
      CHECK_TIME(now_us() - start, SLOW_US, SLOW_US * 5 / 2);
      check_echo(fd);
    }
  }
  printf("EINPROGRESS after at most %lld us\n", worst);
  CHECK(worst < 50000);
}

static void finish(int fd) {
  CHECK_EQ(so_error(fd), 0);
  set_blocking(fd, 1);
  check_echo(fd);
}

static void gather_by_epoll(const int* fds) {
  const int epfd = epoll_create1(0);
  for (int i = 0; i < PARALLEL; ++i) {
    add_to_epoll(epfd, EPOLL_CTL_ADD, fds[i], EPOLLOUT, (uint64_t)fds[i]);
  }
  for (int done = 0; done < PARALLEL;) {
    struct epoll_event events[PARALLEL];
    const int count = epoll_wait(epfd, events, PARALLEL, 20000);
    CHECK(count > 0);
    for (int i = 0; i < count; ++i, ++done) {
      CHECK_EQ(events[i].events, EPOLLOUT);
      CHECK(epoll_ctl(epfd, EPOLL_CTL_DEL, events[i].data.fd, NULL) == 0);
    }
  }
}

static void gather_by_poll(const int* fds) {
  struct pollfd waited[PARALLEL];
  for (int i = 0; i < PARALLEL; ++i) {
    waited[i] = (struct pollfd){fds[i], POLLOUT, 0};
  }
  for (int done = 0; done < PARALLEL;) {
    const int count = poll(waited, PARALLEL, 20000);
    CHECK(count > 0);
    int seen = 0;
    for (int i = 0; i < PARALLEL; ++i) {
      if (waited[i].revents != 0) {
        CHECK_EQ(waited[i].revents, POLLOUT);
        waited[i].fd = -1;
        ++seen;
      }
    }
    CHECK_EQ(seen, count);
    done += count;
  }
}

static void gather_by_select(const int* fds) {
  int open[PARALLEL];
  memcpy(open, fds, sizeof(open));
  for (int done = 0; done < PARALLEL;) {
    fd_set writes;
    FD_ZERO(&writes);
    int top = 0;
    for (int i = 0; i < PARALLEL; ++i) {
      if (open[i] >= 0) {
        FD_SET(open[i], &writes);
      }
      top = open[i] > top ? open[i] : top;
    }
    struct timeval timeout = {20, 0};
    const int count = select(top + 1, NULL, &writes, NULL, &timeout);
    CHECK(count > 0);
    for (int i = 0; i < PARALLEL; ++i) {
      if (open[i] >= 0 && FD_ISSET(open[i], &writes)) {
        open[i] = -1;
        ++done;
      }
    }
  }
}

/* async_echo WAITER: connects as one loop does, and is done. */
PROBE(async_echo) {
  const int epoll = is_epoll(argv[1]);
  const int fd = dialled(ECHO, SOCK_NONBLOCK);
  const int waited = epoll ? epoll_create1(EPOLL_CLOEXEC) : fd;
  if (epoll) {
    add_to_epoll(waited, EPOLL_CTL_ADD, fd, EPOLLOUT, 1);
  }
  uint32_t events;
  CHECK_EQ(wait_by(argv[1], waited, EPOLLOUT, 20000, &events, NULL), 1);
  CHECK_EQ(events, EPOLLOUT);
  CHECK_EQ(so_error(fd), 0);
  check_echo(fd);
}

PROBE(async_fifty) {
  int fds[PARALLEL];
  const long long start = now_us();
  for (int i = 0; i < PARALLEL; ++i) {
    fds[i] = dialled(SLOW, SOCK_NONBLOCK);
  }
  const long long dialled_at = now_us() - start;
  if (strcmp(argv[1], "epoll") == 0) {
    gather_by_epoll(fds);
  } else if (strcmp(argv[1], "poll") == 0) {
    gather_by_poll(fds);
  } else {
    gather_by_select(fds);
  }
  const long long took = now_us() - start;
  for (int i = 0; i < PARALLEL; ++i) {
    finish(fds[i]);
  }
  printf("50 by %s: dialled in %lld us, all reached in %lld us\n", argv[1], dialled_at, took);
  CHECK_TIME(took, SLOW_US, SLOW_US * 5 / 2);
}
