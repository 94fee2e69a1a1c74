/* What the asynchronous connect relies on of the kernel's epoll, asked of the kernel itself
 * (docs/decisions/0001). No shim is involved. Prints one line a fact; exits 1 when one does not
 * hold. Loopback only. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static int failures;

static void fact(int holds, const char* text, unsigned events) {
  printf("%s  %s (events 0x%x)\n", holds ? "holds" : "FAILS", text, events);
  failures += !holds;
}

static int listener(struct sockaddr_in* address) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  socklen_t length = sizeof(*address);
  memset(address, 0, sizeof(*address));
  address->sin_family = AF_INET;
  address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || bind(fd, (struct sockaddr*)address, length) != 0 || listen(fd, 16) != 0 ||
      getsockname(fd, (struct sockaddr*)address, &length) != 0) {
    perror("listener");
    _exit(2);
  }
  return fd;
}

static int stream(void) {
  return socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static void put(int epfd, int operation, int fd, uint32_t events, uint64_t data) {
  struct epoll_event event = {.events = events, .data.u64 = data};
  if (epoll_ctl(epfd, operation, fd, &event) != 0) {
    perror("epoll_ctl");
    _exit(2);
  }
}

/* The next event within `milliseconds`; data 0 when there is none. */
static struct epoll_event next(int epfd, int milliseconds) {
  struct epoll_event event = {0, {.u64 = 0}};
  return epoll_wait(epfd, &event, 1, milliseconds) == 1 ? event
                                                        : (struct epoll_event){0, {.u64 = 0}};
}

enum { program = 0x1111, mark = 0x2222 };

static void disconnect(int fd) {
  struct sockaddr none = {.sa_family = AF_UNSPEC};
  connect(fd, &none, sizeof(none));
}

static int waiter_set;
static struct epoll_event waiter_got;
static void* waiter(void* unused) {
  (void)unused;
  waiter_got = next(waiter_set, 5000);
  return NULL;
}

/* One run of a handshake as the shim does it: registered with `flags`, before or after connect. */
static void handshake(int accepting, const struct sockaddr_in* gateway, uint32_t flags, int before,
                      const char* name) {
  char text[128];
  int epfd = epoll_create1(EPOLL_CLOEXEC);
  int fd = stream();
  if (before) {
    put(epfd, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | flags, program);
    next(epfd,
         0); /* the program may see that an unconnected socket hangs up: that is the kernel's way */
    put(epfd, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT | EPOLLET, mark);
  }
  connect(fd, (const struct sockaddr*)gateway, sizeof(*gateway));
  if (!before) {
    put(epfd, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLET, mark);
  }
  struct pollfd writable = {fd, POLLOUT, 0};
  poll(&writable, 1, 1000);
  struct epoll_event event = next(epfd, 1000);
  snprintf(text, sizeof(text), "%s: the gateway's accept shows under the mark", name);
  fact(event.data.u64 == mark && (event.events & EPOLLOUT), text, event.events);
  while (next(epfd, 0).data.u64 != 0) {
  }

  int peer = accept(accepting, NULL, NULL);
  for (int step = 0; step < 2; ++step) { /* two answers of the gateway, each an edge of its own */
    char octet;
    if (write(peer, "r", 1) != 1) {
      _exit(2);
    }
    event = next(epfd, 1000);
    snprintf(text, sizeof(text), "%s: answer %d of the gateway is an edge under the mark", name,
             step + 1);
    fact(event.data.u64 == mark && (event.events & EPOLLIN), text, event.events);
    if (read(fd, &octet, 1) != 1) {
      _exit(2);
    }
  }
  event = next(epfd, 0);
  snprintf(text, sizeof(text), "%s: between answers there is nothing", name);
  fact(event.data.u64 == 0, text, event.events);

  put(epfd, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT | flags, program);
  event = next(epfd, 0);
  snprintf(text, sizeof(text), "%s: MOD gives the program its own event at once", name);
  fact(event.data.u64 == program && event.events == EPOLLOUT, text, event.events);
  event = next(epfd, 0);
  snprintf(text, sizeof(text), "%s: and %s", name,
           flags & (EPOLLET | EPOLLONESHOT) ? "only once" : "again, as level means");
  fact((event.data.u64 != 0) == !(flags & (EPOLLET | EPOLLONESHOT)), text, event.events);
  close(peer);
  close(fd);
  close(epfd);
}

int main(void) {
  struct sockaddr_in gateway;
  int accepting = listener(&gateway);

  for (int before = 0; before < 2; ++before) {
    handshake(accepting, &gateway, 0, before,
              before ? "level, registered before connect" : "level, after");
    handshake(accepting, &gateway, EPOLLET, before,
              before ? "edge, registered before connect" : "edge, after");
    handshake(accepting, &gateway, EPOLLONESHOT, before,
              before ? "oneshot, registered before connect" : "oneshot, after");
  }

  { /* a thread that is already waiting is woken by the mark of an unconnected socket, so it can
       watch deadlines */
    waiter_set = epoll_create1(EPOLL_CLOEXEC);
    int fd = stream();
    put(waiter_set, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLET, program);
    next(waiter_set, 0);
    pthread_t thread;
    pthread_create(&thread, NULL, waiter, NULL);
    usleep(50000);
    put(waiter_set, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT | EPOLLET, mark);
    pthread_join(thread, NULL);
    fact(waiter_got.data.u64 == mark,
         "MOD on an unconnected socket wakes a thread that waits already", waiter_got.events);
    close(fd);
    close(waiter_set);
  }
  { /* failure: connect(AF_UNSPEC) */
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    int fd = stream();
    connect(fd, (struct sockaddr*)&gateway, sizeof(gateway));
    struct pollfd writable = {fd, POLLOUT, 0};
    poll(&writable, 1, 1000);
    put(epfd, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET, mark);
    disconnect(fd);
    put(epfd, EPOLL_CTL_MOD, fd, EPOLLIN, program);
    struct epoll_event event = next(epfd, 1000);
    fact(event.data.u64 == program &&
             (event.events & (EPOLLERR | EPOLLHUP)) == (EPOLLERR | EPOLLHUP),
         "connect(AF_UNSPEC) shows as EPOLLERR | EPOLLHUP", event.events);
    int error = 0;
    socklen_t length = sizeof(error);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    fact(error == ECONNRESET, "and leaves ECONNRESET in SO_ERROR", (unsigned)error);
    fact(connect(fd, (struct sockaddr*)&gateway, sizeof(gateway)) == -1 && errno == EINPROGRESS,
         "and the socket can be connected again", 0);
    close(fd);
    close(epfd);
  }
  { /* EPOLLEXCLUSIVE */
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    int fd = stream();
    put(epfd, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE, program);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = mark};
    fact(epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &event) == -1 && errno == EINVAL,
         "an exclusive registration refuses MOD", 0);
    close(fd);
    close(epfd);
  }
  { /* nested */
    int outer = epoll_create1(EPOLL_CLOEXEC);
    int inner = epoll_create1(EPOLL_CLOEXEC);
    int fd = stream();
    connect(fd, (struct sockaddr*)&gateway, sizeof(gateway));
    struct pollfd writable = {fd, POLLOUT, 0};
    poll(&writable, 1, 1000);
    put(inner, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLET, mark);
    put(outer, EPOLL_CTL_ADD, inner, EPOLLIN | EPOLLET, program);
    next(outer, 1000);
    next(inner, 0);
    put(inner, EPOLL_CTL_MOD, fd, EPOLLOUT, program);
    struct epoll_event event = next(outer, 1000);
    fact(event.data.u64 == program, "MOD inside a nested set is an edge for the outer one",
         event.events);
    close(fd);
    close(inner);
    close(outer);
  }
  { /* duplicates share the registration */
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    int copy = dup(epfd);
    int fd = stream();
    put(epfd, EPOLL_CTL_ADD, fd, EPOLLIN, program);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = mark};
    fact(epoll_ctl(copy, EPOLL_CTL_MOD, fd, &event) == 0,
         "a duplicated epoll descriptor is the same set", 0);
    close(fd);
    close(copy);
    close(epfd);
  }
  return failures != 0;
}
