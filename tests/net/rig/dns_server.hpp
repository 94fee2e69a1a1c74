// A DNS server that answers by script, on loopback, over UDP and TCP, on a thread of its own.
#ifndef SOCKS64_TESTS_NET_DIAL_DNS_SERVER_HPP
#define SOCKS64_TESTS_NET_DIAL_DNS_SERVER_HPP

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "socks64/address.hpp"

namespace socks64::gateway::testing {

struct Script {
  unsigned rcode = 0;
  std::vector<std::string> addresses = {};
  std::vector<std::string> names = {};  ///< PTR records
  std::uint32_t ttl = 60;
  std::vector<std::string> cnames = {};  ///< the chain from the question to the addresses
  std::optional<std::pair<std::uint32_t, std::uint32_t>> soa = {};  ///< TTL, MINIMUM
  std::chrono::milliseconds delay{0};
  bool drop = false;
  bool truncate = false;  ///< over UDP: no records, TC set
  bool garbage = false;   ///< the right ID and question, then nonsense
  /// Sent ahead of the answer, by somebody who does not know the ID, or the question.
  bool forged = false;
  /// Records nobody asked for: name and address, in the answer section.
  std::vector<std::pair<std::string, std::string>> unasked = {};
};

inline constexpr unsigned servfail = 2;
inline constexpr unsigned nxdomain = 3;

class DnsServer {
 public:
  DnsServer();
  ~DnsServer();
  DnsServer(const DnsServer&) = delete;
  DnsServer& operator=(const DnsServer&) = delete;

  [[nodiscard]] Endpoint endpoint() const { return endpoint_; }
  /// Names under arpa count as ipv4. What is not scripted is NXDOMAIN without an SOA.
  void script(const std::string& name, Family family, Script script);
  /// Names that end like this are never answered.
  void drop_below(const std::string& suffix);
  [[nodiscard]] int queries(const std::string& name, Family family) const;
  [[nodiscard]] int queries() const;
  [[nodiscard]] int tcp_queries() const;
  /// Where the queries over UDP came from.
  [[nodiscard]] std::set<Port> ports() const;

 private:
  using Key = std::pair<std::string, Family>;
  using Octets = std::vector<std::uint8_t>;
  struct Answer {
    std::chrono::milliseconds delay;
    Octets message;
    std::vector<Octets> before = {};  ///< over UDP only
  };

  void run();
  std::optional<Answer> answer(const Octets& query, bool over_tcp);
  void serve_tcp();

  Endpoint endpoint_;
  int udp_ = -1;
  int tcp_ = -1;
  int stop_ = -1;
  mutable std::mutex mutex_;
  std::map<Key, Script> scripts_;
  std::map<Key, int> counts_;
  std::string dropped_suffix_;
  int tcp_count_ = 0;
  std::set<Port> ports_;
  std::thread thread_;
};

}  // namespace socks64::gateway::testing

#endif
