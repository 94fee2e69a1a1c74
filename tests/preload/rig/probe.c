#include "rig/probe.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/select.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static struct ProbeEntry* probes;

void probe_add(struct ProbeEntry* entry) {
  entry->next = probes;
  probes = entry;
}

void fail_at(const char* file, int line, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "%s:%d: ", file, line);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  _exit(1);
}

long long now_us(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (long long)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static long long pressure_us(void) {
  char text[200] = {0};
  const int fd = open("/proc/pressure/cpu", O_RDONLY | O_CLOEXEC);
  const ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
  if (fd >= 0) {
    close(fd);
  }
  const char* const total = got > 0 ? strstr(text, "total=") : NULL;
  return total == NULL ? 0 : strtoll(total + strlen("total="), NULL, 10);
}

static long long pressure_at_start_us;

long long short_of_cpu_us(void) {
  const long long now = pressure_us();
  return now > pressure_at_start_us ? now - pressure_at_start_us : 0;
}

void sleep_ms(int milliseconds) {
  struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
  while (nanosleep(&time, &time) != 0) {
  }
}

void set_timer_ms(int first, int interval) {
  const struct itimerval timer = {{interval / 1000, interval % 1000 * 1000},
                                  {first / 1000, first % 1000 * 1000}};
  CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

int errno_named(const char* name) {
  for (int error = 1; error < 200; ++error) {
    const char* candidate = strerrorname_np(error);
    if (candidate != NULL && strcmp(candidate, name) == 0) {
      return error;
    }
  }
  fail_at(__FILE__, __LINE__, "no errno is called %s", name);
}

static const char* target_text(void) {
  const char* text = getenv("PROBE_TARGET");
  return text == NULL ? "192.0.2.1" : text;
}

socklen_t address_of(const char* text, int port, struct sockaddr_storage* out) {
  memset(out, 0, sizeof(*out));
  struct sockaddr_in* v4 = (struct sockaddr_in*)out;
  struct sockaddr_in6* v6 = (struct sockaddr_in6*)out;
  if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons((uint16_t)port);
    return sizeof(*v4);
  }
  CHECK(inet_pton(AF_INET6, text, &v6->sin6_addr) == 1);
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons((uint16_t)port);
  return sizeof(*v6);
}

int family(void) {
  return strchr(target_text(), ':') == NULL ? AF_INET : AF_INET6;
}

socklen_t target(int port, struct sockaddr_storage* out) {
  return address_of(target_text(), port, out);
}

int tcp(int flags) {
  const char* protocol = getenv("PROBE_PROTOCOL");
  const int fd = socket(family(), SOCK_STREAM | flags, protocol == NULL ? 0 : atoi(protocol));
  CHECK(fd >= 0);
  if (getenv("PROBE_V6ONLY") != NULL) {
    set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  }
  if (getenv("PROBE_BOUND") != NULL) {
    struct sockaddr_storage any;
    const socklen_t length = address_of(family() == AF_INET ? "0.0.0.0" : "::", 0, &any);
    CHECK(bind(fd, (struct sockaddr*)&any, length) == 0);
  }
  return fd;
}

int dial(int fd, int port) {
  struct sockaddr_storage address;
  const socklen_t length = target(port, &address);
  return connect(fd, (struct sockaddr*)&address, length);
}

int dialled(int port, int flags) {
  const int fd = tcp(flags);
  if ((flags & SOCK_NONBLOCK) != 0) {
    CHECK_FAILS(dial(fd, port), EINPROGRESS);
  } else {
    CHECK_EQ(dial(fd, port), 0);
  }
  return fd;
}

int connected(int port) {
  return dialled(port, 0);
}

int listener(int* port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_storage address;
  socklen_t length = address_of("127.0.0.1", 0, &address);
  CHECK(bind(fd, (struct sockaddr*)&address, length) == 0);
  CHECK(listen(fd, 64) == 0);
  CHECK(getsockname(fd, (struct sockaddr*)&address, &length) == 0);
  *port = ntohs(((struct sockaddr_in*)&address)->sin_port);
  return fd;
}

int get_option(int fd, int level, int name) {
  int value = -1;
  socklen_t length = sizeof(value);
  CHECK(getsockopt(fd, level, name, &value, &length) == 0);
  CHECK_EQ(length, sizeof(value));
  return value;
}

int so_error(int fd) {
  return get_option(fd, SOL_SOCKET, SO_ERROR);
}

int set_option(int fd, int level, int name, int value) {
  CHECK(setsockopt(fd, level, name, &value, sizeof(value)) == 0);
  return value;
}

void set_blocking(int fd, int blocking) {
  const int flags = fcntl(fd, F_GETFL);
  CHECK(fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK) == 0);
}

void reach(int fd) {
  struct pollfd waited = {fd, POLLOUT, 0};
  CHECK_EQ(poll(&waited, 1, 20000), 1);
  CHECK_EQ(waited.revents, POLLOUT);
  CHECK_EQ(so_error(fd), 0);
}

/* On sockets of either mode. */
static void wait_readable(int fd) {
  struct pollfd waited = {fd, POLLIN, 0};
  CHECK_EQ(poll(&waited, 1, 20000), 1);
}

void read_exactly(int fd, const char* expected) {
  char got[256] = {0};
  const size_t size = strlen(expected);
  for (size_t have = 0; have < size;) {
    wait_readable(fd);
    const ssize_t more = read(fd, got + have, size - have);
    CHECK(more > 0);
    have += (size_t)more;
  }
  if (memcmp(got, expected, size) != 0) {
    fail_at(__FILE__, __LINE__, "read '%s' (%02x %02x ...), not '%s'", got, (unsigned char)got[0],
            (unsigned char)got[1], expected);
  }
}

void check_echo(int fd) {
  static int serial;
  char line[64];
  const int size = snprintf(line, sizeof(line), "line %d of %d\n", ++serial, (int)getpid());
  CHECK_EQ(write(fd, line, (size_t)size), size);
  read_exactly(fd, line);
}

void check_pattern(const unsigned char* data, size_t offset, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    CHECK_EQ(data[i], (offset + i) * 7 % 251);
  }
}

int is_epoll(const char* waiter) {
  return strncmp(waiter, "epoll", 5) == 0;
}

void add_to_epoll(int epfd, int operation, int fd, uint32_t events, uint64_t data) {
  struct epoll_event event = {.events = events, .data.u64 = data};
  CHECK(epoll_ctl(epfd, operation, fd, &event) == 0);
}

static int wait_by_select(const char* waiter, int fd, uint32_t interest, int timeout_ms,
                          uint32_t* events) {
  fd_set reads, writes, excepts;
  FD_ZERO(&reads);
  FD_ZERO(&writes);
  FD_ZERO(&excepts);
  if (interest & EPOLLIN) {
    FD_SET(fd, &reads);
  }
  if (interest & EPOLLOUT) {
    FD_SET(fd, &writes);
  }
  FD_SET(fd, &excepts);
  struct timeval timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
  const struct timespec precise = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
  const int result =
      strcmp(waiter, "select") == 0
          ? select(fd + 1, &reads, &writes, &excepts, timeout_ms < 0 ? NULL : &timeout)
          : pselect(fd + 1, &reads, &writes, &excepts, timeout_ms < 0 ? NULL : &precise, NULL);
  if (result < 0) {
    return result;
  }
  *events = (FD_ISSET(fd, &reads) ? (uint32_t)EPOLLIN : 0) |
            (FD_ISSET(fd, &writes) ? (uint32_t)EPOLLOUT : 0);
  CHECK(!FD_ISSET(fd, &excepts));
  CHECK_EQ(result, (FD_ISSET(fd, &reads) != 0) + (FD_ISSET(fd, &writes) != 0));
  return result > 0; /* bits to descriptors */
}

static int wait_by_poll(const char* waiter, int fd, uint32_t interest, int timeout_ms,
                        uint32_t* events) {
  struct pollfd waited = {fd, (short)interest, 0x7fff};
  const struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
  int result;
  if (strcmp(waiter, "poll") == 0) {
    result = poll(&waited, 1, timeout_ms);
  } else if (strcmp(waiter, "ppoll") == 0) {
    result = ppoll(&waited, 1, timeout_ms < 0 ? NULL : &timeout, NULL);
  } else if (strcmp(waiter, "__poll_chk") == 0) {
    result = fortified_poll(&waited, timeout_ms);
  } else if (strcmp(waiter, "__ppoll_chk") == 0) {
    result = fortified_ppoll(&waited, timeout_ms);
  } else {
    fail_at(__FILE__, __LINE__, "no waiter is called %s", waiter);
  }
  if (result >= 0) {
    *events = (uint32_t)(unsigned short)waited.revents;
  }
  return result;
}

static int wait_by_epoll(const char* waiter, int fd, int timeout_ms, uint32_t* events,
                         uint64_t* data) {
  struct epoll_event event = {0};
  const struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
  int result;
  if (strcmp(waiter, "epoll_wait") == 0) {
    result = epoll_wait(fd, &event, 1, timeout_ms);
  } else if (strcmp(waiter, "epoll_pwait") == 0) {
    result = epoll_pwait(fd, &event, 1, timeout_ms, NULL);
  } else {
    result = epoll_pwait2(fd, &event, 1, timeout_ms < 0 ? NULL : &timeout, NULL);
  }
  if (result >= 0) {
    *events = event.events;
  }
  if (data != NULL) {
    *data = event.data.u64;
  }
  return result;
}

int wait_by(const char* waiter, int fd, uint32_t interest, int timeout_ms, uint32_t* events,
            uint64_t* data) {
  uint32_t ignored;
  if (events == NULL) {
    events = &ignored;
  }
  if (is_epoll(waiter)) {
    return wait_by_epoll(waiter, fd, timeout_ms, events, data);
  }
  if (strstr(waiter, "select") != NULL) {
    return wait_by_select(waiter, fd, interest, timeout_ms, events);
  }
  return wait_by_poll(waiter, fd, interest, timeout_ms, events);
}

/* probe NAME ARGUMENTS... */
int main(int argc, char** argv) {
  pressure_at_start_us = pressure_us();
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (struct ProbeEntry* each = probes; argc > 1 && each != NULL; each = each->next) {
    if (strcmp(each->name, argv[1]) == 0) {
      each->run(argc - 1, argv + 1);
      return 0;
    }
  }
  fprintf(stderr, "no such probe: %s\n", argc > 1 ? argv[1] : "(none)");
  return 2;
}
