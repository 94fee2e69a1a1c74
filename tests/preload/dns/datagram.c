/* DNS over datagram sockets, in every style of sending and receiving. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "message.h"
#include "rig/probe.h"

/* Sends by the call of this name, to `to` unless null. Returns what the call says, in octets. */
static long send_by(const char* call, int fd, const unsigned char* data, size_t size,
                    const struct sockaddr_storage* to, socklen_t length) {
  unsigned char copy[MESSAGE];
  memcpy(copy, data, size);
  /* In three pieces, as far as the call has pieces. */
  struct iovec parts[3] = {{copy, 1}, {copy + 1, 12}, {copy + 13, size - 13}};
  struct mmsghdr message = {.msg_hdr = {.msg_iov = parts, .msg_iovlen = 3}};
  if (to != NULL) {
    message.msg_hdr.msg_name = (void*)(uintptr_t)to;
    message.msg_hdr.msg_namelen = length;
  }
  if (strcmp(call, "send") == 0) {
    return send(fd, data, size, 0);
  }
  if (strcmp(call, "write") == 0) {
    return write(fd, data, size);
  }
  if (strcmp(call, "writev") == 0) {
    return writev(fd, parts, 3);
  }
  if (strcmp(call, "sendto") == 0) {
    return sendto(fd, data, size, 0, (const struct sockaddr*)to, length);
  }
  if (strcmp(call, "sendmsg") == 0) {
    return sendmsg(fd, &message.msg_hdr, 0);
  }
  CHECK(strcmp(call, "sendmmsg") == 0);
  const int sent = sendmmsg(fd, &message, 1, 0);
  return sent == 1 ? (long)message.msg_len : sent;
}

/* Reads by the call of this name; *length is 0 for those that tell no sender. */
static long receive_by(const char* call, int fd, unsigned char* out, struct sockaddr_storage* from,
                       socklen_t* length) {
  struct iovec parts[2] = {{out, 5}, {out + 5, MESSAGE - 5}};
  struct mmsghdr message = {
      .msg_hdr = {.msg_iov = parts, .msg_iovlen = 2, .msg_name = from, .msg_namelen = *length}};
  long size;
  if (strcmp(call, "recvfrom") == 0) {
    return recvfrom(fd, out, MESSAGE, 0, (struct sockaddr*)from, length);
  }
  if (strcmp(call, "recvmsg") == 0) {
    size = recvmsg(fd, &message.msg_hdr, 0);
  } else if (strcmp(call, "recvmmsg") == 0) {
    size = recvmmsg(fd, &message, 1, 0, NULL) == 1 ? (long)message.msg_len : -1;
  } else {
    *length = 0;
    return strcmp(call, "read") == 0 ? read(fd, out, MESSAGE) : recv(fd, out, MESSAGE, 0);
  }
  *length = message.msg_hdr.msg_namelen;
  return size;
}

static void ask_and_check(const char* sender, const char* receiver, int fd,
                          const struct sockaddr_storage* to, socklen_t to_length, int type,
                          unsigned id) {
  unsigned char data[MESSAGE];
  const size_t size = query(data, NAME, type, id);
  CHECK_EQ(send_by(sender, fd, data, size, to, to_length), size);
  struct sockaddr_storage from;
  memset(&from, 0, sizeof(from));
  socklen_t length = sizeof(from);
  const long got = receive_by(receiver, fd, data, &from, &length);
  check_answer(data, got, NAME, type, id);
  if (length != 0) {
    check_resolver(&from, length, NULL);
  }
}

/* datagram_connected SENDER RECEIVER */
PROBE(datagram_connected) {
  const int fd = udp_connected(0);
  ask_and_check(argv[1], argv[2], fd, NULL, 0, ns_t_a, 0x1234);
  ask_and_check(argv[1], argv[2], fd, NULL, 0, ns_t_aaaa, 0xffff);
  struct sockaddr_storage peer;
  socklen_t length = sizeof(peer);
  CHECK(getpeername(fd, (struct sockaddr*)&peer, &length) == 0);
  check_resolver(&peer, length, NULL);
  CHECK(getsockname(fd, (struct sockaddr*)&peer, &length) == 0);
  CHECK_EQ(peer.ss_family, family());
}

/* datagram_unconnected SENDER RECEIVER [bound] */
PROBE(datagram_unconnected) {
  const int fd = udp(0);
  struct sockaddr_storage to, own;
  const socklen_t to_length = resolver(NULL, &to);
  if (argc > 3) {
    memset(&own, 0, sizeof(own));
    own.ss_family = (sa_family_t)family();
    CHECK(bind(fd, (struct sockaddr*)&own, to_length) == 0);
  }
  ask_and_check(argv[1], argv[2], fd, &to, to_length, ns_t_a, 1);
  ask_and_check(argv[1], argv[2], fd, &to, to_length, ns_t_aaaa, 2);
  CHECK_FAILS(getpeername(fd, (struct sockaddr*)&own, &(socklen_t){sizeof(own)}), ENOTCONN);
}

/* What poll and its kin say is what the kernel says. */
/* datagram_readiness WAITER */
PROBE(datagram_readiness) {
  const int fd = udp_connected(SOCK_NONBLOCK);
  int waited = fd;
  if (is_epoll(argv[1])) {
    waited = epoll_create1(0);
    add_to_epoll(waited, EPOLL_CTL_ADD, fd, EPOLLIN, 7);
  }
  unsigned char data[MESSAGE];
  CHECK_FAILS(recv(fd, data, sizeof(data), 0), EAGAIN);
  CHECK_EQ(wait_by(argv[1], waited, EPOLLIN, 0, NULL, NULL), 0);
  const size_t size = query(data, NAME, ns_t_a, 9);
  CHECK_EQ(send(fd, data, size, 0), size);
  uint32_t events = 0;
  CHECK_EQ(wait_by(argv[1], waited, EPOLLIN, 20000, &events, NULL), 1);
  CHECK_EQ(events, EPOLLIN);
  int waiting = 0;
  CHECK(ioctl(fd, FIONREAD, &waiting) == 0);
  const long got = recv(fd, data, sizeof(data), 0);
  CHECK_EQ(got, waiting);
  check_answer(data, got, NAME, ns_t_a, 9);
  CHECK_EQ(wait_by(argv[1], waited, EPOLLIN, 0, NULL, NULL), 0);
  CHECK_FAILS(recv(fd, data, sizeof(data), 0), EAGAIN);
}

PROBE(datagram_receive_timeout) {
  const int fd = udp_connected(0);
  const struct timeval timeout = {0, 200000};
  CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == 0);
  unsigned char data[MESSAGE];
  const long long start = now_us();
  CHECK_FAILS(recv(fd, data, sizeof(data), 0), EAGAIN);
  CHECK_TIME(now_us() - start, 190000, 20000000);
}

/* Several servers from one socket, under one identifier and under many: each answer comes from the
 * one that was asked. */
PROBE(datagram_several_resolvers) {
  static const char* const v4[] = {"192.0.2.1", "192.0.2.2", "198.51.100.3"};
  static const char* const v6[] = {"2001:db8::1", "2001:db8::2", "2001:db8::3"};
  const char* const* const servers = family() == AF_INET ? v4 : v6;
  const int fd = udp(0);
  unsigned char data[MESSAGE];
  struct sockaddr_storage to, from;
  for (unsigned same = 0; same < 2; ++same) {
    for (unsigned i = 0; i < 6; ++i) {
      const size_t size = query(data, NAME, ns_t_a, same ? 77 : 100 + i);
      const socklen_t length = resolver(servers[i % 3], &to);
      CHECK_EQ(sendto(fd, data, size, 0, (struct sockaddr*)&to, length), size);
    }
    for (unsigned i = 0; i < 6; ++i) {
      for (int peek = MSG_PEEK;; peek = 0) {
        socklen_t length = sizeof(from);
        const long got = recvfrom(fd, data, sizeof(data), peek, (struct sockaddr*)&from, &length);
        check_answer(data, got, NAME, ns_t_a, same ? 77 : 100 + i);
        check_resolver(&from, length, servers[i % 3]);
        if (peek == 0) {
          break;
        }
      }
    }
  }
}

/* More questions than anybody keeps in mind, and all are answered. */
PROBE(datagram_many) {
  enum { COUNT = 100 };
  const int fd = udp(0);
  struct mmsghdr messages[COUNT];
  static unsigned char data[COUNT][MESSAGE];
  struct iovec parts[COUNT];
  struct sockaddr_storage names[COUNT];
  memset(messages, 0, sizeof(messages));
  for (unsigned i = 0; i < COUNT; ++i) {
    parts[i] = (struct iovec){data[i], query(data[i], NAME, ns_t_a, i)};
    const socklen_t length = resolver(NULL, &names[i]);
    messages[i].msg_hdr = (struct msghdr){
        .msg_iov = &parts[i], .msg_iovlen = 1, .msg_name = &names[i], .msg_namelen = length};
  }
  CHECK_EQ(sendmmsg(fd, messages, COUNT, 0), COUNT);
  for (unsigned i = 0; i < COUNT; ++i) {
    CHECK_EQ(messages[i].msg_len, parts[i].iov_len);
    parts[i].iov_len = MESSAGE;
    memset(&names[i], 0, sizeof(names[i]));
    messages[i].msg_hdr.msg_namelen = sizeof(names[i]);
  }
  CHECK_EQ(recvmmsg(fd, messages, COUNT, 0, NULL), COUNT);
  for (unsigned i = 0; i < COUNT; ++i) {
    check_answer(data[i], messages[i].msg_len, NAME, ns_t_a, i);
    check_resolver(&names[i], messages[i].msg_hdr.msg_namelen, NULL);
  }
}

/* A short buffer is cut as the kernel cuts it, and so is a short address. */
PROBE(datagram_truncation) {
  const int fd = udp(0);
  struct sockaddr_storage to, from;
  const socklen_t to_length = resolver(NULL, &to);
  unsigned char data[MESSAGE];
  const size_t size = query(data, NAME, ns_t_a, 5);
  CHECK_EQ(sendto(fd, data, size, 0, (struct sockaddr*)&to, to_length), size);
  int whole = 0;
  CHECK(ioctl(fd, FIONREAD, &whole) == 0);
  memset(&from, 0xee, sizeof(from));
  socklen_t length = 4;
  CHECK_EQ(recvfrom(fd, data, 8, MSG_TRUNC | MSG_PEEK, (struct sockaddr*)&from, &length), whole);
  CHECK_EQ(length, to_length);
  CHECK(memcmp(&from, &to, 4) == 0 && ((unsigned char*)&from)[4] == 0xee);
  struct iovec part = {data, 8};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  CHECK_EQ(recvmsg(fd, &message, 0), 8);
  CHECK((message.msg_flags & MSG_TRUNC) != 0);
}

/* What is no query does not go anywhere. */
PROBE(datagram_not_dns) {
  const int connected = udp_connected(0), fd = udp(0);
  struct sockaddr_storage to;
  const socklen_t length = resolver(NULL, &to);
  unsigned char data[MESSAGE];
  const size_t size = query(data, NAME, ns_t_a, 5);
  data[2] |= 0x80; /* a response */
  CHECK_FAILS(send(connected, data, size, 0), ENETUNREACH);
  CHECK_FAILS(send(connected, "hello", 5, 0), ENETUNREACH);
  CHECK_FAILS(send(connected, "", 0, 0), ENETUNREACH);
  CHECK_FAILS(sendto(fd, data, size, 0, (struct sockaddr*)&to, length), ENETUNREACH);
  static unsigned char large[20000];
  CHECK_FAILS(sendto(fd, large, sizeof(large), 0, (struct sockaddr*)&to, length), EMSGSIZE);
  CHECK_FAILS(recv(connected, data, sizeof(data), MSG_DONTWAIT), EAGAIN);
}

/* Other types and wrong questions get an answer too. */
/* datagram_others TRUNCATED: what is said of a type that is no address */
PROBE(datagram_others) {
  const int fd = udp_connected(0);
  unsigned char data[MESSAGE];
  static const int types[] = {ns_t_mx, ns_t_srv, ns_t_txt, ns_t_soa, 65};
  for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); ++i) {
    CHECK(send(fd, data, query(data, "_http._tcp." NAME, types[i], 1), 0) > 0);
    check_empty(data, recv(fd, data, sizeof(data), 0), ns_r_noerror, atoi(argv[1]));
  }
  CHECK(send(fd, data, query(data, "no blanks", ns_t_a, 1), 0) > 0);
  check_empty(data, recv(fd, data, sizeof(data), 0), ns_r_nxdomain, 0);
  CHECK(send(fd, data, query(data, NAME, ns_t_a, 1) - 1, 0) > 0);
  check_empty(data, recv(fd, data, sizeof(data), 0), ns_r_formerr, 0);
  CHECK(send(fd, data, query(data, NAME, ns_t_a, 1), 0) > 0);
  check_answer(data, recv(fd, data, sizeof(data), 0), NAME, ns_t_a, 1);
}

/* dup, dup2 and fcntl give the same socket; what gets the number later is another one. */
PROBE(datagram_duplicates) {
  const int fd = udp_connected(0);
  const int copies[] = {dup(fd), dup2(fd, 100), fcntl(fd, F_DUPFD, 200)};
  CHECK(close(fd) == 0);
  for (size_t i = 0; i < 3; ++i) {
    ask_and_check("send", "recvfrom", copies[i], NULL, 0, ns_t_a, (unsigned)i);
  }
  for (size_t i = 0; i < 3; ++i) {
    CHECK(close(copies[i]) == 0);
  }

  /* The number is closed where nobody sees it, and becomes a pipe's and a plain socket's. */
  int pair[2];
  for (int round = 0; round < 2; ++round) {
    const int old = udp_connected(0);
    CHECK(syscall(SYS_close, old) == 0);
    CHECK((round == 0 ? pipe(pair) : socketpair(AF_UNIX, SOCK_DGRAM, 0, pair)) == 0);
    CHECK(pair[0] == old || pair[1] == old);
    CHECK_EQ(write(pair[1], "plain", 5), 5);
    read_exactly(pair[0], "plain");
    CHECK(close(pair[0]) == 0 && close(pair[1]) == 0);
  }
}

PROBE(datagram_after_fork) {
  const int fd = udp_connected(0), other = udp(0);
  struct sockaddr_storage to;
  const socklen_t length = resolver(NULL, &to);
  const pid_t child = fork();
  if (child == 0) {
    ask_and_check("send", "recvfrom", fd, NULL, 0, ns_t_a, 1);
    ask_and_check("sendto", "recvmsg", other, &to, length, ns_t_aaaa, 2);
    _exit(0);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  ask_and_check("send", "recvfrom", fd, NULL, 0, ns_t_a, 3);
  ask_and_check("sendto", "recvmsg", other, &to, length, ns_t_aaaa, 4);
}

/* Sockets come and go in many threads, and one belongs to all of them. */
static int shared_socket;
static void* ask_again_and_again(void* argument) {
  const unsigned first = (unsigned)(uintptr_t)argument;
  struct sockaddr_storage to, from;
  const socklen_t length = resolver(NULL, &to);
  for (unsigned i = 0; i < 50; ++i) {
    const int fd = udp_connected(0);
    ask_and_check("send", "recvfrom", fd, NULL, 0, ns_t_a, first + i);
    CHECK(close(fd) == 0);
    unsigned char data[MESSAGE];
    const size_t size = query(data, NAME, ns_t_a, first + i);
    CHECK_EQ(sendto(shared_socket, data, size, 0, (struct sockaddr*)&to, length), size);
    socklen_t from_length = sizeof(from);
    const long got =
        recvfrom(shared_socket, data, sizeof(data), 0, (struct sockaddr*)&from, &from_length);
    check_answer(data, got, NAME, ns_t_a, (unsigned)data[0] << 8 | data[1]);
    check_resolver(&from, from_length, NULL);
  }
  return NULL;
}

PROBE(datagram_threads) {
  enum { THREADS = 8 };
  pthread_t threads[THREADS];
  shared_socket = udp(0);
  for (uintptr_t i = 0; i < THREADS; ++i) {
    CHECK(pthread_create(&threads[i], NULL, ask_again_and_again, (void*)(i << 8)) == 0);
  }
  for (int i = 0; i < THREADS; ++i) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
}

/* One socket for one resolver after the other, and then for something else on this host. */
PROBE(datagram_reconnected) {
  const int server = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_storage own, to;
  socklen_t own_length = address_of("127.0.0.1", 0, &own);
  CHECK(bind(server, (struct sockaddr*)&own, own_length) == 0);
  CHECK(getsockname(server, (struct sockaddr*)&own, &own_length) == 0);

  for (int disconnect = 0; disconnect < 2; ++disconnect) {
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    unsigned char data[MESSAGE];
    static const char* const servers[] = {"192.0.2.1", "192.0.2.2"};
    for (size_t i = 0; i < 2; ++i) {
      socklen_t length = resolver(servers[i], &to);
      CHECK(connect(fd, (struct sockaddr*)&to, length) == 0);
      CHECK(send(fd, data, query(data, NAME, ns_t_a, 1), 0) > 0);
      length = sizeof(to);
      check_answer(data, recvfrom(fd, data, sizeof(data), 0, (struct sockaddr*)&to, &length), NAME,
                   ns_t_a, 1);
      check_resolver(&to, length, servers[i]);
    }
    if (disconnect) {
      const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
      CHECK(connect(fd, &nobody, sizeof(nobody)) == 0);
      CHECK_FAILS(getpeername(fd, (struct sockaddr*)&to, &(socklen_t){sizeof(to)}), ENOTCONN);
      CHECK_FAILS(send(fd, data, query(data, NAME, ns_t_a, 1), 0), EDESTADDRREQ);
    }
    CHECK(connect(fd, (struct sockaddr*)&own, own_length) == 0);
    CHECK_EQ(send(fd, "hello", 5, 0), 5);
    read_exactly(server, "hello");
    socklen_t length = sizeof(to);
    CHECK(getpeername(fd, (struct sockaddr*)&to, &length) == 0);
    CHECK(length == own_length && memcmp(&to, &own, length) == 0);
    CHECK(close(fd) == 0);
  }
}

/* Programs that make the system call themselves for sending (libuv), and read as everybody:
 * connected, and with an address. */
PROBE(datagram_sent_by_number) {
  struct sockaddr_storage to, from;
  for (int call = 0; call < 4; ++call) {
    const int fd = call < 2 ? udp_connected(0) : udp(0);
    unsigned char data[MESSAGE];
    struct iovec part = {data, query(data, NAME, ns_t_a, 8)};
    struct mmsghdr message = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}};
    if (call >= 2) {
      message.msg_hdr.msg_namelen = resolver(NULL, &to);
      message.msg_hdr.msg_name = &to;
    }
    CHECK_EQ(syscall(SYS_sendmmsg, fd, &message, 1, 0), 1);
    part.iov_len = sizeof(data);
    socklen_t length = sizeof(from);
    long got;
    if (call % 2 == 0) {
      got = receive_by("recvmsg", fd, data, &from, &length);
    } else {
      message.msg_hdr.msg_name = &from;
      message.msg_hdr.msg_namelen = length;
      CHECK_EQ(syscall(SYS_recvmmsg, fd, &message, 1, 0, NULL), 1);
      got = message.msg_len;
      length = message.msg_hdr.msg_namelen;
    }
    check_answer(data, got, NAME, ns_t_a, 8);
    check_resolver(&from, length, NULL);
  }
  /* What is refused to everybody is refused to them. */
  struct iovec part = {&to, 1};
  struct mmsghdr message = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1, .msg_name = &to}};
  message.msg_hdr.msg_namelen = target(9, &to);
  CHECK_FAILS(syscall(SYS_sendmmsg, udp(0), &message, 1, 0), ENETUNREACH);
  /* And all other calls are what they were: arguments, results, errors. */
  CHECK_EQ(syscall(SYS_getpid), getpid());
  CHECK_FAILS(syscall(SYS_close, -1), EBADF);
  char* pages = (char*)syscall(SYS_mmap, NULL, 8192L, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1L, 0L);
  CHECK(pages != MAP_FAILED);
  pages[8191] = 1;
  CHECK_FAILS(syscall(SYS_mmap, NULL, 8192L, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1L, 1L),
              EINVAL);
}

#if defined(__x86_64__) && defined(__LP64__)
/* Past everything: what a connected socket sends so comes back as a query, and is answered when it
 * is read. */
PROBE(datagram_sent_past_libc) {
  for (int call = 0; call < 2; ++call) {
    const int fd = udp_connected(0);
    unsigned char data[MESSAGE];
    struct iovec part = {data, query(data, NAME, ns_t_a, 8)};
    const struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    long result = SYS_sendmsg;
    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"((long)fd), "S"(&message), "d"(0L)
                     : "rcx", "r11", "memory");
    CHECK_EQ(result, part.iov_len);
    struct sockaddr_storage from;
    socklen_t length = sizeof(from);
    const long got = receive_by(call == 0 ? "recvmsg" : "recvfrom", fd, data, &from, &length);
    check_answer(data, got, NAME, ns_t_a, 8);
    check_resolver(&from, length, NULL);
  }
}
#endif

/* datagram_local ADDRESS WHAT: "answered", or "reached" when the server there is to hear of it. */
PROBE(datagram_local) {
  struct sockaddr_storage where;
  const socklen_t length = address_of(argv[1], DNS, &where);
  const int reached = strcmp(argv[2], "reached") == 0;
  const int server = socket(where.ss_family, SOCK_DGRAM, 0);
  if (reached) {
    CHECK(bind(server, (struct sockaddr*)&where, length) == 0);
  }
  const int fd = socket(where.ss_family, SOCK_DGRAM, 0);
  unsigned char data[MESSAGE];
  const size_t size = query(data, NAME, ns_t_a, 3);
  CHECK_EQ(sendto(fd, data, size, 0, (struct sockaddr*)&where, length), size);
  if (reached) {
    CHECK_EQ(wait_and_read(server, data, sizeof(data)), size);
  } else {
    check_answer(data, wait_and_read(fd, data, sizeof(data)), NAME, ns_t_a, 3);
  }
}

/* datagram_refused ERRNO [ADDRESS], and datagram_direct: what other values of `dns` make of it. */
PROBE(datagram_refused) {
  const int error = errno_named(argv[1]);
  struct sockaddr_storage to;
  const socklen_t length = resolver(argc > 2 ? argv[2] : NULL, &to);
  const int fd = socket(to.ss_family, SOCK_DGRAM, 0);
  unsigned char data[MESSAGE];
  const size_t size = query(data, NAME, ns_t_a, 3);
  CHECK_FAILS(sendto(fd, data, size, 0, (struct sockaddr*)&to, length), error);
  CHECK_FAILS(connect(fd, (struct sockaddr*)&to, length), error);
}

/* A resolver that is given by its name has a fake address, and answers at once; a fake address that
 * nobody was given is no resolver. */
PROBE(datagram_named_resolver) {
  const struct addrinfo hints = {.ai_family = family(), .ai_socktype = SOCK_DGRAM};
  struct addrinfo* list = NULL;
  CHECK_EQ(getaddrinfo("dns.example.test", "53", &hints, &list), 0);
  int fd = udp(0);
  unsigned char data[MESSAGE];
  const size_t size = query(data, NAME, ns_t_a, 3);
  CHECK_EQ(sendto(fd, data, size, 0, list->ai_addr, list->ai_addrlen), size);
  struct sockaddr_storage from;
  socklen_t length = sizeof(from);
  check_answer(data, recvfrom(fd, data, sizeof(data), 0, (struct sockaddr*)&from, &length), NAME,
               ns_t_a, 3);
  CHECK(length == list->ai_addrlen && memcmp(&from, list->ai_addr, length) == 0);
  freeaddrinfo(list);
  fd = udp(0);
  length = resolver(family() == AF_INET ? "0.0.99.99" : "100::9999", &from);
  CHECK_FAILS(sendto(fd, data, size, 0, (struct sockaddr*)&from, length), EHOSTUNREACH);
  CHECK_FAILS(connect(fd, (struct sockaddr*)&from, length), EHOSTUNREACH);
}

PROBE(datagram_direct) {
  const int connected = udp_connected(0), fd = udp(0);
  struct sockaddr_storage to;
  const socklen_t length = resolver(NULL, &to);
  unsigned char data[MESSAGE];
  const size_t size = query(data, NAME, ns_t_a, 3);
  CHECK_EQ(send(connected, data, size, 0), size);
  CHECK_EQ(sendto(fd, data, size, 0, (struct sockaddr*)&to, length), size);
}

/* datagram_wild_pointers [connected]: they are refused as by the kernel. The last octets of a page
 * are readable, the next page is not. */
PROBE(datagram_wild_pointers) {
  char* const page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(page != MAP_FAILED && mprotect(page + 4096, 4096, PROT_NONE) == 0);
  void* const wild = page + 4096;
  struct sockaddr_storage to;
  const socklen_t length = resolver(NULL, &to);
  unsigned char data[MESSAGE];
  const size_t size = query(data, NAME, ns_t_a, 3);
  const int connected = argc > 1;
  const int fd = connected ? udp_connected(0) : udp(0);
  struct iovec part = {data, size};
  const struct msghdr good = {.msg_name = connected ? NULL : &to,
                              .msg_namelen = connected ? 0 : length,
                              .msg_iov = &part,
                              .msg_iovlen = 1};
  CHECK_FAILS(sendto(fd, data, size, 0, wild, length), EFAULT);
  CHECK_FAILS(sendto(fd, data, size, 0, (struct sockaddr*)(page + 4090), length), EFAULT);
  CHECK_FAILS(sendto(fd, data, size, 0, (struct sockaddr*)-1, length), EFAULT);
  CHECK_FAILS(sendto(fd, wild, 24, 0, good.msg_name, good.msg_namelen), EFAULT);
  CHECK_FAILS(sendto(fd, wild, 3, 0, good.msg_name, good.msg_namelen), EFAULT);
  CHECK_FAILS(sendmsg(fd, wild, 0), EFAULT);
  struct msghdr message = good;
  message.msg_name = wild;
  message.msg_namelen = length;
  CHECK_FAILS(sendmsg(fd, &message, 0), EFAULT);
  message = good;
  message.msg_iov = wild;
  CHECK_FAILS(sendmsg(fd, &message, 0), EFAULT);
  CHECK_FAILS(sendmmsg(fd, wild, 2, 0), EFAULT);
  struct mmsghdr batch[2] = {{.msg_hdr = good}, {.msg_hdr = good}};
  batch[1].msg_hdr.msg_name = wild;
  batch[1].msg_hdr.msg_namelen = length;
  CHECK_EQ(sendmmsg(fd, batch, 2, 0), 1);
  if (connected) {
    CHECK_FAILS(writev(fd, wild, 1), EFAULT);
    CHECK_FAILS(getpeername(fd, wild, &(socklen_t){sizeof(to)}), EFAULT);
    CHECK_FAILS(getpeername(fd, (struct sockaddr*)&to, wild), EFAULT);
  }
  CHECK_FAILS(recvfrom(fd, data, sizeof(data), 0, wild, &(socklen_t){sizeof(to)}), EFAULT);
}
