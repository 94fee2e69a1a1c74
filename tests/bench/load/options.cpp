#include "options.hpp"

#include <arpa/inet.h>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>

#include "loop.hpp"

namespace load {

const char* const usage =
    R"(bench_load serve --listen ADDR [--listen ADDR...] --port P [--names]
    The destination: TCP and UDP echo on P, on P+1 a source that sends for ever, on P+2 a sink, on P+3 both. Prints "ready".
    --names: and a DNS server on port 53, for which each name is 127.0.0.1 (..v6.bench.test: ::1), and which is silent for *.stuck.test
bench_load run SCENARIO --proxy HOST:PORT --target HOST [--target HOST...] [OPTION...]
    download, upload, duplex   bulk, one way or both
    small                      writes of --size (1024) octets one way, none joined by the writer
    pings                      one message of --size (64) octets under way in each connection
    connects                   connect, handshake, 64 octets there and back, orderly close; --connections at once
    udp                        --connections associations, --window datagrams of --size (200) octets under way in each
    idle                       relays that rest, until stdin ends
    trickle                    slow readers that send an octet now and then, until stdin ends
    stuck                      requests that nobody answers (--target a name that is never resolved), until stdin ends
  --port P             the destination's (7000)
  --direct             no SOCKS: connects to --target itself; --direct-port P: to a proxy there that hands on without SOCKS
  --with-destination   is the destination, too, as `serve --listen ADDR... --port P` is, in the same thread: while that is busy, nobody
                       has to be woken, which halves what a core can load
  --seconds N          measured, after --warm-up N (3, 0.5)
  --connections N      (4)
  --size N             octets of a message
  --window N, --gso    udp
  --user NAME --password PW
  --pipeline           sends greeting and request at once, as few clients do
  --patience N         seconds until all connections must be open (30)
  A target that is no address goes to the proxy as a name; "%" in it is a number that was not used before.
  Prints "open", "begin" and "end" as it goes, then one JSON object. After any failed connection, wrong octet or early end: no
  figures, a line on stderr, status 1.
)";

Address address_of(const std::string& host, std::uint16_t port) {
  Address made;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&made.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&made.storage);
  if (::inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    made.length = sizeof *v4;
  } else if (::inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    made.length = sizeof *v6;
  } else {
    throw Failed("'" + host + "': expected an IPv4 or IPv6 address");
  }
  return made;
}

namespace {

double number(const std::string& option, const std::string& text, double least, double most) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != 0 || !(value >= least && value <= most)) {
    throw Failed(option + " '" + text + "': expected a number from " + std::to_string(least) +
                 " to " + std::to_string(most));
  }
  return value;
}

void take_proxy(Options& options, const std::string& text) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) {
    throw Failed("--proxy '" + text + "': expected HOST:PORT");
  }
  options.proxy_host = text.substr(0, colon);
  if (options.proxy_host.size() > 2 && options.proxy_host.front() == '[') {
    options.proxy_host = options.proxy_host.substr(1, options.proxy_host.size() - 2);
  }
  options.proxy_port =
      static_cast<std::uint16_t>(number("--proxy", text.substr(colon + 1), 1, 65535));
}

}  // namespace

Options options_of(const std::vector<std::string>& arguments) {
  Options options;
  const std::map<std::string, std::function<void(const std::string&)>> with_value = {
      {"--proxy", [&](const auto& text) { take_proxy(options, text); }},
      {"--target", [&](const auto& text) { options.targets.push_back(text); }},
      {"--listen", [&](const auto& text) { options.listen.push_back(text); }},
      {"--user", [&](const auto& text) { options.user = text; }},
      {"--password", [&](const auto& text) { options.password = text; }},
      {"--port",
       [&](const auto& text) {
         options.port = static_cast<std::uint16_t>(number("--port", text, 1, 65532));
       }},
      {"--direct-port",
       [&](const auto& text) {
         options.direct_port = static_cast<std::uint16_t>(number("--direct-port", text, 1, 65532));
       }},
      {"--seconds",
       [&](const auto& text) { options.seconds = number("--seconds", text, 0.01, 3600); }},
      {"--warm-up", [&](const auto& text) { options.warm_up = number("--warm-up", text, 0, 60); }},
      {"--connections",
       [&](const auto& text) {
         options.connections = static_cast<int>(number("--connections", text, 1, 100000));
       }},
      {"--size",
       [&](const auto& text) {
         options.size = static_cast<std::size_t>(number("--size", text, 1, 262144));
       }},
      {"--window",
       [&](const auto& text) {
         options.window = static_cast<int>(number("--window", text, 1, 64));
       }},
      {"--patience",
       [&](const auto& text) {
         options.patience = static_cast<int>(number("--patience", text, 1, 3600));
       }},
  };
  std::size_t next = 0;
  if (next < arguments.size() && arguments[next][0] != '-') {
    options.scenario = arguments[next++];
  }
  while (next < arguments.size()) {
    const std::string& option = arguments[next++];
    if (option == "--direct") {
      options.direct = true;
    } else if (option == "--with-destination") {
      options.with_destination = true;
    } else if (option == "--names") {
      options.names = true;
    } else if (option == "--gso") {
      options.gso = true;
    } else if (option == "--pipeline") {
      options.pipeline = true;
    } else if (const auto found = with_value.find(option); found == with_value.end()) {
      throw Failed("unknown option '" + option + "'; see --help");
    } else if (next == arguments.size()) {
      throw Failed(option + ": expected a value");
    } else {
      found->second(arguments[next++]);
    }
  }
  if (options.targets.empty()) {
    options.targets.emplace_back("127.0.0.1");
  }
  if (options.listen.empty()) {
    options.listen.emplace_back("127.0.0.1");
  }
  return options;
}

}  // namespace load
