/* Fail closed: sockets that no gateway carries, sends on streams that are not connected,
 * and signals in I/O that waits for a connect. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "rig/probe.h"

#define TELL(call)                                                                     \
  do {                                                                                 \
    errno = 0;                                                                         \
    const long long told_ = (long long)(call);                                         \
    const int error_ = errno;                                                          \
    printf("%s = %lld %s\n", #call, told_, told_ < 0 ? strerrorname_np(error_) : "-"); \
  } while (0)

static const struct {
  const char* name;
  int type, protocol;
} kinds[] = {{"udp", SOCK_DGRAM, 0},
             {"udplite", SOCK_DGRAM, 136},
             {"ping", SOCK_DGRAM, IPPROTO_ICMP},
             {"raw", SOCK_RAW, 253},
             {"rawicmp", SOCK_RAW, IPPROTO_ICMP},
             {"rawip", SOCK_RAW, IPPROTO_RAW},
             {"sctp", SOCK_STREAM, IPPROTO_SCTP},
             {"sctpseq", SOCK_SEQPACKET, IPPROTO_SCTP},
             {"dccp", SOCK_DCCP, IPPROTO_DCCP}};

/* Every way to send to another host, or to settle for one: refused, with an errno, and nothing
 * leaves. Prints the kind when this kernel has no such sockets. nothing_leaves ADDRESS */
PROBE(nothing_leaves) {
  struct sockaddr_storage there;
  const socklen_t size = address_of(argv[1], 9999, &there);
  struct sockaddr* to = (struct sockaddr*)&there;
  unsigned char packet[64] = {8, 0, 0xf7, 0xff}; /* an echo request, or nothing in particular */
  struct iovec part = {packet, sizeof(packet)};
  const struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_name = to, .msg_namelen = size};
  struct mmsghdr messages = {.msg_hdr = message};
  for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); ++i) {
    const int protocol = kinds[i].protocol == IPPROTO_ICMP && there.ss_family == AF_INET6
                             ? IPPROTO_ICMPV6
                             : kinds[i].protocol;
    const int fd = socket(there.ss_family, kinds[i].type, protocol);
    if (fd < 0) {
      printf("no %s\n", kinds[i].name);
      continue;
    }
    for (int round = 0; round < 2; ++round) {
      CHECK(connect(fd, to, size) == -1 && errno != EINPROGRESS);
      CHECK(errno == ENETUNREACH || errno == EHOSTUNREACH);
      CHECK_EQ(sendto(fd, packet, sizeof(packet), MSG_NOSIGNAL, to, size), -1);
      CHECK_EQ(sendto(fd, packet, sizeof(packet), MSG_NOSIGNAL | MSG_FASTOPEN, to, size), -1);
      CHECK_EQ(sendmsg(fd, &message, MSG_NOSIGNAL), -1);
      CHECK_EQ(sendmmsg(fd, &messages, 1, MSG_NOSIGNAL), -1);
      CHECK_EQ(send(fd, packet, sizeof(packet), MSG_NOSIGNAL), -1);
      set_blocking(fd, 0);
    }
    CHECK_EQ(close(fd), 0);
  }
}

/* Sends with and without an address on a stream that is not connected, compared with the kernel. */
PROBE(unconnected_sends) {
  signal(SIGPIPE, SIG_IGN);
  struct sockaddr_storage there, local, unspecified = {.ss_family = AF_UNSPEC};
  const socklen_t size = target(ECHO, &there);
  const socklen_t local_size = address_of("127.0.0.1", 9, &local);
  struct iovec part = {"x", 1};
  for (int non_blocking = 0; non_blocking < 2; ++non_blocking) {
    const int fd = tcp(non_blocking ? SOCK_NONBLOCK : 0);
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_name = &there, .msg_namelen = size};
    struct mmsghdr messages[2] = {{.msg_hdr = message}, {.msg_hdr = message}};
    TELL(send(fd, "x", 1, 0));
    TELL(send(fd, "x", 1, MSG_NOSIGNAL));
    TELL(write(fd, "x", 1));
    TELL(writev(fd, &part, 1));
    TELL(sendto(fd, "x", 1, 0, (struct sockaddr*)&there, size));
    TELL(sendto(fd, "x", 1, 0, (struct sockaddr*)&there, 3));
    TELL(sendto(fd, "x", 1, 0, (struct sockaddr*)&local, local_size));
    TELL(sendto(fd, "", 0, 0, (struct sockaddr*)&there, size));
    TELL(sendmsg(fd, &message, 0));
    TELL(sendmmsg(fd, messages, 2, 0));
    TELL(sendto(fd, "x", 1, MSG_FASTOPEN, NULL, 0));
    TELL(sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr*)&unspecified, sizeof(unspecified)));
    TELL(sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr*)&there, 3));
    char octet;
    TELL(recv(fd, &octet, 1, MSG_DONTWAIT));
    TELL(recv(fd, &octet, 1, MSG_OOB));
    TELL(recv(fd, &octet, 1, MSG_PEEK));
    TELL(close(fd));
  }
}

static volatile sig_atomic_t alarms;
static void on_alarm(int signal) {
  (void)signal;
  ++alarms;
}

static int pending_blocking(int port) {
  const int fd = dialled(port, SOCK_NONBLOCK);
  set_blocking(fd, 1);
  return fd;
}

/* A read or write that waits for its connect is restarted, or not, as the handler says; with a
 * timeout it never is: signal(7). io_is_restarted restart|interrupt|timeout read|write */
PROBE(io_is_restarted) {
  const int restart = strcmp(argv[1], "restart") == 0, reads = strcmp(argv[2], "read") == 0;
  struct sigaction action = {.sa_handler = on_alarm,
                             .sa_flags = strcmp(argv[1], "interrupt") == 0 ? 0 : SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  const int fd = pending_blocking(SLOW);
  if (strcmp(argv[1], "timeout") == 0) {
    const struct timeval time = {20, 0};
    CHECK(setsockopt(fd, SOL_SOCKET, reads ? SO_RCVTIMEO : SO_SNDTIMEO, &time, sizeof(time)) == 0);
  }
  if (reads) {
    /* Something to read, once it is connected. */
    const int copy = dup(fd);
    const long long start = now_us();
    set_timer_ms(200, restart ? 200 : 0);
    char octet = 0;
    if (restart) {
      const struct timeval time = {0, 0};
      CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)) == 0);
      CHECK_EQ(write(copy, "ping", 4), 4);
      CHECK_EQ(recv(fd, &octet, 1, 0), 1);
      CHECK_TIME(now_us() - start, SLOW_US - 100000, SLOW_US * 8);
      CHECK(alarms >= 3);
    } else {
      CHECK_FAILS(recv(fd, &octet, 1, 0), EINTR);
      CHECK_TIME(now_us() - start, 190000, SLOW_US - 100000);
      CHECK_EQ(write(copy, "ping", 4), 4);
      CHECK_EQ(recv(fd, &octet, 1, 0), 1);
    }
    CHECK_EQ(octet, 'p');
  } else {
    const long long start = now_us();
    set_timer_ms(200, restart ? 200 : 0);
    if (!restart) {
      CHECK_FAILS(write(fd, "ping", 4), EINTR);
    }
    CHECK_EQ(write(fd, "ping", 4), 4);
    CHECK_TIME(now_us() - start, SLOW_US - 100000, SLOW_US * 8);
    CHECK(restart ? alarms >= 3 : alarms == 1);
  }
  set_timer_ms(0, 0);
  check_echo(connected(ECHO));
}

/* One socket, one thread that only reads and one that only writes, from the first moment. */
static int duplex_fd;
static void* write_all(void* argument) {
  (void)argument;
  char block[1000];
  memset(block, 'd', sizeof(block));
  for (int i = 0; i < 200; ++i) {
    CHECK_EQ(send(duplex_fd, block, sizeof(block), 0), sizeof(block));
  }
  return NULL;
}
PROBE(reader_and_writer) {
  for (int round = 0; round < 3; ++round) {
    duplex_fd = pending_blocking(SOON);
    pthread_t thread;
    pthread_create(&thread, NULL, write_all, NULL);
    char block[3000];
    size_t got = 0;
    while (got < 200 * 1000) {
      const ssize_t more = recv(duplex_fd, block, sizeof(block), 0);
      CHECK(more > 0);
      for (ssize_t i = 0; i < more; ++i) {
        CHECK_EQ(block[i], 'd');
      }
      got += (size_t)more;
    }
    pthread_join(thread, NULL);
    CHECK_EQ(close(duplex_fd), 0);
  }
}

/* Many threads ask one pending socket all there is to ask, and the last octet belongs to one. */
static atomic_int asking = 1;
static void* ask(void* argument) {
  const int fd = *(int*)argument;
  while (asking) {
    CHECK_EQ(so_error(fd), 0);
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);
    (void)getpeername(fd, (struct sockaddr*)&address, &length);
    length = sizeof(address);
    CHECK_EQ(getsockname(fd, (struct sockaddr*)&address, &length), 0);
    struct pollfd waited = {fd, POLLOUT, 0};
    CHECK(poll(&waited, 1, 1) >= 0);
    CHECK(waited.revents == 0 || waited.revents == POLLOUT);
    const int result = dial(fd, SOON_HELLO);
    CHECK(result == 0 || errno == EALREADY || errno == EISCONN);
    close(dup(fd));
  }
  return NULL;
}
PROBE(asked_by_many) {
  pthread_t threads[8];
  int fd = dialled(SOON_HELLO, SOCK_NONBLOCK);
  for (int i = 0; i < 8; ++i) {
    pthread_create(&threads[i], NULL, ask, &fd);
  }
  read_exactly(fd, "HELLO");
  for (int i = 0; i < 50; ++i) {
    check_echo(fd);
  }
  asking = 0;
  for (int i = 0; i < 8; ++i) {
    pthread_join(threads[i], NULL);
  }
}
