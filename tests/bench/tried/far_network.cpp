#include "far_network.hpp"

#include <arpa/inet.h>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <vector>

namespace tried {
namespace {

bool shell(const std::string& command) {
  return std::system((command + " 2>/dev/null").c_str()) == 0;
}

bool bring_up(const std::string& device, const char* address) {
  return shell("ip address add " + std::string(address) + "/24 dev " + device) &&
         shell("ip link set " + device + " up");
}

int open_tun(const char* name) {
  const int fd = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    return -1;
  }
  ifreq request{};
  std::strcpy(request.ifr_name, name);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (::ioctl(fd, TUNSETIFF, &request) == 0) {
    return fd;
  }
  ::close(fd);
  return -1;
}

}  // namespace

FarNetwork::FarNetwork(Cable cable, double delay) {
  thread_ = std::thread([this] { run(); });
  bool ready = false;
  over_there([&] {
    ready = ::unshare(CLONE_NEWNET) == 0 && shell("ip link set lo up");
    id_ = ::gettid();
  });
  if (!ready) {
    return;
  }
  if (cable == Cable::veth) {
    if (!shell("ip link add tried0 type veth peer name tried1 netns " + std::to_string(id_))) {
      return;
    }
    reached_ = bring_up("tried0", "10.77.0.1");
    over_there([&] { reached_ = bring_up("tried1", "10.77.0.2") && reached_; });
    return;
  }
  const int here = open_tun("tried0");
  int there = -1;
  over_there([&] {
    there = open_tun("tried1");
    reached_ = there >= 0 && bring_up("tried1", "10.77.0.2");
  });
  reached_ = here >= 0 && reached_ && bring_up("tried0", "10.77.0.1");
  if (!reached_) {
    return;
  }
  check(::pipe2(stop_, O_CLOEXEC), "pipe");
  carrier_ = on_core(load_core, [this, here, there, delay] { carry(here, there, delay); });
}

FarNetwork::~FarNetwork() {
  if (carrier_.joinable()) {
    ::close(stop_[1]);
    carrier_.join();
    ::close(stop_[0]);
  }
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
  thread_.join();
  shell("ip link delete tried0");
}

void FarNetwork::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return over_ || work_ != nullptr; });
    if (over_) {
      return;
    }
    (*work_)();
    work_ = nullptr;
    changed_.notify_all();
  }
}

void FarNetwork::over_there(const std::function<void()>& work) {
  std::unique_lock lock(mutex_);
  work_ = &work;
  changed_.notify_all();
  changed_.wait(lock, [&] { return work_ == nullptr; });
}

sockaddr_in FarNetwork::address(int port) {
  sockaddr_in result = loopback(port);
  ::inet_pton(AF_INET, "10.77.0.2", &result.sin_addr);
  return result;
}

/// Packets wait here as long as a cable of that length would take.
void FarNetwork::carry(int here, int there, double delay) const {
  struct Packet {
    double due;
    int to;
    std::vector<char> octets;
  };
  std::deque<Packet> packets;
  char room[65536];
  for (;;) {
    const double wait = packets.empty() ? 1 : packets.front().due - now();
    pollfd ask[] = {{here, POLLIN, 0}, {there, POLLIN, 0}, {stop_[0], POLLIN, 0}};
    const timespec time{0, static_cast<long>(wait > 0 ? wait * 1e9 * 0.999 : 0)};
    if (wait > 0) {
      ::ppoll(ask, 3, &time, nullptr);
    }
    if ((ask[2].revents & (POLLIN | POLLHUP)) != 0) {
      break;
    }
    for (const int from : {here, there}) {
      ssize_t size = 0;
      while ((size = ::read(from, room, sizeof room)) > 0) {
        packets.push_back({now() + delay, from == here ? there : here, {room, room + size}});
      }
    }
    while (!packets.empty() && packets.front().due <= now()) {
      const Packet& packet = packets.front();
      static_cast<void>(::write(packet.to, packet.octets.data(), packet.octets.size()));
      packets.pop_front();
    }
  }
  ::close(here);
  ::close(there);
}

}  // namespace tried
