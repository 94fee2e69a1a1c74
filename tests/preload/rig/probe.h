/* What the probes share. A probe is a plain C program, libc only: it does what programs do, checks
 * what they may rely on, and ends with status 0, or says which check failed and ends with 1. It
 * knows nothing of the shim: every probe is an ordinary client of a host named by PROBE_TARGET, and
 * the scripted gateway plays that host by destination port. */
#ifndef PROBE_H
#define PROBE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* Destination ports: what the host behind the gateway does. The same table stands in
 * scripted_gateway.py. */
enum {
  ECHO = 2000,       /* reached at once, echoes */
  SLOW = 2001,       /* reached after 1 s, echoes */
  SOON = 2002,       /* reached after 300 ms, echoes */
  HELLO = 2003,      /* reached at once, "HELLO" in the same segment as the gateway's reply */
  SOON_HELLO = 2004, /* the same after 300 ms */
  BULK = 2005,       /* 64 KiB right behind the reply, then an end of stream */
  DRIP = 2006,       /* the reply comes one octet at a time, 5 ms between */
  NEVER = 2007,      /* no reply, ever */
  BND_NAME = 2008,   /* the reply has a domain name as BND.ADDR */
  BND_IPV6 = 2009,   /* ... an IPv6 address */
  REPLY_GARBAGE = 2010,
  REPLY_CUT = 2011, /* end of stream in the middle of the reply */
  REPLY_RESET = 2012,
  REPLY_BAD_VERSION = 2013,
  BYE = 2014,        /* reached, says "BYE" and closes */
  SOON_CUT = 2015,   /* end of stream instead of a reply, after 300 ms */
  LATE = 2016,       /* reached after 2.5 s, echoes */
  REFUSE = 2100,     /* + reply code, at once */
  SOON_REFUSE = 2400 /* + reply code, after 300 ms */
};

/* The delays of the table, in microseconds; lower bounds are exact because the gateway counts from
 * the request. */
enum { SOON_US = 300000, SLOW_US = 1000000 };

typedef void Probe(int argc, char** argv);
struct ProbeEntry {
  const char* name;
  Probe* run;
  struct ProbeEntry* next;
};
void probe_add(struct ProbeEntry* entry);

#define PROBE(probe_name)                                             \
  static void probe_name(int argc, char** argv);                      \
  __attribute__((constructor)) static void add_##probe_name(void) {   \
    static struct ProbeEntry entry = {#probe_name, probe_name, NULL}; \
    probe_add(&entry);                                                \
  }                                                                   \
  static void probe_name(int argc __attribute__((unused)), char** argv __attribute__((unused)))

_Noreturn void fail_at(const char* file, int line, const char* format, ...)
    __attribute__((format(printf, 3, 4)));

#define CHECK(condition) \
  ((condition) ? (void)0 \
               : fail_at(__FILE__, __LINE__, "%s (errno %s)", #condition, strerrorname_np(errno)))
#define CHECK_EQ(actual, expected)                                                                \
  do {                                                                                            \
    const long long actual_ = (long long)(actual), expected_ = (long long)(expected);             \
    if (actual_ != expected_) {                                                                   \
      fail_at(__FILE__, __LINE__, "%s is %lld, not %lld (errno %s)", #actual, actual_, expected_, \
              strerrorname_np(errno));                                                            \
    }                                                                                             \
  } while (0)
/* The call fails with just this errno. */
#define CHECK_FAILS(call, expected)                                                             \
  do {                                                                                          \
    errno = 0;                                                                                  \
    const long long result_ = (long long)(call);                                                \
    const int error_ = errno;                                                                   \
    if (result_ != -1 || error_ != (expected)) {                                                \
      fail_at(__FILE__, __LINE__, "%s: result %lld, errno %s; expected -1, %s", #call, result_, \
              strerrorname_np(error_), strerrorname_np(expected));                              \
    }                                                                                           \
  } while (0)
/* At least `least`, exactly; at most `most`, not counting the time in which the machine was short
 * of processors since the probe began. */
#define CHECK_TIME(elapsed, least, most)                                                          \
  do {                                                                                            \
    const long long elapsed_ = (long long)(elapsed);                                              \
    if (elapsed_ < (least) || (elapsed_ > (most) && elapsed_ > (most) + short_of_cpu_us())) {     \
      fail_at(__FILE__, __LINE__, "took %lld us, not %lld to %lld", elapsed_, (long long)(least), \
              (long long)(most));                                                                 \
    }                                                                                             \
  } while (0)

long long now_us(void);
/* How long some task of this machine has waited for a processor since the probe began, as
 * /proc/pressure/cpu has it; 0 where the kernel does not count that. */
long long short_of_cpu_us(void);
void sleep_ms(int milliseconds);
void set_timer_ms(int first, int interval); /* SIGALRM; 0 stops it */
int errno_named(const char* name);

/* PROBE_TARGET, unless told 192.0.2.1. An address of the form ::ffff:a.b.c.d or IPv6 makes AF_INET6
 * sockets; PROBE_V6ONLY makes them IPV6_V6ONLY, PROBE_BOUND binds them, PROBE_PROTOCOL gives them a
 * protocol (a number). */
int family(void);
socklen_t target(int port, struct sockaddr_storage* out);
socklen_t address_of(const char* text, int port, struct sockaddr_storage* out);
int tcp(int flags);
int dial(int fd, int port);
int dialled(int port, int flags); /* tcp() and dial(); EINPROGRESS is fine with SOCK_NONBLOCK */
int connected(int port);          /* blocking */
int listener(int* port);          /* on 127.0.0.1 */
int so_error(int fd);
int set_option(int fd, int level, int name, int value);
int get_option(int fd, int level, int name);
void set_blocking(int fd, int blocking);

/* Waits with poll(2) until writable, within a generous time. */
void reach(int fd);
void read_exactly(int fd, const char* expected);
void check_echo(int fd); /* sends a line of its own, and gets exactly it back */
void check_pattern(const unsigned char* data, size_t offset, size_t size);

/* One wait by any waiter, named as the function is. `interest` and the result are EPOLLIN,
 * EPOLLOUT, EPOLLERR, EPOLLHUP; for the scanning waiters fd is the socket, for epoll's it is the
 * epoll descriptor, and `data` gets the event's. The returned number is that of the call. */
int wait_by(const char* waiter, int fd, uint32_t interest, int timeout_ms, uint32_t* events,
            uint64_t* data);
int is_epoll(const char* waiter);
void add_to_epoll(int epfd, int operation, int fd, uint32_t events, uint64_t data);

/* From fortified.c: compiled with _FORTIFY_SOURCE, which turns the calls into __poll_chk and its
 * kin. */
struct pollfd;
int fortified_poll(struct pollfd* one, int timeout_ms);
int fortified_ppoll(struct pollfd* one, int timeout_ms);
long fortified_read(int fd, char* out, size_t size);
long fortified_recv(int fd, char* out, size_t size);

#endif
