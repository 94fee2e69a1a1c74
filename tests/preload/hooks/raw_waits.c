/* Waits in epoll sets that no hook sees, in a program that imports libc's waits too: nothing of the
 * gateway's is ever shown to it, and who waits through libc stays asynchronous. */
#include <pthread.h>
#include <unistd.h>

#include "rig/probe.h"
#include "rig/raw_epoll.h"

enum { OURS = 0xC0FFEE };

static void* wait_raw(void* set) {
  struct epoll_event got;
  raw_epoll_wait(*(int*)set, &got, 1, 5000);
  return NULL;
}

/* raw_beside_thread PORT ERROR: another thread sits in a raw wait, so this process is known for
 * one. In another set, that was never waited for, the first event is the truth. */
PROBE(raw_beside_thread) {
  int other = epoll_create1(0);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, wait_raw, &other) == 0);
  sleep_ms(100);
  const int epfd = epoll_create1(0);
  const int fd = dialled(atoi(argv[1]), SOCK_NONBLOCK);
  add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLET, OURS);
  struct epoll_event got[8];
  CHECK_EQ(raw_epoll_wait(epfd, got, 8, 5000), 1);
  CHECK_EQ(got[0].data.u64, OURS);
  const int error = argc > 2 ? errno_named(argv[2]) : 0;
  CHECK_EQ((got[0].events & EPOLLERR) != 0, error != 0);
  CHECK_EQ(so_error(fd), error);
  if (error == 0) {
    set_blocking(fd, 1);
    check_echo(fd);
  }
}

/* raw_unknown PORT ERROR: nothing tells in time how it waits. It never sees data of ours, and what
 * it asks behind the first event is answered with the truth. */
PROBE(raw_unknown) {
  const int epfd = epoll_create1(0);
  const int error = argc > 2 ? errno_named(argv[2]) : 0;
  for (int round = 0; round < 2; ++round) {
    const int fd = dialled(atoi(argv[1]), SOCK_NONBLOCK);
    add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLET, OURS);
    struct epoll_event got[8];
    CHECK_EQ(raw_epoll_wait(epfd, got, 8, 5000), 1);
    CHECK_EQ(got[0].data.u64, OURS);
    /* The second time it is known, and the event itself is true. */
    CHECK(round == 0 || ((got[0].events & EPOLLERR) != 0) == (error != 0));
    CHECK_EQ(so_error(fd), error);
    if (error == 0) {
      CHECK_EQ(write(fd, "x", 1), 1);
    }
    close(fd);
  }
}

/* raw_first_wait ORDER: the first connect of a loop comes before its first wait, which is libc's:
 * nothing is waited for in connect and epoll_ctl, and the wait reports what it should, once. */
PROBE(raw_first_wait) {
  const int first = strcmp(argv[1], "add-first") == 0;
  const int epfd = epoll_create1(0);
  const int fd = tcp(SOCK_NONBLOCK);
  const long long start = now_us();
  if (first) {
    add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, OURS);
  }
  CHECK_FAILS(dial(fd, SLOW), EINPROGRESS);
  if (!first) {
    add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, OURS);
  }
  const long long took = now_us() - start;
  printf("asynchronous within %lld us\n", took);
  CHECK_TIME(took, 0, 50000);
  struct epoll_event got[8];
  CHECK_EQ(epoll_wait(epfd, got, 8, 300), 0);
  CHECK_EQ(epoll_wait(epfd, got, 8, 5000), 1);
  CHECK_EQ(got[0].data.u64, OURS);
  CHECK_EQ(got[0].events, EPOLLOUT);
  CHECK_TIME(now_us() - start, SLOW_US, SLOW_US * 5 / 2);
  CHECK_EQ(epoll_wait(epfd, got, 8, 0), 0);
  set_blocking(fd, 1);
  check_echo(fd);
}
