// All local ports towards a destination are taken: the gateway's trouble, not the network's. In a
// network namespace of the test's own, where two ports are all there are.
#include <fstream>
#include <future>
#include <net/if.h>
#include <optional>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "socks64/sockaddr.hpp"

#include "rig/process.hpp"
#include "rig/sockets.hpp"

namespace socks64::gateway::test {
namespace {

/// This thread, and what it starts, in a network of its own; false when that is not allowed.
bool enter_own_network() {
  if (::unshare(CLONE_NEWNET) != 0) {
    return false;
  }
  const Descriptor control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq loopback{};
  loopback.ifr_name[0] = 'l';
  loopback.ifr_name[1] = 'o';
  loopback.ifr_flags = IFF_UP;
  return ::ioctl(control.get(), SIOCSIFFLAGS, &loopback) == 0;
}

/// From a port outside the range, so that clients use up none.
Stream connect_from(Port port, const Endpoint& to) {
  Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage name{};
  socklen_t size = to_sockaddr(endpoint("127.0.0.1", port), name);
  EXPECT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&name), size), 0);
  size = to_sockaddr(to, name);
  EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&name), size), 0);
  return Stream(std::move(socket));
}

enum class Outcome { not_allowed, done };

Outcome use_up_ports() {
  if (!enter_own_network()) {
    return Outcome::not_allowed;
  }
  GatewayProcess gateway;
  Destination destination;
  if (!(std::ofstream("/proc/sys/net/ipv4/ip_local_port_range") << "60000 60001" << std::flush)) {
    return Outcome::not_allowed;
  }
  std::vector<Stream> clients;
  std::vector<Stream> servers;
  for (Port port = 50'000; port < 50'002; ++port) {
    clients.push_back(connect_from(port, gateway.listener()));
    EXPECT_EQ(ask(clients.back(), destination.endpoint()).code, 0);
    servers.push_back(destination.accept());
  }
  Stream third = connect_from(50'002, gateway.listener());
  EXPECT_EQ(ask(third, destination.endpoint()).code, 1);
  third.close();
  Fields record = gateway.next_record();
  EXPECT_EQ(record["reason"], "no-resources");
  EXPECT_EQ(record["reply"], "1");
  return Outcome::done;
}

TEST(Ports, UsedUpAreNoRoutingFailure) {
  std::promise<Outcome> promise;
  std::thread inside([&promise] {
    try {
      promise.set_value(use_up_ports());
    } catch (...) {
      promise.set_exception(std::current_exception());
    }
  });
  std::future<Outcome> outcome = promise.get_future();
  inside.join();
  if (outcome.get() == Outcome::not_allowed) {
    GTEST_SKIP() << "NOT RUN: no right to make a network namespace (CAP_SYS_ADMIN), so what "
                    "happens when local ports run out is untested";
  }
}

}  // namespace
}  // namespace socks64::gateway::test
