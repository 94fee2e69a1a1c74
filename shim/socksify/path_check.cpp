#include "socksify/path_check.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

#include "socks64/client_handshake.hpp"
#include "socks64/sockaddr.hpp"

namespace socks64::socksify {
namespace {

using Clock = std::chrono::steady_clock;

/// All gateways of a configuration, in the order in which they are tried, with what to tell them.
std::vector<shim::Gateway> gateways_of(const shim::Config& config) {
  std::vector<shim::Gateway> gateways(config.gateways.begin(), config.gateways.end());
  for (shim::Gateway& gateway : gateways) {
    if (gateway.user_size == 0) {
      gateway.user = config.default_credentials.user;
      gateway.user_size = config.default_credentials.user_size;
      gateway.password = config.default_credentials.password;
      gateway.password_size = config.default_credentials.password_size;
    }
  }
  return gateways;
}

/// Where a gateway can be dialled: one place, or each address of its name.
struct Place {
  sockaddr_storage address{};
  socklen_t length = 0;
};

std::vector<Place> places_of(const shim::Gateway& gateway, std::string& problem) {
  using Kind = shim::Gateway::Kind;
  const std::string name(gateway.place_view());
  std::vector<Place> places;
  if (gateway.kind == Kind::address) {
    places.emplace_back();
    places.back().length = to_sockaddr(gateway.endpoint, places.back().address);
  } else if (gateway.kind == Kind::unix_socket) {
    places.emplace_back();
    auto& address = reinterpret_cast<sockaddr_un&>(places.back().address);
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    places.back().length =
        static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() + 1);
  } else {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const std::string port = std::to_string(gateway.endpoint.port);
    if (const int error = getaddrinfo(name.c_str(), port.c_str(), &hints, &found)) {
      problem = gai_strerror(error);
      return places;
    }
    for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
      places.emplace_back();
      std::memcpy(&places.back().address, each->ai_addr, each->ai_addrlen);
      places.back().length = each->ai_addrlen;
    }
    freeaddrinfo(found);
  }
  return places;
}

/// One line a step: what, how it went, how long it took.
class Steps {
 public:
  void begin() { started_ = Clock::now(); }
  void passed(const char* step, const std::string& what) const { tell(step, "ok", what); }
  void broke(const char* step, const std::string& what, const std::string& advice) const {
    tell(step, "FAILED", what);
    std::printf("  %-15s %s\n", "what to do", advice.c_str());
  }

 private:
  void tell(const char* step, const char* how, const std::string& what) const {
    const std::chrono::duration<double, std::milli> took = Clock::now() - started_;
    std::printf("  %-15s %-6s %8.1f ms  %s\n", step, how, took.count(), what.c_str());
    static_cast<void>(std::fflush(stdout));
  }
  Clock::time_point started_;
};

std::string advice_on_connect(int error, const sockaddr_storage& address) {
  const Result<Endpoint> gateway =
      from_sockaddr(reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  if (!gateway) {
    return error == EACCES || error == EPERM ? "this user may not connect to that socket"
                                             : "nothing listens there; check that the gateway is "
                                               "running and that this is its socket";
  }
  const std::string port = std::to_string(gateway->port);
  switch (error) {
    case ECONNREFUSED:
      return "nothing listens there; check that the gateway is running and that its port is " +
             port;
    case ETIMEDOUT:
      return "nothing answers; check the address, and that every firewall on the way lets TCP "
             "port " +
             port + " through";
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EADDRNOTAVAIL:
      return std::string(
                 "this host has no route to it; use an address of the gateway that this host can "
                 "reach, perhaps an ") +
             (gateway->address.is_v4() ? "IPv6" : "IPv4") + " address";
    default:
      return "check this host's network and firewall";
  }
}

std::string advice_on(Errc error, bool has_credentials) {
  switch (error) {
    case Errc::no_acceptable_method:
      return has_credentials ? "the gateway accepts neither a password nor a client without one"
                             : "the gateway asks for authentication: "
                               "use -g socks5://USER:PASSWORD@HOST:PORT";
    case Errc::auth_failed:
      return "the gateway does not accept this user and password";
    case Errc::truncated:
      return "the gateway closed the connection; its log says why (perhaps it does not serve this "
             "host)";
    default:
      return "what answers there does not speak SOCKS5; check the port";
  }
}

std::string advice_on(ReplyCode code, const Target& destination) {
  const bool name = std::holds_alternative<NamedEndpoint>(destination);
  switch (code) {
    case ReplyCode::not_allowed:
      return "the gateway's rules do not allow it; its log may say which rule";
    case ReplyCode::network_unreachable:
      return "the gateway has no route to the destination";
    case ReplyCode::host_unreachable:
      return name ? "the name does not exist, or nothing answers at its addresses; ask the DNS "
                    "server that the gateway uses"
                  : "the gateway gets no answer from that address";
    case ReplyCode::connection_refused:
      return "nothing listens on that port of the destination";
    case ReplyCode::ttl_expired:
      return "the destination did not answer the gateway in time";
    case ReplyCode::command_not_supported:
    case ReplyCode::address_type_not_supported:
      return "the gateway cannot do this; check that it is a SOCKS5 server for names and IPv6";
    default:
      return "the gateway's log says more";
  }
}

/// A connection to one gateway, closed at the end.
class Attempt {
 public:
  /// Ends at `end`, and at `greeting_end` where the gateway has not accepted the greeting by then.
  Attempt(const shim::Gateway& gateway, const Place& place, const Target& destination,
          Clock::time_point greeting_end, Clock::time_point end)
      : gateway_(gateway),
        place_(place),
        destination_(destination),
        greeting_end_(std::min(greeting_end, end)),
        end_(end),
        machine_({Command::connect, destination}, gateway_.credentials()) {}
  ~Attempt() {
    if (fd_ >= 0) {
      close(fd_);
    }
  }
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  bool run() { return connect_to_gateway() && negotiate(); }

 private:
  /// 0, or ETIMEDOUT at the end of the time.
  int await(short events) const {
    for (;;) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(
                            (requested_ ? end_ : greeting_end_) - Clock::now())
                            .count();
      pollfd waited{fd_, events, 0};
      const int count = poll(&waited, 1, static_cast<int>(std::max<decltype(left)>(left, 0)));
      if (count > 0) {
        return 0;
      }
      if (count == 0) {
        return ETIMEDOUT;
      }
      if (errno != EINTR) {
        return errno;
      }
    }
  }

  bool connect_to_gateway() {
    steps_.begin();
    const auto* const address = reinterpret_cast<const sockaddr*>(&place_.address);
    fd_ = socket(place_.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error = fd_ < 0 ? errno : 0;
    if (error == 0 && connect(fd_, address, place_.length) != 0) {
      error = errno;
      if (error == EINPROGRESS) {
        error = await(POLLOUT);
        socklen_t size = sizeof(error);
        if (error == 0) {
          getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
        }
      }
    }
    if (error != 0) {
      steps_.broke("connect", std::strerror(error), advice_on_connect(error, place_.address));
      return false;
    }
    steps_.passed("connect", gateway_.kind == shim::Gateway::Kind::unix_socket
                                 ? "connection to the gateway's socket"
                                 : "TCP connection to the gateway");
    return true;
  }

  /// The machine's output says where it is: the request is the second message that begins with the
  /// version of SOCKS, the greeting being the first (RFC 1928 sections 3 and 4), and RFC 1929's
  /// begins with another version.
  void note_progress() {
    if (machine_.want() != ClientHandshake::Want::write || machine_.output().empty()) {
      return;
    }
    const std::uint8_t version = machine_.output().front();
    if (version == userpass_version) {
      password_asked_ = true;
    } else if (greeted_ && !requested_) {
      requested_ = true;
      steps_.passed("authentication", password_asked_ ? "with user and password" : "not required");
      steps_.begin();
    }
    greeted_ = true;
  }

  bool broke(const std::string& what, const std::string& advice) const {
    steps_.broke(requested_ ? "request" : "authentication", what, advice);
    return false;
  }

  bool broke_by_kernel(int error) const {
    return broke(std::strerror(error),
                 error == ETIMEDOUT
                     ? requested_
                           ? "the gateway is still trying; check the destination. The "
                             "setting 'timeout' says how long a program waits"
                           : "what listens there says nothing; check that it is a SOCKS5 server"
                     : advice_on(Errc::truncated, false));
  }

  bool negotiate() {
    steps_.begin();
    for (;;) {
      switch (machine_.want()) {
        case ClientHandshake::Want::done:
          steps_.passed("request", "the gateway reached " + std::string(text(destination_).view()));
          return true;
        case ClientHandshake::Want::failed:
          return machine_.error() == Errc::request_failed
                     ? broke(std::string(describe(machine_.reply_code())),
                             advice_on(machine_.reply_code(), destination_))
                     : broke(std::string(describe(machine_.error())),
                             advice_on(machine_.error(), gateway_.user_size != 0));
        case ClientHandshake::Want::write:
          note_progress();
          if (!move(POLLOUT)) {
            return false;
          }
          break;
        case ClientHandshake::Want::read:
          if (!move(POLLIN)) {
            return false;
          }
          break;
      }
    }
  }

  bool move(short direction) {
    if (const int error = await(direction)) {
      return broke_by_kernel(error);
    }
    std::array<std::uint8_t, max_reply_size> in{};
    const ssize_t count =
        direction == POLLOUT
            ? send(fd_, machine_.output().data(), machine_.output().size(), MSG_NOSIGNAL)
            : recv(fd_, in.data(), std::min(machine_.read_size(), in.size()), 0);
    if (count < 0) {
      return errno == EINTR || errno == EAGAIN || broke_by_kernel(errno);
    }
    if (direction == POLLOUT) {
      machine_.sent(static_cast<std::size_t>(count));
    } else if (count == 0) {
      machine_.closed();
    } else {
      machine_.received(Bytes(in.data(), static_cast<std::size_t>(count)));
    }
    return true;
  }

  const shim::Gateway gateway_;  // the machine's credentials are views into it
  const Place place_;
  const Target destination_;
  const Clock::time_point greeting_end_;
  const Clock::time_point end_;
  ClientHandshake machine_;
  Steps steps_;
  int fd_ = -1;
  bool greeted_ = false;
  bool password_asked_ = false;
  bool requested_ = false;
};

/// What programs would do, if not ask the gateway. False: a rule refuses them the destination.
bool permitted(const shim::Config& config, const Target& destination) {
  const shim::Rules& rules = config.rules;
  const shim::Rule* rule = nullptr;
  bool direct = false;
  if (const auto* named = std::get_if<NamedEndpoint>(&destination)) {
    rule = rules.find(named->name.view(), named->port);
    // Direct is what is looked up so, and a rule for some ports alone makes no name that.
    const shim::Rule* const asked = rules.find(named->name.view());
    direct = asked != nullptr && asked->every_port() && asked->action == shim::RuleAction::direct;
  } else if (const auto* endpoint = std::get_if<Endpoint>(&destination)) {
    const IpAddress address = endpoint->address.unmapped();
    rule = address.is_loopback() ? rules.find_loopback(address, endpoint->port)
                                 : rules.find(address, endpoint->port);
    direct = rule != nullptr ? rule->action == shim::RuleAction::direct : address.is_loopback();
  }
  const std::string text =
      rule != nullptr ? "the rule '" + std::string(rules.text_of(*rule).view()) + "'" : "";
  if (rule != nullptr && rule->action == shim::RuleAction::refuse) {
    std::printf("rules: FAILED: %s refuses this destination to programs\n", text.c_str());
    std::printf("  %-15s change that rule, or put a rule that allows the destination before it\n",
                "what to do");
    return false;
  }
  if (direct) {
    std::printf("note: %s; this test asks the gateway anyway\n",
                !text.empty()
                    ? (text + " lets programs connect to this destination directly").c_str()
                    : "programs connect to their own host directly");
  }
  return true;
}

}  // namespace

std::optional<Target> parse_destination(std::string_view text, std::string& problem) {
  constexpr const char* expected = "--test: expected HOST:PORT, an IPv6 address in brackets";
  if (text.find("://") != std::string_view::npos) {
    problem = std::string(expected) + ", not a URL";
    return std::nullopt;
  }
  const std::size_t colon = text.rfind(':');
  const bool bracketed = text.starts_with('[');
  if (colon == std::string_view::npos || (bracketed && colon < text.rfind(']'))) {
    problem = std::string(expected) + ": the port is missing";
    return std::nullopt;
  }
  const Result<Port> port = parse_port(text.substr(colon + 1));
  if (!port || *port == 0) {
    problem = std::string(expected) + ": the port must be a number from 1 to 65535";
    return std::nullopt;
  }
  const std::string_view host = text.substr(0, colon);
  if (bracketed) {
    const Result<Endpoint> endpoint = Endpoint::parse(text);
    if (!endpoint) {
      problem = std::string(expected) + ": there is no IPv6 address between the brackets";
      return std::nullopt;
    }
    return *endpoint;
  }
  if (host.find(':') != std::string_view::npos) {
    problem = std::string(expected) + ", like [2001:db8::1]:80";
    return std::nullopt;
  }
  if (const Result<IpAddress> address = IpAddress::parse(host)) {
    return Endpoint{*address, *port};
  }
  const Result<DomainName> name = DomainName::from(host);
  const bool clean = std::none_of(host.begin(), host.end(), [](unsigned char c) {
    return c <= ' ' || c == 0x7f || c == '/' || c == '@';
  });
  if (!name || !clean) {
    problem = std::string(expected) + ": there is no usable host name before the colon";
    return std::nullopt;
  }
  return NamedEndpoint{*name, *port};
}

bool test_destination(const shim::Config& config, const std::string& origin,
                      const Target& destination) {
  std::printf("configuration: usable; the gateway comes from %s\n", origin.c_str());
  if (!permitted(config, destination)) {
    return false;
  }
  bool reached = false;
  const std::vector<shim::Gateway> gateways = gateways_of(config);
  for (const shim::Gateway& gateway : gateways) {
    std::printf("gateway %s%s:\n", std::string(gateway.text().view()).c_str(),
                gateway.user_size != 0 ? ", with user and password" : "");
    Steps steps;
    steps.begin();
    std::string problem;
    const std::vector<Place> places = places_of(gateway, problem);
    if (places.empty()) {
      steps.broke("name", problem,
                  "this host itself must resolve the gateway's own name; use the gateway's "
                  "address, or repair this host's DNS or /etc/hosts");
    }
    for (const Place& place : places) {
      const Result<Endpoint> endpoint =
          from_sockaddr(reinterpret_cast<const sockaddr*>(&place.address), place.length);
      if (gateway.kind == shim::Gateway::Kind::name && endpoint) {
        steps.passed("name", std::string(endpoint->address.text().view()));
      }
      // As a program has it that begins here: gateway_timeout counts where another one is left.
      const Clock::time_point now = Clock::now();
      const Clock::time_point end = now + std::chrono::seconds(config.timeout_seconds);
      const bool last = &gateway == &gateways.back() && &place == &places.back();
      Attempt attempt(gateway, place, destination,
                      last ? end : now + std::chrono::seconds(config.gateway_timeout_seconds), end);
      reached = attempt.run() || reached;
    }
  }
  return reached;
}

}  // namespace socks64::socksify
