/* A socket whose open file is of another family than the program made. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig/probe.h"

enum { GENEROUS = 20000 };

/* Options of levels that the new file may not know: set before connect and after, and read back. */
PROBE(any_options) {
  const int fd = tcp(0);
  const int level = family() == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
  const int class = family() == AF_INET ? IP_TOS : IPV6_TCLASS;
  const int hops = family() == AF_INET ? IP_TTL : IPV6_UNICAST_HOPS;
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 77);
  set_option(fd, level, class, 0x10);
  const int quiet = get_option(fd, IPPROTO_TCP, TCP_KEEPCNT);
  const int usual_hops = get_option(fd, level, hops);
  CHECK_EQ(dial(fd, ECHO), 0);
  CHECK_EQ(get_option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 77);
  CHECK_EQ(get_option(fd, level, class), 0x10);
  CHECK_EQ(get_option(fd, IPPROTO_TCP, TCP_KEEPCNT), quiet);
  CHECK_EQ(get_option(fd, level, hops), usual_hops);
  /* What every client does once it is connected. */
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
  set_option(fd, level, class, 0x08);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  CHECK_EQ(get_option(fd, IPPROTO_TCP, TCP_NODELAY) != 0, 1);
  CHECK_EQ(get_option(fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
  CHECK_EQ(get_option(fd, level, class), 0x08);
  CHECK_EQ(get_option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
  /* Nonsense is refused as by the kernel. */
  const int one = 1;
  int value = 0;
  socklen_t length = sizeof(value);
  CHECK_FAILS(setsockopt(fd, IPPROTO_TCP, 9999, &one, sizeof(one)), ENOPROTOOPT);
  CHECK_FAILS(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, 1), EINVAL);
  CHECK_FAILS(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &(int){-1}, sizeof(int)), EINVAL);
  CHECK_FAILS(getsockopt(fd, IPPROTO_TCP, 9999, &value, &length), ENOPROTOOPT);
  CHECK_FAILS(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, (void*)8, sizeof(one)), EFAULT);
  /* As much as fits. */
  char octet = 0;
  length = 1;
  CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &octet, &length), 0);
  CHECK_EQ(length, 1);
  CHECK_EQ(octet, family());
  struct tcp_info info;
  length = sizeof(info);
  CHECK_EQ(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
  CHECK_EQ(info.tcpi_state, TCP_ESTABLISHED);
  if (family() == AF_INET6) {
    CHECK_EQ(get_option(fd, IPPROTO_IPV6, IPV6_V6ONLY), getenv("PROBE_V6ONLY") != NULL);
  }
  check_echo(fd);
  CHECK_EQ(ioctl(fd, SIOCOUTQ, &value), 0);
  CHECK_EQ(ioctl(fd, FIONREAD, &value), 0);
  CHECK_EQ(value, 0);
}

/* Each duplicate stays one, with a CLOEXEC of its own, and so does what a registration says. */
PROBE(any_duplicates) {
  const int fd = tcp(SOCK_NONBLOCK), plain = dup(fd), closing = fcntl(fd, F_DUPFD_CLOEXEC, 100);
  const int epfd = epoll_create1(0);
  CHECK(plain >= 0 && closing >= 100);
  add_to_epoll(epfd, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLONESHOT, 1);
  add_to_epoll(epfd, EPOLL_CTL_ADD, closing, EPOLLIN | EPOLLET, UINT64_MAX);
  CHECK_FAILS(dial(plain, SOON_HELLO), EINPROGRESS);
  CHECK_EQ(fcntl(fd, F_GETFD), 0);
  CHECK_EQ(fcntl(plain, F_GETFD), 0);
  CHECK_EQ(fcntl(closing, F_GETFD), FD_CLOEXEC);
  struct epoll_event event;
  int seen = 0;
  while (seen != 3) {
    CHECK_EQ(epoll_wait(epfd, &event, 1, GENEROUS), 1);
    CHECK_EQ(so_error(fd), 0);
    seen |= event.data.u64 == 1 ? 1 : 2;
    CHECK((event.data.u64 == 1 ? (event.events & EPOLLOUT) : (event.events & EPOLLIN)) != 0);
  }
  CHECK_EQ(close(fd), 0);
  read_exactly(closing, "HELLO");
  check_echo(plain);
  CHECK_EQ(fcntl(closing, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
}

/* After a failure the socket is the program's own again: it can be bound, listen, and be dialled
 * without the gateway. any_own_again blocking|async|unspecified */
PROBE(any_own_again) {
  const int async = strcmp(argv[1], "blocking") != 0;
  const int fd = tcp(async ? SOCK_NONBLOCK : 0);
  const struct sockaddr unspecified = {.sa_family = AF_UNSPEC};
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 77);
  if (strcmp(argv[1], "unspecified") == 0) {
    CHECK_FAILS(dial(fd, NEVER), EINPROGRESS);
    CHECK_EQ(connect(fd, &unspecified, sizeof(unspecified)), 0);
    so_error(fd);
  } else if (async) {
    CHECK_FAILS(dial(fd, SOON_REFUSE + 5), EINPROGRESS);
    struct pollfd waited = {fd, POLLOUT, 0};
    CHECK_EQ(poll(&waited, 1, GENEROUS), 1);
    CHECK_EQ(waited.revents, POLLOUT | POLLERR | POLLHUP);
    CHECK_EQ(so_error(fd), ECONNREFUSED);
  } else {
    CHECK_FAILS(dial(fd, REFUSE + 5), ECONNREFUSED);
  }
  CHECK_EQ(get_option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 77);
  struct sockaddr_storage here;
  socklen_t length = address_of(family() == AF_INET ? "127.0.0.1" : "::1", 0, &here);
  const int server = socket(family(), SOCK_STREAM, 0);
  CHECK(bind(server, (struct sockaddr*)&here, length) == 0 && listen(server, 1) == 0);
  CHECK(getsockname(server, (struct sockaddr*)&here, &length) == 0);
  if (async) {
    CHECK_FAILS(connect(fd, (struct sockaddr*)&here, length), EINPROGRESS);
    struct pollfd waited = {fd, POLLOUT, 0};
    CHECK_EQ(poll(&waited, 1, GENEROUS), 1);
    CHECK_EQ(so_error(fd), 0);
  } else {
    CHECK_EQ(connect(fd, (struct sockaddr*)&here, length), 0);
  }
  CHECK(accept(server, NULL, NULL) >= 0);
  struct sockaddr_storage peer;
  socklen_t peer_length = sizeof(peer);
  CHECK_EQ(getpeername(fd, (struct sockaddr*)&peer, &peer_length), 0);
  CHECK(memcmp(&peer, &here, length) == 0);
}

/* A socket made before a fork, dialled by the child: the child's descriptor is what it dialled. */
PROBE(any_child_dials) {
  const int fd = tcp(0);
  const pid_t child = fork();
  if (child == 0) {
    CHECK_EQ(dial(fd, ECHO), 0);
    check_echo(fd);
    _exit(0);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK_EQ(status, 0);
  CHECK_EQ(dial(fd, ECHO), 0);
  check_echo(fd);
}

/* SIGIO goes where the program sent it. */
static volatile sig_atomic_t signals;
static void count_signal(int number) {
  (void)number;
  ++signals;
}
PROBE(any_signal_driven) {
  const int fd = tcp(0);
  CHECK(signal(SIGUSR1, count_signal) != SIG_ERR);
  CHECK(fcntl(fd, F_SETOWN, getpid()) == 0 && fcntl(fd, F_SETSIG, SIGUSR1) == 0);
  CHECK(fcntl(fd, F_SETFL, O_ASYNC) == 0);
  sigset_t blocked; /* during connect, which it would interrupt */
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  CHECK(sigprocmask(SIG_BLOCK, &blocked, NULL) == 0);
  CHECK_EQ(dial(fd, ECHO), 0);
  CHECK_EQ(fcntl(fd, F_GETOWN), getpid());
  CHECK((fcntl(fd, F_GETFL) & O_ASYNC) != 0);
  CHECK(sigprocmask(SIG_UNBLOCK, &blocked, NULL) == 0);
  signals = 0;
  CHECK_EQ(write(fd, "x", 1), 1);
  const long long end = now_us() + 20000000;
  while (signals == 0 && now_us() < end) {
    sleep_ms(1);
  }
  CHECK(signals != 0);
}
