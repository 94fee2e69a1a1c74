// Who accepts: each worker from one listener, each from its own, or a thread of its own that hands
// connections over. And what a line of log costs when another thread writes it.
#include <algorithm>
#include <condition_variable>
#include <fcntl.h>
#include <mutex>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "path_load.hpp"
#include "path_server.hpp"
#include "rig.hpp"

namespace tried {
namespace {

constexpr int sessions = 1500;

int open_listener(int& port, bool shared_port) {
  const int fd = check(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), "socket");
  if (shared_port) {
    set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  }
  set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  sockaddr_in address = loopback(port);
  address.sin_addr.s_addr = htonl(INADDR_ANY);  // of a network that nobody else is in
  socklen_t size = sizeof address;
  check(::bind(fd, reinterpret_cast<sockaddr*>(&address), size), "bind");
  check(::listen(fd, 4096), "listen");
  check(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  port = ntohs(address.sin_port);
  return fd;
}

enum class Way { one, exclusive, all_woken, own, own_by_cpu, handed_over };

/// CPU µs a session of all server threads, sessions/s, and the busiest worker's share.
std::vector<double> once(Way way, int workers) {
  int port = 0;
  std::vector<int> listeners;
  const bool own = way == Way::own || way == Way::own_by_cpu;
  for (int i = 0; i < (own ? workers : 1); ++i) {
    listeners.push_back(open_listener(port, own));
    if (way == Way::own_by_cpu) {
      set(listeners.back(), SOL_SOCKET, SO_INCOMING_CPU, i);
    }
  }
  std::vector<std::unique_ptr<PathServer>> servers;
  for (int i = 0; i < workers; ++i) {
    const int listener = listeners[own ? static_cast<std::size_t>(i) : 0];
    const unsigned flags = way == Way::exclusive ? +EPOLLEXCLUSIVE : 0;
    servers.push_back(
        std::make_unique<PathServer>(Ways{}, way == Way::handed_over ? -1 : listener, flags));
  }
  double accepting_cpu = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < workers; ++i) {
    threads.push_back(on_core(i, [&, i] { servers[static_cast<std::size_t>(i)]->serve(); }));
  }
  const int end = check(::eventfd(0, 0), "eventfd");
  if (way == Way::handed_over) {
    threads.push_back(on_core(server_core, [&] {
      const int epoll = check(::epoll_create1(0), "epoll_create");
      for (const int fd : {listeners[0], end}) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = fd;
        check(::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
      }
      std::size_t next = 0;
      for (;;) {
        epoll_event event{};
        if (::epoll_wait(epoll, &event, 1, -1) == 1 && event.data.fd == end) {
          break;
        }
        for (;;) {
          const int fd = ::accept4(listeners[0], nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
          if (fd < 0) {
            break;
          }
          servers[next++ % servers.size()]->give(fd);
        }
      }
      ::close(epoll);
      accepting_cpu = thread_cpu();
    }));
  }
  const double took = path_load({port}, sessions, false);
  for (auto& server : servers) {
    server->stop();
  }
  check(::eventfd_write(end, 1), "eventfd");
  for (std::thread& thread : threads) {
    thread.join();
  }
  double cpu = accepting_cpu;
  int most = 0;
  for (const auto& server : servers) {
    cpu += server->cpu();
    most = std::max(most, server->ended());
  }
  for (const int fd : listeners) {
    ::close(fd);
  }
  ::close(end);
  return {cpu / sessions * 1e6, sessions / took, 100.0 * most / sessions};
}

/// A thread that takes lines: woken for each, or looking every ten milliseconds.
std::vector<double> logging(bool wake, bool look) {
  const int sink = check(::open("/dev/null", O_WRONLY | O_CLOEXEC), "/dev/null");
  std::mutex mutex;
  std::condition_variable bell;
  std::string lines;
  bool over = false;
  double writer_cpu = 0;
  std::thread writer = on_core(server_core, [&] {
    std::string taken;
    for (std::unique_lock lock(mutex); !over || !lines.empty();) {
      if (look) {
        bell.wait_for(lock, std::chrono::milliseconds(10), [&] { return over; });
      } else {
        bell.wait(lock, [&] { return over || !lines.empty(); });
      }
      taken.clear();
      taken.swap(lines);
      lock.unlock();
      if (!taken.empty() && ::write(sink, taken.data(), taken.size()) < 0) {
        give_up("write");
      }
      lock.lock();
    }
    writer_cpu = thread_cpu();
  });
  PathServer server{Ways{}};
  if (wake || look) {
    server.at_end = [&] {
      const std::string line(250, 'x');
      {
        const std::lock_guard lock(mutex);
        lines += line;
      }
      if (wake) {
        bell.notify_one();
      }
    };
  }
  std::thread serving = on_core(server_core, [&] { server.serve(); });
  const double took = path_load({server.port()}, sessions, false);
  server.stop();
  serving.join();
  {
    const std::lock_guard lock(mutex);
    over = true;
  }
  bell.notify_one();
  writer.join();
  ::close(sink);
  return {(server.cpu() + writer_cpu) / sessions * 1e6, sessions / took, 100};
}

}  // namespace

void accept_sharing(const Options& options) {
  std::vector<Row> rows;
  rows.push_back({"one worker that accepts", [] { return once(Way::one, 1); }});
  rows.push_back({"... with EPOLLEXCLUSIVE", [] { return once(Way::exclusive, 1); }});
  rows.push_back(
      {"one worker, accepting thread, eventfd", [] { return once(Way::handed_over, 1); }});
  rows.push_back({"two workers, both woken", [] { return once(Way::all_woken, 2); }});
  rows.push_back({"two workers, EPOLLEXCLUSIVE", [] { return once(Way::exclusive, 2); }});
  rows.push_back({"two workers, SO_REUSEPORT", [] { return once(Way::own, 2); }});
  rows.push_back({"... and SO_INCOMING_CPU", [] { return once(Way::own_by_cpu, 2); }});
  rows.push_back(
      {"two workers, accepting thread, eventfd", [] { return once(Way::handed_over, 2); }});
  rows.push_back({"no log", [] { return logging(false, false); }});
  rows.push_back({"a line a session, its writer woken", [] { return logging(true, false); }});
  rows.push_back({"a line a session, looked for every 10 ms", [] { return logging(false, true); }});
  measure(options, "Who accepts, and who logs (CPU of all server threads)",
          {"CPU µs*", "connections/s", "busiest worker's %"}, rows);
}

}  // namespace tried
