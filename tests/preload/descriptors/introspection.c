/* What a socket says of its connection, and the other ways to begin one. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/uio.h>
#include <unistd.h>

#include "rig/probe.h"

enum { GENEROUS = 20000 };

static void check_peer(int fd, int port) {
  struct sockaddr_storage expected, peer;
  const socklen_t size = target(port, &expected);
  socklen_t length = sizeof(peer);
  CHECK_EQ(getpeername(fd, (struct sockaddr*)&peer, &length), 0);
  CHECK_EQ(length, size);
  CHECK(memcmp(&peer, &expected, size) == 0);
  /* As much as fits, and the whole length. */
  memset(&peer, 0x55, sizeof(peer));
  length = 4;
  CHECK_EQ(getpeername(fd, (struct sockaddr*)&peer, &length), 0);
  CHECK_EQ(length, size);
  CHECK(memcmp(&peer, &expected, 4) == 0);
  CHECK_EQ(((unsigned char*)&peer)[4], 0x55);
}

PROBE(peer_is_what_was_dialled) {
  const int fd = dialled(SOON, SOCK_NONBLOCK);
  struct sockaddr_storage peer;
  socklen_t length = sizeof(peer);
  CHECK_FAILS(getpeername(fd, (struct sockaddr*)&peer, &length), ENOTCONN);
  reach(fd);
  check_peer(fd, SOON);
  check_peer(dup(fd), SOON);
  check_peer(connected(ECHO), ECHO);
}

/* The gateway reports BND.PORT 4242. */
PROBE(local_port_is_the_gateways) {
  const int fd = connected(atoi(argv[1]));
  struct sockaddr_storage local;
  socklen_t length = sizeof(local);
  CHECK_EQ(getsockname(fd, (struct sockaddr*)&local, &length), 0);
  CHECK_EQ(local.ss_family, family());
  CHECK_EQ(length, family() == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
  CHECK_EQ(ntohs(((struct sockaddr_in*)&local)->sin_port), 4242);
  CHECK_EQ(get_option(fd, SOL_SOCKET, SO_DOMAIN), family());
  CHECK_EQ(get_option(fd, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
  CHECK_EQ(get_option(fd, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
}

PROBE(second_connect) {
  const int fd = dialled(SOON, SOCK_NONBLOCK);
  CHECK_FAILS(dial(fd, SOON), EALREADY);
  CHECK_FAILS(dial(fd, SOON), EALREADY);
  reach(fd);
  CHECK_EQ(dial(fd, SOON), 0);
  CHECK_FAILS(dial(fd, SOON), EISCONN);
  const int blocking = connected(ECHO);
  CHECK_FAILS(dial(blocking, ECHO), EISCONN);
  check_echo(fd);
  check_echo(blocking);
}

/* A program that only ever calls connect again: the classic loop. */
PROBE(second_connect_loop) {
  const int fd = tcp(SOCK_NONBLOCK);
  const long long start = now_us();
  while (dial(fd, SOON_HELLO) != 0) {
    CHECK(errno == EINPROGRESS || errno == EALREADY);
    CHECK(now_us() - start < 10000000);
    sleep_ms(10);
  }
  CHECK_TIME(now_us() - start, SOON_US, SOON_US * 3);
  read_exactly(fd, "HELLO");
}

static int connect_unspecified(int fd) {
  const struct sockaddr address = {.sa_family = AF_UNSPEC};
  return connect(fd, &address, sizeof(address));
}

/* connect(AF_UNSPEC) gives the connection up; the socket begins anew. unspecified
 * pending|failed|connected */
PROBE(unspecified) {
  const int fd = dialled(strcmp(argv[1], "failed") == 0 ? REFUSE + 5 : SOON, SOCK_NONBLOCK),
            epfd = epoll_create1(0);
  add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLET, 6);
  struct pollfd waited = {fd, POLLOUT, 0};
  if (strcmp(argv[1], "pending") != 0) {
    CHECK_EQ(poll(&waited, 1, GENEROUS), 1);
  }
  CHECK_EQ(connect_unspecified(fd), 0);
  struct sockaddr_storage peer;
  socklen_t length = sizeof(peer);
  CHECK_FAILS(getpeername(fd, (struct sockaddr*)&peer, &length), ENOTCONN);
  CHECK_EQ(poll(&waited, 1, 0), 1);
  CHECK((waited.revents & POLLHUP) != 0);
  struct epoll_event event;
  while (epoll_wait(epfd, &event, 1, 0) == 1) {
    CHECK_EQ(event.data.u64, 6);
  }
  (void)so_error(fd);
  const long long start = now_us();
  CHECK_FAILS(dial(fd, SOON_HELLO), EINPROGRESS);
  CHECK_EQ(epoll_wait(epfd, &event, 1, GENEROUS), 1);
  CHECK_TIME(now_us() - start, SOON_US, SOON_US * 3);
  CHECK_EQ(event.events & (EPOLLERR | EPOLLHUP), 0);
  CHECK_EQ(event.data.u64, 6);
  CHECK_EQ(so_error(fd), 0);
  check_peer(fd, SOON_HELLO);
  read_exactly(fd, "HELLO");
  check_echo(fd);
}

/* fast_open sendto|sendmsg|option blocking|async */
PROBE(fast_open) {
  const int async = strcmp(argv[2], "async") == 0;
  const int fd = tcp(async ? SOCK_NONBLOCK : 0);
  struct sockaddr_storage there;
  const socklen_t size = target(SOON, &there);
  struct iovec part = {"early", 5};
  const struct msghdr message = {
      .msg_name = &there, .msg_namelen = size, .msg_iov = &part, .msg_iovlen = 1};
  const long long start = now_us();
  if (strcmp(argv[1], "option") == 0) {
    /* tcp(7): connect() returns 0 at once, and the first write carries on. A connection that waits
     * instead is as good. */
    set_option(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
    CHECK(dial(fd, SOON) == 0 || errno == EINPROGRESS);
    reach(fd);
    CHECK_EQ(send(fd, "early", 5, MSG_NOSIGNAL), 5);
  } else {
    const int by_sendto = strcmp(argv[1], "sendto") == 0;
    const ssize_t sent = by_sendto
                             ? sendto(fd, "early", 5, MSG_FASTOPEN, (struct sockaddr*)&there, size)
                             : sendmsg(fd, &message, MSG_FASTOPEN);
    if (async) {
      CHECK_EQ(sent, -1);
      CHECK_EQ(errno, EINPROGRESS); /* tcp(7): nothing was taken */
      reach(fd);
      CHECK_EQ(send(fd, "early", 5, MSG_NOSIGNAL), 5);
    } else {
      CHECK_EQ(sent, 5);
    }
  }
  CHECK(now_us() - start >= SOON_US - 50000);
  read_exactly(fd, "early");
  check_echo(fd);
}

/* Without MSG_FASTOPEN an address on an unconnected stream is an error, on a connected one it is
 * ignored or EISCONN. */
PROBE(stream_send_with_address) {
  signal(SIGPIPE, SIG_IGN);
  struct sockaddr_storage there;
  const socklen_t size = target(ECHO, &there);
  CHECK_FAILS(sendto(tcp(0), "x", 1, 0, (struct sockaddr*)&there, size), EPIPE);
  const int fd = connected(ECHO);
  CHECK_EQ(sendto(fd, "x", 1, 0, (struct sockaddr*)&there, size), 1);
  read_exactly(fd, "x");
}

PROBE(shutdown_while_pending) {
  const int fd = dialled(SOON, SOCK_NONBLOCK);
  CHECK_EQ(shutdown(fd, SHUT_RDWR), 0);
  struct pollfd waited = {fd, POLLIN, 0};
  CHECK_EQ(poll(&waited, 1, GENEROUS), 1);
  CHECK((waited.revents & POLLHUP) != 0);
  struct sockaddr_storage peer;
  socklen_t length = sizeof(peer);
  CHECK_FAILS(getpeername(fd, (struct sockaddr*)&peer, &length), ENOTCONN);
}

/* Half-close once connected goes through to the destination, which then closes too. */
PROBE(shutdown_once_connected) {
  const int fd = connected(ECHO);
  CHECK_EQ(write(fd, "last words", 10), 10);
  CHECK_EQ(shutdown(fd, SHUT_WR), 0);
  read_exactly(fd, "last words");
  char octet;
  CHECK_EQ(recv(fd, &octet, 1, 0), 0);
}
