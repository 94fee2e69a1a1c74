/* A failure is the errno it should be, told once, and the next connect is not worse for it. */
#include <poll.h>
#include <unistd.h>

#include "rig/probe.h"

enum { GENEROUS = 20000 };

/* fail_blocking PORT ERRNO [LEAST_US MOST_US] */
PROBE(fail_blocking) {
  const int fd = tcp(0);
  const int error = errno_named(argv[2]);
  const long long start = now_us();
  CHECK_FAILS(dial(fd, atoi(argv[1])), error);
  if (argc > 4) {
    CHECK_TIME(now_us() - start, atoi(argv[3]), atoi(argv[4]));
  }
  CHECK_EQ(so_error(fd), 0);
  struct sockaddr_storage address;
  socklen_t length = sizeof(address);
  CHECK_FAILS(getpeername(fd, (struct sockaddr*)&address, &length), ENOTCONN);
}

static void check_failed_events(uint32_t events) {
  CHECK((events & EPOLLERR) != 0);
  CHECK((events & EPOLLHUP) != 0);
}

/* fail_async PORT ERRNO WAITER [LEAST_US MOST_US] */
PROBE(fail_async) {
  const int error = errno_named(argv[2]);
  const char* waiter = argv[3];
  const int fd = tcp(SOCK_NONBLOCK);
  const int epfd = is_epoll(waiter) ? epoll_create1(0) : -1;
  const long long start = now_us();
  CHECK_FAILS(dial(fd, atoi(argv[1])), EINPROGRESS);
  if (epfd >= 0) {
    add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT, 5);
  }
  uint32_t events = 0;
  CHECK_EQ(wait_by(waiter, epfd >= 0 ? epfd : fd, EPOLLIN | EPOLLOUT, -1, &events, NULL), 1);
  if (argc > 5) {
    CHECK_TIME(now_us() - start, atoi(argv[4]), atoi(argv[5]));
  }
  if (strstr(waiter, "select") != NULL) {
    CHECK_EQ(events, EPOLLIN | EPOLLOUT);
  } else {
    check_failed_events(events);
  }
  CHECK_EQ(so_error(fd), error);
  CHECK_EQ(so_error(fd), 0);
}

/* Registered edge-triggered before connect; ERR and HUP come though nobody asked for them.
 * fail_edge PORT ERRNO */
PROBE(fail_edge) {
  const int epfd = epoll_create1(0), fd = tcp(SOCK_NONBLOCK);
  add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLET, 5);
  CHECK_FAILS(dial(fd, atoi(argv[1])), EINPROGRESS);
  struct epoll_event event;
  CHECK_EQ(epoll_wait(epfd, &event, 1, GENEROUS), 1);
  check_failed_events(event.events);
  CHECK_EQ(event.data.u64, 5);
  CHECK_EQ(so_error(fd), errno_named(argv[2]));
}

/* poll with no events asked for: only errors. fail_poll_nothing PORT ERRNO */
PROBE(fail_poll_nothing) {
  const int fd = dialled(atoi(argv[1]), SOCK_NONBLOCK);
  struct pollfd waited = {fd, 0, 0};
  CHECK_EQ(poll(&waited, 1, GENEROUS), 1);
  CHECK_EQ(waited.revents, POLLERR | POLLHUP);
  CHECK_EQ(so_error(fd), errno_named(argv[2]));
}

/* Who does not ask SO_ERROR hears it from the next call, once. fail_told_by
 * connect|read|write|send|recv PORT ERRNO */
PROBE(fail_told_by) {
  const int fd = dialled(atoi(argv[2]), SOCK_NONBLOCK);
  const int error = errno_named(argv[3]);
  struct pollfd waited = {fd, POLLOUT, 0};
  char octet = 'x';
  CHECK_EQ(poll(&waited, 1, GENEROUS), 1);
  if (strcmp(argv[1], "connect") == 0) {
    CHECK_FAILS(dial(fd, atoi(argv[2])), error);
  }
  if (strcmp(argv[1], "read") == 0) {
    CHECK_FAILS(read(fd, &octet, 1), error);
  }
  if (strcmp(argv[1], "write") == 0) {
    CHECK_FAILS(write(fd, &octet, 1), error);
  }
  if (strcmp(argv[1], "send") == 0) {
    CHECK_FAILS(send(fd, &octet, 1, MSG_NOSIGNAL), error);
  }
  if (strcmp(argv[1], "recv") == 0) {
    CHECK_FAILS(recv(fd, &octet, 1, 0), error);
  }
  CHECK_EQ(so_error(fd), 0);
}

/* After the failure: what the kernel says of a socket that was never connected. */
PROBE(fail_then_unconnected) {
  const int fd = tcp(0);
  char octet = 'x';
  CHECK(dial(fd, REFUSE + 5) != 0);
  CHECK_FAILS(recv(fd, &octet, 1, 0), ENOTCONN);
  CHECK_FAILS(send(fd, &octet, 1, MSG_NOSIGNAL), EPIPE);
  CHECK_FAILS(shutdown(fd, SHUT_RDWR), ENOTCONN);
}

/* One failure poisons neither the socket nor the process. fail_then_again same|new blocking|async
 */
PROBE(fail_then_again) {
  const int same = strcmp(argv[1], "same") == 0, async = strcmp(argv[2], "async") == 0;
  int fd = tcp(async ? SOCK_NONBLOCK : 0);
  const int epfd = epoll_create1(0);
  static const struct {
    int port, error;
  } failures[] = {{REFUSE + 5, ECONNREFUSED},
                  {REPLY_GARBAGE, EPROTO},
                  {REPLY_RESET, ECONNRESET},
                  {REPLY_CUT, ECONNRESET},
                  {SOON_REFUSE + 4, EHOSTUNREACH}};
  for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); ++i) {
    if (async) {
      CHECK_FAILS(dial(fd, failures[i].port), EINPROGRESS);
      struct pollfd waited = {fd, POLLOUT, 0};
      CHECK_EQ(poll(&waited, 1, GENEROUS), 1);
      CHECK_EQ(so_error(fd), failures[i].error);
    } else {
      CHECK_FAILS(dial(fd, failures[i].port), failures[i].error);
    }
    if (!same) {
      close(fd);
      fd = tcp(async ? SOCK_NONBLOCK : 0);
    }
  }
  add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, 9);
  struct epoll_event event;
  CHECK_EQ(epoll_wait(epfd, &event, 1, 0), 1); /* unconnected: hung up */
  if (async) {
    CHECK_FAILS(dial(fd, SOON_HELLO), EINPROGRESS);
    CHECK_EQ(epoll_wait(epfd, &event, 1, GENEROUS), 1);
    CHECK_EQ(event.events, EPOLLOUT);
    CHECK_EQ(event.data.u64, 9);
    CHECK_EQ(so_error(fd), 0);
  } else {
    CHECK_EQ(dial(fd, SOON_HELLO), 0);
  }
  read_exactly(fd, "HELLO");
  check_echo(fd);
}

/* Failing and succeeding destinations side by side. */
PROBE(fail_among_others) {
  enum { EACH = 20 };
  struct pollfd waited[2 * EACH];
  for (int i = 0; i < 2 * EACH; ++i) {
    waited[i] = (struct pollfd){dialled(i % 2 == 0 ? SOON : SOON_REFUSE + i % 8, SOCK_NONBLOCK),
                                POLLOUT, 0};
  }
  for (int done = 0; done < 2 * EACH;) {
    CHECK(poll(waited, 2 * EACH, GENEROUS) > 0);
    for (int i = 0; i < 2 * EACH; ++i) {
      if (waited[i].fd < 0 || waited[i].revents == 0) {
        continue;
      }
      CHECK_EQ(waited[i].revents, i % 2 == 0 ? POLLOUT : POLLOUT | POLLERR | POLLHUP);
      CHECK_EQ(so_error(waited[i].fd) != 0, i % 2);
      if (i % 2 == 0) {
        check_echo(waited[i].fd);
      }
      waited[i].fd = -1;
      ++done;
    }
  }
}

/* The end of stream of the destination right behind its words. */
PROBE(end_of_stream) {
  const int fd = dialled(BYE, SOCK_NONBLOCK);
  reach(fd);
  read_exactly(fd, "BYE");
  struct pollfd waited = {fd, POLLIN, 0};
  CHECK_EQ(poll(&waited, 1, GENEROUS), 1);
  char octet;
  CHECK_EQ(read(fd, &octet, 1), 0);
}
