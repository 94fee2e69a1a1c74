#include "base/dns_name.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <net/if.h>

namespace socks64::gateway {
namespace {

constexpr std::size_t max_label = 63;
constexpr std::size_t max_name = 253;

char lower(char c) noexcept {
  // Not std::tolower: the locale must not decide which names are equal.
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool is_at_or_below(std::string_view canonical, std::string_view domain) noexcept {
  if (!canonical.ends_with(domain)) {
    return false;
  }
  canonical.remove_suffix(domain.size());
  return canonical.empty() || canonical.back() == '.';
}

}  // namespace

std::optional<std::string> canonical_name(std::string_view name) {
  if (!name.empty() && name.back() == '.') {
    name.remove_suffix(1);
  }
  if (name.empty() || name.size() > max_name) {
    return std::nullopt;
  }
  std::string canonical;
  canonical.reserve(name.size());
  std::size_t label = 0;
  for (const char c : name) {
    if (c == '\0') {
      return std::nullopt;
    }
    if (c == '.') {
      if (label == 0) {
        return std::nullopt;
      }
      label = 0;
    } else if (++label > max_label) {
      return std::nullopt;
    }
    canonical.push_back(lower(c));
  }
  if (label == 0) {
    return std::nullopt;
  }
  return canonical;
}

bool is_localhost(std::string_view canonical) noexcept {
  return is_at_or_below(canonical, "localhost");
}

bool is_onion(std::string_view canonical) noexcept {
  return is_at_or_below(canonical, "onion");
}

std::string pointer_name(const IpAddress& address) {
  constexpr std::string_view digits = "0123456789abcdef";
  const auto octets = address.bytes();
  std::string name;
  for (std::size_t i = octets.size(); i-- > 0;) {
    const std::uint8_t octet = octets[i];
    if (address.is_v4()) {
      name += std::to_string(octet);
    } else {
      name += digits[octet & 0x0fU];
      name += '.';
      name += digits[octet >> 4U];
    }
    name += '.';
  }
  return name + (address.is_v4() ? "in-addr.arpa" : "ip6.arpa");
}

std::optional<IpAddress> literal_from(std::string_view text) noexcept {
  if (text.size() >= 2 && text.front() == '[' && text.back() == ']') {
    text = text.substr(1, text.size() - 2);
    // Brackets belong to IPv6 alone (RFC 3986 section 3.2.2).
    if (text.find(':') == std::string_view::npos) {
      return std::nullopt;
    }
  }
  if (const Result<IpAddress> address = IpAddress::parse(text)) {
    return *address;
  }

  const std::size_t percent = text.find('%');
  if (percent == std::string_view::npos) {
    return std::nullopt;
  }
  const Result<IpAddress> address = IpAddress::parse(text.substr(0, percent));
  const std::string_view zone = text.substr(percent + 1);
  std::array<char, IF_NAMESIZE> interface {};
  if (!address || !address->is_v6() || zone.empty() || zone.size() >= interface.size()) {
    return std::nullopt;
  }
  std::ranges::copy(zone, interface.begin());
  const unsigned index = if_nametoindex(interface.data());
  if (index == 0) {
    return std::nullopt;
  }
  IpAddress::V6Bytes bytes{};
  std::ranges::copy(address->bytes(), bytes.begin());
  return IpAddress::v6(bytes, index);
}

}  // namespace socks64::gateway
