/* Sockets of every kind in every state, and what connect, the calls that connect on the way,
 * and the calls that look at a socket say of them. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "rig/probe.h"

/* Prints the call, its result and its errno: the runner compares with a run without the library. */
#define TELL(call)                                                                     \
  do {                                                                                 \
    errno = 0;                                                                         \
    const long long told_ = (long long)(call);                                         \
    const int error_ = errno;                                                          \
    printf("%s = %lld %s\n", #call, told_, told_ < 0 ? strerrorname_np(error_) : "-"); \
  } while (0)

enum { GENEROUS = 20000, NO_SUCH_HOW = 77 };

static int connect_unspecified(int fd) {
  const struct sockaddr address = {.sa_family = AF_UNSPEC};
  return connect(fd, &address, sizeof(address));
}

static int count_of(int fd, unsigned long request) {
  int value = -2;
  return ioctl(fd, request, &value) == 0 ? value : -1;
}

static int tcp_state(int fd) {
  struct tcp_info info = {0};
  socklen_t length = sizeof(info);
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 ? info.tcpi_state : -1;
}

static int first_octet_of_tcp_info(int fd) {
  unsigned char octet = 99;
  socklen_t length = 1;
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &octet, &length) == 0 ? octet + 1000 * (int)length
                                                                     : -1;
}

static int family_of_own_name(int fd) {
  struct sockaddr_storage own;
  socklen_t length = sizeof(own);
  return getsockname(fd, (struct sockaddr*)&own, &length) == 0 ? own.ss_family : -1;
}

/* What else a program may ask of a socket that is connecting: the destination is silent. */
PROBE(pending_answers_beside) {
  signal(SIGPIPE, SIG_IGN);
  const int fd = tcp(SOCK_NONBLOCK);
  int ends[2];
  CHECK(pipe2(ends, O_NONBLOCK) == 0);
  struct sockaddr_storage there;
  const socklen_t size = target(NEVER, &there);
  struct iovec part = {"x", 1};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_name = &there, .msg_namelen = size};
  struct mmsghdr messages[2] = {{.msg_hdr = message}, {.msg_hdr = message}};
  char octet;
  TELL(tcp_state(fd));
  TELL(dial(fd, NEVER));
  for (int again = 0; again < 2; ++again) {
    TELL(tcp_state(fd));
    TELL(first_octet_of_tcp_info(fd));
    TELL(count_of(fd, FIONREAD));
    TELL(count_of(fd, SIOCOUTQ));
    TELL(count_of(fd, SIOCOUTQNSD));
    TELL(count_of(fd, SIOCATMARK));
    TELL(shutdown(fd, NO_SUCH_HOW));
    TELL(shutdown(fd, -1));
    TELL(sendfile(ends[1], fd, NULL, 1));
    TELL(sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr*)&there, size));
    TELL(sendmsg(fd, &message, MSG_FASTOPEN));
    TELL(sendmmsg(fd, messages, 2, MSG_FASTOPEN));
    TELL(sendmsg(fd, &message, 0));
    TELL(sendmmsg(fd, messages, 2, 0));
    TELL(recv(fd, &octet, 1, MSG_ERRQUEUE));
    TELL(recv(fd, &octet, 1, MSG_PEEK | MSG_WAITALL));
    TELL(recv(fd, &octet, 1, MSG_TRUNC));
    TELL(vmsplice(ends[1], &(struct iovec){NULL, 0}, 1, 0));
    TELL(tee(ends[0], fd, 1, 0));
    TELL(listen(fd, 1));
    TELL(family_of_own_name(fd));
    TELL(fsync(fd));
    TELL(lseek(fd, 0, SEEK_CUR));
    TELL(pread(fd, &octet, 1, 0));
    TELL(pwrite(fd, "x", 1, 0));
    struct pollfd waited = {fd, POLLIN, 0};
    TELL(poll(&waited, 1, 50));
  }
  TELL(close(fd));
}

/* connect on sockets that are something else already. */
PROBE(connect_of_other_sockets) {
  int port;
  const int server = listener(&port);
  TELL(dial(server, ECHO));
  TELL(dial(server, ECHO));
  struct pollfd waited = {server, POLLIN | POLLOUT, 0};
  TELL(poll(&waited, 1, 0));
  /* It listens as before. */
  struct sockaddr_storage here;
  const socklen_t size = address_of("127.0.0.1", port, &here);
  const int client = tcp(SOCK_NONBLOCK);
  TELL(connect(client, (struct sockaddr*)&here, size));
  TELL(poll(&waited, 1, 5000));
  const int accepted = accept(server, NULL, NULL);
  TELL(accepted >= 0);
  /* Accepted: connected. */
  TELL(dial(accepted, ECHO));
  TELL(write(accepted, "x", 1));
  /* Directly connected: once more, and to elsewhere. */
  waited = (struct pollfd){client, POLLOUT, 0};
  TELL(poll(&waited, 1, 5000));
  TELL(dial(client, ECHO));
  TELL(dial(client, ECHO));
  char octet = 0;
  waited.events = POLLIN;
  TELL(poll(&waited, 1, 5000));
  TELL(read(client, &octet, 1));
  TELL(octet);
  TELL(connect_unspecified(server));
  TELL(connect_unspecified(tcp(0)));
}

static void bind_to(int fd, const char* text, int port) {
  struct sockaddr_storage own;
  const socklen_t size = address_of(text, port, &own);
  set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  CHECK(bind(fd, (struct sockaddr*)&own, size) == 0);
}

/* Bound to a port; given up and dialled again under it; two under one port, as SO_REUSEADDR allows
 * for different destinations. */
PROBE(connect_of_bound_sockets) {
  const int fd = tcp(0);
  struct sockaddr_storage own;
  socklen_t length;
  int port;
  CHECK_EQ(close(listener(&port)), 0);
  bind_to(fd, "127.0.0.1", port);
  for (int i = 0; i < 3; ++i) {
    CHECK_EQ(dial(fd, ECHO), 0);
    length = sizeof(own);
    CHECK(getsockname(fd, (struct sockaddr*)&own, &length) == 0);
    CHECK_EQ(ntohs(((struct sockaddr_in*)&own)->sin_port), port);
    check_echo(fd);
    CHECK_EQ(connect_unspecified(fd), 0);
    CHECK_FAILS(dial(fd, REFUSE + 5), ECONNREFUSED);
  }
}

/* A socket that was connected past the gateway, or failed to, is dialled again, through it; it has
 * been in an epoll set all the time. direct_then_gateway reached|refused */
PROBE(direct_then_gateway) {
  int port;
  const int server = listener(&port), epfd = epoll_create1(0), fd = tcp(SOCK_NONBLOCK);
  const int reached = strcmp(argv[1], "reached") == 0;
  if (!reached) {
    CHECK_EQ(close(server), 0);
  }
  add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLET, 5);
  struct sockaddr_storage here;
  const socklen_t size = address_of("127.0.0.1", port, &here);
  const int result = connect(fd, (struct sockaddr*)&here, size);
  CHECK(result == 0 || errno == EINPROGRESS || errno == ECONNREFUSED);
  struct pollfd waited = {fd, POLLOUT, 0};
  CHECK_EQ(poll(&waited, 1, GENEROUS), 1);
  CHECK_EQ((waited.revents & POLLERR) == 0, reached || (result < 0 && errno == ECONNREFUSED));
  (void)so_error(fd);
  CHECK_EQ(connect_unspecified(fd), 0);
  struct epoll_event event;
  while (epoll_wait(epfd, &event, 1, 0) == 1) {
  }
  const long long start = now_us();
  CHECK_FAILS(dial(fd, SOON_HELLO), EINPROGRESS);
  CHECK_EQ(epoll_wait(epfd, &event, 1, GENEROUS), 1);
  CHECK_TIME(now_us() - start, SOON_US, SOON_US * 5);
  CHECK_EQ(event.events, EPOLLIN | EPOLLOUT);
  CHECK_EQ(event.data.u64, 5);
  read_exactly(fd, "HELLO");
  check_echo(fd);
}

/* MSG_FASTOPEN with more than the socket takes at once, and with several parts: all of it arrives,
 * once, behind the handshake, and the counts are those of send(2). */
PROBE(fast_open_bulk) {
  enum { SIZE = 1 << 20 };
  unsigned char* data = malloc(SIZE);
  for (size_t i = 0; i < SIZE; ++i) {
    data[i] = (unsigned char)(i * 7 % 251);
  }
  struct sockaddr_storage there;
  const socklen_t size = target(SOON, &there);
  const int fd = tcp(0);
  set_option(fd, SOL_SOCKET, SO_SNDBUF, 20000);
  struct timeval time = {5, 0};
  CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time)) == 0);
  struct iovec parts[] = {{data, 10}, {data + 10, 4000}, {data + 4010, 90}};
  const struct msghdr message = {
      .msg_name = &there, .msg_namelen = size, .msg_iov = parts, .msg_iovlen = 3};
  const ssize_t first = sendmsg(fd, &message, MSG_FASTOPEN);
  CHECK_EQ(first, 4100);
  unsigned char back[4096];
  size_t sent = 4100, got = 0;
  while (got < SIZE) {
    if (sent < SIZE) {
      const size_t chunk = SIZE - sent < 4096 ? SIZE - sent : 4096;
      const ssize_t more = send(fd, data + sent, chunk, MSG_NOSIGNAL);
      CHECK(more > 0);
      sent += (size_t)more;
    }
    const ssize_t more = recv(fd, back, sizeof(back), sent < SIZE ? MSG_DONTWAIT : 0);
    CHECK(more > 0 || errno == EAGAIN);
    if (more <= 0) {
      continue;
    }
    check_pattern(back, got, (size_t)more);
    got += (size_t)more;
  }
  /* Once connected it is EISCONN, as tcp(7) and the kernel have it. */
  CHECK_FAILS(sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr*)&there, size), EISCONN);
}

/* MSG_FASTOPEN towards a destination that refuses; the error is connect's, and nothing is sent.
 * fast_open_refused blocking|async */
PROBE(fast_open_refused) {
  signal(SIGPIPE, SIG_IGN);
  const int async = strcmp(argv[1], "async") == 0;
  struct sockaddr_storage there;
  const socklen_t size = target(SOON_REFUSE + 5, &there);
  const int fd = tcp(async ? SOCK_NONBLOCK : 0);
  if (async) {
    CHECK_FAILS(sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr*)&there, size), EINPROGRESS);
    struct pollfd waited = {fd, POLLOUT, 0};
    CHECK_EQ(poll(&waited, 1, GENEROUS), 1);
    CHECK_EQ(so_error(fd), ECONNREFUSED);
  } else {
    CHECK_FAILS(sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr*)&there, size), ECONNREFUSED);
  }
  CHECK_EQ(so_error(fd), 0);
}

/* sendmmsg with MSG_FASTOPEN: the first message connects, the rest is told as far as it went. */
PROBE(fast_open_many) {
  struct sockaddr_storage there;
  const socklen_t size = target(ECHO, &there);
  struct iovec part = {"many", 4};
  const struct msghdr message = {
      .msg_name = &there, .msg_namelen = size, .msg_iov = &part, .msg_iovlen = 1};
  struct mmsghdr messages[3] = {{.msg_hdr = message}, {.msg_hdr = message}, {.msg_hdr = message}};
  const int fd = tcp(0);
  const int sent = sendmmsg(fd, messages, 3, MSG_FASTOPEN);
  CHECK_EQ(sent, 1);
  CHECK_EQ(messages[0].msg_len, 4);
  read_exactly(fd, "many");
  check_echo(fd);
}

/* A program asks for input in large pieces only: the gateway's small answers come through all the
 * same. low_water_mark WAITER */
PROBE(low_water_mark) {
  const int epfd = epoll_create1(0), fd = tcp(SOCK_NONBLOCK);
  set_option(fd, SOL_SOCKET, SO_RCVLOWAT, 5000);
  const long long start = now_us();
  CHECK_FAILS(dial(fd, SOON), EINPROGRESS);
  add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT, 1);
  CHECK_EQ(wait_by(argv[1], is_epoll(argv[1]) ? epfd : fd, EPOLLOUT, GENEROUS, NULL, NULL), 1);
  CHECK_TIME(now_us() - start, SOON_US, SOON_US * 8);
  CHECK_EQ(get_option(fd, SOL_SOCKET, SO_RCVLOWAT), 5000);
  CHECK_EQ(so_error(fd), 0);
  set_option(fd, SOL_SOCKET, SO_RCVLOWAT, 1);
  check_echo(fd);
}

/* The flags change back and forth while the handshake is pending. */
static atomic_int toggling;
static int toggled_fd;
static void* toggle(void* argument) {
  (void)argument;
  while (toggling) {
    set_blocking(toggled_fd, 1);
    set_blocking(toggled_fd, 0);
  }
  return NULL;
}
PROBE(blocking_toggled) {
  for (int i = 0; i < 5; ++i) {
    toggled_fd = dialled(SOON_HELLO, SOCK_NONBLOCK);
    toggling = 1;
    pthread_t thread;
    pthread_create(&thread, NULL, toggle, NULL);
    char got[8] = {0};
    ssize_t size;
    while ((size = read(toggled_fd, got, 5)) < 0) {
      CHECK_EQ(errno, EAGAIN);
      usleep(500);
    }
    toggling = 0;
    pthread_join(thread, NULL);
    CHECK_EQ(size, 5);
    CHECK(strcmp(got, "HELLO") == 0);
    check_echo(toggled_fd);
    CHECK_EQ(close(toggled_fd), 0);
  }
}

/* Closed with SO_LINGER while pending: at once, and with nothing sent to the destination. */
PROBE(closed_with_linger) {
  for (int seconds = 0; seconds < 6; seconds += 5) {
    for (int blocking = 0; blocking < 2; ++blocking) {
      const int fd = dialled(NEVER, SOCK_NONBLOCK);
      struct pollfd waited = {fd, POLLOUT, 0};
      CHECK_EQ(poll(&waited, 1, 100), 0);
      const struct linger linger = {1, seconds};
      CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
      set_blocking(fd, blocking);
      const long long start = now_us();
      CHECK_EQ(close(fd), 0);
      CHECK_TIME(now_us() - start, 0, 2000000);
    }
  }
}

/* stdio on a socket that was opened while its connect was pending. */
PROBE(stdio_while_pending) {
  const int fd = dialled(SOON_HELLO, SOCK_NONBLOCK);
  set_blocking(fd, 1);
  FILE* in = fdopen(dup(fd), "r");
  FILE* out = fdopen(fd, "w");
  CHECK(in != NULL && out != NULL);
  CHECK(fputs("line\n", out) >= 0 && fflush(out) == 0);
  char got[32] = {0};
  CHECK(fgets(got, sizeof(got), in) != NULL);
  CHECK(strcmp(got, "HELLOline\n") == 0);
  fclose(in);
  fclose(out);
}
/* The same for dprintf. */
PROBE(dprintf_while_pending) {
  const int fd = dialled(SOON_HELLO, SOCK_NONBLOCK);
  set_blocking(fd, 1);
  CHECK_EQ(dprintf(fd, "%s", "line"), 4);
  read_exactly(fd, "HELLOline");
}
