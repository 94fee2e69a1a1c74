/* Readiness by epoll: the program's own events and data, once the destination is reached, however
 * and whenever it registered. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "rig/probe.h"

enum { GENEROUS = 20000 };
static const uint64_t cookie = 0xfedcba9876543210U;

static uint32_t mode_named(const char* name) {
  if (strcmp(name, "edge") == 0) {
    return EPOLLET;
  }
  if (strcmp(name, "oneshot") == 0) {
    return EPOLLONESHOT;
  }
  if (strcmp(name, "edge-oneshot") == 0) {
    return EPOLLET | EPOLLONESHOT;
  }
  if (strcmp(name, "exclusive") == 0) {
    return EPOLLEXCLUSIVE;
  }
  CHECK(strcmp(name, "level") == 0);
  return 0;
}

/* epoll_ready WAITER before|after level|edge|oneshot|edge-oneshot|exclusive */
PROBE(epoll_ready) {
  const char* waiter = argv[1];
  const int before = strcmp(argv[2], "before") == 0;
  const uint32_t mode = mode_named(argv[3]);
  const uint32_t asked = EPOLLIN | EPOLLOUT | mode;
  const int epfd = epoll_create1(0), fd = tcp(SOCK_NONBLOCK);
  if (before) {
    add_to_epoll(epfd, EPOLL_CTL_ADD, fd, asked, cookie);
  }
  const long long start = now_us();
  CHECK_FAILS(dial(fd, SOON_HELLO), EINPROGRESS);
  if (!before) {
    add_to_epoll(epfd, EPOLL_CTL_ADD, fd, asked, cookie);
  }

  uint32_t events = 0;
  uint64_t data = 0;
  CHECK_EQ(wait_by(waiter, epfd, 0, 0, &events, &data), 0);
  const long long waited_from = now_us();
  CHECK_EQ(wait_by(waiter, epfd, 0, 100, &events, &data), 0);
  CHECK_TIME(now_us() - waited_from, 100000, 250000);
  CHECK_EQ(wait_by(waiter, epfd, 0, GENEROUS, &events, &data), 1);
  CHECK_TIME(now_us() - start, SOON_US, SOON_US * 5 / 2);
  CHECK_EQ(events, EPOLLIN | EPOLLOUT);
  CHECK(data == cookie);

  const int again = wait_by(waiter, epfd, 0, 50, &events, &data);
  if ((mode & (EPOLLET | EPOLLONESHOT)) != 0) {
    CHECK_EQ(again, 0);
  } else {
    CHECK_EQ(again, 1);
    CHECK_EQ(events, EPOLLIN | EPOLLOUT);
    CHECK(data == cookie);
  }
  read_exactly(fd, "HELLO");
  char octet;
  CHECK_FAILS(read(fd, &octet, 1), EAGAIN);
  CHECK_EQ(so_error(fd), 0);

  struct epoll_event event = {.events = EPOLLOUT | mode, .data.u64 = ~cookie};
  if (mode == EPOLLEXCLUSIVE) {
    CHECK_FAILS(epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &event), EINVAL);
  } else {
    CHECK_EQ(epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &event), 0);
    CHECK_EQ(wait_by(waiter, epfd, 0, GENEROUS, &events, &data), 1);
    CHECK_EQ(events, EPOLLOUT);
    CHECK(data == ~cookie);
  }
  CHECK_FAILS(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event), EEXIST);
  CHECK_EQ(epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL), 0);
  CHECK_FAILS(epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL), ENOENT);
  check_echo(fd);
}

/* Interest in input alone: the gateway's replies are not input. */
PROBE(epoll_readable_only) {
  const int epfd = epoll_create1(0), fd = tcp(SOCK_NONBLOCK);
  const uint32_t mode = mode_named(argv[1]);
  /* EPOLLEXCLUSIVE takes no EPOLLRDHUP beside it. */
  const uint32_t end_of_input = mode == EPOLLEXCLUSIVE ? 0 : (uint32_t)EPOLLRDHUP;
  add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLIN | end_of_input | mode, cookie);
  CHECK_FAILS(dial(fd, SOON), EINPROGRESS);
  struct epoll_event event;
  CHECK_EQ(epoll_wait(epfd, &event, 1, 700), 0);
  CHECK_EQ(write(fd, "ping", 4), 4); /* reached meanwhile */
  CHECK_EQ(epoll_wait(epfd, &event, 1, GENEROUS), 1);
  CHECK_EQ(event.events, EPOLLIN);
  CHECK(event.data.u64 == cookie);
  read_exactly(fd, "ping");
}

PROBE(epoll_timeout) {
  const int epfd = epoll_create1(0);
  add_to_epoll(epfd, EPOLL_CTL_ADD, dialled(NEVER, SOCK_NONBLOCK), EPOLLIN | EPOLLOUT, 1);
  for (int i = 0; i < 3; ++i) {
    const long long start = now_us();
    CHECK_EQ(wait_by(argv[1], epfd, 0, 200, NULL, NULL), 0);
    CHECK_TIME(now_us() - start, 200000, 500000);
  }
}

/* What a program may keep in data: all of it comes back. */
PROBE(epoll_data_intact) {
  static const uint64_t values[] = {0,
                                    1,
                                    7,
                                    0xffffffff,
                                    UINT64_MAX,
                                    0x8000000000000000U,
                                    0x4000000000000000U,
                                    0x7fffffffffffffffU,
                                    0x5555555555555555U,
                                    0xaaaaaaaaaaaaaaaaU};
  enum { COUNT = sizeof(values) / sizeof(values[0]) };
  const int epfd = epoll_create1(0);
  for (int i = 0; i < COUNT; ++i) {
    const int fd = tcp(SOCK_NONBLOCK);
    if (i % 2 == 0) {
      add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLONESHOT, values[i]);
    }
    CHECK_FAILS(dial(fd, SOON), EINPROGRESS);
    if (i % 2 == 1) {
      add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLONESHOT, values[i]);
    }
  }
  int seen[COUNT] = {0};
  for (int done = 0; done < COUNT; ++done) {
    struct epoll_event event;
    CHECK_EQ(epoll_wait(epfd, &event, 1, GENEROUS), 1);
    int which = 0;
    while (which < COUNT && values[which] != event.data.u64) {
      ++which;
    }
    CHECK(which < COUNT);
    CHECK_EQ(seen[which]++, 0);
  }
}

PROBE(epoll_mixed) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  const int epfd = epoll_create1(0);
  add_to_epoll(epfd, EPOLL_CTL_ADD, dialled(SLOW, SOCK_NONBLOCK), EPOLLIN | EPOLLOUT, 1);
  add_to_epoll(epfd, EPOLL_CTL_ADD, ends[0], EPOLLIN, 2);
  CHECK_EQ(write(ends[1], "x", 1), 1);
  struct epoll_event events[4];
  const long long start = now_us();
  CHECK_EQ(epoll_wait(epfd, events, 4, GENEROUS), 1);
  CHECK(now_us() - start < 500000);
  CHECK_EQ(events[0].data.u64, 2);
  CHECK_EQ(epoll_ctl(epfd, EPOLL_CTL_DEL, ends[0], NULL), 0);
  CHECK_EQ(epoll_wait(epfd, events, 4, GENEROUS), 1);
  CHECK_TIME(now_us() - start, SLOW_US - 100000, SLOW_US * 5 / 2);
  CHECK_EQ(events[0].data.u64, 1);
}

struct Waiter {
  int epfd;
  int timeout_ms;
  int result;
  struct epoll_event event;
  long long at;
};
static void* wait_there(void* argument) {
  struct Waiter* waiter = argument;
  waiter->result = epoll_wait(waiter->epfd, &waiter->event, 1, waiter->timeout_ms);
  waiter->at = now_us();
  return NULL;
}

/* A thread sits in epoll_wait before connect begins. "registered": the socket is in the set
 * already; "added": it comes while the thread waits. */
PROBE(epoll_waiting_thread) {
  const int registered = strcmp(argv[1], "registered") == 0;
  const int epfd = epoll_create1(0), fd = tcp(SOCK_NONBLOCK);
  struct epoll_event event;
  if (registered) {
    add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLET, cookie);
    /* An unconnected socket is hung up; an edge-triggered waiter hears it once. */
    CHECK_EQ(epoll_wait(epfd, &event, 1, 0), 1);
  }
  struct Waiter waiter = {.epfd = epfd, .timeout_ms = GENEROUS};
  pthread_t thread;
  pthread_create(&thread, NULL, wait_there, &waiter);
  sleep_ms(100); /* most likely it waits now; the outcome is the same if not */
  const long long start = now_us();
  CHECK_FAILS(dial(fd, SOON_HELLO), EINPROGRESS);
  if (!registered) {
    add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLET, cookie);
  }
  pthread_join(thread, NULL);
  CHECK_EQ(waiter.result, 1);
  CHECK_TIME(waiter.at - start, SOON_US, SOON_US * 5 / 2);
  CHECK_EQ(waiter.event.events, EPOLLIN | EPOLLOUT);
  CHECK(waiter.event.data.u64 == cookie);
  CHECK_EQ(epoll_wait(epfd, &event, 1, 50), 0);
  read_exactly(fd, "HELLO");
}

/* Two threads wait on one set, edge or one shot: just one of them gets the event. */
PROBE(epoll_two_waiters) {
  const int epfd = epoll_create1(0), fd = tcp(SOCK_NONBLOCK);
  add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT | mode_named(argv[1]), cookie);
  const long long start = now_us();
  CHECK_FAILS(dial(fd, SOON), EINPROGRESS);
  struct Waiter waiters[2] = {{.epfd = epfd, .timeout_ms = 1000},
                              {.epfd = epfd, .timeout_ms = 1000}};
  pthread_t threads[2];
  for (int i = 0; i < 2; ++i) {
    pthread_create(&threads[i], NULL, wait_there, &waiters[i]);
  }
  for (int i = 0; i < 2; ++i) {
    pthread_join(threads[i], NULL);
  }
  CHECK_EQ(waiters[0].result + waiters[1].result, 1);
  const struct Waiter* winner = waiters[0].result == 1 ? &waiters[0] : &waiters[1];
  CHECK_EQ(winner->event.events, EPOLLOUT);
  CHECK(winner->event.data.u64 == cookie);
  CHECK_TIME(winner->at - start, SOON_US, 950000);
  check_echo(fd);
}

/* A set inside of a set, waited for by epoll_wait or poll. A wake-up that finds the inner set empty
 * is allowed by epoll(7), a flood of them is not. */
PROBE(epoll_nested) {
  const int inner = epoll_create1(0), outer = epoll_create1(0), fd = tcp(SOCK_NONBLOCK);
  add_to_epoll(inner, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLET, cookie);
  add_to_epoll(outer, EPOLL_CTL_ADD, inner, EPOLLIN, 3);
  const long long start = now_us();
  CHECK_FAILS(dial(fd, SOON_HELLO), EINPROGRESS);
  struct epoll_event event;
  int empty = 0;
  for (;;) {
    if (strcmp(argv[1], "epoll") == 0) {
      CHECK_EQ(epoll_wait(outer, &event, 1, GENEROUS), 1);
      CHECK_EQ(event.data.u64, 3);
    } else {
      struct pollfd waited = {inner, POLLIN, 0};
      CHECK_EQ(poll(&waited, 1, GENEROUS), 1);
      CHECK_EQ(waited.revents, POLLIN);
    }
    if (epoll_wait(inner, &event, 1, 0) == 1) {
      break;
    }
    ++empty;
  }
  CHECK_TIME(now_us() - start, SOON_US, SOON_US * 5 / 2);
  CHECK_EQ(event.events, EPOLLIN | EPOLLOUT);
  CHECK(event.data.u64 == cookie);
  CHECK(empty <= 8);
  read_exactly(fd, "HELLO");
}

/* The registered descriptor is a copy, and the original goes away. */
PROBE(epoll_duplicate) {
  const int epfd = epoll_create1(0), fd = tcp(SOCK_NONBLOCK);
  const int copy = strcmp(argv[1], "dup") == 0 ? dup(fd) : fcntl(fd, F_DUPFD_CLOEXEC, 50);
  add_to_epoll(epfd, EPOLL_CTL_ADD, copy, EPOLLOUT | EPOLLONESHOT, 1);
  add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLONESHOT, 2);
  const long long start = now_us();
  CHECK_FAILS(dial(fd, SOON), EINPROGRESS);
  const int later = dup(copy);
  add_to_epoll(epfd, EPOLL_CTL_ADD, later, EPOLLOUT | EPOLLONESHOT, 4);
  uint64_t seen = 0;
  for (int i = 0; i < 3; ++i) {
    struct epoll_event event;
    CHECK_EQ(epoll_wait(epfd, &event, 1, GENEROUS), 1);
    CHECK_EQ(event.events, EPOLLOUT);
    CHECK_EQ(seen & event.data.u64, 0);
    seen |= event.data.u64;
  }
  CHECK_EQ(seen, 7);
  CHECK(now_us() - start >= SOON_US);
  close(fd);
  check_echo(copy);
  check_echo(later);
}

/* The set is known by a copy of its descriptor, and the original is closed: before connect, or
 * while it is pending. */
PROBE(epoll_descriptor_moved) {
  const int early = strcmp(argv[1], "before") == 0;
  const int original = epoll_create1(0), fd = tcp(SOCK_NONBLOCK);
  add_to_epoll(original, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, cookie);
  const int epfd = dup(original);
  if (early) {
    close(original);
  }
  const long long start = now_us();
  CHECK_FAILS(dial(fd, SOON), EINPROGRESS);
  if (!early) {
    close(original);
  }
  struct epoll_event event;
  CHECK_EQ(epoll_wait(epfd, &event, 1, GENEROUS), 1);
  CHECK_TIME(now_us() - start, SOON_US, SOON_US * 5 / 2);
  CHECK(event.data.u64 == cookie);
  CHECK_EQ(event.events, EPOLLOUT);
  CHECK_EQ(epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL), 0);
  check_echo(fd);
}

/* A set is closed while it holds a pending socket; another set is made, very likely under its
 * number. */
PROBE(epoll_closed_while_pending) {
  const int first = epoll_create1(0), fd = tcp(SOCK_NONBLOCK);
  add_to_epoll(first, EPOLL_CTL_ADD, fd, EPOLLOUT, 1);
  CHECK_FAILS(dial(fd, SOON), EINPROGRESS);
  close(first);
  const int second = epoll_create1(0);
  struct epoll_event event;
  CHECK_EQ(epoll_wait(second, &event, 1, 50), 0);
  add_to_epoll(second, EPOLL_CTL_ADD, fd, EPOLLOUT, 2);
  CHECK_EQ(epoll_wait(second, &event, 1, GENEROUS), 1);
  CHECK_EQ(event.data.u64, 2);
  check_echo(fd);
}

/* Registrations change while the handshake is pending. */
PROBE(epoll_changed_while_pending) {
  const int epfd = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLOUT, .data.u64 = 1};
  const int fd = dialled(SLOW, SOCK_NONBLOCK);
  const long long start = now_us();
  CHECK_FAILS(epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &event), ENOENT);
  CHECK_FAILS(epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL), ENOENT);
  CHECK_EQ(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event), 0);
  CHECK_FAILS(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event), EEXIST);
  CHECK_EQ(epoll_wait(epfd, &event, 1, 50), 0);
  event = (struct epoll_event){.events = EPOLLIN, .data.u64 = 2};
  CHECK_EQ(epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &event), 0);
  CHECK_EQ(epoll_wait(epfd, &event, 1, 50), 0);
  CHECK_EQ(epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL), 0);
  CHECK_EQ(epoll_wait(epfd, &event, 1, 50), 0);
  event = (struct epoll_event){.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u64 = 3};
  CHECK_EQ(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event), 0);
  CHECK_EQ(epoll_wait(epfd, &event, 1, 50), 0);
  event = (struct epoll_event){.events = EPOLLOUT | EPOLLONESHOT, .data.u64 = 4};
  CHECK_EQ(epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &event), 0);
  CHECK_EQ(epoll_wait(epfd, &event, 1, GENEROUS), 1);
  CHECK_TIME(now_us() - start, SLOW_US, SLOW_US * 5 / 2);
  CHECK_EQ(event.data.u64, 4);
  CHECK_EQ(event.events, EPOLLOUT);
  CHECK_EQ(epoll_wait(epfd, &event, 1, 50), 0);
}

/* One socket in two sets, each with its own events. */
PROBE(epoll_two_sets) {
  const int out = epoll_create1(0), in = epoll_create(1), fd = tcp(SOCK_NONBLOCK);
  add_to_epoll(out, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, 1);
  CHECK_FAILS(dial(fd, SOON_HELLO), EINPROGRESS);
  add_to_epoll(in, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET, 2);
  struct epoll_event event;
  CHECK_EQ(epoll_wait(in, &event, 1, GENEROUS), 1);
  CHECK_EQ(event.events, EPOLLIN);
  CHECK_EQ(event.data.u64, 2);
  CHECK_EQ(epoll_wait(out, &event, 1, 0), 1);
  CHECK_EQ(event.events, EPOLLOUT);
  CHECK_EQ(event.data.u64, 1);
  read_exactly(fd, "HELLO");
}
