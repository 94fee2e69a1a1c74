// What the command line asks for.
#ifndef SOCKS64_BENCH_OPTIONS_HPP
#define SOCKS64_BENCH_OPTIONS_HPP

#include <cstdint>
#include <netinet/in.h>
#include <string>
#include <vector>

namespace load {

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
};

/// "127.0.0.1", "::1", with that port; throws Failed if it is neither.
Address address_of(const std::string& host, std::uint16_t port);

/// The destination's services, by what is added to its port.
enum class Service : std::uint16_t { echo = 0, source = 1, sink = 2, both = 3 };
inline constexpr int services = 4;

struct Options {
  std::string scenario;  // of `run`
  std::string proxy_host = "127.0.0.1";
  std::uint16_t proxy_port = 1080;
  std::vector<std::string>
      targets;  // an address, or a name, in which "%" stands for a number never used before
  std::uint16_t port = 7000;  // of the destination's echo
  double seconds = 3;
  double warm_up = 0.5;
  int connections = 4;
  std::size_t size = 0;           // octets of a message; 0: what the scenario has as its own
  int window = 32;                // udp: datagrams on their way, of an association
  bool gso = false;               // udp: sends and receives by segmentation offload
  std::uint16_t direct_port = 0;  // with `direct`: of a proxy in the destination's place; 0: none
  bool direct = false;            // no SOCKS
  bool pipeline = false;          // greeting and request at once
  std::string user, password;
  int patience = 30;  // seconds until everything must be open

  bool with_destination = false;
  bool names = false;               // with a DNS server
  std::vector<std::string> listen;  // of `serve`, and of with_destination

  std::size_t size_or(std::size_t otherwise) const { return size == 0 ? otherwise : size; }
};

/// Throws Failed for what it does not understand. `usage` is what --help prints.
Options options_of(const std::vector<std::string>& arguments);
extern const char* const usage;

}  // namespace load

#endif
