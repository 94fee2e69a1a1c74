/* Every blocking call of a program brings all its pending connects forward. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#include "rig/probe.h"

enum { FEW = 5 };

/* progress_in_turn WAITER: five connects of 1 s, waited for one after the other. */
PROBE(progress_in_turn) {
  int fds[FEW], waited[FEW];
  for (int i = 0; i < FEW; ++i) {
    fds[i] = waited[i] = dialled(SLOW, SOCK_NONBLOCK);
    if (is_epoll(argv[1])) {
      waited[i] = epoll_create1(0);
      add_to_epoll(waited[i], EPOLL_CTL_ADD, fds[i], EPOLLOUT, 0);
    }
  }
  const long long start = now_us();
  for (int i = 0; i < FEW; ++i) {
    uint32_t events = 0;
    uint64_t data = 0;
    CHECK_EQ(wait_by(argv[1], waited[i], EPOLLOUT, 10000, &events, &data), 1);
    CHECK_EQ(so_error(fds[i]), 0);
  }
  const long long took = now_us() - start;
  printf("%lld us\n", took);
  CHECK(took < 2 * SLOW_US);
}

/* Pending connects do not count against what a program may list in poll(2). */
PROBE(progress_beyond_limit) {
  enum { MANY = 30, ALLOWED = 16 };
  int fds[MANY], pipes[2];
  CHECK(pipe(pipes) == 0);
  for (int i = 0; i < MANY; ++i) {
    fds[i] = dialled(i == 0 ? SOON : i == 1 ? SOON_REFUSE + 5 : NEVER, SOCK_NONBLOCK);
  }
  const struct rlimit few = {ALLOWED, ALLOWED};
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  struct pollfd waited = {pipes[0], POLLIN, 0};
  const long long start = now_us();
  CHECK_EQ(poll(&waited, 1, 900), 0);
  CHECK(now_us() - start >= 890000);
  CHECK_EQ(dial(fds[0], SOON), 0);
  CHECK_FAILS(dial(fds[1], SOON_REFUSE + 5), ECONNREFUSED);
  CHECK_EQ(write(pipes[1], "x", 1), 1);
  CHECK_EQ(poll(&waited, 1, 5000), 1);
  CHECK_EQ(waited.revents, POLLIN);
}

/* A child that ends after a while, or a signal that comes then: what ends calls without a timeout.
 */
static pid_t child_after(int milliseconds, int signal_number) {
  const pid_t parent = getpid(), child = fork();
  if (child == 0) {
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    while (nanosleep(&time, &time) != 0) {
    }
    if (signal_number != 0) {
      kill(parent, signal_number);
    }
    _exit(7);
  }
  return child;
}

static volatile sig_atomic_t handled;
static void handle(int signal_number) {
  handled = signal_number;
}
static void on_signal(int signal_number, int flags) {
  struct sigaction action = {.sa_handler = handle, .sa_flags = flags};
  CHECK(sigaction(signal_number, &action, NULL) == 0);
}

enum { LONG_MS = 900 }; /* long enough for a connect of 300 ms with three round trips */

/* Blocks for LONG_MS by one call. */
static void block_by(const char* call) {
  struct timespec time = {0, LONG_MS * 1000000L};
  sigset_t usr1, none;
  sigemptyset(&none);
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  int pipes[2];
  CHECK(pipe(pipes) == 0);
  if (strcmp(call, "nanosleep") == 0) {
    CHECK(nanosleep(&time, NULL) == 0);
  } else if (strcmp(call, "clock_nanosleep") == 0) {
    clock_gettime(CLOCK_REALTIME, &time);
    time.tv_sec += 1;
    CHECK_EQ(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &time, NULL), 0);
  } else if (strcmp(call, "usleep") == 0) {
    CHECK(usleep(LONG_MS * 1000) == 0);
  } else if (strcmp(call, "sleep") == 0) {
    CHECK_EQ(sleep(1), 0);
  } else if (strcmp(call, "thrd_sleep") == 0) {
    CHECK_EQ(thrd_sleep(&time, NULL), 0);
  } else if (strcmp(call, "poll") == 0) {
    struct pollfd other = {pipes[0], POLLIN, 0};
    CHECK_EQ(poll(&other, 1, LONG_MS), 0);
  } else if (strcmp(call, "select") == 0) {
    struct timeval until = {0, LONG_MS * 1000};
    CHECK_EQ(select(0, NULL, NULL, NULL, &until), 0);
  } else if (strcmp(call, "epoll_wait") == 0) {
    const int epfd = epoll_create1(0);
    add_to_epoll(epfd, EPOLL_CTL_ADD, pipes[0], EPOLLIN, 0);
    struct epoll_event event;
    CHECK_EQ(epoll_wait(epfd, &event, 1, LONG_MS), 0);
  } else if (strcmp(call, "pause") == 0) {
    on_signal(SIGUSR1, SA_RESTART);
    child_after(LONG_MS, SIGUSR1);
    CHECK_FAILS(pause(), EINTR);
    CHECK_EQ(handled, SIGUSR1);
  } else if (strcmp(call, "sigsuspend") == 0) {
    on_signal(SIGUSR1, 0);
    sigprocmask(SIG_BLOCK, &usr1, NULL);
    child_after(LONG_MS, SIGUSR1);
    CHECK_FAILS(sigsuspend(&none), EINTR);
    CHECK_EQ(handled, SIGUSR1);
    sigset_t mask;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    CHECK(sigismember(&mask, SIGUSR1) == 1 && sigismember(&mask, SIGUSR2) == 0);
  } else if (strcmp(call, "sigwait") == 0) {
    int found = 0;
    sigprocmask(SIG_BLOCK, &usr1, NULL);
    child_after(LONG_MS, SIGUSR1);
    CHECK_EQ(sigwait(&usr1, &found), 0);
    CHECK_EQ(found, SIGUSR1);
  } else if (strcmp(call, "sigwaitinfo") == 0) {
    siginfo_t info;
    sigprocmask(SIG_BLOCK, &usr1, NULL);
    const pid_t child = child_after(LONG_MS, SIGUSR1);
    CHECK_EQ(sigwaitinfo(&usr1, &info), SIGUSR1);
    CHECK_EQ(info.si_pid, child);
  } else if (strcmp(call, "sigtimedwait") == 0) {
    sigprocmask(SIG_BLOCK, &usr1, NULL);
    CHECK_FAILS(sigtimedwait(&usr1, NULL, &time), EAGAIN);
  } else if (strcmp(call, "waitpid") == 0 || strcmp(call, "wait4") == 0 ||
             strcmp(call, "wait") == 0) {
    int status = 0;
    const pid_t child = child_after(LONG_MS, 0);
    CHECK_EQ(call[4] == 'p'   ? waitpid(child, &status, 0)
             : call[4] == '4' ? wait4(child, &status, 0, NULL)
                              : wait(&status),
             child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
  } else if (strcmp(call, "waitid") == 0) {
    siginfo_t info;
    const pid_t child = child_after(LONG_MS, 0);
    CHECK_EQ(waitid(P_PID, (id_t)child, &info, WEXITED), 0);
    CHECK(info.si_pid == child && info.si_status == 7);
  } else if (strcmp(call, "read") == 0) {
    char text[8];
    close(pipes[1]);
    pipes[1] = -1;
    int ends[2];
    CHECK(pipe(ends) == 0);
    if (child_after(0, 0) != 0 && fork() == 0) {
      usleep(LONG_MS * 1000);
      _exit(write(ends[1], "late", 4) == 4 ? 0 : 1);
    }
    CHECK_EQ(read(ends[0], text, sizeof(text)), 4);
  } else if (strcmp(call, "recv") == 0) {
    char text[8];
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    const struct timeval until = {0, LONG_MS * 1000};
    CHECK(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &until, sizeof(until)) == 0);
    CHECK_FAILS(recv(ends[0], text, sizeof(text), 0), EAGAIN);
  } else if (strcmp(call, "write") == 0) {
    static char much[1 << 16];
    int ends[2];
    CHECK(pipe(ends) == 0);
    CHECK_EQ(write(ends[1], much, sizeof(much)), (long long)sizeof(much));
    if (fork() == 0) {
      usleep(LONG_MS * 1000);
      _exit(read(ends[0], much, sizeof(much)) > 0 ? 0 : 1);
    }
    CHECK_EQ(write(ends[1], "x", 1), 1);
  } else if (strcmp(call, "accept") == 0) {
    int port = 0;
    const int waiting = listener(&port);
    const struct timeval until = {0, LONG_MS * 1000};
    CHECK(setsockopt(waiting, SOL_SOCKET, SO_RCVTIMEO, &until, sizeof(until)) == 0);
    CHECK_FAILS(accept(waiting, NULL, NULL), EAGAIN);
  } else if (strcmp(call, "connect") == 0) {
    close(connected(SOON));
    close(connected(SOON));
  } else {
    fail_at(__FILE__, __LINE__, "no such call: %s", call);
  }
}

/* progress_during CALL: a connect is refused while the program blocks elsewhere, another succeeds.
 * Both are over when it comes back: asked without waiting. */
PROBE(progress_during) {
  const int refused = dialled(SOON_REFUSE + 5, SOCK_NONBLOCK);
  const int good = dialled(SOON, SOCK_NONBLOCK);
  const long long start = now_us();
  block_by(argv[1]);
  const long long took = now_us() - start;
  CHECK(took >= 2 * SOON_US);
  CHECK_FAILS(dial(refused, SOON_REFUSE + 5), ECONNREFUSED);
  CHECK(dial(good, SOON) == 0);
  set_blocking(good, 1);
  check_echo(good);
}

/* progress_interrupted: handlers, what is left of a sleep, SA_RESTART, a jump out of a handler. */
static sigjmp_buf place;
static void jump(int signal_number __attribute__((unused))) {
  siglongjmp(place, 1);
}

PROBE(progress_interrupted) {
  const int pending = dialled(NEVER, SOCK_NONBLOCK);
  on_signal(SIGALRM, SA_RESTART);
  struct timespec left = {0, 0}, long_time = {5, 0};
  set_timer_ms(200, 0);
  CHECK_FAILS(nanosleep(&long_time, &left), EINTR);
  CHECK_EQ(handled, SIGALRM);
  CHECK(left.tv_sec == 4 && left.tv_nsec > 500000000);
  set_timer_ms(200, 0);
  CHECK_EQ(sleep(5), 4);
  set_timer_ms(200, 0);
  CHECK_FAILS(poll(NULL, 0, 5000), EINTR);
  /* A read is restarted, or not, as the handler says. */
  int ends[2];
  char text[8];
  CHECK(pipe(ends) == 0);
  if (fork() == 0) {
    usleep(600000);
    _exit(write(ends[1], "x", 1) == 1 ? 0 : 1);
  }
  set_timer_ms(200, 0);
  CHECK_EQ(read(ends[0], text, sizeof(text)), 1);
  on_signal(SIGALRM, 0);
  set_timer_ms(200, 0);
  CHECK_FAILS(read(ends[0], text, sizeof(text)), EINTR);
  set_timer_ms(200, 0);
  child_after(3000, 0);
  CHECK(wait(NULL) > 0); /* the child of the read */
  CHECK_FAILS(wait(NULL), EINTR);
  signal(SIGALRM, jump);
  if (sigsetjmp(place, 1) == 0) {
    set_timer_ms(200, 0);
    pause();
    CHECK(!"pause() has returned");
  }
  sigset_t mask;
  sigprocmask(SIG_SETMASK, NULL, &mask);
  for (int each = 1; each < 32; ++each) {
    CHECK_EQ(sigismember(&mask, each), 0);
  }
  CHECK_FAILS(dial(pending, NEVER), EALREADY);
}

static void* sleep_for_ever(void* unused) {
  pause();
  return unused;
}

/* A thread that blocks can be cancelled. */
PROBE(progress_cancelled) {
  const int pending = dialled(NEVER, SOCK_NONBLOCK);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, sleep_for_ever, NULL) == 0);
  sleep_ms(200);
  CHECK(pthread_cancel(thread) == 0);
  void* result = NULL;
  CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
  CHECK_FAILS(dial(pending, NEVER), EALREADY);
}

/* In the child of a vfork nothing of the parent's changes. */
PROBE(progress_vfork) {
  const int fd = dialled(SOON, SOCK_NONBLOCK);
  const pid_t child = vfork();
  if (child == 0) {
    const struct timespec time = {0, 100000000};
    nanosleep(&time, NULL);
    _exit(0);
  }
  int status = 0;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  reach(fd);
  CHECK_EQ(so_error(fd), 0);
}
