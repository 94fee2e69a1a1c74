#include "rig/own_network.hpp"

#include <cstring>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <thread>

#include "base/descriptor.hpp"

namespace socks64::gateway::test {
namespace {

bool enter(int mtu) {
  if (::unshare(CLONE_NEWNET) != 0) {
    return false;
  }
  const Descriptor control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq loopback{};
  std::strcpy(loopback.ifr_name, "lo");
  loopback.ifr_mtu = mtu;
  if (::ioctl(control.get(), SIOCSIFMTU, &loopback) != 0) {
    return false;
  }
  loopback.ifr_flags = IFF_UP;
  return ::ioctl(control.get(), SIOCSIFFLAGS, &loopback) == 0;
}

}  // namespace

bool in_own_network(int mtu, const std::function<void()>& body) {
  bool entered = false;
  std::thread([&] {
    entered = enter(mtu);
    if (entered) {
      body();
    }
  }).join();
  return entered;
}

}  // namespace socks64::gateway::test
