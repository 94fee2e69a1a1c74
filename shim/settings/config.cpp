#include "settings/config.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace socks64::shim {

Gateway::Text Gateway::text() const noexcept {
  Text out;
  if (kind == Kind::address) {
    out.append(endpoint.text());
    return out;
  }
  out.append(kind == Kind::name ? "" : "unix:");
  out.append(place_view());
  if (kind == Kind::name) {
    std::array<char, 5> digits{};
    const auto end = std::to_chars(digits.begin(), digits.end(), endpoint.port).ptr;
    out.append(":");
    out.append({digits.data(), static_cast<std::size_t>(end - digits.begin())});
  }
  return out;
}

bool Config::is_gateway(const Endpoint& endpoint) const noexcept {
  return std::any_of(gateways.begin(), gateways.end(), [&](const Gateway& gateway) {
    return gateway.kind == Gateway::Kind::address && gateway.endpoint == endpoint;
  });
}

Config::Config() noexcept
    : fake_ipv4(*Prefix::make(IpAddress::v4(0U), 8)),
      // RFC 6666, the discard prefix: routers drop it, should a packet ever leave.
      fake_ipv6(*Prefix::make(IpAddress::v6({0x01, 0x00}), 64)) {
  gateways.slots[0].endpoint = {IpAddress::v4(0x7f000001), 1080};
  gateways.count = 1;
}

}  // namespace socks64::shim
