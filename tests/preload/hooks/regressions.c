/* What once went wrong, one probe for each fault; the names of the tests tell the symptom. Here:
 * the bookkeeping of descriptors, waits, and other ways into the same calls. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig/probe.h"

static int dial_local(int fd, int port) {
  struct sockaddr_storage address;
  const socklen_t length = address_of("127.0.0.1", port, &address);
  return connect(fd, (struct sockaddr*)&address, length);
}

static void close_unseen(int fd) {
  FILE* stream = fdopen(fd, "r+");
  CHECK(stream != NULL);
  CHECK_EQ(fclose(stream), 0);
}

static void allow_descriptors(rlim_t wanted) {
  struct rlimit limit;
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  CHECK(limit.rlim_max >= wanted);
  limit.rlim_cur = limit.rlim_max;
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

/* A socket with duplicates connects past the gateway; then its number, and that of a duplicate, get
 * other sockets. Every close has to come back. */
PROBE(duplicates_after_direct_connect) {
  int port;
  listener(&port);
  alarm(20);
  for (int order = 0; order < 4; ++order) {
    const int fd = tcp(0), copy = dup(fd), third = fcntl(copy, F_DUPFD, 100);
    CHECK(copy >= 0 && third >= 100);
    CHECK_EQ(dial_local(order % 2 == 0 ? fd : copy, port), 0);
    const int other = tcp(0);
    CHECK_EQ(dup2(other, fd), fd);
    if (order >= 2) {
      CHECK_EQ(dup3(other, third, O_CLOEXEC), third);
    }
    CHECK_EQ(close(copy), 0);
    CHECK_EQ(dial(other, HELLO), 0);
    read_exactly(fd, "HELLO");
    CHECK_EQ(close(other), 0);
    check_echo(fd);
    CHECK_EQ(close(third), 0);
    CHECK_EQ(close(fd), 0);
  }
}

/* A duplicate of a direct connection stays in epoll; the first number now is a pending socket's.
 * duplicate_keeps_its_events close|fclose */
PROBE(duplicate_keeps_its_events) {
  int port;
  const int server = listener(&port), epfd = epoll_create1(0);
  const int fd = tcp(0), copy = dup(fd);
  add_to_epoll(epfd, EPOLL_CTL_ADD, copy, EPOLLIN, 7);
  CHECK_EQ(dial_local(fd, port), 0);
  if (strcmp(argv[1], "close") == 0) {
    CHECK_EQ(close(fd), 0);
  } else {
    close_unseen(fd);
  }
  CHECK_EQ(dialled(NEVER, SOCK_NONBLOCK), fd);
  struct epoll_event event = {0};
  CHECK_EQ(epoll_wait(epfd, &event, 1, 300), 0);
  const int accepted = accept(server, NULL, NULL);
  CHECK_EQ(write(accepted, "x", 1), 1);
  CHECK_EQ(epoll_wait(epfd, &event, 1, 20000), 1);
  CHECK_EQ(event.events, EPOLLIN);
  CHECK_EQ(event.data.u64, 7);
}

/* A connect failed, the socket was closed where no hook sees it, and the number is a file's, or an
 * accepted connection's: neither hears of that failure. */
PROBE(failure_does_not_outlive_its_socket) {
  int port;
  const int server = listener(&port), client = socket(AF_INET, SOCK_STREAM, 0);
  CHECK_EQ(dial_local(client, port), 0);
  for (int round = 0; round < 2; ++round) {
    const int fd = dialled(REFUSE + 5, SOCK_NONBLOCK);
    struct pollfd waited = {fd, POLLOUT, 0};
    CHECK_EQ(poll(&waited, 1, 20000), 1);
    CHECK((waited.revents & POLLERR) != 0);
    close_unseen(fd);
    char magic[4];
    if (round == 0) {
      CHECK_EQ(open("/proc/self/exe", O_RDONLY), fd);
      CHECK_EQ(read(fd, magic, sizeof(magic)), 4);
      CHECK(memcmp(magic, "\177ELF", 4) == 0);
      CHECK_EQ(close(fd), 0);
      continue;
    }
    CHECK_EQ(accept(server, NULL, NULL), fd);
    waited.events = POLLIN | POLLOUT;
    CHECK_EQ(poll(&waited, 1, 0), 1);
    CHECK_EQ(waited.revents, POLLOUT);
    CHECK_EQ(so_error(fd), 0);
    CHECK_EQ(write(client, "served", 6), 6);
    read_exactly(fd, "served");
    CHECK_EQ(write(fd, "answer", 6), 6);
    read_exactly(client, "answer");
  }
}

/* A process that forks with connects pending and gives those up, again and again. */
PROBE(forks_with_connects_given_up) {
  enum { ROUNDS = 10, PENDING = 500 };
  allow_descriptors(PENDING + 20);
  for (int round = 0; round < ROUNDS; ++round) {
    int fds[PENDING];
    for (int i = 0; i < PENDING; ++i) {
      fds[i] = dialled(NEVER, SOCK_NONBLOCK);
    }
    const pid_t child = fork();
    if (child == 0) {
      _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    for (int i = 0; i < PENDING; ++i) {
      CHECK_EQ(close(fds[i]), 0);
    }
  }
}

static atomic_int stop_threads;
static int race_epfd, race_fd;
static void* wait_in_epoll(void* argument) {
  (void)argument;
  struct epoll_event events[8];
  while (!stop_threads) {
    epoll_wait(race_epfd, events, 8, 10);
  }
  return NULL;
}
static void* poll_the_number(void* argument) {
  (void)argument;
  while (!stop_threads) {
    struct pollfd waited = {race_fd, POLLIN, 0};
    poll(&waited, 1, 0);
  }
  return NULL;
}

/* Threads look at a number while sockets come and go under it. The destination never answers, so
 * none of them is ever connected, and none fails. */
PROBE(threads_watch_a_reused_number) {
  pthread_t threads[3];
  race_epfd = epoll_create1(0);
  race_fd = tcp(0);
  CHECK_EQ(close(race_fd), 0);
  pthread_create(&threads[0], NULL, wait_in_epoll, NULL);
  pthread_create(&threads[1], NULL, poll_the_number, NULL);
  pthread_create(&threads[2], NULL, poll_the_number, NULL);
  const long long start = now_us();
  int rounds = 0;
  /* On a busy machine a round takes a while. */
  for (; now_us() - start < 2000000 || rounds < 20; ++rounds) {
    const int fd = dialled(NEVER, SOCK_NONBLOCK);
    CHECK_EQ(fd, race_fd);
    add_to_epoll(race_epfd, EPOLL_CTL_ADD, fd, EPOLLOUT, 1);
    usleep((useconds_t)(rounds % 3 * 150));
    CHECK_EQ(so_error(fd), 0);
    struct sockaddr_storage peer;
    socklen_t length = sizeof(peer);
    CHECK_FAILS(getpeername(fd, (struct sockaddr*)&peer, &length), ENOTCONN);
    CHECK_EQ(close(fd), 0);
  }
  stop_threads = 1;
  for (int i = 0; i < 3; ++i) {
    pthread_join(threads[i], NULL);
  }
  check_echo(connected(ECHO));
}

static int shared_fd;
static void* connect_first(void* result) {
  *(int*)result = dial(shared_fd, SLOW);
  return NULL;
}

/* Two threads connect one socket: the second one is told so, and the first one's connection stays.
 */
PROBE(second_connect_leaves_the_first) {
  shared_fd = tcp(0);
  int first = -2;
  pthread_t thread;
  const long long start = now_us();
  pthread_create(&thread, NULL, connect_first, &first);
  sleep_ms(200);
  set_blocking(shared_fd, 0);
  CHECK_FAILS(dial(shared_fd, SLOW), EALREADY);
  CHECK(now_us() - start < SLOW_US);
  pthread_join(thread, NULL);
  CHECK_EQ(first, 0);
  CHECK_TIME(now_us() - start, SLOW_US, SLOW_US * 4);
  check_echo(shared_fd);
}

static void* connect_soon(void* result) {
  *(int*)result = dial(shared_fd, SOON);
  return NULL;
}

static const char* shared_waiter;
static atomic_int heard;
static void* hear_of_the_connect(void* argument) {
  (void)argument;
  const long long start = now_us();
  if (is_epoll(shared_waiter)) {
    const int epfd = epoll_create1(0);
    add_to_epoll(epfd, EPOLL_CTL_ADD, shared_fd, EPOLLOUT, 1);
    CHECK_EQ(wait_by(shared_waiter, epfd, EPOLLOUT, 6000, NULL, NULL), 1);
    CHECK_EQ(close(epfd), 0);
  } else {
    CHECK_EQ(wait_by(shared_waiter, shared_fd, EPOLLOUT, 6000, NULL, NULL), 1);
  }
  CHECK_TIME(now_us() - start, 0, 5000000);
  ++heard;
  return NULL;
}

/* Four threads wait for one connect, and with "connect" one more is in it. One of them reads the
 * gateway's reply; all hear of it. threads_wait_for_one_connect WAITER [connect] */
PROBE(threads_wait_for_one_connect) {
  shared_waiter = argv[1];
  alarm(30); /* rather than by the runner's patience */
  for (int round = 0; round < 10; ++round) {
    heard = 0;
    shared_fd = argc > 2 ? tcp(0) : dialled(SOON, SOCK_NONBLOCK);
    int first = -2;
    pthread_t connecting, threads[4];
    const long long start = now_us();
    if (argc > 2) {
      pthread_create(&connecting, NULL, connect_soon, &first);
      sleep_ms(50);
    }
    for (int i = 0; i < 4; ++i) {
      pthread_create(&threads[i], NULL, hear_of_the_connect, NULL);
    }
    for (int i = 0; i < 4; ++i) {
      pthread_join(threads[i], NULL);
    }
    CHECK_EQ(heard, 4);
    if (argc > 2) {
      pthread_join(connecting, NULL);
      CHECK_EQ(first, 0);
    }
    CHECK_TIME(now_us() - start, SOON_US, 5000000);
    CHECK_EQ(so_error(shared_fd), 0);
    check_echo(shared_fd);
    CHECK_EQ(close(shared_fd), 0);
  }
}

/* The same registration twice is EEXIST, and the first one stands. second_add_is_harmless 0|et */
PROBE(second_add_is_harmless) {
  const uint32_t edge = strcmp(argv[1], "et") == 0 ? (uint32_t)EPOLLET : 0;
  const int epfd = epoll_create1(0), fd = dialled(SOON_HELLO, SOCK_NONBLOCK);
  add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT | edge, 7);
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.u64 = 8};
  for (int i = 0; i < 3; ++i) {
    CHECK_FAILS(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event), EEXIST);
  }
  CHECK_EQ(epoll_wait(epfd, &event, 1, 20000), 1);
  CHECK_EQ(event.events, EPOLLOUT);
  CHECK_EQ(event.data.u64, 7);
  CHECK_EQ(so_error(fd), 0);
  read_exactly(fd, "HELLO");
}

/* With SOCKS64_TIMEOUT=1: a loop of short waits hears of the end as a long wait does. With "busy"
 * another descriptor of the set is always ready. deadline_in_a_loop WAITER idle|busy */
PROBE(deadline_in_a_loop) {
  const int busy = strcmp(argv[2], "busy") == 0, waits_in_epoll = is_epoll(argv[1]);
  const int epfd = epoll_create1(0), fd = dialled(NEVER, SOCK_NONBLOCK);
  add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT, 1);
  if (busy) {
    add_to_epoll(epfd, EPOLL_CTL_ADD, eventfd(1, 0), EPOLLIN, 2);
  }
  const long long start = now_us();
  for (;;) {
    CHECK(now_us() - start < 4000000);
    uint32_t events = 0;
    uint64_t data = 1;
    const int result = wait_by(argv[1], waits_in_epoll ? epfd : fd, EPOLLOUT, 200, &events, &data);
    CHECK(result >= 0);
    if (result == 1 && data == 1) {
      CHECK((events & (EPOLLERR | EPOLLOUT)) != 0);
      break;
    }
    if (busy) {
      sleep_ms(10);
    }
  }
  CHECK_TIME(now_us() - start, 1000000 - 50000, 3500000);
  CHECK_EQ(so_error(fd), ETIMEDOUT);
}

/* More descriptors than the sets have room for: the kernel stops at the process's own; what stands
 * behind the sets is nobody's to read or change. select_beyond_its_sets NFDS */
PROBE(select_beyond_its_sets) {
  const int count = strcmp(argv[1], "table") == 0 ? getdtablesize() : atoi(argv[1]);
  struct {
    fd_set set;
    unsigned char behind[8192];
  } memory;
  for (int never = 0; never < 2; ++never) {
    const int fd = dialled(never ? NEVER : SOON, SOCK_NONBLOCK);
    memset(&memory, 0, sizeof(memory));
    memset(memory.behind, 0xa5, sizeof(memory.behind));
    FD_SET(fd, &memory.set);
    struct timeval timeout = {never ? 0 : 20, 100000};
    CHECK_EQ(select(count, NULL, &memory.set, NULL, &timeout), !never);
    CHECK_EQ(FD_ISSET(fd, &memory.set) != 0, !never);
    for (size_t i = 0; i < sizeof(memory.behind); ++i) {
      CHECK_EQ(memory.behind[i], 0xa5);
    }
  }
}

/* Sets larger than fd_set, as programs allocate them, with a descriptor up there. */
PROBE(select_on_large_sets) {
  allow_descriptors(4096);
  const int low = dialled(SOON, SOCK_NONBLOCK), fd = fcntl(low, F_DUPFD, 1500);
  CHECK_EQ(fd, 1500);
  CHECK_EQ(close(low), 0);
  unsigned long words[2048 / (8 * sizeof(long))] = {0};
  const size_t word = 1500 / (8 * sizeof(long)), bit = 1500 % (8 * sizeof(long));
  words[word] = 1UL << bit;
  struct timeval timeout = {20, 0};
  CHECK_EQ(select(fd + 1, NULL, (fd_set*)(void*)words, NULL, &timeout), 1);
  CHECK(words[word] == 1UL << bit);
  CHECK_EQ(so_error(fd), 0);
  check_echo(fd);
}

/* huge_timeout select|pselect|ppoll|epoll_pwait2|receive */
PROBE(huge_timeout) {
  static const time_t seconds[] = {LONG_MAX, LONG_MAX / 2, LONG_MAX / 1000000000 + 1};
  for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); ++i) {
    const long long start = now_us();
    const int epfd = epoll_create1(0), fd = dialled(SOON_HELLO, SOCK_NONBLOCK);
    add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT, 1);
    struct timeval coarse = {seconds[i], 0};
    const struct timespec precise = {seconds[i], 0};
    struct pollfd waited = {fd, POLLOUT, 0};
    struct epoll_event event;
    fd_set writes;
    FD_ZERO(&writes);
    FD_SET(fd, &writes);
    if (strcmp(argv[1], "select") == 0) {
      CHECK_EQ(select(fd + 1, NULL, &writes, NULL, &coarse), 1);
    } else if (strcmp(argv[1], "pselect") == 0) {
      CHECK_EQ(pselect(fd + 1, NULL, &writes, NULL, &precise, NULL), 1);
    } else if (strcmp(argv[1], "ppoll") == 0) {
      CHECK_EQ(ppoll(&waited, 1, &precise, NULL), 1);
    } else if (strcmp(argv[1], "epoll_pwait2") == 0) {
      CHECK_EQ(epoll_pwait2(epfd, &event, 1, &precise, NULL), 1);
    } else {
      set_blocking(fd, 1);
      CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &coarse, sizeof(coarse)) == 0);
      char octet;
      CHECK_EQ(read(fd, &octet, 1), 1);
      CHECK_EQ(octet, 'H');
    }
    CHECK_TIME(now_us() - start, SOON_US, 20000000);
    CHECK_EQ(close(fd), 0);
  }
}

/* poll's own errors, while something is pending. */
PROBE(poll_of_wrong_memory) {
  struct pollfd waited = {dialled(NEVER, SOCK_NONBLOCK), POLLOUT, 0};
  struct pollfd* volatile nowhere = (struct pollfd*)8;
  volatile nfds_t many = (nfds_t)1 << 30;
  const struct timespec none = {0, 0};
  CHECK_FAILS(poll(nowhere, 1, 0), EFAULT);
  CHECK_FAILS(ppoll(nowhere, 3, &none, NULL), EFAULT);
  CHECK_FAILS(poll(&waited, many, 0), EINVAL);
  CHECK_EQ(poll(&waited, 1, 0), 0);
}

/* Stopped and continued by another process at any moment: no connect is given up, or told twice. */
PROBE(stopped_and_continued) {
  const pid_t child = fork();
  if (child == 0) {
    const long long start = now_us();
    while (now_us() - start < 1500000) {
      const int fd = dialled(ECHO, SOCK_NONBLOCK);
      const int again = dial(fd, ECHO); /* it advances the handshake, and may end it */
      CHECK(again == 0 || errno == EALREADY || errno == EISCONN);
      reach(fd);
      check_echo(fd);
      CHECK_EQ(close(fd), 0);
    }
    check_echo(connected(SLOW));
    _exit(0);
  }
  int status;
  while (waitpid(child, &status, WNOHANG) == 0) {
    kill(child, SIGSTOP);
    usleep(500);
    kill(child, SIGCONT);
    usleep(3000);
  }
  CHECK_EQ(status, 0);
}

/* rsync's parent ends its child by a signal, and waits for that. */
PROBE(a_child_has_its_parents_signal_mask) {
  sigset_t before, after;
  close(socket(AF_INET, SOCK_STREAM, 0));
  CHECK(sigprocmask(SIG_SETMASK, NULL, &before) == 0);
  const pid_t child = fork();
  CHECK(child >= 0);
  CHECK(sigprocmask(SIG_SETMASK, NULL, &after) == 0);
  for (int number = 1; number < 32; ++number) {
    CHECK_EQ(sigismember(&after, number), sigismember(&before, number));
  }
  if (child == 0) {
    _exit(0);
  }
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
}
