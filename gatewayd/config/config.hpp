// The configuration: one TOML file, read whole, checked whole, immutable from then on. Every key is
// documented with its default in conf/gatewayd.toml.
//
// Nothing here or in what is included may need Asio: the fuzzers and clang-tidy read the
// configuration too.
#ifndef SOCKS64_GATEWAYD_CONFIG_HPP
#define SOCKS64_GATEWAYD_CONFIG_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "socks64/address.hpp"

#include "account/account.hpp"
#include "auth/auth_policy.hpp"
#include "base/log.hpp"
#include "rules/rules.hpp"
#include "settings/bind_config.hpp"
#include "settings/dial_config.hpp"
#include "settings/limit_config.hpp"
#include "settings/listen_address.hpp"
#include "settings/relay_config.hpp"
#include "settings/resolver_config.hpp"
#include "settings/udp_config.hpp"

namespace socks64::gateway {

struct ListenerConfig {
  ListenAddress address;
  mode_t mode = default_socket_mode;  ///< of a UNIX socket
  bool socks4 = false;                ///< SOCKS4 and SOCKS4a too, for clients without a password
  ListenerAuth auth{};
};

struct TimeoutConfig {
  std::chrono::milliseconds handshake{10'000};
  std::chrono::seconds idle{7'200};
  std::chrono::seconds half_close{300};
  std::chrono::milliseconds drain{30'000};
};

/// What is served besides CONNECT.
struct CommandConfig {
  bool bind = true;
  bool resolve = true;  ///< RESOLVE and RESOLVE_PTR (docs/extensions.md)
  bool udp = true;      ///< UDP ASSOCIATE
};

struct LogConfig {
  LogLevel level = LogLevel::info;
  std::string target = "stderr";  ///< or a path
};

struct AccessLogConfig {
  std::string target = "stderr";  ///< or a path, or "none"
  AccessFormat format = AccessFormat::text;
};

struct Config {
  /// Never empty.
  std::vector<ListenerConfig> listeners = default_listeners();
  unsigned threads = 0;  ///< 0: one for each processor
  AuthConfig auth;
  TimeoutConfig timeouts;
  ResolverConfig resolver;
  DialConfig dial;
  LimitConfig limits;
  CommandConfig commands;
  BindConfig bind;
  UdpConfig udp;
  RelayConfig relay;
  std::vector<Rule> rules;  ///< sealed; empty: none
  LogConfig log;
  AccessLogConfig access_log;
  bool blank = false;                 ///< read from a file that holds no key at all
  std::vector<std::string> warnings;  ///< for the log; nothing to stop for

  /// 127.0.0.1:1080 and [::1]:1080
  [[nodiscard]] static std::vector<ListenerConfig> default_listeners();
};

struct ConfigResult {
  Config config;  ///< good when there are no problems
  std::vector<std::string>
      problems;  ///< "file:line:column: key: what was wrong, what was expected"
};

/// `file` is only named in the problems. All problems are found, not only the first, except that a
/// text that is not TOML gives one.
[[nodiscard]] ConfigResult parse_config(std::string_view text, std::string_view file);
/// The file to read: `chosen`, else `usual`; "" when that does not exist. A file that we may not
/// see, because its directory is closed to us, counts as present. So reading it fails; the defaults
/// in its place would allow what it forbids.
[[nodiscard]] std::string config_file(const std::string& chosen, const std::string& usual);
/// Reads the users file, too, whose problems are among the others: "file:line: ...".
[[nodiscard]] ConfigResult load_config(const std::string& path);

/// open_relay.hpp, for what this configuration listens on.
[[nodiscard]] std::vector<std::string> open_relays(const Config& config);

}  // namespace socks64::gateway

#endif
