#include "crowd.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sstream>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "socks64/sockaddr.hpp"

namespace socks64::gateway::test {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;
using std::chrono::milliseconds;

std::string enter_empty_network() {
  if (::unshare(CLONE_NEWNET) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
    return std::string("no network namespace of our own: ") + std::strerror(errno);
  }
  const Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq loopback{};
  std::strcpy(loopback.ifr_name, "lo");
  loopback.ifr_flags = IFF_UP;
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &loopback) != 0) {
    return std::string("loopback stays down: ") + std::strerror(errno);
  }
  return {};
}

bool heavy() {
  const char* set = std::getenv("SOCKS64_TEST_HEAVY");
  return set != nullptr && std::string_view(set) == "1";
}

Descriptor begin_connect(std::string_view from, const Endpoint& to) {
  Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_storage name{};
  socklen_t size = to_sockaddr(endpoint(from, 0), name);
  // The port with the connect: otherwise it would be taken for all destinations.
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  (void)::bind(socket.get(), reinterpret_cast<const sockaddr*>(&name), size);
  size = to_sockaddr(to, name);
  (void)::connect(socket.get(), reinterpret_cast<const sockaddr*>(&name), size);
  return socket;
}

EchoServer::EchoServer() {
  thread_ = std::thread([this] {
    std::vector<Descriptor> peers;
    while (!stop_) {
      std::vector<pollfd> ready{{destination_.fd(), POLLIN, 0}};
      for (const Descriptor& peer : peers) {
        ready.push_back({peer.get(), POLLIN, 0});
      }
      ::poll(ready.data(), ready.size(), -1);
      for (std::size_t i = peers.size(); i > 0; --i) {
        if (ready[i].revents == 0) {
          continue;
        }
        char octets[4096];
        const ssize_t got = ::recv(peers[i - 1].get(), octets, sizeof octets, 0);
        if (got > 0 && ::send(peers[i - 1].get(), octets, static_cast<std::size_t>(got),
                              MSG_NOSIGNAL | MSG_DONTWAIT) == got) {
          continue;
        }
        peers.erase(peers.begin() + static_cast<std::ptrdiff_t>(i - 1));
      }
      if (ready[0].revents != 0) {
        peers.emplace_back(::accept4(destination_.fd(), nullptr, nullptr, SOCK_CLOEXEC));
      }
    }
  });
}

EchoServer::~EchoServer() {
  stop_ = true;
  try {
    (void)Stream::connect(endpoint());
  } catch (...) {
    std::abort();  // the thread cannot be ended
  }
  thread_.join();
}

Latency measure(const Endpoint& gateway, const Endpoint& echo, milliseconds length) {
  Latency result;
  std::vector<microseconds> times;
  for (const auto until = Clock::now() + length; Clock::now() < until;) {
    const auto begin = Clock::now();
    bool good = false;
    try {
      Stream client = Stream::connect(gateway);
      client.send(greeting_none + request(echo) + "!");
      good = receive_answer(client).code == 0 && client.receive(1) == "!";
    } catch (const std::exception&) {
      good = false;
    }
    times.push_back(std::chrono::duration_cast<microseconds>(Clock::now() - begin));
    result.failures += good ? 0U : 1U;
    const pollfd nothing{-1, 0, 0};
    pollfd pause = nothing;
    ::poll(&pause, 1, 2);  // a user, not a flood
  }
  std::sort(times.begin(), times.end());
  result.samples = times.size();
  result.p50 = times[times.size() / 2];
  result.p99 = times[times.size() * 99 / 100];
  result.most = times.back();
  return result;
}

void print(std::string_view what, const Latency& latency) {
  std::printf("%.*s: p50 %.2f ms, p99 %.2f ms, max %.2f ms, %zu samples, %zu failures\n",
              static_cast<int>(what.size()), what.data(),
              static_cast<double>(latency.p50.count()) / 1000,
              static_cast<double>(latency.p99.count()) / 1000,
              static_cast<double>(latency.most.count()) / 1000, latency.samples, latency.failures);
}

std::size_t resident(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
  std::size_t all = 0;
  std::size_t pages = 0;
  file >> all >> pages;
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

milliseconds cpu_time(pid_t pid) {
  std::uint64_t nanoseconds = 0;
  const std::filesystem::path threads = "/proc/" + std::to_string(pid) + "/task";
  for (const auto& thread : std::filesystem::directory_iterator(threads)) {
    std::ifstream file(thread.path() / "schedstat");
    std::uint64_t own = 0;
    file >> own;
    nanoseconds += own;
  }
  return milliseconds(nanoseconds / 1'000'000);
}

bool settles(const GatewayProcess& gateway, std::size_t before) {
  const auto until = Clock::now() + patience;
  while (gateway.open_descriptors() > before) {
    if (Clock::now() > until) {
      return false;
    }
    std::this_thread::sleep_for(milliseconds(5));
  }
  return true;
}

}  // namespace socks64::gateway::test
