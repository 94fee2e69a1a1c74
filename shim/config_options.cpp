// The keys of the configuration, one line each, and the readers of their values.
#include "config_options.hpp"

#include "config_site.hpp"
#include "gateway_url.hpp"

namespace socks64::shim {
namespace {

bool set_gateway(const Site& site, std::string_view text) noexcept {
  return read_gateway_url(site, text, site.config.gateway);
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

bool set_follow_exec(const Site& site, std::string_view text) noexcept {
  if (text != "on" && text != "off") {
    return site.problem("expected on or off, not ", shown(text));
  }
  site.config.follow_exec = text == "on";
  return true;
}

bool set_log(const Site& site, std::string_view text) noexcept {
  if (text != "off" && text != "error" && text != "info") {
    site.config.log = LogLevel::error;  // whoever wanted to hear something wants to hear this
    return site.problem("expected off, error or info, not ", shown(text));
  }
  site.config.log = text == "off"     ? LogLevel::off
                    : text == "error" ? LogLevel::error
                                      : LogLevel::info;
  return true;
}

constexpr bool once = false;

constinit const Option table[] = {
    {"gateway", "SOCKS64_GATEWAY", set_gateway, once},
    {"fake_ipv4", "SOCKS64_FAKE_IPV4", set_fake_ipv4, once},
    {"fake_ipv6", "SOCKS64_FAKE_IPV6", set_fake_ipv6, once},
    {"timeout", "SOCKS64_TIMEOUT", set_timeout, once},
    {"udp", "SOCKS64_UDP", set_udp, once},
    {"pipelining", "SOCKS64_PIPELINING", set_pipelining, once},
    {"follow_exec", "SOCKS64_FOLLOW_EXEC", set_follow_exec, once},
    {"log", "SOCKS64_LOG", set_log, once},
};

}  // namespace

std::span<const Option> options() noexcept {
  return table;
}

}  // namespace socks64::shim
