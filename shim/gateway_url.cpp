#include "gateway_url.hpp"

namespace socks64::shim {
namespace {

constexpr std::size_t npos = std::string_view::npos;

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  const char letter = lower(c);
  return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

enum class Decoded : std::uint8_t { ok, bad_escape, bad_size };

/// RFC 3986 section 2.1. RFC 1929 has one octet for each length.
Decoded decode_percent(std::string_view text, std::array<char, 256>& out,
                       std::uint8_t& size) noexcept {
  std::size_t used = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0) {
        return Decoded::bad_escape;
      }
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (used == 255) {
      return Decoded::bad_size;
    }
    out[used++] = c;
  }
  size = static_cast<std::uint8_t>(used);
  return Decoded::ok;
}

bool set_credentials(const Site& site, Gateway& gateway, std::string_view text) noexcept {
  const std::size_t colon = text.find(':');
  const std::string_view user = part(text, 0, colon);
  const std::string_view password = colon == npos ? std::string_view() : part(text, colon + 1);
  for (const Decoded decoded :
       {decode_percent(user, gateway.user, gateway.user_size),
        decode_percent(password, gateway.password, gateway.password_size)}) {
    if (decoded == Decoded::bad_escape) {
      return site.problem("a '%' in user or password must be followed by two hexadecimal digits");
    }
    if (decoded == Decoded::bad_size) {
      return site.problem("user and password may have 255 octets each");
    }
  }
  if (gateway.user_size == 0) {
    return site.problem("the user name before '@' is empty");
  }
  return true;
}

/// "[...]" with an RFC 6874 zone ("%25" for the '%') or a bare one.
Result<IpAddress> parse_bracketed(std::string_view text) noexcept {
  TextBuffer<64> plain;
  const std::size_t percent = text.find('%');
  plain.append(part(text, 0, percent));
  if (percent != npos) {
    std::string_view zone = part(text, percent + 1);
    if (part(zone, 0, 2) == "25" && zone.size() > 2) {
      zone.remove_prefix(2);
    }
    plain.append("%");
    if (!plain.append(zone)) {
      return Errc::bad_address;
    }
  }
  return IpAddress::parse(plain.view());
}

}  // namespace

bool read_gateway_url(const Site& site, std::string_view url, Gateway& out) noexcept {
  constexpr std::string_view expected = "expected socks5://[USER:PASSWORD@]HOST[:PORT]";
  const std::size_t scheme_end = url.find("://");
  if (scheme_end == npos) {
    return site.problem(expected);
  }
  const std::string_view scheme = part(url, 0, scheme_end);
  // In both forms the gateway resolves the names: that is what a fake address is for.
  if (!equal_ignoring_case(scheme, "socks5") && !equal_ignoring_case(scheme, "socks5h")) {
    return is_plain_word(scheme) ? site.problem(expected, ", not ", scheme, "://")
                                 : site.problem(expected);
  }
  std::string_view rest = part(url, scheme_end + 3);
  if (rest.ends_with('/')) {
    rest.remove_suffix(1);
  }

  Gateway gateway;
  const std::size_t at = rest.rfind('@');
  if (at != npos) {
    if (!set_credentials(site, gateway, part(rest, 0, at))) {
      return false;
    }
    rest = part(rest, at + 1);
  }
  if (rest.empty()) {
    return site.problem(expected, ": the host is missing");
  }

  std::string_view host;
  std::string_view port;
  bool has_port = false;
  Result<IpAddress> address = Errc::bad_address;
  if (rest.front() == '[') {
    const std::size_t bracket = rest.find(']');
    if (bracket == npos) {
      return site.problem("the ']' behind the IPv6 address is missing");
    }
    host = part(rest, 1, bracket - 1);
    address = parse_bracketed(host);
    if (!address || !address->is_v6()) {
      return site.problem("expected an IPv6 address between '[' and ']'");
    }
    rest = part(rest, bracket + 1);
    if (!rest.empty() && rest.front() != ':') {
      return site.problem("expected ':PORT' or nothing behind ']'");
    }
    has_port = !rest.empty();
    port = part(rest, 1);
  } else {
    const std::size_t colon = rest.find(':');
    host = part(rest, 0, colon);  // at worst a user name: a password would stand behind the colon
    has_port = colon != npos;
    port = has_port ? part(rest, colon + 1) : std::string_view();
    if (port.find(':') != npos) {
      return site.problem("an IPv6 address needs brackets: socks5://[2001:db8::1]:1080");
    }
    if (host.empty()) {
      return site.problem(expected, ": the host is missing");
    }
    address = IpAddress::parse(host);
    if (!address) {
      // Resolving it would ask the very DNS that nobody may be asked.
      return site.problem("the gateway's host must be an IP address, not a name: ", shown(host));
    }
  }
  if (address->is_unspecified() || address->is_multicast()) {
    return site.problem("no gateway can have the address ", address->text());
  }
  gateway.endpoint.address = *address;
  gateway.endpoint.port = 1080;  // the port that IANA gave to socks
  if (has_port && (!decimal(port, gateway.endpoint.port) || gateway.endpoint.port == 0)) {
    return site.problem("expected a port from 1 to 65535 behind the last ':'");
  }
  out = gateway;
  return true;
}

}  // namespace socks64::shim
