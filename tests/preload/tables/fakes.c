/* An address of the fake ranges that nobody was given goes nowhere; "this host" goes where it
 * always went. */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/uio.h>
#include <unistd.h>

#include "rig/probe.h"

static struct sockaddr_storage there;
static socklen_t size;

static int socket_for(int type) {
  const int fd = socket(there.ss_family, type, 0);
  CHECK(fd >= 0);
  return fd;
}

static struct msghdr message_to_there(struct iovec* part) {
  return (struct msghdr){.msg_name = &there, .msg_namelen = size, .msg_iov = part, .msg_iovlen = 1};
}

/* refused_tcp ADDRESS ERRNO */
PROBE(refused_tcp) {
  size = address_of(argv[1], 80, &there);
  struct sockaddr* to = (struct sockaddr*)&there;
  const int error = errno_named(argv[2]);
  const long long start = now_us();
  CHECK_FAILS(connect(socket_for(SOCK_STREAM), to, size), error);
  const int fd = socket_for(SOCK_STREAM | SOCK_NONBLOCK);
  CHECK_FAILS(connect(fd, to, size), error);
  CHECK_EQ(so_error(fd), 0);
  CHECK_FAILS(sendto(socket_for(SOCK_STREAM), "x", 1, MSG_FASTOPEN, to, size), error);
  struct iovec part = {"x", 1};
  struct msghdr message = message_to_there(&part);
  CHECK_FAILS(sendmsg(socket_for(SOCK_STREAM), &message, MSG_FASTOPEN), error);
  CHECK(now_us() - start < 200000);
  /* The socket can still be used for something better. */
  struct sockaddr_storage good;
  const char* address = there.ss_family == AF_INET ? "192.0.2.1" : "2001:db8::1";
  const socklen_t good_size = address_of(address, SOON, &good);
  CHECK_FAILS(connect(fd, (struct sockaddr*)&good, good_size), EINPROGRESS);
  reach(fd);
  check_echo(fd);
}

/* refused_udp ADDRESS ERRNO */
PROBE(refused_udp) {
  size = address_of(argv[1], 9999, &there);
  struct sockaddr* to = (struct sockaddr*)&there;
  const int error = errno_named(argv[2]);
  struct iovec part = {"x", 1};
  struct msghdr message = message_to_there(&part);
  struct mmsghdr messages[2] = {{.msg_hdr = message}, {.msg_hdr = message}};
  const int fd = socket_for(SOCK_DGRAM);
  CHECK_FAILS(connect(fd, to, size), error);
  CHECK_FAILS(sendto(fd, "x", 1, 0, to, size), error);
  CHECK_FAILS(sendmsg(fd, &message, 0), error);
  CHECK_FAILS(sendmmsg(fd, messages, 2, 0), error);
  CHECK_FAILS(send(fd, "x", 1, 0), EDESTADDRREQ); /* still unconnected */
  /* In a batch the messages before it go out. */
  struct sockaddr_storage here;
  const socklen_t here_size =
      address_of(there.ss_family == AF_INET ? "127.0.0.1" : "::1", 9999, &here);
  messages[0].msg_hdr.msg_name = &here;
  messages[0].msg_hdr.msg_namelen = here_size;
  CHECK_EQ(sendmmsg(fd, messages, 2, 0), 1);
  CHECK_EQ(messages[0].msg_len, 1);
}

/* A datagram socket connected to this host, then told to send to a fake: the address of the call
 * counts. */
PROBE(refused_on_connected_udp) {
  size = address_of("127.0.0.1", 9999, &there);
  const int fd = socket_for(SOCK_DGRAM);
  CHECK_EQ(connect(fd, (struct sockaddr*)&there, size), 0);
  CHECK_EQ(send(fd, "x", 1, 0), 1);
  size = address_of("0.0.0.77", 9999, &there);
  CHECK_FAILS(sendto(fd, "x", 1, 0, (struct sockaddr*)&there, size), EHOSTUNREACH);
  CHECK_FAILS(connect(fd, (struct sockaddr*)&there, size), EHOSTUNREACH);
}

/* allowed_udp ADDRESS */
PROBE(allowed_udp) {
  size = address_of(argv[1], 9999, &there);
  const int fd = socket_for(SOCK_DGRAM);
  CHECK_EQ(sendto(fd, "x", 1, 0, (struct sockaddr*)&there, size), 1);
  CHECK_EQ(connect(fd, (struct sockaddr*)&there, size), 0);
  CHECK_EQ(send(fd, "x", 1, 0), 1);
}

/* this_host ADDRESS: 0.0.0.0 and :: are the host itself, as ever. */
PROBE(this_host) {
  int port;
  int server = listener(&port);
  size = address_of(argv[1], port, &there);
  if (there.ss_family == AF_INET6) {
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    close(server);
    server = socket(AF_INET6, SOCK_STREAM, 0);
    CHECK(bind(server, (struct sockaddr*)&any, sizeof(any)) == 0 && listen(server, 5) == 0);
  }
  const int fd = socket_for(SOCK_STREAM);
  CHECK_EQ(connect(fd, (struct sockaddr*)&there, size), 0);
  const int peer = accept(server, NULL, NULL);
  CHECK_EQ(write(peer, "here", 4), 4);
  read_exactly(fd, "here");
}

/* by_name NAME FAMILY PORT: what getaddrinfo gave can be dialled. */
PROBE(by_name) {
  const struct addrinfo hints = {.ai_family = atoi(argv[2]) == 4 ? AF_INET : AF_INET6,
                                 .ai_socktype = SOCK_STREAM};
  struct addrinfo* result = NULL;
  CHECK_EQ(getaddrinfo(argv[1], argv[3], &hints, &result), 0);
  const int fd = socket(result->ai_family, result->ai_socktype, result->ai_protocol);
  CHECK_EQ(connect(fd, result->ai_addr, result->ai_addrlen), 0);
  check_echo(fd);
  struct sockaddr_storage peer;
  socklen_t length = sizeof(peer);
  CHECK_EQ(getpeername(fd, (struct sockaddr*)&peer, &length), 0);
  CHECK_EQ(length, result->ai_addrlen);
  CHECK(memcmp(&peer, result->ai_addr, length) == 0);
  /* And never as a datagram. */
  const int datagram = socket(result->ai_family, SOCK_DGRAM, 0);
  CHECK_FAILS(sendto(datagram, "x", 1, 0, result->ai_addr, result->ai_addrlen), EHOSTUNREACH);
  freeaddrinfo(result);
}
