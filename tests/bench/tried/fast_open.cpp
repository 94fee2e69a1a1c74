// TCP Fast Open (RFC 7413): round trips over a slow cable, and what connect() can still tell.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "far_network.hpp"

namespace tried {
namespace {

constexpr double delay = 0.010;  // each way

/// A server that answers as SOCKS does: 2 octets to the first segment, 10 to each later one.
void serve(int listener, int connections) {
  for (int i = 0; i < connections; ++i) {
    const int fd = check(::accept(listener, nullptr, nullptr), "accept");
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    char data[64];
    std::size_t answer = 2;
    while (::recv(fd, data, sizeof data, 0) > 0) {
      check(static_cast<int>(::send(fd, "\5\0\0\1\0\0\0\0\0\0", answer, MSG_NOSIGNAL)), "send");
      answer = 10;
    }
    ::close(fd);
  }
}

/// Milliseconds from connect() to the reply to the request. `messages`: 2, greeting then request;
/// 1, both at once.
double exchange(const sockaddr_in& to, bool fast, int messages) {
  const int fd = check(::socket(AF_INET, SOCK_STREAM, 0), "socket");
  set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  if (fast) {
    set(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
  }
  const double begin = now();
  check(::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to), "connect");
  for (int i = 0; i < messages; ++i) {
    char data[64] = {5, 1, 0};
    if (::send(fd, data, 3, MSG_NOSIGNAL) != 3 || ::recv(fd, data, sizeof data, 0) <= 0) {
      give_up("exchange");
    }
  }
  const double took = now() - begin;
  ::close(fd);
  return took * 1e3;
}

/// What a gateway would see of a destination that refuses, or that speaks first.
void show_what_connect_tells(FarNetwork& far, int port, int listener) {
  const sockaddr_in to = FarNetwork::address(port);
  const auto dial = [&] {
    const int fd = check(::socket(AF_INET, SOCK_STREAM, 0), "socket");
    set(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
    return fd;
  };
  int fd = dial();
  ::usleep(100'000);  // until the last connection's segments are through
  const long segments = segments_sent();
  int result = ::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  ::usleep(100'000);
  std::printf("\nTo a port that listens: connect() = %d, segments sent in 100 ms: %ld\n", result,
              segments_sent() - segments);
  ::close(fd);
  far.over_there([&] { ::close(listener); });
  fd = dial();
  result = ::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  char data[4] = {5};
  const ssize_t sent = ::send(fd, data, 3, MSG_NOSIGNAL);
  const int of_send = errno;
  const ssize_t got = ::recv(fd, data, sizeof data, 0);
  std::printf("To a port that refuses: connect() = %d, then send() = %zd%s%s, recv() = %zd (%s)\n",
              result, sent, sent < 0 ? " " : "", sent < 0 ? std::strerror(of_send) : "", got,
              std::strerror(errno));
  ::close(fd);
}

}  // namespace

void fast_open(const Options& options) {
  FarNetwork far(FarNetwork::Cable::slow, delay);
  bool permitted = set_sysctl("net/ipv4/tcp_fastopen", "3");
  int port = 0;
  int listener = -1;
  const int connections = (options.rounds + 1) * 4;
  far.over_there([&] {
    permitted = set_sysctl("net/ipv4/tcp_fastopen", "3") && permitted;
    listener = listen_on_loopback(port);
  });
  if (!far.reached() || !permitted) {
    std::printf("\nTCP Fast Open: no slow cable, or not permitted on this machine\n");
    if (listener >= 0) {
      ::close(listener);
    }
    return;
  }
  set(listener, IPPROTO_TCP, TCP_FASTOPEN, 64);
  check(::fcntl(listener, F_SETFL, 0), "fcntl");
  std::thread server = on_core(server_core, [&] { serve(listener, connections + 1); });
  const sockaddr_in to = FarNetwork::address(port);
  exchange(to, true, 1);  // fetches the cookie
  std::vector<Row> rows;
  for (const int messages : {2, 1}) {
    for (const bool fast : {false, true}) {
      rows.push_back({std::string(messages == 2 ? "greeting, then request" : "both at once") +
                          (fast ? ", Fast Open" : ""),
                      [=] {
                        const long segments = segments_sent();
                        const double took = exchange(to, fast, messages);
                        return std::vector<double>{took, took / (2e3 * delay),
                                                   static_cast<double>(segments_sent() - segments)};
                      }});
    }
  }
  Options all = options;
  all.seconds = 1e9;  // the server counts on every round
  all.only.clear();
  measure(all, "TCP Fast Open to a server 20 ms away (round trip), cookie known",
          {"ms*", "round trips", "client's segments"}, rows);
  server.join();
  show_what_connect_tells(far, port, listener);
}

}  // namespace tried
