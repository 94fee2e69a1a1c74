/* What the shim's cost is measured with: an ordinary C program that never heard of it.
 *
 *   shim_load pingpong COUNT           one TCP connection over loopback, COUNT times 64 octets
 * there and back, blocking shim_load epoll COUNT              an epoll server with 16 connections,
 * COUNT round trips of 64 octets in all shim_load resolve COUNT            getaddrinfo() of COUNT
 * names, no two the same shim_load connect COUNT HOST PORT  resolve, connect, one octet there and
 * back, close; one after the other shim_load serve ADDRESS PORT       the other side of `connect`:
 * echoes until killed
 *
 * Prints two numbers: seconds it took, and CPU seconds of this process and the ones it started.
 * What came before the first round (start-up, dynamic linking) is not in them. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE = 64, CONNECTIONS = 16 };

static void require(int holds, const char* what) {
  if (!holds) {
    perror(what);
    exit(1);
  }
}

static double seconds_of(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double cpu_of(int who) {
  struct rusage usage;
  getrusage(who, &usage);
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double began;
static double cpu_before;

static void begin(void) {
  cpu_before = cpu_of(RUSAGE_SELF) + cpu_of(RUSAGE_CHILDREN);
  began = seconds_of(CLOCK_MONOTONIC);
}

static void end(void) {
  const double took = seconds_of(CLOCK_MONOTONIC) - began;
  while (wait(NULL) > 0) {
  }
  printf("%.6f %.6f\n", took, cpu_of(RUSAGE_SELF) + cpu_of(RUSAGE_CHILDREN) - cpu_before);
}

static void no_delay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static int listen_on(const char* address, int port, struct sockaddr_in* bound) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  socklen_t length = sizeof(*bound);
  require(fd >= 0, "socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  memset(bound, 0, sizeof(*bound));
  bound->sin_family = AF_INET;
  bound->sin_port = htons((unsigned short)port);
  require(inet_pton(AF_INET, address, &bound->sin_addr) == 1, "address");
  require(bind(fd, (struct sockaddr*)bound, sizeof(*bound)) == 0, "bind");
  require(listen(fd, 1024) == 0, "listen");
  require(getsockname(fd, (struct sockaddr*)bound, &length) == 0, "getsockname");
  return fd;
}

static int dial(const struct sockaddr_in* address) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  require(fd >= 0, "socket");
  require(connect(fd, (const struct sockaddr*)address, sizeof(*address)) == 0, "connect");
  no_delay(fd);
  return fd;
}

static void put(int fd, const char* octets, size_t size) {
  require(write(fd, octets, size) == (ssize_t)size, "write");
}

static void get(int fd, char* octets, size_t size) {
  size_t have = 0;
  while (have < size) {
    const ssize_t now = read(fd, octets + have, size - have);
    require(now > 0, "read");
    have += (size_t)now;
  }
}

static void echo_until_end(int fd) {
  char octets[MESSAGE];
  ssize_t size;
  while ((size = read(fd, octets, sizeof(octets))) > 0) {
    put(fd, octets, (size_t)size);
  }
}

static void run_pingpong(long count) {
  struct sockaddr_in address;
  const int listener = listen_on("127.0.0.1", 0, &address);
  char octets[MESSAGE] = {0};
  if (fork() == 0) {
    const int peer = accept(listener, NULL, NULL);
    no_delay(peer);
    echo_until_end(peer);
    _exit(0);
  }
  const int fd = dial(&address);
  begin();
  for (long i = 0; i < count; ++i) {
    put(fd, octets, sizeof(octets));
    get(fd, octets, sizeof(octets));
  }
  close(fd);
  end();
}

static void run_epoll_clients(const struct sockaddr_in* address, long count) {
  int fds[CONNECTIONS];
  char octets[MESSAGE] = {0};
  for (int i = 0; i < CONNECTIONS; ++i) {
    fds[i] = dial(address);
  }
  for (long i = 0; i < count / CONNECTIONS; ++i) {
    for (int c = 0; c < CONNECTIONS; ++c) {
      put(fds[c], octets, sizeof(octets));
    }
    for (int c = 0; c < CONNECTIONS; ++c) {
      get(fds[c], octets, sizeof(octets));
    }
  }
}

static void run_epoll(long count) {
  struct sockaddr_in address;
  const int listener = listen_on("127.0.0.1", 0, &address);
  if (fork() == 0) {
    close(listener);
    run_epoll_clients(&address, count);
    _exit(0);
  }
  const int waits = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN};
  for (int i = 0; i < CONNECTIONS; ++i) {
    event.data.fd = accept(listener, NULL, NULL);
    no_delay(event.data.fd);
    require(epoll_ctl(waits, EPOLL_CTL_ADD, event.data.fd, &event) == 0, "epoll_ctl");
  }
  begin();
  for (int open = CONNECTIONS; open > 0;) {
    struct epoll_event events[CONNECTIONS];
    const int ready = epoll_wait(waits, events, CONNECTIONS, -1);
    require(ready >= 0, "epoll_wait");
    for (int i = 0; i < ready; ++i) {
      char octets[MESSAGE];
      const ssize_t size = read(events[i].data.fd, octets, sizeof(octets));
      if (size <= 0) {
        close(events[i].data.fd);
        --open;
      } else {
        put(events[i].data.fd, octets, (size_t)size);
      }
    }
  }
  end();
}

static void run_resolve(long count) {
  begin();
  for (long i = 0; i < count; ++i) {
    char name[64];
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo* found = NULL;
    snprintf(name, sizeof(name), "host%ld.bench.test", i);
    const int error = getaddrinfo(name, "80", &hints, &found);
    if (error != 0) {
      fprintf(stderr, "getaddrinfo: name %ld: %s\n", i, gai_strerror(error));
      exit(1);
    }
    freeaddrinfo(found);
  }
  end();
}

static void run_connect(long count, const char* host, const char* port) {
  begin();
  for (long i = 0; i < count; ++i) {
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo* found = NULL;
    char octet = 'x';
    const int error = getaddrinfo(host, port, &hints, &found);
    if (error != 0) {
      fprintf(stderr, "getaddrinfo: %s\n", gai_strerror(error));
      exit(1);
    }
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    require(fd >= 0, "socket");
    require(connect(fd, found->ai_addr, found->ai_addrlen) == 0, "connect");
    freeaddrinfo(found);
    put(fd, &octet, 1);
    get(fd, &octet, 1);
    close(fd);
  }
  end();
}

static void run_serve(const char* address, int port) {
  struct sockaddr_in bound;
  const int listener = listen_on(address, port, &bound);
  const int waits = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
  require(epoll_ctl(waits, EPOLL_CTL_ADD, listener, &event) == 0, "epoll_ctl");
  puts("serving");
  fflush(stdout);
  for (;;) {
    struct epoll_event events[64];
    const int ready = epoll_wait(waits, events, 64, -1);
    for (int i = 0; i < ready; ++i) {
      const int fd = events[i].data.fd;
      char octets[MESSAGE];
      ssize_t size;
      if (fd == listener) {
        event.data.fd = accept(listener, NULL, NULL);
        require(event.data.fd >= 0, "accept");
        require(epoll_ctl(waits, EPOLL_CTL_ADD, event.data.fd, &event) == 0, "epoll_ctl");
      } else if ((size = read(fd, octets, sizeof(octets))) <= 0 ||
                 write(fd, octets, (size_t)size) != size) {
        close(fd);
      }
    }
  }
}

int main(int argc, char** argv) {
  const char* mode = argc > 2 ? argv[1] : "";
  const long count = argc > 2 ? atol(argv[2]) : 0;
  if (strcmp(mode, "pingpong") == 0) {
    run_pingpong(count);
  } else if (strcmp(mode, "epoll") == 0) {
    run_epoll(count);
  } else if (strcmp(mode, "resolve") == 0) {
    run_resolve(count);
  } else if (strcmp(mode, "connect") == 0 && argc == 5) {
    run_connect(count, argv[3], argv[4]);
  } else if (strcmp(mode, "serve") == 0 && argc == 4) {
    run_serve(argv[2], atoi(argv[3]));
  } else {
    fprintf(stderr,
            "usage: shim_load pingpong|epoll|resolve COUNT | connect COUNT HOST PORT | serve "
            "ADDRESS PORT\n");
    return 2;
  }
  return 0;
}
