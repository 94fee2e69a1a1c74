#include "config.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <unistd.h>

#include "config_site.hpp"
#include "file_text.hpp"
#include "gateway_url.hpp"
#include "host_guard.hpp"

namespace socks64::shim {
namespace {

constexpr std::size_t npos = std::string_view::npos;

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

bool set_timeout(const Site& site, std::string_view text) noexcept {
  std::uint32_t seconds = 0;
  if (!decimal(text, seconds) || seconds < 1 || seconds > 3600) {
    return site.problem("expected seconds, from 1 to 3600, not ", shown(text));
  }
  site.config.timeout_seconds = seconds;
  return true;
}

bool set_udp(const Site& site, std::string_view text) noexcept {
  if (text != "refuse" && text != "direct") {
    return site.problem("expected refuse or direct, not ", shown(text));
  }
  site.config.udp = text == "direct" ? UdpMode::direct : UdpMode::refuse;
  return true;
}

bool set_pipelining(const Site& site, std::string_view text) noexcept {
  if (text != "on" && text != "off") {
    return site.problem("expected on or off, not ", shown(text));
  }
  site.config.pipelining = text == "on";
  return true;
}

bool set_log(const Site& site, std::string_view text) noexcept {
  if (text != "off" && text != "error" && text != "info") {
    return site.problem("expected off, error or info, not ", shown(text));
  }
  site.config.log = text == "off"     ? LogLevel::off
                    : text == "error" ? LogLevel::error
                                      : LogLevel::info;
  return true;
}

std::size_t index_of(std::string_view key) noexcept {
  std::size_t index = 0;
  while (index < option_names.size() && key != option_names[index].key) {
    ++index;
  }
  return index;
}

/// Levenshtein's distance; keys are short.
std::size_t distance(std::string_view a, std::string_view b) noexcept {
  std::array<std::size_t, 17> row{};
  if (a.size() > 16 || b.size() > 16) {
    return npos;
  }
  for (std::size_t j = 0; j <= b.size(); ++j) {
    row[j] = j;
  }
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

bool unknown_key(const Site& site, std::string_view key) noexcept {
  if (key.empty() || !is_plain_word(key)) {
    return site.problem("expected KEY = VALUE: what stands before the '=' is no key");
  }
  std::string_view nearest;
  std::size_t best = 4;
  for (const OptionName& option : option_names) {
    const std::size_t far = distance(key, option.key);
    if (far < best) {
      best = far;
      nearest = option.key;
    }
  }
  return nearest.empty()
             ? site.problem("unknown key ", shown(key))
             : site.problem("unknown key ", shown(key), "; did you mean '", nearest, "'?");
}

/// From `environ` itself: some programs (bash) bring a getenv of their own.
std::string_view variable(std::string_view name) noexcept {
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    if (text.size() > name.size() && part(text, 0, name.size()) == name &&
        text[name.size()] == '=') {
      return part(text, name.size() + 1);
    }
  }
  return {};
}

void load_file(Config& config, std::string_view named_by, const char* path) noexcept {
  FileText file;
  const int error = file.read(path, max_config_size);
  if (error == 0) {
    apply_file(config, path, file.view());
    return;
  }
  if (named_by.empty() && (error == ENOENT || error == ENOTDIR)) {
    return;
  }
  const Site site{config, path};
  const std::string_view why = error == EFBIG                        ? "is larger than 64 KiB"
                               : error == EINVAL                     ? "is not a regular file"
                               : error == ENOENT || error == ENOTDIR ? "does not exist"
                               : error == EACCES                     ? "may not be read"
                                                                     : "cannot be read";
  if (named_by.empty()) {
    site.problem("the configuration file ", why);
  } else {
    site.problem("the configuration file named by ", named_by, " ", why);
  }
}

}  // namespace

constinit const std::array<OptionName, 7> option_names{{
    {"gateway", "SOCKS64_GATEWAY"},
    {"fake_ipv4", "SOCKS64_FAKE_IPV4"},
    {"fake_ipv6", "SOCKS64_FAKE_IPV6"},
    {"timeout", "SOCKS64_TIMEOUT"},
    {"udp", "SOCKS64_UDP"},
    {"pipelining", "SOCKS64_PIPELINING"},
    {"log", "SOCKS64_LOG"},
}};

Config::Config() noexcept
    : gateway{.endpoint = {IpAddress::v4(0x7f000001), 1080}},
      fake_ipv4(*Prefix::make(IpAddress::v4(0U), 8)),
      // RFC 6666, the discard prefix: routers drop it, should a packet ever leave.
      fake_ipv6(*Prefix::make(IpAddress::v6({0x01, 0x00}), 64)) {}

bool set_option(Config& config, std::string_view place, std::string_view key,
                std::string_view value) noexcept {
  const Site site{config, place};
  switch (index_of(key)) {
    case 0:
      return read_gateway_url(site, value, config.gateway);
    case 1:
      return set_fake_range(site, value, Family::ipv4, config.fake_ipv4);
    case 2:
      return set_fake_range(site, value, Family::ipv6, config.fake_ipv6);
    case 3:
      return set_timeout(site, value);
    case 4:
      return set_udp(site, value);
    case 5:
      return set_pipelining(site, value);
    case 6:
      if (!set_log(site, value)) {
        config.log = LogLevel::error;  // whoever wanted to hear something wants to hear this
        return false;
      }
      return true;
    default:
      return unknown_key(site, key);
  }
}

bool apply_file(Config& config, std::string_view path, std::string_view text) noexcept {
  std::uint32_t seen = 0;
  std::uint32_t number = 0;
  Lines lines(text);
  std::string_view line;
  while (lines.next(line)) {
    ++number;
    TextBuffer<200> place;
    std::array<char, 10> digits{};
    const auto end = std::to_chars(digits.begin(), digits.end(), number).ptr;
    place.append(part(path, 0, 160));
    place.append(":");
    place.append({digits.data(), static_cast<std::size_t>(end - digits.begin())});
    const Site site{config, place.view()};

    if (line.size() > max_config_line) {
      return site.problem("the line is longer than 1024 characters");
    }
    if (line.find('\0') != npos) {
      return site.problem("the line holds a NUL: this is not a text file");
    }
    line = trimmed(line);
    if (line.empty()) {
      continue;
    }
    const std::size_t equals = line.find('=');
    if (equals == npos) {
      return site.problem("expected KEY = VALUE: the '=' is missing");
    }
    const std::string_view key = trimmed(part(line, 0, equals));
    const std::size_t index = index_of(key);
    if (index == option_names.size()) {
      return unknown_key(site, key);
    }
    if ((seen & (1U << index)) != 0) {
      return site.problem("'", key, "' is set a second time");
    }
    seen |= 1U << index;
    place.append(": ");
    place.append(key);
    if (!set_option(config, place.view(), key, trimmed(part(line, equals + 1)))) {
      return false;
    }
  }
  return true;
}

void load_config(Config& config, bool secure) noexcept {
  const ErrnoGuard guard;
  const std::string_view named = secure ? std::string_view() : variable("SOCKS64_CONFIG");
  // The value ends in a NUL: it is the tail of an entry of `environ`.
  load_file(config, named.empty() ? "" : "SOCKS64_CONFIG",
            named.empty() ? default_config_path : named.data());
  if (!secure) {
    for (const OptionName& option : option_names) {
      const std::string_view value = variable(option.variable);
      if (!value.empty()) {
        set_option(config, option.variable, option.key, value);
      }
    }
  }
  const IpAddress& gateway = config.gateway.endpoint.address;
  if (config.fake_ipv4.contains(gateway) || config.fake_ipv6.contains(gateway)) {
    const Site site{config, "gateway"};
    site.problem("its address ", gateway.text(), " lies in a block of fake addresses");
  }
}

}  // namespace socks64::shim
