// gatewayd's configuration file: whatever it holds, it is taken whole or refused with lines that
// name the place, in printable ASCII; and what is taken is within the bounds that the rest of the
// gateway relies on.
#include <algorithm>
#include <chrono>
#include <string_view>

#include "config/config.hpp"
#include "fuzz.hpp"

namespace {

using namespace socks64;
using namespace std::chrono_literals;
using fuzz::require;

void check_problem(std::string_view problem) {
  require(problem.substr(0, 5) == "file:");
  require(std::all_of(problem.begin(), problem.end(),
                      [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c < 0x7f; }));
}

void check_listener(const gateway::ListenerConfig& listener) {
  require(listener.mode <= 0777);
  if (listener.address.is_unix()) {
    require(listener.address.path.front() == '/' && listener.address.path.size() < 108);
    require(listener.address.path.find('\0') == std::string::npos);
    return;
  }
  gateway::ListenAddress again;
  std::string problem;
  require(gateway::parse_listen_address(listener.address.text(), again, problem));
  require(again == listener.address);
}

void check_config(const gateway::Config& config) {
  require(!config.listeners.empty());
  std::for_each(config.listeners.begin(), config.listeners.end(), check_listener);
  require(config.threads <= 1024);
  require(config.timeouts.handshake >= 100ms && config.timeouts.handshake <= 10s);
  require(config.timeouts.idle >= 0s && config.timeouts.half_close >= 0s);
  require(config.timeouts.drain >= 0s);
  require(config.dial.connect_timeout >= 100ms);
  require(config.dial.attempt_delay >= 100ms && config.dial.attempt_delay <= 2s);
  require(config.dial.resolution_delay >= 0ms && config.dial.resolution_delay <= 2s);
  require(config.resolver.tries >= 1 && config.resolver.query_timeout > 0s);
  require(config.resolver.min_ttl >= 0s && config.resolver.min_ttl <= config.resolver.max_ttl);
  require(config.resolver.max_in_flight >= 1);
  for (const Endpoint& server : config.resolver.servers) {
    require(server.port != 0 && !server.address.is_unspecified());
  }
  require(!config.log.target.empty() && !config.access_log.target.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const gateway::ConfigResult result = gateway::parse_config(fuzz::as_text({data, size}), "file");
  std::for_each(result.problems.begin(), result.problems.end(), check_problem);
  if (result.problems.empty()) {
    check_config(result.config);
  }
  return 0;
}
