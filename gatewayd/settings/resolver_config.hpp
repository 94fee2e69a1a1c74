// How names are resolved, as the configuration says it. Without Asio, as all of Config.
#ifndef SOCKS64_GATEWAYD_RESOLVER_CONFIG_HPP
#define SOCKS64_GATEWAYD_RESOLVER_CONFIG_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "socks64/address.hpp"

namespace socks64::gateway {

enum class NameSource : std::uint8_t { dns, system };

struct ResolverConfig {
  NameSource source = NameSource::dns;
  unsigned system_threads = 16;  ///< system: so many look-ups at once; the others wait
  std::chrono::seconds system_ttl{
      10};  ///< system: how long an answer holds; it does not say itself
  // What follows down to the blank line is for dns alone, except for the hosts file.
  std::vector<Endpoint> servers;                 ///< empty: those of `resolv_conf`
  std::string resolv_conf = "/etc/resolv.conf";  ///< only read without `servers`; followed
  Port default_port = 53;  ///< of servers that name none, or 0; resolv.conf cannot name one
  std::string hosts_file = "/etc/hosts";          ///< empty: none; re-read when it changes
  std::chrono::milliseconds query_timeout{2000};  ///< per server and try
  unsigned tries = 2;

  std::size_t cache_entries = 10'000;  ///< positive and negative; the oldest goes first
  std::chrono::seconds min_ttl{0};
  std::chrono::seconds max_ttl{3600};
  std::chrono::seconds negative_ttl{
      10};  ///< upper bound for name-not-found; failures and timeouts are not cached
  std::size_t max_in_flight =
      8'192;  ///< distinct questions that are awaited; more are answered with no_resources
};

}  // namespace socks64::gateway

#endif
