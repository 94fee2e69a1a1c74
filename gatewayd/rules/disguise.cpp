#include "rules/disguise.hpp"

#include <algorithm>
#include <span>

namespace socks64::gateway {
namespace {

using Octets = std::span<const std::uint8_t>;

std::uint32_t value_at(Octets octets, std::size_t first) noexcept {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    value = value << 8U | octets[first + i];
  }
  return value;
}

bool starts_with(Octets octets, std::initializer_list<std::uint8_t> head) noexcept {
  return std::equal(head.begin(), head.end(), octets.begin());
}

bool zero(Octets octets) noexcept {
  return std::all_of(octets.begin(), octets.end(), [](std::uint8_t octet) { return octet == 0; });
}

/// Whether the last four octets are the IPv4 address inside, in a form that has no other.
bool ends_in_v4(const IpAddress& address, Octets octets) noexcept {
  return address.is_v4_mapped() ||
         // IPv4-compatible, RFC 4291 section 2.5.5.1. :: and ::1 are themselves.
         (zero(octets.first(12)) && value_at(octets, 12) > 1) ||
         // IPv4-translated, RFC 2765 section 2.1
         (zero(octets.first(8)) && starts_with(octets.subspan(8), {0xff, 0xff, 0, 0})) ||
         // NAT64, RFC 6052 section 2.1
         (starts_with(octets, {0x00, 0x64, 0xff, 0x9b}) && zero(octets.subspan(4, 8)));
}

}  // namespace

// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): as many as are counted
Disguise::Disguise(const IpAddress& address) noexcept {
  if (address.is_v4()) {
    return;
  }
  const Octets octets = address.bytes();
  const std::uint32_t last = value_at(octets, 12);

  if (ends_in_v4(address, octets)) {
    add(last);
  } else if (starts_with(octets, {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01})) {
    // NAT64 inside a network, RFC 8215: where in the address is up to the network (RFC 6052 section
    // 2.2), so all its places are read. Nothing is sent to 0.0.0.0/8: that is padding.
    const std::array<std::uint32_t, nat64_places> places{
        // The octet from bit 64 on is passed over.
        static_cast<std::uint32_t>(octets[6] << 24U | octets[7] << 16U | octets[9] << 8U |
                                   octets[10]),
        static_cast<std::uint32_t>(octets[7] << 24U | octets[9] << 16U | octets[10] << 8U |
                                   octets[11]),
        value_at(octets, 9), last};
    for (const std::uint32_t inside : places) {
      if (inside >> 24U != 0) {
        add(inside);
      }
    }
  } else if (starts_with(octets, {0x20, 0x02})) {
    add(value_at(octets, 2));  // 6to4, RFC 3056 section 2
  } else if (starts_with(octets, {0x20, 0x01, 0x00, 0x00})) {
    // Teredo, RFC 4380 section 4: the server, and the client with every bit turned over.
    add(value_at(octets, 4));
    add(~last);
  }
  // ISATAP, RFC 5214 section 6.1: an interface identifier below any prefix.
  if (octets[9] == 0 && octets[10] == 0x5e && octets[11] == 0xfe && (octets[8] & 0xfdU) == 0) {
    add(last);
  }
}

}  // namespace socks64::gateway
