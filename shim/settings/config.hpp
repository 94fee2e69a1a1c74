// What the shim is told: environment variables and /etc/socks64/socks64.conf, read once into an
// immutable Config.
//
// clang-format off
//   environment          file key     value
//   SOCKS64_GATEWAY      gateway      up to 16, separated by blanks or commas; socks5://127.0.0.1:1080 unless told
//                                     socks5://[USER:PASSWORD@]HOST[:PORT]; HOST a name or an IP address, IPv6 in brackets
//                                     socks5+unix://[USER:PASSWORD@]/PATH, a UNIX socket; all but HOST with %-escapes
//   SOCKS64_BALANCE      balance      failover (unless told), round-robin or random: where a connect begins
//   SOCKS64_GATEWAY_TIMEOUT gateway_timeout seconds until a silent gateway counts as failed, when others are left, 1 to 3600;
//                                     5 unless told
//   SOCKS64_COOLDOWN     cooldown     seconds that a gateway which failed is left out, 0 to 86400; 30 unless told
//   SOCKS64_CREDENTIALS_FILE credentials_file a file of one line USER:PASSWORD, for gateways without a user of their own
//   SOCKS64_FAKE_IPV4    fake_ipv4    an IPv4 block for fake addresses, /8 to /24; 0.0.0.0/8 unless told
//   SOCKS64_FAKE_IPV6    fake_ipv6    an IPv6 block for fake addresses, /32 to /112; 100::/64 unless told
//   SOCKS64_TIMEOUT      timeout      seconds that a handshake with the gateway may take, 1 to 3600; 60 unless told
//   SOCKS64_UDP          udp          refuse (unless told) or direct: datagrams to other hosts
//   SOCKS64_RULES        rule         ACTION TARGET, as rules.hpp says; in the file one a line, in the environment with ';' between
//                                     them; the environment's come before the file's
//   SOCKS64_DNS          dns          what becomes of the DNS queries that a program sends by itself: answer (unless told), gateway,
//                                     refuse, direct; see dns_route.hpp
//   SOCKS64_VERIFY_NAMES verify_names on or off (unless told): ask the gateway by RESOLVE whether a name exists
//   SOCKS64_PIPELINING   pipelining   on or off (unless told)
//   SOCKS64_LOG          log          off (unless told), error, info, explain: one-line diagnostics on standard
//                                     error
//   SOCKS64_FOLLOW_EXEC  follow_exec  on (unless told) or off: programs started with another environment keep the shim
//   SOCKS64_FAKE_FAMILIES fake_families one (unless told) or both: what a program gets that takes addresses of either family
//   SOCKS64_LINK_LOCAL   link_local   direct (unless told) or gateway: link-local addresses that no rule is for
//   SOCKS64_IO_URING     io_uring     refuse (unless told) or allow: io_uring, whose connects pass no hook
//   SOCKS64_TABLE        -            the file of the table that a tree of programs shares (table_file.hpp); set by socksify
//   SOCKS64_CONFIG       -            another file instead of /etc/socks64/socks64.conf; it must exist
// clang-format on
//
// An empty variable counts as unset. The environment wins over the file, but does not excuse its
// mistakes. In a secure-exec process (setuid, file capabilities) the environment is ignored. A
// wrong value makes the whole configuration unusable: it is closed, not open. Names still get fake
// addresses and every connect that would need the gateway fails with `broken_config_errno`.
#ifndef SOCKS64_SHIM_CONFIG_HPP
#define SOCKS64_SHIM_CONFIG_HPP

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "socks64/address.hpp"
#include "socks64/message.hpp"
#include "socks64/prefix.hpp"

#include "settings/rules.hpp"

namespace socks64::shim {

/// ENETDOWN: no direct connect of an ordinary program meets it, so it is easily told apart.
inline constexpr int broken_config_errno = ENETDOWN;

inline constexpr const char* default_config_path = "/etc/socks64/socks64.conf";
inline constexpr std::size_t max_config_size = std::size_t{64} * 1024;
inline constexpr std::size_t max_config_line = 1024;

inline constexpr std::size_t max_gateways = 16;

/// One gateway as it was configured.
struct Gateway {
  enum class Kind : std::uint8_t { address, name, unix_socket };
  /// "192.0.2.1:1080", "gw.example:1080", "unix:/run/gateway.sock": without user and password.
  using Text = TextBuffer<272>;

  Kind kind = Kind::address;
  Endpoint endpoint;              ///< of a name: the port alone
  std::array<char, 256> place{};  ///< the name, or the path of the socket
  std::uint8_t place_size = 0;
  std::array<char, 256> user{};
  std::array<char, 256> password{};
  std::uint8_t user_size = 0;
  std::uint8_t password_size = 0;

  /// Views into this object; an empty user means no authentication.
  [[nodiscard]] UserPass credentials() const noexcept {
    return {{user.data(), user_size}, {password.data(), password_size}};
  }
  [[nodiscard]] std::string_view place_view() const noexcept { return {place.data(), place_size}; }
  [[nodiscard]] Text text() const noexcept;
};

/// The gateways in the order in which they were told; never empty in a usable configuration.
struct GatewayList {
  std::array<Gateway, max_gateways> slots{};
  std::uint8_t count = 0;

  [[nodiscard]] std::size_t size() const noexcept { return count; }
  [[nodiscard]] const Gateway& operator[](std::size_t index) const noexcept { return slots[index]; }
  [[nodiscard]] Gateway& operator[](std::size_t index) noexcept { return slots[index]; }
  [[nodiscard]] bool hold_password() const noexcept {
    for (const Gateway& gateway : *this) {
      if (gateway.password_size != 0) {
        return true;
      }
    }
    return false;
  }
  [[nodiscard]] const Gateway* begin() const noexcept { return slots.data(); }
  [[nodiscard]] const Gateway* end() const noexcept { return slots.data() + count; }
};

/// Which gateway a connect begins with.
enum class Balance : std::uint8_t {
  failover,     ///< the first; the others when it fails
  round_robin,  ///< each in turn
  random,
};

/// `explain`: all of `info`, with a line for each connect, direct and refused ones too.
enum class LogLevel : std::uint8_t { off, error, info, explain };
enum class UdpMode : std::uint8_t { refuse, direct };
enum class DnsMode : std::uint8_t { answer, gateway, refuse, direct };

struct Config {
  using Problem = TextBuffer<320>;

  GatewayList gateways;
  Balance balance = Balance::failover;
  std::uint32_t gateway_timeout_seconds = 5;  ///< of one attempt, when others are left
  std::uint32_t cooldown_seconds = 30;
  /// For gateways without a user of their own; an empty user means none.
  Gateway default_credentials;
  Prefix fake_ipv4;
  Prefix fake_ipv6;
  std::uint32_t timeout_seconds = 60;
  UdpMode udp = UdpMode::refuse;
  DnsMode dns = DnsMode::answer;
  LogLevel log = LogLevel::off;
  bool pipelining = false;
  bool verify_names = false;
  Rules rules;
  bool follow_exec = true;
  bool link_local_direct = true;
  bool both_families = false;  ///< of fake addresses, where a program takes either
  bool io_uring = false;       ///< whether programs may use it
  /// Why this configuration cannot be used, the first reason found, naming the place
  /// ("SOCKS64_GATEWAY: ...",
  /// "/etc/socks64/socks64.conf:3: ..."). Never holds a password. Empty: it can be used.
  Problem problem;

  /// The defaults: one gateway, 127.0.0.1:1080, the SOCKS port on this host.
  Config() noexcept;
  [[nodiscard]] bool usable() const noexcept { return problem.view().empty(); }
  /// Whether this is the address of a gateway; those given by name do not count.
  [[nodiscard]] bool is_gateway(const Endpoint& endpoint) const noexcept;
  /// What to tell a gateway, or an empty user.
  [[nodiscard]] UserPass credentials_for(const Gateway& gateway) const noexcept {
    return (gateway.user_size != 0 ? gateway : default_credentials).credentials();
  }
};

}  // namespace socks64::shim

#endif
