/* Differential probes: each prints what a series of calls answers, and the runner compares the
 * output with and without the library. Without it the destination is silent (its SYN is lost); with
 * it the gateway never replies. A program cannot tell the two apart. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "rig/probe.h"

/* Prints the call, its result and its errno. */
#define TELL(call)                                                                     \
  do {                                                                                 \
    errno = 0;                                                                         \
    const long long told_ = (long long)(call);                                         \
    const int error_ = errno;                                                          \
    printf("%s = %lld %s\n", #call, told_, told_ < 0 ? strerrorname_np(error_) : "-"); \
  } while (0)

static struct sockaddr_storage address;
static socklen_t length;
static int value;

static int peer_of(int fd) {
  length = sizeof(address);
  return getpeername(fd, (struct sockaddr*)&address, &length);
}

static int poll_one(int fd, short events) {
  struct pollfd waited = {fd, events, 0};
  const int result = poll(&waited, 1, 0);
  return result < 0 ? result : result * 0x1000 + waited.revents;
}

PROBE(wrong_arguments) {
  const int fd = tcp(0), epfd = epoll_create1(0);
  int ends[2];
  CHECK(pipe(ends) == 0);
  struct epoll_event event = {.events = EPOLLIN};
  struct sockaddr_storage there;
  const socklen_t size = target(ECHO, &there);
  struct sockaddr* to = (struct sockaddr*)&there;
  void* volatile nowhere =
      (void*)8; /* volatile: the compiler must not warn of what is on purpose */
  void* volatile no_address = NULL;
  volatile int minus_one = -1;
  const struct timespec bad_time = {0, 2000000000};
  struct timeval negative = {-1, 0}, none = {0, 0};
  fd_set set;
  FD_ZERO(&set);

  TELL(connect(-1, to, size));
  TELL(connect(999, to, size));
  TELL(connect(ends[0], to, size));
  TELL(connect(epfd, to, size));
  TELL(connect(fd, no_address, size));
  TELL(connect(fd, no_address, 0));
  TELL(connect(fd, nowhere, size));
  TELL(connect(fd, to, 1));
  TELL(connect(fd, to, 0));
  TELL(connect(fd, to, 8));
  TELL(connect(fd, to, (socklen_t)-1));
  struct sockaddr_un other = {.sun_family = AF_UNIX, .sun_path = "/nowhere"};
  TELL(connect(fd, (struct sockaddr*)&other, sizeof(other)));
  TELL(close(-1));
  TELL(close(999));
  TELL(close_range(5, 3, 0));
  TELL(close_range(900, 950, 1 << 20));
  TELL(close_range(900, 950, 0));
  TELL(dup(-1));
  TELL(dup2(-1, 50));
  TELL(dup2(fd, -1));
  TELL(dup2(fd, 1 << 30));
  TELL(dup2(999, 999));
  TELL(dup2(fd, fd) - fd);
  TELL(dup3(fd, fd, 0));
  TELL(dup3(fd, 60, O_APPEND));
  TELL(fcntl(-1, F_GETFD));
  TELL(fcntl(fd, 9999));
  TELL(fcntl(fd, F_DUPFD, 1 << 30));
  TELL(fcntl(fd, F_DUPFD, -1));
  TELL(fcntl(fd, F_GETFL));
  TELL(fcntl(fd, F_GETOWN));
  TELL(getsockopt(fd, SOL_SOCKET, SO_ERROR, nowhere, &length));
  TELL(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, NULL));
  TELL(getsockopt(-1, SOL_SOCKET, SO_ERROR, &value, &length));
  TELL(getsockopt(ends[0], SOL_SOCKET, SO_ERROR, &value, &length));
  TELL(getsockopt(fd, SOL_SOCKET, 9999, &value, &length));
  TELL(peer_of(fd));
  TELL(peer_of(ends[0]));
  TELL(getsockname(fd, NULL, &length));
  TELL(shutdown(fd, SHUT_WR));
  TELL(shutdown(fd, 77));
  TELL(shutdown(ends[0], SHUT_WR));
  TELL(poll(nowhere, 1, 0));
  TELL(ppoll(NULL, 0, &bad_time, NULL));
  TELL(select(-1, NULL, NULL, NULL, &negative));
  TELL(select(0, NULL, NULL, NULL, &negative));
  TELL(pselect(0, NULL, NULL, NULL, &bad_time, NULL));
  FD_SET(500, &set);
  TELL(select(501, &set, NULL, NULL, &none));
  TELL(epoll_ctl(epfd, EPOLL_CTL_ADD, 999, &event));
  TELL(epoll_ctl(999, EPOLL_CTL_ADD, fd, &event));
  TELL(epoll_ctl(fd, EPOLL_CTL_ADD, ends[0], &event));
  TELL(epoll_ctl(epfd, EPOLL_CTL_ADD, epfd, &event));
  TELL(epoll_ctl(epfd, 77, fd, &event));
  TELL(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, NULL));
  TELL(epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &event));
  TELL(epoll_ctl(epfd, EPOLL_CTL_DEL, fd, &event));
  TELL(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event));
  TELL(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event));
  TELL(epoll_ctl(epfd, EPOLL_CTL_MOD, fd, nowhere));
  TELL(epoll_wait(epfd, &event, 0, 0));
  TELL(epoll_wait(epfd, &event, minus_one, 0));
  TELL(epoll_wait(-1, &event, 1, 0));
  TELL(epoll_wait(fd, &event, 1, 0));
  TELL(epoll_pwait2(epfd, &event, 1, &bad_time, NULL));
  TELL(epoll_create(0));
  TELL(epoll_create1(77));
  TELL(socket(AF_INET, 77, 0));
  TELL(socket(999, SOCK_STREAM, 0));
  TELL(read(-1, &value, 1));
  TELL(write(999, &value, 1));
  TELL(recv(ends[0], &value, 1, 0));
  TELL(send(ends[1], &value, 1, 0));
  TELL(sendmsg(fd, no_address, 0));
  TELL(sendmmsg(fd, no_address, 1, 0));
  TELL(recvmsg(fd, no_address, 0));
  TELL(sendfile(fd, -1, NULL, 1));
  TELL(splice(-1, NULL, ends[1], NULL, 1, 0));
  TELL(readv(fd, no_address, minus_one));
}

/* pending_answers PORT: what a non-blocking socket answers while it is connecting. */
PROBE(pending_answers) {
  signal(SIGPIPE, SIG_IGN);
  const int fd = tcp(SOCK_NONBLOCK), epfd = epoll_create1(0);
  int ends[2];
  CHECK(pipe(ends) == 0 && write(ends[1], "piped", 5) == 5);
  FILE* file = tmpfile();
  CHECK(file != NULL && fputs("filed", file) >= 0 && fflush(file) == 0);
  const int port = atoi(argv[1]);
  struct sockaddr_storage there;
  const socklen_t size = target(port, &there);
  struct iovec part = {&value, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  struct mmsghdr messages = {.msg_hdr = message};
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT};
  struct sockaddr unspecified = {.sa_family = AF_UNSPEC};
  char buffer[64];

  TELL(dial(fd, port));
  TELL(dial(fd, port));
  TELL(poll_one(fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP));
  TELL(so_error(fd));
  TELL(peer_of(fd));
  TELL(read(fd, buffer, 8));
  TELL(write(fd, "x", 1));
  TELL(send(fd, "x", 1, MSG_NOSIGNAL));
  TELL(send(fd, "x", 1, MSG_DONTWAIT));
  TELL(recv(fd, buffer, 8, 0));
  TELL(recv(fd, buffer, 8, MSG_PEEK));
  TELL(recv(fd, buffer, 8, MSG_DONTWAIT));
  TELL(recvfrom(fd, buffer, 8, 0, NULL, NULL));
  TELL(fortified_read(fd, buffer, 8));
  TELL(fortified_recv(fd, buffer, 8));
  TELL(readv(fd, &part, 1));
  TELL(writev(fd, &part, 1));
  TELL(sendmsg(fd, &message, 0));
  TELL(recvmsg(fd, &message, 0));
  TELL(sendmmsg(fd, &messages, 1, 0));
  TELL(recvmmsg(fd, &messages, 1, 0, NULL));
  TELL(sendto(fd, "x", 1, 0, (struct sockaddr*)&there, size));
  TELL(sendfile(fd, fileno(file), &(off_t){0}, 5));
  TELL(splice(ends[0], NULL, fd, NULL, 5, SPLICE_F_NONBLOCK));
  TELL(splice(fd, NULL, ends[1], NULL, 5, SPLICE_F_NONBLOCK));
  TELL(ioctl(fd, FIONREAD, &value));
  TELL(value);
  TELL(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event));
  TELL(epoll_wait(epfd, &event, 1, 0));
  TELL(poll_one(epfd, POLLIN));
  TELL(dial(fd, port));
  TELL(connect(fd, (struct sockaddr*)&there, 1));
  /* Given up, and again. */
  TELL(connect(fd, &unspecified, sizeof(unspecified)));
  TELL(so_error(fd));
  TELL(peer_of(fd));
  TELL(dial(fd, port));
  TELL(poll_one(fd, POLLIN | POLLOUT));
  TELL(shutdown(fd, SHUT_RD));
  TELL(poll_one(fd, POLLOUT) & 0xfff & ~POLLIN);
  TELL(close(fd));
  TELL(close(fd));
}

PROBE(unconnected_answers) {
  const int fd = tcp(SOCK_NONBLOCK);
  struct sockaddr unspecified = {.sa_family = AF_UNSPEC};
  char octet = 'x';
  TELL(poll_one(fd, POLLIN | POLLOUT));
  TELL(so_error(fd));
  TELL(peer_of(fd));
  TELL(recv(fd, &octet, 1, 0));
  TELL(send(fd, &octet, 1, MSG_NOSIGNAL));
  TELL(shutdown(fd, SHUT_RDWR));
  TELL(connect(fd, &unspecified, sizeof(unspecified)));
  TELL(close(fd));
}

/* direct_connection ADDRESS: a listener on this host is no business of the gateway. */
PROBE(direct_connection) {
  struct sockaddr_storage there;
  socklen_t size = address_of(argv[1], 0, &there);
  const int server = socket(there.ss_family, SOCK_STREAM, 0);
  CHECK(bind(server, (struct sockaddr*)&there, size) == 0 && listen(server, 5) == 0);
  CHECK(getsockname(server, (struct sockaddr*)&there, &size) == 0);
  const int client = socket(there.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0),
            epfd = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u64 = 5};
  TELL(epoll_ctl(epfd, EPOLL_CTL_ADD, client, &event));
  TELL(epoll_wait(epfd, &event, 1, 0));
  TELL(connect(client, (struct sockaddr*)&there, size));
  TELL(epoll_wait(epfd, &event, 1, 5000));
  TELL(event.events);
  TELL(event.data.u64);
  TELL(so_error(client));
  TELL(connect(client, (struct sockaddr*)&there, size));
  TELL(connect(client, (struct sockaddr*)&there, size));
  const int peer = accept(server, NULL, NULL);
  CHECK(peer >= 0);
  TELL(peer_of(client));
  TELL(memcmp(&address, &there, length));
  TELL(getsockname(client, (struct sockaddr*)&address, &length));
  TELL(write(peer, "hello", 5));
  set_blocking(client, 1);
  read_exactly(client, "hello");
  TELL(shutdown(client, SHUT_WR));
  TELL(read(peer, &value, 4));
  TELL(close(server));
  /* Nobody listens now. */
  const int late = socket(there.ss_family, SOCK_STREAM, 0);
  TELL(connect(late, (struct sockaddr*)&there, size));
  TELL(so_error(late));
}

PROBE(unix_connection) {
  struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0socks64 probe"};
  const socklen_t size = offsetof(struct sockaddr_un, sun_path) + 14;
  const int server = socket(AF_UNIX, SOCK_STREAM, 0),
            client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  TELL(connect(client, (struct sockaddr*)&name, size));
  CHECK(bind(server, (struct sockaddr*)&name, size) == 0 && listen(server, 1) == 0);
  TELL(connect(client, (struct sockaddr*)&name, size));
  TELL(poll_one(client, POLLIN | POLLOUT));
  TELL(write(client, "x", 1));
  const int peer = accept(server, NULL, NULL);
  TELL(read(peer, &value, 4));
  TELL(peer_of(client));
}
