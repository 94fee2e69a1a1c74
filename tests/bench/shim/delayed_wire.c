/* A wire between two network namespaces on which every packet travels for a fixed time.
 *
 *   delayed_wire MS    MS: one way, in milliseconds
 *
 * One end is a TUN interface `wire` in the caller's namespace, the other one `wire` in a namespace
 * of its own, which lives as long as this process: /proc/PID/ns/net. Prints "laid" once both are
 * there; addresses and routes are the caller's to add.
 *
 * What it models: latency, and nothing else. Whole IP packets are held, SYN and ACK too, so both
 * kernels speak TCP as they would over a long line; nothing is lost, reordered or limited in rate
 * (except that a packet is dropped when 4,096 are under way). A proxy that held octets would not
 * do: the kernel would have accepted the connection before it could. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { PLACES = 4096, LARGEST = 2048 };

struct Packet {
  int64_t due;
  ssize_t size;
  char octets[LARGEST];
};

/* One direction: first in, first out, since all travel for the same time. */
struct Direction {
  int from;
  int to;
  unsigned first;
  unsigned count;
  struct Packet* packets;
};

static void require(int holds, const char* what) {
  if (!holds) {
    perror(what);
    exit(1);
  }
}

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int open_end(void) {
  struct ifreq request;
  const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  require(fd >= 0, "/dev/net/tun");
  memset(&request, 0, sizeof(request));
  strcpy(request.ifr_name, "wire");
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  require(ioctl(fd, TUNSETIFF, &request) == 0, "TUNSETIFF");
  return fd;
}

static void take_in(struct Direction* way, int64_t delay) {
  for (;;) {
    struct Packet spare;
    const int full = way->count == PLACES;
    struct Packet* packet = full ? &spare : &way->packets[(way->first + way->count) % PLACES];
    packet->size = read(way->from, packet->octets, sizeof(packet->octets));
    if (packet->size <= 0) {
      return;
    }
    packet->due = now() + delay;
    way->count += full ? 0 : 1;
  }
}

static void let_out(struct Direction* way) {
  while (way->count > 0 && way->packets[way->first].due <= now()) {
    const struct Packet* packet = &way->packets[way->first];
    if (write(way->to, packet->octets, (size_t)packet->size) < 0) {
      /* The other end is not up, or its queue is full: lost, as on any wire. */
    }
    way->first = (way->first + 1) % PLACES;
    --way->count;
  }
}

int main(int argc, char** argv) {
  const double milliseconds = argc == 2 ? atof(argv[1]) : -1;
  if (milliseconds < 0) {
    fprintf(stderr, "usage: delayed_wire MS\n");
    return 2;
  }
  const int64_t delay = (int64_t)(milliseconds * 1e6);
  const int here = open_end();
  require(unshare(CLONE_NEWNET) == 0, "unshare");
  const int there = open_end();
  prctl(PR_SET_TIMERSLACK, 1UL);
  const struct sched_param first = {1};
  sched_setscheduler(0, SCHED_FIFO, &first); /* where it may: a late wire is a longer wire */
  prctl(PR_SET_PDEATHSIG, 9UL);
  struct Direction ways[2] = {{here, there, 0, 0, NULL}, {there, here, 0, 0, NULL}};
  for (int i = 0; i < 2; ++i) {
    ways[i].packets = calloc(PLACES, sizeof(struct Packet));
    require(ways[i].packets != NULL, "memory");
  }
  puts("laid");
  fflush(stdout);
  for (;;) {
    struct pollfd ends[2] = {{here, POLLIN, 0}, {there, POLLIN, 0}};
    int64_t left = -1;
    for (int i = 0; i < 2; ++i) {
      if (ways[i].count > 0) {
        const int64_t until = ways[i].packets[ways[i].first].due - now();
        left = left < 0 || until < left ? (until > 0 ? until : 0) : left;
      }
    }
    const struct timespec timeout = {left / 1000000000, left % 1000000000};
    ppoll(ends, 2, left < 0 ? NULL : &timeout, NULL);
    for (int i = 0; i < 2; ++i) {
      take_in(&ways[i], delay);
      let_out(&ways[i]);
    }
  }
}
