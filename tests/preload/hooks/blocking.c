/* A blocking connect returns when the destination is reached, and signals and SO_SNDTIMEO do
 * what connect(2) says. */
#include <signal.h>
#include <sys/time.h>

#include "rig/probe.h"

static volatile sig_atomic_t alarms;
static void on_alarm(int signal) {
  (void)signal;
  ++alarms;
}

static void handle_alarms(int flags) {
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = flags};
  CHECK(sigaction(SIGALRM, &action, NULL) == 0);
}

static void set_timeout(int fd, int name, int milliseconds) {
  const struct timeval time = {milliseconds / 1000, milliseconds % 1000 * 1000};
  CHECK(setsockopt(fd, SOL_SOCKET, name, &time, sizeof(time)) == 0);
}

PROBE(blocking_returns_when_reached) {
  const int fd = tcp(0);
  const long long start = now_us();
  errno = ENOTTY; /* a successful call leaves errno alone */
  CHECK(dial(fd, SLOW) == 0);
  CHECK_EQ(errno, ENOTTY);
  CHECK_TIME(now_us() - start, SLOW_US, SLOW_US * 5 / 2);
  check_echo(fd);
}

PROBE(blocking_interrupted_then_retried) {
  handle_alarms(0);
  const int fd = tcp(0);
  const long long start = now_us();
  set_timer_ms(200, 0);
  CHECK_FAILS(dial(fd, SLOW), EINTR);
  CHECK_TIME(now_us() - start, 200000, SLOW_US - 100000);
  CHECK_EQ(alarms, 1);
  CHECK_EQ(dial(fd, SLOW), 0);
  CHECK_TIME(now_us() - start, SLOW_US, SLOW_US * 5 / 2);
  CHECK_FAILS(dial(fd, SLOW), EISCONN);
  check_echo(fd);
}

/* The manual's other way to go on after EINTR: wait until writable. */
PROBE(blocking_interrupted_then_polled) {
  handle_alarms(0);
  const int fd = tcp(0);
  const long long start = now_us();
  set_timer_ms(200, 0);
  CHECK_FAILS(dial(fd, SLOW), EINTR);
  reach(fd);
  CHECK_TIME(now_us() - start, SLOW_US, SLOW_US * 5 / 2);
  check_echo(fd);
}

PROBE(blocking_interrupted_many_times) {
  handle_alarms(0);
  const int fd = tcp(0);
  const long long start = now_us();
  set_timer_ms(100, 100);
  int interruptions = 0;
  while (dial(fd, SLOW) != 0) {
    CHECK_EQ(errno, EINTR);
    ++interruptions;
  }
  set_timer_ms(0, 0);
  CHECK_TIME(now_us() - start, SLOW_US, SLOW_US * 5 / 2);
  CHECK(interruptions >= 3);
  check_echo(fd);
}

PROBE(blocking_restarted) {
  handle_alarms(SA_RESTART);
  const int fd = tcp(0);
  const long long start = now_us();
  set_timer_ms(200, 100);
  CHECK_EQ(dial(fd, SLOW), 0);
  set_timer_ms(0, 0);
  CHECK_TIME(now_us() - start, SLOW_US, SLOW_US * 5 / 2);
  CHECK(alarms >= 2);
  check_echo(fd);
}

PROBE(blocking_send_timeout) {
  const int fd = tcp(0);
  set_timeout(fd, SO_SNDTIMEO, 300);
  const long long start = now_us();
  CHECK_FAILS(dial(fd, SLOW), EINPROGRESS);
  CHECK_TIME(now_us() - start, 290000, 750000);
  CHECK_FAILS(dial(fd, SLOW), EALREADY);
  reach(fd);
  CHECK_TIME(now_us() - start, SLOW_US, SLOW_US * 5 / 2);
  CHECK_EQ(dial(fd, SLOW), 0);
  check_echo(fd);
}

/* SO_SNDTIMEO is longer than the destination takes: it does not show. */
PROBE(blocking_generous_send_timeout) {
  const int fd = tcp(0);
  set_timeout(fd, SO_SNDTIMEO, 20000);
  CHECK_EQ(dial(fd, SLOW), 0);
  check_echo(fd);
}

PROBE(blocking_receive_timeout_is_no_limit) {
  const int fd = tcp(0);
  set_timeout(fd, SO_RCVTIMEO, 200);
  long long start = now_us();
  CHECK_EQ(dial(fd, SLOW), 0);
  CHECK_TIME(now_us() - start, SLOW_US, SLOW_US * 5 / 2);
  char octet;
  start = now_us();
  CHECK_FAILS(recv(fd, &octet, 1, 0), EAGAIN);
  CHECK_TIME(now_us() - start, 190000, 500000);
  check_echo(fd);
}

PROBE(blocking_hello) {
  const int fd = connected(HELLO);
  read_exactly(fd, "HELLO");
  check_echo(fd);
}

/* Any well-behaved destination, given by port. */
PROBE(blocking_echo) {
  const int fd = connected(atoi(argv[1]));
  CHECK_EQ(so_error(fd), 0);
  check_echo(fd);
}

PROBE(blocking_bulk) {
  const int fd = connected(BULK);
  static unsigned char data[1 << 16];
  size_t have = 0;
  for (ssize_t more; have < sizeof(data); have += (size_t)more) {
    more = recv(fd, data + have, sizeof(data) - have, 0);
    CHECK(more > 0);
  }
  check_pattern(data, 0, sizeof(data));
  CHECK_EQ(recv(fd, data, 1, 0), 0);
}
