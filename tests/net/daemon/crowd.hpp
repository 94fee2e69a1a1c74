// Many clients at once, and what the gateway spends on them.
#ifndef SOCKS64_TESTS_NET_GATEWAY_CROWD_HPP
#define SOCKS64_TESTS_NET_GATEWAY_CROWD_HPP

#include <atomic>
#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "rig/process.hpp"
#include "rig/sockets.hpp"

namespace socks64::gateway::test {

/// Puts this process into a network of its own, where nothing but loopback is: requests that chance
/// has made lead nowhere. Before any thread is started. Empty, or why it is not possible.
std::string enter_empty_network();

/// Set by SOCKS64_TEST_HEAVY=1: the whole number instead of a tenth or less.
[[nodiscard]] bool heavy();

/// A client's socket from that address of ours, on its way: the connect is not waited for.
[[nodiscard]] Descriptor begin_connect(std::string_view from, const Endpoint& to);

/// A destination that sends back what it gets.
class EchoServer {
 public:
  EchoServer();
  ~EchoServer();
  EchoServer(const EchoServer&) = delete;
  EchoServer& operator=(const EchoServer&) = delete;
  [[nodiscard]] Endpoint endpoint() const { return destination_.endpoint(); }

 private:
  Destination destination_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

struct Latency {
  std::chrono::microseconds p50{0};
  std::chrono::microseconds p99{0};
  std::chrono::microseconds most{0};
  std::size_t samples = 0;
  std::size_t failures = 0;
};
/// Connect, handshake, one echo, close; one after the other for as long as that.
Latency measure(const Endpoint& gateway, const Endpoint& echo, std::chrono::milliseconds length);
void print(std::string_view what, const Latency& latency);

/// Resident memory of a process, in octets.
[[nodiscard]] std::size_t resident(pid_t pid);
/// User and system time of all its threads.
[[nodiscard]] std::chrono::milliseconds cpu_time(pid_t pid);

/// Waits until the gateway has no more descriptors than `before`; false when it keeps them.
[[nodiscard]] bool settles(const GatewayProcess& gateway, std::size_t before);

}  // namespace socks64::gateway::test

#endif
