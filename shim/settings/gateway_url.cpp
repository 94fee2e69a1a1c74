#include "settings/gateway_url.hpp"

#include <array>
#include <charconv>
#include <sys/un.h>

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
      return site.problem(
          "a '%' in the user or password must be followed by two hexadecimal digits");
    }
    if (decoded == Decoded::bad_size) {
      return site.problem("user and password may have at most 255 octets each");
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

namespace {

constexpr std::string_view expected =
    "expected socks5://[USER:PASSWORD@]HOST[:PORT] or socks5+unix:///PATH";
constexpr std::string_view brackets = "an IPv6 address needs brackets: socks5://[2001:db8::1]:1080";

/// Whether a resolver can be asked for it: letters, digits, '-', '_', '.'; the labels of RFC 1035.
bool is_host_name(std::string_view text) noexcept {
  std::size_t label = 0;
  for (const char c : text) {
    const bool letter = (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9');
    if ((c == '.') ? label == 0 : !letter && c != '-' && c != '_') {
      return false;
    }
    label = c == '.' ? 0 : label + 1;
    if (label > 63) {
      return false;
    }
  }
  // All digits and dots: an address with a slip of the pen, which nobody would resolve.
  return !text.empty() && text.size() <= 253 && text.find_first_not_of("0123456789.") != npos;
}

bool read_unix_url(const Site& site, std::string_view rest, Gateway& out) noexcept {
  Gateway gateway;
  gateway.kind = Gateway::Kind::unix_socket;
  const std::size_t slash = rest.find('/');
  const std::size_t at = part(rest, 0, slash).rfind('@');
  if (at != npos && !set_credentials(site, gateway, part(rest, 0, at))) {
    return false;
  }
  if (slash == npos || slash != (at == npos ? 0 : at + 1)) {
    return site.problem("expected socks5+unix://[USER:PASSWORD@]/PATH with an absolute path");
  }
  const Decoded decoded = decode_percent(part(rest, slash), gateway.place, gateway.place_size);
  if (decoded == Decoded::bad_escape) {
    return site.problem("a '%' in a path must be followed by two hexadecimal digits");
  }
  // sun_path ends in a NUL.
  if (decoded == Decoded::bad_size || gateway.place_size >= sizeof(sockaddr_un::sun_path)) {
    return site.problem("the path of a UNIX socket may have at most 107 octets");
  }
  if (gateway.place_size < 2 || gateway.place_view().find('\0') != npos) {
    return site.problem("no socket can have the path ", shown(gateway.place_view()));
  }
  out = gateway;
  return true;
}

/// HOST:PORT, where HOST cannot be taken for a user, and so PORT for a password.
bool is_plain_place(std::string_view text) noexcept {
  const std::size_t colon = text.rfind(':');
  std::uint16_t port = 0;
  if (colon == npos || !parse_decimal(part(text, colon + 1), port) || port == 0) {
    return false;
  }
  const std::string_view host = part(text, 0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    return static_cast<bool>(parse_bracketed(part(host, 1, host.size() - 2)));
  }
  return host == "localhost" || IpAddress::parse(host) ||
         (host.find('.') != npos && is_host_name(host));
}

}  // namespace

bool read_gateway_url(const Site& site, std::string_view url, Gateway& out) noexcept {
  const std::size_t scheme_end = url.find("://");
  if (scheme_end == npos) {
    const Result<IpAddress> bare = IpAddress::parse(url);
    if (bare && bare->is_v6()) {
      return site.problem(expected, "; ", brackets);
    }
    return is_plain_place(url) ? site.problem(expected, "; did you mean socks5://", url, "?")
                               : site.problem(expected);
  }
  const std::string_view scheme = part(url, 0, scheme_end);
  if (equal_ignoring_case(scheme, "socks5+unix")) {
    return read_unix_url(site, part(url, scheme_end + 3), out);
  }
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
      return site.problem("the ']' after the IPv6 address is missing");
    }
    host = part(rest, 1, bracket - 1);
    address = parse_bracketed(host);
    if (!address || !address->is_v6()) {
      return site.problem("expected an IPv6 address between '[' and ']'");
    }
    rest = part(rest, bracket + 1);
    if (!rest.empty() && rest.front() != ':') {
      return site.problem("expected ':PORT' or nothing after ']'");
    }
    has_port = !rest.empty();
    port = part(rest, 1);
  } else {
    const std::size_t colon = rest.find(':');
    host = part(rest, 0, colon);  // at worst a user name: a password would stand behind the colon
    has_port = colon != npos;
    port = has_port ? part(rest, colon + 1) : std::string_view();
    if (port.find(':') != npos) {
      return site.problem(brackets);
    }
    if (host.empty()) {
      return site.problem(expected, ": the host is missing");
    }
    address = IpAddress::parse(host);
    if (!address && is_host_name(host)) {
      gateway.kind = Gateway::Kind::name;
      std::copy(host.begin(), host.end(), gateway.place.begin());
      gateway.place_size = static_cast<std::uint8_t>(host.size());
      address = IpAddress();
    } else if (!address) {
      return site.problem("expected an IP address or a host name, not ", shown(host));
    } else if (address->is_unspecified()) {
      return site.problem("no gateway can have the address ", address->text());
    }
  }
  if (address->is_multicast() || (address->is_v6() && address->is_unspecified())) {
    return site.problem("no gateway can have the address ", address->text());
  }
  gateway.endpoint.address = *address;
  gateway.endpoint.port = 1080;  // the port that IANA gave to socks
  if (has_port && (!parse_decimal(port, gateway.endpoint.port) || gateway.endpoint.port == 0)) {
    return site.problem("expected a port from 1 to 65535 after the last ':'");
  }
  out = gateway;
  return true;
}

bool read_gateway_urls(const Site& site, std::string_view urls, GatewayList& out) noexcept {
  GatewayList list;
  constexpr std::string_view separators = " \t,";
  std::size_t from = urls.find_first_not_of(separators);
  if (from == npos) {
    return site.problem(expected);
  }
  while (from != npos) {
    const std::size_t end = urls.find_first_of(separators, from);
    if (list.count == max_gateways) {
      return site.problem("expected at most 16 gateways");
    }
    const std::size_t next = end == npos ? npos : urls.find_first_not_of(separators, end);
    TextBuffer<200> place;
    place.append(site.place);
    if (list.count != 0 || next != npos) {
      // One of several: say which, its text may hold a password.
      std::array<char, 3> digits{};
      const auto digits_end = std::to_chars(digits.begin(), digits.end(), list.count + 1).ptr;
      place.append(": gateway ");
      place.append({digits.data(), static_cast<std::size_t>(digits_end - digits.data())});
    }
    if (!read_gateway_url({site.config, place.view()},
                          part(urls, from, end == npos ? npos : end - from),
                          list.slots[list.count])) {
      return false;
    }
    ++list.count;
    from = next;
  }
  out = list;
  return true;
}

bool read_credentials(const Site& site, std::string_view text, Gateway& out) noexcept {
  const std::size_t colon = text.find(':');
  if (colon == npos || colon == 0) {
    return site.problem("expected one line USER:PASSWORD");
  }
  const std::string_view user = part(text, 0, colon);
  const std::string_view password = part(text, colon + 1);
  if (user.size() > 255 || password.size() > 255) {
    return site.problem("user and password may have at most 255 octets each");
  }
  std::copy(user.begin(), user.end(), out.user.begin());
  std::copy(password.begin(), password.end(), out.password.begin());
  out.user_size = static_cast<std::uint8_t>(user.size());
  out.password_size = static_cast<std::uint8_t>(password.size());
  return true;
}

}  // namespace socks64::shim
