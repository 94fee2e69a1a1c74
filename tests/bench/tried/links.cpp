#include "links.hpp"

#include <algorithm>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

namespace tried {
namespace {

double process_cpu() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/// The sockets of all links, and the peers' ends of them.
struct Links {
  explicit Links(int count, const MakePair& pair) {
    for (int i = 0; i < count; ++i) {
      clients.push_back(pair());
      destinations.push_back(pair());
      links.push_back({clients.back().near, destinations.back().near});
    }
  }
  ~Links() {
    for (const Pair& pair : clients) {
      ::close(pair.near), ::close(pair.far);
    }
    for (const Pair& pair : destinations) {
      ::close(pair.near), ::close(pair.far);
    }
  }
  Links(const Links&) = delete;
  Links& operator=(const Links&) = delete;

  std::vector<Pair> clients, destinations;
  std::vector<Link> links;
};

struct Cost {
  double cpu = 0;
  double seconds = 0;
};

/// What the process spends without the load's threads: io_uring's workers are ours, too.
Cost run(const Engine& engine, const Links& links,
         const std::vector<std::function<void()>>& peers) {
  std::vector<double> load(peers.size());
  std::vector<std::thread> threads;
  const double cpu = process_cpu();
  const double begin = now();
  std::thread relay = on_core(server_core, [&] { engine(links.links); });
  for (std::size_t i = 0; i < peers.size(); ++i) {
    threads.push_back(on_core(load_core, [&, i] {
      peers[i]();
      load[i] = thread_cpu();
    }));
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  const double seconds = now() - begin;
  relay.join();
  double spent = process_cpu() - cpu;
  for (const double one : load) {
    spent -= one;
  }
  return {spent, seconds};
}

/// Keeps one message in flight on each link, and echoes.
class Pinger {
 public:
  Pinger(const Links& links, std::size_t message, int count, double pause)
      : message_(message), left_(count), pause_(pause), data_(message, 'x') {
    for (const Pair& pair : links.clients) {
      add(pair.far, true);
    }
    for (const Pair& pair : links.destinations) {
      add(pair.far, false);
    }
  }
  void run();
  std::vector<double> times;

 private:
  struct End {
    int fd;
    bool asks;
    std::size_t missing = 0;
    double since = 0;
  };
  void add(int fd, bool asks) { ends_.push_back({fd, asks}); }
  void ask(End& end) {
    --left_;
    end.missing = message_;
    end.since = now();
    send(end.fd, message_);
  }
  void send(int fd, std::size_t size) {
    if (::send(fd, data_.data(), size, MSG_NOSIGNAL) != static_cast<ssize_t>(size)) {
      give_up("send");
    }
  }
  void woken(End& end);

  std::size_t message_;
  int left_;
  double pause_;
  int waiting_ = 0;
  std::vector<char> data_;
  std::vector<End> ends_;
};

void Pinger::woken(End& end) {
  char room[1 << 16];
  const ssize_t got = ::recv(end.fd, room, sizeof room, MSG_DONTWAIT);
  if (got <= 0) {
    give_up("recv of a peer");
  }
  if (!end.asks) {
    send(end.fd, static_cast<std::size_t>(got));
    return;
  }
  end.missing -= static_cast<std::size_t>(got);
  if (end.missing > 0) {
    return;
  }
  times.push_back(now() - end.since);
  if (pause_ > 0) {
    timespec nap{0, static_cast<long>(pause_ * 1e9)};
    ::nanosleep(&nap, nullptr);
  }
  if (left_ > 0) {
    ask(end);
  } else {
    --waiting_;
  }
}

void Pinger::run() {
  const int epoll = check(::epoll_create1(0), "epoll_create");
  for (End& end : ends_) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &end;
    check(::epoll_ctl(epoll, EPOLL_CTL_ADD, end.fd, &event), "epoll_ctl");
  }
  for (End& end : ends_) {
    if (!end.asks) {
      continue;
    }
    ++waiting_;
    ask(end);
  }
  epoll_event events[128];
  while (waiting_ > 0) {
    const int count = ::epoll_wait(epoll, events, 128, 10000);
    if (count == 0) {
      give_up("the relay is silent");
    }
    for (int i = 0; i < count; ++i) {
      woken(*static_cast<End*>(events[i].data.ptr));
    }
  }
  ::close(epoll);
  for (const End& end : ends_) {
    ::shutdown(end.fd, SHUT_WR);
  }
}

}  // namespace

std::vector<double> bulk(const Engine& engine, int streams, std::size_t octets,
                         const MakePair& pair) {
  const Links links(streams, pair);
  const std::size_t each = octets / static_cast<std::size_t>(streams);
  std::vector<std::function<void()>> peers;
  for (int i = 0; i < streams; ++i) {
    const int source = links.clients[static_cast<std::size_t>(i)].far;
    const int sink = links.destinations[static_cast<std::size_t>(i)].far;
    peers.emplace_back([source, each] {
      const std::vector<char> data(256 << 10, 'x');
      for (std::size_t sent = 0; sent < each;) {
        const ssize_t n =
            ::send(source, data.data(), std::min(data.size(), each - sent), MSG_NOSIGNAL);
        if (n <= 0) {
          give_up("send");
        }
        sent += static_cast<std::size_t>(n);
      }
      ::shutdown(source, SHUT_WR);
    });
    peers.emplace_back([sink, each] {
      std::size_t got = 0;
      char none = 0;
      // MSG_TRUNC drops in the kernel: the reader is to cost as little as possible.
      for (ssize_t n = 1; n > 0; got += static_cast<std::size_t>(n)) {
        n = std::max<ssize_t>(0, ::recv(sink, &none, 1 << 20, MSG_TRUNC));
      }
      if (got != each) {
        give_up("octets are missing");
      }
      ::shutdown(sink, SHUT_WR);
    });
  }
  const Cost cost = run(engine, links, peers);
  const double gigabytes = static_cast<double>(each) * streams * 1e-9;
  return {cost.cpu / gigabytes, gigabytes / cost.seconds};
}

std::vector<double> ping(const Engine& engine, int streams, std::size_t message, int count,
                         double pause, const MakePair& pair) {
  const Links links(streams, pair);
  Pinger pinger(links, message, count, pause);
  const Cost cost = run(engine, links, {[&] { pinger.run(); }});
  const double messages = 2.0 * count;
  std::sort(pinger.times.begin(), pinger.times.end());
  return {cost.cpu / messages * 1e6, messages / cost.seconds,
          pinger.times.at(pinger.times.size() / 2) * 1e6,
          pinger.times.at(pinger.times.size() * 99 / 100) * 1e6};
}

}  // namespace tried
