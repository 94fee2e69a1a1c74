#include "path_load.hpp"

#include <cstring>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rig.hpp"

namespace tried {
namespace {

constexpr int at_once = 32;

class Load {
 public:
  Load(const std::vector<int>& ports, int sessions, bool pipelined)
      : ports_(ports), left_(sessions), to_start_(sessions), pipelined_(pipelined) {
    static unsigned rounds = 0;
    host_ = ++rounds;
    listener_ = listen_on_loopback(port_);
    add(nullptr, listener_);
  }
  ~Load() {
    ::close(listener_);
    ::close(epoll_);
  }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  void run();

 private:
  enum class Stage { greeting, request, echo, destination };
  struct End {
    int fd;
    Stage stage;
  };

  void add(End* end, int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = end;
    check(::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
  }
  void start();
  void step(End& end);
  static void send(int fd, const void* data, std::size_t size) {
    if (::send(fd, data, size, MSG_NOSIGNAL) != static_cast<ssize_t>(size)) {
      give_up("send");
    }
  }

  std::vector<int> ports_;
  int left_, to_start_;
  bool pipelined_;
  unsigned host_ = 0;
  int port_ = 0;
  int listener_ = -1;
  int epoll_ = ::epoll_create1(0);
};

void Load::start() {
  const int port = ports_[static_cast<std::size_t>(to_start_) % ports_.size()];
  --to_start_;
  auto* end = new End{connect_to(loopback(port, host_)), Stage::greeting};
  unsigned char hello[13] = {5, 1, 0, 5, 1, 0, 1};
  const sockaddr_in to = loopback(port_, host_);
  std::memcpy(hello + 7, &to.sin_addr, 4);
  std::memcpy(hello + 11, &to.sin_port, 2);
  send(end->fd, hello, pipelined_ ? 13 : 3);
  add(end, end->fd);
}

void Load::step(End& end) {
  char data[512];
  const ssize_t got = ::recv(end.fd, data, sizeof data, 0);
  switch (end.stage) {
    case Stage::destination:
      if (got <= 0) {
        ::close(end.fd);
        delete &end;
      } else {
        send(end.fd, data, static_cast<std::size_t>(got));
      }
      return;
    case Stage::greeting: {
      if (got < 2) {
        give_up("greeting");
      }
      unsigned char request[10] = {5, 1, 0, 1};
      const sockaddr_in to = loopback(port_, host_);
      std::memcpy(request + 4, &to.sin_addr, 4);
      std::memcpy(request + 8, &to.sin_port, 2);
      if (!pipelined_) {
        send(end.fd, request, sizeof request);
      }
      end.stage = Stage::request;
      if (got < 12) {
        return;
      }
      [[fallthrough]];
    }
    case Stage::request:
      if (got < 10) {
        give_up("reply");
      }
      std::memset(data, 'x', 64);
      send(end.fd, data, 64);
      end.stage = Stage::echo;
      return;
    case Stage::echo:
      if (got != 64) {
        give_up("echo");
      }
      ::close(end.fd);
      delete &end;
      --left_;
      if (to_start_ > 0) {
        start();
      }
      return;
  }
}

void Load::run() {
  for (int i = 0; i < at_once && to_start_ > 0; ++i) {
    start();
  }
  epoll_event events[64];
  while (left_ > 0) {
    const int count = ::epoll_wait(epoll_, events, 64, 10000);
    if (count == 0) {
      give_up("the server is silent");
    }
    for (int i = 0; i < count; ++i) {
      if (auto* end = static_cast<End*>(events[i].data.ptr)) {
        step(*end);
        continue;
      }
      const int fd = ::accept4(listener_, nullptr, nullptr, 0);
      if (fd < 0) {
        continue;
      }
      set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
      add(new End{fd, Stage::destination}, fd);
    }
  }
  // The last ends of destinations.
  for (;;) {
    const int count = ::epoll_wait(epoll_, events, 64, 20);
    if (count <= 0) {
      return;
    }
    for (int i = 0; i < count; ++i) {
      if (auto* end = static_cast<End*>(events[i].data.ptr)) {
        step(*end);
      }
    }
  }
}

}  // namespace

double path_load(const std::vector<int>& ports, int sessions, bool pipelined) {
  Load load(ports, sessions, pipelined);
  double took = 0;
  on_core(load_core, [&] {
    const double begin = now();
    load.run();
    took = now() - begin;
  }).join();
  return took;
}

}  // namespace tried
