/* What once went wrong, continued: octets and options. Nothing of the handshake is the program's,
 * and nothing of the program's goes out beside it. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/uio.h>
#include <unistd.h>

#include "rig/probe.h"

static void datagram_calls(int type, int protocol, const struct sockaddr_storage* to, int error,
                           int flags) {
  char text[] = "leak";
  struct iovec part = {text, 4};
  struct msghdr message = {.msg_name = (void*)(uintptr_t)to,
                           .msg_namelen = sizeof(struct sockaddr_in),
                           .msg_iov = &part,
                           .msg_iovlen = 1};
  struct mmsghdr messages[2] = {{.msg_hdr = message}, {.msg_hdr = message}};
  const int fd = socket(AF_INET, type, protocol);
  CHECK(fd >= 0);
  if (error != 0) {
    CHECK_FAILS(sendto(fd, text, 4, flags, (const struct sockaddr*)to, message.msg_namelen), error);
    CHECK_FAILS(sendmsg(fd, &message, flags), error);
    CHECK_FAILS(sendmmsg(fd, messages, 2, flags), error);
  } else {
    CHECK_EQ(sendto(fd, text, 4, flags, (const struct sockaddr*)to, message.msg_namelen), 4);
    CHECK_EQ(sendmsg(fd, &message, flags), 4);
    CHECK_EQ(sendmmsg(fd, messages, 2, flags), 2);
  }
  struct sockaddr_storage peer;
  socklen_t length = sizeof(peer);
  CHECK_FAILS(getpeername(fd, (struct sockaddr*)&peer, &length), ENOTCONN);
  CHECK_EQ(close(fd), 0);
}

/* The kernel takes an IPv4 address that says AF_UNSPEC for AF_INET in sends.
 * unspecified_family ADDRESS ERRNO|sent */
PROBE(unspecified_family) {
  struct sockaddr_storage to;
  address_of(argv[1], 9999, &to);
  to.ss_family = AF_UNSPEC;
  const int error = strcmp(argv[2], "sent") == 0 ? 0 : errno_named(argv[2]);
  datagram_calls(SOCK_DGRAM, 0, &to, error, 0);
  datagram_calls(SOCK_RAW, 253, &to, error, 0); /* a protocol number for experiments */
}

/* The same to this host arrives, whatever it calls its family. */
PROBE(unspecified_family_to_this_host) {
  struct sockaddr_storage address;
  socklen_t length = address_of("127.0.0.1", 0, &address);
  const int receiver = socket(AF_INET, SOCK_DGRAM, 0);
  CHECK(bind(receiver, (struct sockaddr*)&address, length) == 0);
  CHECK(getsockname(receiver, (struct sockaddr*)&address, &length) == 0);
  address.ss_family = AF_UNSPEC;
  datagram_calls(SOCK_DGRAM, 0, &address, 0, 0);
  for (int i = 0; i < 4; ++i) {
    read_exactly(receiver, "leak");
  }
}

/* MSG_FASTOPEN means nothing on a datagram socket. fast_open_datagram ADDRESS ERRNO|sent */
PROBE(fast_open_datagram) {
  struct sockaddr_storage to;
  address_of(argv[1], 9999, &to);
  datagram_calls(SOCK_DGRAM, 0, &to, strcmp(argv[2], "sent") == 0 ? 0 : errno_named(argv[2]),
                 MSG_FASTOPEN);
}

/* Where off_t has 32 bits these two take another type. */
static ssize_t large_pwritev2(int fd, const struct iovec* parts, int count, off_t offset,
                              int flags) {
  return pwritev64v2(fd, parts, count, offset, flags);
}
static ssize_t large_preadv2(int fd, const struct iovec* parts, int count, off_t offset,
                             int flags) {
  return preadv64v2(fd, parts, count, offset, flags);
}
static ssize_t (*const vector_write[])(int, const struct iovec*, int, off_t, int) = {
    pwritev2, large_pwritev2};
static ssize_t (*const vector_read[])(int, const struct iovec*, int, off_t, int) = {preadv2,
                                                                                    large_preadv2};

/* With the offset -1 they are writev and readv. */
PROBE(vector_calls_without_an_offset) {
  for (int i = 0; i < 2; ++i) {
    char text[] = "GET", got[4] = {0};
    struct iovec out = {text, 3}, in = {got, 3};
    const int fd = dialled(SOON, SOCK_NONBLOCK);
    CHECK_FAILS(vector_write[i](fd, &out, 1, -1, 0), EAGAIN);
    CHECK_FAILS(vector_read[i](fd, &in, 1, -1, 0), EAGAIN);
    sleep_ms(50);
    CHECK_FAILS(vector_write[i](fd, &out, 1, -1, 0), EAGAIN);
    CHECK_FAILS(vector_read[i](fd, &in, 1, -1, 0), EAGAIN);
    set_blocking(fd, 1);
    CHECK_EQ(vector_write[i](fd, &out, 1, -1, 0), 3);
    CHECK_EQ(so_error(fd), 0);
    CHECK_EQ(vector_read[i](fd, &in, 1, -1, 0), 3);
    CHECK(memcmp(got, "GET", 3) == 0);
    check_echo(fd);
  }
}

static int readable_octets(int fd) {
  int octets = -1;
  CHECK_EQ(ioctl(fd, FIONREAD, &octets), 0);
  return octets;
}

/* FIONREAD counts what the program may read: nothing of the gateway's, all of the destination's. */
PROBE(octets_of_the_handshake_are_not_counted) {
  const int fd = dialled(NEVER, SOCK_NONBLOCK);
  for (int i = 0; i < 20; ++i) {
    CHECK_EQ(readable_octets(fd), 0);
    if (i % 2 == 0) {
      sleep_ms(20);
    } /* the gateway's answer arrives */
    CHECK_EQ(readable_octets(fd), 0);
    struct pollfd waited = {fd, POLLIN | POLLOUT, 0};
    CHECK_EQ(poll(&waited, 1, 0), 0);
  }
  const int other = dialled(SOON_HELLO, SOCK_NONBLOCK);
  reach(other);
  struct pollfd waited = {other, POLLIN, 0};
  CHECK_EQ(poll(&waited, 1, 20000), 1);
  CHECK_EQ(readable_octets(other), 5);
  read_exactly(other, "HELLO");
  CHECK_EQ(readable_octets(other), 0);
}

static void* found(const char* name) {
  void* symbol = dlsym(RTLD_DEFAULT, name);
  if (symbol == NULL) {
    fail_at(__FILE__, __LINE__, "libc exports no %s", name);
  }
  return symbol;
}

/* libc exports the calls under a second name as well. */
PROBE(second_names_of_the_calls) {
  int (*call_connect)(int, const struct sockaddr*, socklen_t);
  ssize_t (*call_read)(int, void*, size_t);
  ssize_t (*call_write)(int, const void*, size_t);
  ssize_t (*call_send)(int, const void*, size_t, int);
  int (*call_poll)(struct pollfd*, nfds_t, int);
  int (*call_select)(int, fd_set*, fd_set*, fd_set*, struct timeval*);
  int (*call_close)(int);
  int (*call_dup2)(int, int);
  *(void**)&call_connect = found("__connect");
  *(void**)&call_read = found("__read");
  *(void**)&call_write = found("__write");
  *(void**)&call_send = found("__send");
  *(void**)&call_poll = found("__poll");
  *(void**)&call_select = found("__select");
  *(void**)&call_close = found("__close");
  *(void**)&call_dup2 = found("__dup2");

  struct sockaddr_storage address;
  const socklen_t length = target(SOON_HELLO, &address);
  char got[8] = {0};
  for (int selects = 0; selects < 2; ++selects) {
    const int first = tcp(SOCK_NONBLOCK);
    CHECK_FAILS(call_connect(first, (struct sockaddr*)&address, length), EINPROGRESS);
    CHECK_FAILS(call_read(first, got, 1), EAGAIN);
    CHECK_FAILS(call_write(first, "x", 1), EAGAIN);
    CHECK_FAILS(call_send(first, "x", 1, 0), EAGAIN);
    const int fd = call_dup2(first, 200);
    CHECK_EQ(fd, 200);
    CHECK_EQ(call_close(first), 0);
    const long long start = now_us();
    struct pollfd waited = {fd, POLLOUT, 0};
    fd_set writes;
    FD_ZERO(&writes);
    FD_SET(fd, &writes);
    struct timeval limit = {20, 0};
    if (selects) {
      CHECK_EQ(call_select(fd + 1, NULL, &writes, NULL, &limit), 1);
    } else {
      CHECK_EQ(call_poll(&waited, 1, 20000), 1);
    }
    CHECK(now_us() - start >= SOON_US / 2);
    CHECK_EQ(so_error(fd), 0);
    read_exactly(fd, "HELLO");
    check_echo(fd);
    CHECK_EQ(call_close(fd), 0);
    CHECK_FAILS(call_close(fd), EBADF);
  }
}

/* An IPv6-only socket says so before, during and after, and is so again where a connect failed. */
PROBE(v6only_stays) {
  const int fd = tcp(SOCK_NONBLOCK);
  CHECK_EQ(get_option(fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
  CHECK_FAILS(dial(fd, SOON), EINPROGRESS);
  CHECK_EQ(get_option(fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
  reach(fd);
  CHECK_EQ(get_option(fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
  check_echo(fd);

  for (int blocking = 0; blocking < 2; ++blocking) {
    const int other = tcp(blocking ? 0 : SOCK_NONBLOCK);
    struct pollfd waited = {other, POLLOUT, 0};
    if (blocking) {
      CHECK_FAILS(dial(other, REFUSE + 5), ECONNREFUSED);
    } else {
      CHECK_FAILS(dial(other, SOON_REFUSE + 5), EINPROGRESS);
      CHECK_EQ(poll(&waited, 1, 20000), 1);
      CHECK_EQ(so_error(other), ECONNREFUSED);
    }
    CHECK_EQ(get_option(other, IPPROTO_IPV6, IPV6_V6ONLY), 1);
    int port;
    const int server = listener(&port);
    struct sockaddr_storage mapped;
    const socklen_t length = address_of("::ffff:127.0.0.1", port, &mapped);
    CHECK_FAILS(connect(other, (struct sockaddr*)&mapped, length), ENETUNREACH);
    CHECK_EQ(close(server), 0);
    set_blocking(other, 1);
    CHECK_EQ(dial(other, ECHO), 0);
    check_echo(other);
  }
}

/* Under a limit of the address space, set by the runner. */
PROBE(connects_in_little_memory) {
  check_echo(connected(ECHO));
  const int epfd = epoll_create1(0), fd = tcp(SOCK_NONBLOCK);
  add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, 1);
  struct epoll_event event;
  CHECK_EQ(epoll_wait(epfd, &event, 1, 0), 1);
  CHECK_FAILS(dial(fd, SOON_HELLO), EINPROGRESS);
  CHECK_EQ(epoll_wait(epfd, &event, 1, 20000), 1);
  CHECK_EQ(event.events, EPOLLOUT);
  read_exactly(fd, "HELLO");
  for (int i = 0; i < 100; ++i) {
    dialled(NEVER, SOCK_NONBLOCK);
  }
}
