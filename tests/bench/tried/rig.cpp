#include "rig.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sstream>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

namespace tried {

void give_up(const char* what) {
  std::fprintf(stderr, "tried_bench: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

bool private_network() {
  if (::unshare(CLONE_NEWNET) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
    return false;
  }
  const int fd = check(::socket(AF_INET, SOCK_DGRAM, 0), "socket");
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  check(::ioctl(fd, SIOCSIFFLAGS, &request), "lo up");
  ::close(fd);
  set_sysctl("net/ipv4/ip_local_port_range", "2048 65000");
  set_sysctl("net/ipv4/tcp_tw_reuse", "1");
  return true;
}

bool set_sysctl(const std::string& name, const std::string& value) {
  std::ofstream file("/proc/sys/" + name);
  file << value << std::flush;
  return file.good();
}

long segments_sent() {
  // Two lines "Tcp:", names and values, in the same order.
  std::ifstream file("/proc/thread-self/net/snmp");
  std::vector<std::string> names;
  for (std::string line; std::getline(file, line);) {
    if (line.compare(0, 4, "Tcp:") != 0) {
      continue;
    }
    std::istringstream words(line);
    std::vector<std::string> values{std::istream_iterator<std::string>(words), {}};
    if (names.empty()) {
      names = values;
      continue;
    }
    const auto at = std::find(names.begin(), names.end(), "OutSegs") - names.begin();
    return std::stol(values.at(static_cast<std::size_t>(at)));
  }
  return 0;
}

void pin(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(core), &set);
  static_cast<void>(::sched_setaffinity(0, sizeof set, &set));  // one core: then they share it
}

std::thread on_core(int core, std::function<void()> work) {
  return std::thread([core, work = std::move(work)] {
    pin(core);
    work();
  });
}

namespace {
double seconds(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}
}  // namespace

double thread_cpu() {
  return seconds(CLOCK_THREAD_CPUTIME_ID);
}
double now() {
  return seconds(CLOCK_MONOTONIC);
}

void set(int fd, int level, int option, int value) {
  check(::setsockopt(fd, level, option, &value, sizeof value), "setsockopt");
}

sockaddr_in loopback(int port, unsigned host) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + host % 250 + host / 250 % 250 * 256);
  return address;
}

int listen_on_loopback(int& port) {
  const int fd = check(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), "socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  socklen_t size = sizeof address;
  set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  check(::bind(fd, reinterpret_cast<sockaddr*>(&address), size), "bind");
  check(::listen(fd, 4096), "listen");
  check(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  port = ntohs(address.sin_port);
  return fd;
}

int connect_to(const sockaddr_in& address) {
  const int fd = check(::socket(AF_INET, SOCK_STREAM, 0), "socket");
  set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  check(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), "connect");
  return fd;
}

Pair tcp_pair() {
  int port = 0;
  const int listener = listen_on_loopback(port);
  Pair pair{};
  pair.far = connect_to(loopback(port));
  pair.near = check(::accept(listener, nullptr, nullptr), "accept");
  set(pair.near, IPPROTO_TCP, TCP_NODELAY, 1);
  ::close(listener);
  return pair;
}

Spread spread(std::vector<double> values) {
  if (values.empty()) {
    return {};
  }
  std::sort(values.begin(), values.end());
  const auto at = [&](double part) {
    return values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1) + 0.5)];
  };
  return {at(0.5), at(0.25), at(0.75)};
}

void measure(const Options& options, const std::string& title,
             const std::vector<std::string>& columns, std::vector<Row>& rows) {
  const auto skipped = [&](const Row& row) {
    return !options.only.empty() && row.name.find(options.only) == std::string::npos;
  };
  const double begin = now();
  int rounds = 0;
  for (int round = -1; round < options.rounds; ++round) {
    const double took = now() - begin;
    if (round > 0 && took + took / (round + 1) > options.seconds) {
      break;
    }
    rounds = round + 1;
    for (Row& row : rows) {
      if (skipped(row)) {
        continue;
      }
      std::vector<double> figures = row.run();
      if (round >= 0) {
        row.rounds.push_back(std::move(figures));
      }
    }
  }
  std::printf("\n%s (medians of %d)\n\n| %-44s |", title.c_str(), rounds, "");
  for (const std::string& column : columns) {
    std::printf(" %s |", column.c_str());
  }
  std::printf("\n|---|");
  for (std::size_t i = 0; i < columns.size(); ++i) {
    std::printf("---|");
  }
  std::printf("\n");
  for (const Row& row : rows) {
    if (row.rounds.empty()) {
      continue;
    }
    std::printf("| %-44s |", row.name.c_str());
    for (std::size_t i = 0; i < columns.size(); ++i) {
      std::vector<double> values;
      for (const auto& round : row.rounds) {
        values.push_back(round.at(i));
      }
      const Spread figure = spread(values);
      const char* format = figure.median >= 100 ? "%.0f" : figure.median >= 1 ? "%.2f" : "%.3f";
      std::printf(" ");
      std::printf(format, figure.median);
      if (columns[i].back() == '*') {
        std::printf(" (");
        std::printf(format, figure.low);
        std::printf("–");
        std::printf(format, figure.high);
        std::printf(")");
      }
      std::printf(" |");
    }
    std::printf("\n");
  }
  std::fflush(stdout);
}

}  // namespace tried
