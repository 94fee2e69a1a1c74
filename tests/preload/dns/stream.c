/* DNS over TCP: RFC 1035 section 4.2.2, RFC 7766. */
#include <fcntl.h>
#include <poll.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "message.h"
#include "rig/probe.h"

static void read_octets(int fd, unsigned char* out, size_t size) {
  for (size_t have = 0; have < size;) {
    const int more = wait_and_read(fd, out + have, size - have);
    CHECK(more > 0);
    have += (size_t)more;
  }
}

/* The next message of the stream. */
static long read_message(int fd, unsigned char* out) {
  unsigned char length[2];
  read_octets(fd, length, sizeof(length));
  const size_t size = (size_t)length[0] << 8 | length[1];
  CHECK(size <= MESSAGE);
  read_octets(fd, out, size);
  return (long)size;
}

static void check_message(int fd, int type, unsigned id) {
  unsigned char data[MESSAGE];
  check_answer(data, read_message(fd, data), NAME, type, id);
}

static void check_peer(int fd) {
  struct sockaddr_storage peer;
  socklen_t length = sizeof(peer);
  CHECK(getpeername(fd, (struct sockaddr*)&peer, &length) == 0);
  check_resolver(&peer, length, NULL);
}

PROBE(stream_blocking) {
  const int fd = connected(DNS);
  check_peer(fd);
  CHECK_FAILS(dial(fd, DNS), EISCONN);
  unsigned char data[MESSAGE];
  for (unsigned id = 0; id < 5; ++id) {
    const size_t size = query_in_stream(data, NAME, ns_t_a, id);
    CHECK_EQ(send(fd, data, size, 0), size);
    check_message(fd, ns_t_a, id);
  }
  /* The resolver's end closes after ours. */
  CHECK(shutdown(fd, SHUT_WR) == 0);
  CHECK_EQ(wait_and_read(fd, data, sizeof(data)), 0);
}

/* A program that bound its socket to no port, and keeps the option by which the kernel gave none.
 */
PROBE(stream_bound_without_port) {
  const int fd = tcp(0);
  const int on = 1;
  CHECK(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) == 0);
  struct sockaddr_storage own;
  socklen_t length = sizeof(own);
  CHECK(getsockname(fd, (struct sockaddr*)&own, &length) == 0);
  CHECK(bind(fd, (struct sockaddr*)&own, length) == 0);
  CHECK(dial(fd, DNS) == 0);
  check_peer(fd);
  unsigned char data[MESSAGE];
  const size_t size = query_in_stream(data, NAME, ns_t_a, 3);
  CHECK_EQ(send(fd, data, size, 0), size);
  check_message(fd, ns_t_a, 3);
  int set = 0;
  length = sizeof(set);
  CHECK(getsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &set, &length) == 0);
  CHECK_EQ(set, 1);
}

/* stream_nonblocking WAITER */
PROBE(stream_nonblocking) {
  const int fd = tcp(SOCK_NONBLOCK);
  int waited = fd;
  if (is_epoll(argv[1])) {
    waited = epoll_create1(0);
    add_to_epoll(waited, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT, 7);
  }
  if (dial(fd, DNS) != 0) {
    CHECK_EQ(errno, EINPROGRESS);
  }
  uint32_t events = 0;
  CHECK_EQ(wait_by(argv[1], waited, EPOLLIN | EPOLLOUT, 20000, &events, NULL), 1);
  CHECK_EQ(events, EPOLLOUT);
  CHECK_EQ(so_error(fd), 0);
  check_peer(fd);
  unsigned char data[MESSAGE];
  CHECK_FAILS(recv(fd, data, sizeof(data), 0), EAGAIN);
  const size_t size = query_in_stream(data, NAME, ns_t_aaaa, 4);
  CHECK_EQ(write(fd, data, size), size);
  do {
    CHECK_EQ(wait_by(argv[1], waited, EPOLLIN | EPOLLOUT, 20000, &events, NULL), 1);
  } while (events == EPOLLOUT);
  CHECK_EQ(events, EPOLLIN | EPOLLOUT);
  check_message(fd, ns_t_aaaa, 4);
}

/* Octet by octet, and by calls that hold the end of one query and the start of the next. */
/* stream_pieces SIZE */
PROBE(stream_pieces) {
  enum { COUNT = 20 };
  unsigned char data[COUNT * MESSAGE];
  size_t size = 0;
  for (unsigned id = 0; id < COUNT; ++id) {
    size += query_in_stream(data + size, NAME, id % 2 ? ns_t_a : ns_t_aaaa, id);
  }
  const size_t piece = (size_t)atoi(argv[1]);
  const int fd = connected(DNS);
  for (size_t at = 0; at < size; at += piece) {
    const size_t count = at + piece < size ? piece : size - at;
    struct iovec parts[2] = {{data + at, count / 2}, {data + at + count / 2, count - count / 2}};
    CHECK_EQ(writev(fd, parts, 2), count);
  }
  for (unsigned id = 0; id < COUNT; ++id) {
    check_message(fd, id % 2 ? ns_t_a : ns_t_aaaa, id);
  }
  CHECK_FAILS(recv(fd, data, sizeof(data), MSG_DONTWAIT), EAGAIN);
}

/* A client that asks and asks and does not read is held up, and loses nothing. */
PROBE(stream_without_reading) {
  const int fd = connected(DNS);
  set_blocking(fd, 0);
  unsigned asked = 0;
  for (;; ++asked) {
    unsigned char data[MESSAGE];
    const size_t size = query_in_stream(data, NAME, ns_t_a, asked & 0xffff);
    const long sent = write(fd, data, size);
    if (sent < 0) {
      CHECK_EQ(errno, EAGAIN);
      break;
    }
    CHECK_EQ(sent, size);
    CHECK(asked < 10000000);
  }
  CHECK(asked > 100);
  unsigned char data[MESSAGE];
  for (unsigned id = 0; id + 1 < asked; ++id) {
    const long size = read_message(fd, data);
    CHECK(size > 12);
    CHECK_EQ(data[0] << 8 | data[1], id & 0xffff);
  }
  /* The last answer may have been too much: it comes before the next. */
  const size_t size = query_in_stream(data, NAME, ns_t_a, 0xabcd);
  CHECK_EQ(write(fd, data, size), size);
  CHECK(read_message(fd, data) > 12);
  CHECK_EQ(data[0] << 8 | data[1], (asked - 1) & 0xffff);
  check_message(fd, ns_t_a, 0xabcd);
}

/* What is no DNS ends the connection, as a resolver would end it. */
/* stream_not_dns WHAT */
PROBE(stream_not_dns) {
  const int fd = connected(DNS);
  unsigned char data[MESSAGE];
  size_t size = query_in_stream(data, NAME, ns_t_a, 1);
  if (strcmp(argv[1], "long") == 0) {
    memcpy(data, "GET / HTTP/1.1\r\n", size = 16);
  }
  if (strcmp(argv[1], "short") == 0) {
    memcpy(data, "\0\1x", size = 3);
  }
  if (strcmp(argv[1], "response") == 0) {
    data[4] |= 0x80;
  }
  CHECK_FAILS(send(fd, data, size, MSG_NOSIGNAL), ECONNRESET);
  CHECK_EQ(wait_and_read(fd, data, sizeof(data)), 0);
}

PROBE(stream_others) {
  const int fd = connected(DNS);
  unsigned char data[MESSAGE];
  const size_t size = query_in_stream(data, "_http._tcp." NAME, ns_t_srv, 1);
  CHECK_EQ(write(fd, data, size), size);
  check_empty(data, read_message(fd, data), ns_r_noerror, 0);
}

PROBE(stream_duplicates_and_fork) {
  const int fd = connected(DNS);
  const int copy = dup(fd);
  CHECK(close(fd) == 0);
  unsigned char data[MESSAGE];
  const size_t size = query_in_stream(data, NAME, ns_t_a, 1);
  CHECK_EQ(write(copy, data, size), size);
  check_message(copy, ns_t_a, 1);
  check_peer(copy);
  const pid_t child = fork();
  if (child == 0) {
    CHECK_EQ(write(copy, data, size), size);
    check_message(copy, ns_t_a, 1);
    _exit(0);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  CHECK_EQ(write(copy, data, size), size);
  check_message(copy, ns_t_a, 1);
  CHECK(close(copy) == 0);
}

PROBE(stream_fast_open) {
  const int fd = tcp(0);
  struct sockaddr_storage to;
  const socklen_t length = resolver(NULL, &to);
  unsigned char data[MESSAGE];
  const size_t size = query_in_stream(data, NAME, ns_t_a, 1);
  CHECK_EQ(sendto(fd, data, size, MSG_FASTOPEN, (struct sockaddr*)&to, length), size);
  check_message(fd, ns_t_a, 1);
  check_peer(fd);
}

/* Where TCP to a resolver goes through the gateway, it is a connection like any other. */
PROBE(stream_through_gateway) {
  const int fd = connected(DNS);
  check_peer(fd);
  check_echo(fd);
}
