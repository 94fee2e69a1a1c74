/* An event loop that registers through libc's epoll_ctl and waits by system calls of its own, as
 * the runtimes do that Zig compiles. A program by itself, because it must not import any wait of
 * libc's.
 *
 *   raw_loop ORDER PORT WHAT [PARALLEL]
 *
 * ORDER: "add-last" (connect, then add) or "add-first". WHAT: "echo", or the name of the error that
 * the connect is to end with, as a number. Says what it found wrong, and ends with 1. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rig/raw_epoll.h"

enum { MOST = 64, OURS = 0xC0FFEE };

#define CHECK(condition) \
  ((condition) ? (void)0 \
               : (printf("line %d: %s (errno %d)\n", __LINE__, #condition, errno), exit(1)))

static int begin(int epfd, int add_first, int port, uint64_t data) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u64 = data};
  if (add_first) {
    struct epoll_event got[MOST];
    CHECK(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event) == 0);
    raw_epoll_wait(epfd, got, MOST, 0); /* the hang-up that a fresh socket shows */
  }
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  CHECK(inet_pton(AF_INET, "192.0.2.1", &to.sin_addr) == 1);
  CHECK(connect(fd, (struct sockaddr*)&to, sizeof(to)) == -1 && errno == EINPROGRESS);
  if (!add_first) {
    CHECK(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event) == 0);
  }
  return fd;
}

int main(int count, char** words) {
  CHECK(count >= 4);
  const int add_first = strcmp(words[1], "add-first") == 0, port = atoi(words[2]);
  const int error = strcmp(words[3], "echo") == 0 ? 0 : atoi(words[3]);
  const int parallel = count > 4 ? atoi(words[4]) : 1;
  const int epfd = epoll_create1(0), waker = eventfd(1, EFD_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = 1}, got[MOST];
  CHECK(epoll_ctl(epfd, EPOLL_CTL_ADD, waker, &event) == 0);
  CHECK(raw_epoll_wait(epfd, got, MOST, 1000) == 1 && got[0].data.u64 == 1);
  uint64_t value = 0;
  CHECK(read(waker, &value, sizeof(value)) == sizeof(value));
  int fds[MOST], open = parallel;
  for (int i = 0; i < parallel; ++i) {
    fds[i] = begin(epfd, add_first, port, OURS + (uint64_t)i);
  }
  while (open > 0) {
    const long ready = raw_epoll_wait(epfd, got, MOST, 5000);
    CHECK(ready > 0);
    for (long i = 0; i < ready; ++i) {
      const uint64_t which = got[i].data.u64 - OURS;
      CHECK(which < (uint64_t)parallel);
      const int fd = fds[which];
      char text[8] = "";
      if (error != 0) {
        /* Told by the kernel's own event, and the reason by SO_ERROR. */
        int found = 0;
        socklen_t length = sizeof(found);
        CHECK((got[i].events & (EPOLLERR | EPOLLHUP)) == (EPOLLERR | EPOLLHUP));
        CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &found, &length) == 0);
        CHECK(found == error);
        close(fd);
        --open;
        continue;
      }
      CHECK((got[i].events & (EPOLLERR | EPOLLHUP)) == 0);
      if ((got[i].events & EPOLLIN) == 0) {
        CHECK((got[i].events & EPOLLOUT) != 0);
        CHECK(write(fd, "hello", 5) == 5); /* it is connected: there is nothing to wait for */
      } else if (read(fd, text, sizeof(text)) == 5) {
        CHECK(memcmp(text, "hello", 5) == 0);
        close(fd);
        --open;
      }
    }
  }
  return 0;
}
