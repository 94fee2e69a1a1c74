// The keys of the configuration, one line each, and the readers of their values.
#include "settings/config_options.hpp"

#include <array>
#include <cerrno>
#include <iterator>
#include <sys/stat.h>

#include "settings/config_site.hpp"
#include "settings/gateway_url.hpp"

namespace socks64::shim {
namespace {

bool set_gateway(const Site& site, std::string_view text) noexcept {
  return read_gateway_urls(site, text, site.config.gateways);
}

bool set_balance(const Site& site, std::string_view text) noexcept {
  if (text != "failover" && text != "round-robin" && text != "random") {
    return site.problem("expected failover, round-robin or random, not ", shown(text));
  }
  site.config.balance = text == "failover" ? Balance::failover
                        : text == "random" ? Balance::random
                                           : Balance::round_robin;
  return true;
}

bool set_seconds(const Site& site, std::string_view text, std::uint32_t least, std::uint32_t most,
                 std::uint32_t& out) noexcept {
  std::uint32_t seconds = 0;
  if (!parse_decimal(text, seconds) || seconds < least || seconds > most) {
    return site.problem("expected seconds, from ", least == 0 ? "0" : "1", " to ",
                        most == 3600 ? "3600" : "86400", ", not ", shown(text));
  }
  out = seconds;
  return true;
}

bool set_gateway_timeout(const Site& site, std::string_view text) noexcept {
  return set_seconds(site, text, 1, 3600, site.config.gateway_timeout_seconds);
}

bool set_cooldown(const Site& site, std::string_view text) noexcept {
  return set_seconds(site, text, 0, 86400, site.config.cooldown_seconds);
}

/// Problems name the file, never what stands in it.
bool set_credentials_file(const Site& site, std::string_view text) noexcept {
  std::array<char, 1024> path{};
  if (text.empty() || text.front() != '/' || text.size() >= path.size()) {
    return site.problem("expected the absolute path of a file, not ", shown(text));
  }
  std::copy(text.begin(), text.end(), path.begin());
  constexpr std::size_t limit = 1024;
  FileText file;
  if (const int error = file.read(path.data(), limit)) {
    return site.problem(shown(text), error == EFBIG    ? " is larger than 1 KiB"
                                     : error == EINVAL ? " is not a regular file"
                                     : error == ENOENT || error == ENOTDIR ? " does not exist"
                                     : error == EACCES ? " is not readable for this user"
                                                       : " cannot be read");
  }
  if ((file.status().st_mode & (S_IROTH | S_IWOTH)) != 0) {
    return site.problem(shown(text), " may be read or written by every user: use chmod o-rw");
  }
  std::string_view line = file.view();
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) {
    line.remove_suffix(1);
  }
  if (line.find_first_of(std::string_view("\n\0", 2)) != std::string_view::npos) {
    return site.problem("expected one line USER:PASSWORD in ", shown(text));
  }
  return read_credentials(site, line, site.config.default_credentials);
}

bool set_fake_range(const Site& site, std::string_view text, Family family, Prefix& out) noexcept {
  const bool v4 = family == Family::ipv4;
  const unsigned shortest = v4 ? 8 : 32;
  const unsigned longest = v4 ? 24 : 112;
  const std::string_view expected = v4 ? "expected an IPv4 block from /8 to /24, like 0.0.0.0/8"
                                       : "expected an IPv6 block from /32 to /112, like 100::/64";
  const Result<Prefix> prefix = Prefix::parse(text);
  if (!prefix || prefix->network().is_v4() != v4 || prefix->length() < shortest ||
      prefix->length() > longest) {
    return site.problem(expected, ", not ", shown(text));
  }
  // A fake address never leaves the process: a block that holds addresses programs really use on
  // their own host would cut those off.
  const bool loopback =
      v4 ? prefix->network().is_loopback() : prefix->contains(*IpAddress::parse("::1"));
  if (loopback || prefix->network().is_multicast()) {
    return site.problem("fake addresses cannot be ", loopback ? "loopback" : "multicast",
                        " addresses: ", shown(text));
  }
  out = *prefix;
  return true;
}

bool set_fake_ipv4(const Site& site, std::string_view text) noexcept {
  return set_fake_range(site, text, Family::ipv4, site.config.fake_ipv4);
}

bool set_fake_ipv6(const Site& site, std::string_view text) noexcept {
  return set_fake_range(site, text, Family::ipv6, site.config.fake_ipv6);
}

bool set_timeout(const Site& site, std::string_view text) noexcept {
  return set_seconds(site, text, 1, 3600, site.config.timeout_seconds);
}

bool set_udp(const Site& site, std::string_view text) noexcept {
  if (text != "refuse" && text != "direct") {
    return site.problem("expected refuse or direct, not ", shown(text));
  }
  site.config.udp = text == "direct" ? UdpMode::direct : UdpMode::refuse;
  return true;
}

bool set_rule(const Site& site, std::string_view text) noexcept {
  const bool several = text.find(';') != std::string_view::npos;
  std::uint32_t number = 0;
  do {
    ++number;
    const std::size_t end = text.find(';');
    const std::string_view rule = trimmed(part(text, 0, end));
    text = end == std::string_view::npos ? std::string_view() : part(text, end + 1);
    if (rule.empty() && several) {
      continue;  // a ';' behind the last one, say
    }
    if (const std::string_view wrong = site.config.rules.add(rule); !wrong.empty()) {
      TextBuffer<24> which;
      if (several) {
        std::array<char, 10> digits{};
        const auto digits_end = std::to_chars(digits.begin(), digits.end(), number).ptr;
        which.append("rule ");
        which.append({digits.data(), static_cast<std::size_t>(digits_end - digits.begin())});
        which.append(": ");
      }
      return site.problem(which, wrong, ", in ", shown(rule));
    }
  } while (!text.empty());
  return true;
}

bool set_dns(const Site& site, std::string_view text) noexcept {
  constexpr struct {
    std::string_view name;
    DnsMode mode;
  } modes[] = {{"answer", DnsMode::answer},
               {"gateway", DnsMode::gateway},
               {"refuse", DnsMode::refuse},
               {"direct", DnsMode::direct}};
  for (const auto& [name, mode] : modes) {
    if (text == name) {
      site.config.dns = mode;
      return true;
    }
  }
  return site.problem("expected answer, gateway, refuse or direct, not ", shown(text));
}

bool set_switch(const Site& site, std::string_view text, bool& out) noexcept {
  if (text != "on" && text != "off") {
    return site.problem("expected on or off, not ", shown(text));
  }
  out = text == "on";
  return true;
}

bool set_pipelining(const Site& site, std::string_view text) noexcept {
  return set_switch(site, text, site.config.pipelining);
}

bool set_follow_exec(const Site& site, std::string_view text) noexcept {
  return set_switch(site, text, site.config.follow_exec);
}

bool set_fake_families(const Site& site, std::string_view text) noexcept {
  if (text != "one" && text != "both") {
    return site.problem("expected one or both, not ", shown(text));
  }
  site.config.both_families = text == "both";
  return true;
}

bool set_link_local(const Site& site, std::string_view text) noexcept {
  if (text != "direct" && text != "gateway") {
    return site.problem("expected direct or gateway, not ", shown(text));
  }
  site.config.link_local_direct = text == "direct";
  return true;
}

bool set_io_uring(const Site& site, std::string_view text) noexcept {
  if (text != "refuse" && text != "allow") {
    return site.problem("expected refuse or allow, not ", shown(text));
  }
  site.config.io_uring = text == "allow";
  return true;
}

bool set_verify_names(const Site& site, std::string_view text) noexcept {
  return set_switch(site, text, site.config.verify_names);
}

bool set_log(const Site& site, std::string_view text) noexcept {
  constexpr std::string_view names[] = {"off", "error", "info", "explain"};  // as LogLevel
  for (std::size_t i = 0; i < std::size(names); ++i) {
    if (text == names[i]) {
      site.config.log = static_cast<LogLevel>(i);
      return true;
    }
  }
  site.config.log = LogLevel::error;  // whoever wanted to hear something wants to hear this
  return site.problem("expected off, error, info or explain, not ", shown(text));
}

constexpr bool once = false;
constexpr bool many = true;

constinit const Option table[] = {
    {"gateway", "SOCKS64_GATEWAY", set_gateway, once},
    {"balance", "SOCKS64_BALANCE", set_balance, once},
    {"gateway_timeout", "SOCKS64_GATEWAY_TIMEOUT", set_gateway_timeout, once},
    {"cooldown", "SOCKS64_COOLDOWN", set_cooldown, once},
    {"credentials_file", "SOCKS64_CREDENTIALS_FILE", set_credentials_file, once},
    {"fake_ipv4", "SOCKS64_FAKE_IPV4", set_fake_ipv4, once},
    {"fake_ipv6", "SOCKS64_FAKE_IPV6", set_fake_ipv6, once},
    {"fake_families", "SOCKS64_FAKE_FAMILIES", set_fake_families, once},
    {"timeout", "SOCKS64_TIMEOUT", set_timeout, once},
    {"udp", "SOCKS64_UDP", set_udp, once},
    {"rule", "SOCKS64_RULES", set_rule, many},
    {"dns", "SOCKS64_DNS", set_dns, once},
    {"verify_names", "SOCKS64_VERIFY_NAMES", set_verify_names, once},
    {"pipelining", "SOCKS64_PIPELINING", set_pipelining, once},
    {"follow_exec", "SOCKS64_FOLLOW_EXEC", set_follow_exec, once},
    {"link_local", "SOCKS64_LINK_LOCAL", set_link_local, once},
    {"io_uring", "SOCKS64_IO_URING", set_io_uring, once},
    {"log", "SOCKS64_LOG", set_log, once},
};

static_assert(std::size(table) <= most_options);

}  // namespace

std::span<const Option> options() noexcept {
  return table;
}

}  // namespace socks64::shim
