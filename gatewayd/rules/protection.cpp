#include "rules/protection.hpp"

#include <algorithm>
#include <array>

#include "rules/disguise.hpp"

namespace socks64::gateway {
namespace {

/// Part of an address: `high` and `low` are its halves, those of an IPv4 address 0 and its value.
struct Bits {
  std::uint64_t high;
  std::uint64_t low;
};

Bits bits_of(const IpAddress& address) noexcept {
  if (address.is_v4()) {
    return {0, address.v4_value()};
  }
  Bits bits{0, 0};
  const auto octets = address.bytes();
  for (std::size_t i = 0; i < 8; ++i) {
    bits.high = bits.high << 8U | octets[i];
    bits.low = bits.low << 8U | octets[i + 8];
  }
  return bits;
}

/// The first `length` bits of 64.
constexpr std::uint64_t first_bits(unsigned length) noexcept {
  return length == 0 ? 0 : ~std::uint64_t{0} << (64 - std::min(length, 64U));
}

struct Block {
  Bits network;
  Bits mask;
  unsigned length;
  Family family;
  std::string_view reason;
};

constexpr Block v4_block(std::uint32_t network, unsigned length, std::string_view reason) noexcept {
  return {{0, network}, {0, first_bits(32 + length)}, length, Family::ipv4, reason};
}

constexpr Block v6_block(std::uint64_t high, std::uint64_t low, unsigned length,
                         std::string_view reason) noexcept {
  const Bits mask{first_bits(std::min(length, 64U)), first_bits(length < 64 ? 0 : length - 64)};
  return {{high, low}, mask, length, Family::ipv6, reason};
}

constexpr std::string_view loopback = "protected-loopback";
constexpr std::string_view unspecified = "protected-unspecified";
constexpr std::string_view link_local = "protected-link-local";
constexpr std::string_view metadata = protected_metadata;
constexpr std::string_view multicast = "protected-multicast";

// The first that contains an address says what it is.
constexpr std::array blocks{
    v4_block(0x7f000000, 8, loopback),                       // 127.0.0.0/8
    v4_block(0x00000000, 8, unspecified),                    // 0.0.0.0/8
    v4_block(0xa9fea9fe, 32, metadata),                      // 169.254.169.254
    v4_block(0x646464c8, 32, metadata),                      // 100.100.100.200
    v4_block(0xa83f8110, 32, metadata),                      // 168.63.129.16
    v4_block(0xc00000c0, 32, metadata),                      // 192.0.0.192
    v4_block(0xa9fe0000, 16, link_local),                    // 169.254.0.0/16
    v4_block(0xe0000000, 4, multicast),                      // 224.0.0.0/4
    v6_block(0, 1, 128, loopback),                           // ::1
    v6_block(0, 0, 128, unspecified),                        // ::
    v6_block(0xfd00'0ec2'0000'0000, 0, 32, metadata),        // fd00:ec2::/32
    v6_block(0xfd20'00ce'0000'0000, 0x0254, 128, metadata),  // fd20:ce::254
    v6_block(0xfe80'0000'0000'0000, 0, 10, link_local),      // fe80::/10
    v6_block(0xff00'0000'0000'0000, 0, 8, multicast),        // ff00::/8
};

bool contains(const Block& block, Family family, const Bits& bits) noexcept {
  return block.family == family && (bits.high & block.mask.high) == block.network.high &&
         (bits.low & block.mask.low) == block.network.low;
}

std::string_view undisguised(const IpAddress& address) noexcept {
  const Bits bits = bits_of(address);
  for (const Block& block : blocks) {
    if (contains(block, address.family(), bits)) {
      return block.reason;
    }
  }
  return {};
}

bool is_listener(std::span<const Endpoint> listeners, const Endpoint& endpoint,
                 bool (*is_local)(const IpAddress&)) noexcept {
  return std::any_of(listeners.begin(), listeners.end(), [&](const Endpoint& listener) {
    if (listener.port != endpoint.port || listener.address.family() != endpoint.address.family()) {
      return false;
    }
    if (endpoint.address.is_unspecified()) {
      return true;  // this host, whichever address
    }
    if (!listener.address.is_unspecified()) {
      return std::ranges::equal(listener.address.bytes(), endpoint.address.bytes());
    }
    return endpoint.address.is_loopback() || is_local(endpoint.address);
  });
}

}  // namespace

std::string_view protected_as(const IpAddress& address) noexcept {
  const std::string_view itself = undisguised(address);
  if (!itself.empty()) {
    return itself;
  }
  for (const IpAddress& inside : Disguise(address)) {
    const std::string_view hidden = undisguised(inside);
    if (!hidden.empty()) {
      return hidden;
    }
  }
  return {};
}

bool is_protected(const Prefix& block) noexcept {
  const auto within = [](const IpAddress& network, unsigned length) {
    const Bits bits = bits_of(network);
    return std::any_of(blocks.begin(), blocks.end(), [&](const Block& wide) {
      return length >= wide.length && contains(wide, network.family(), bits);
    });
  };
  const IpAddress& network = block.network();
  const unsigned length = block.length();
  if (within(network, length)) {
    return true;
  }
  if (network.is_v4()) {
    return false;
  }
  const Disguise inside(network);
  // An address alone is read like any other. Of a block, the part of it that all its addresses
  // share must say which IPv4 block hides in it: that is so for 6to4, and with the IPv4 address at
  // the end.
  if (length == 128) {
    return !protected_as(network).empty();
  }
  if (inside.begin() == inside.end()) {
    return false;
  }
  const auto octets = network.bytes();
  if (octets[0] == 0x20 && octets[1] == 0x02) {
    return length >= 16 && within(*inside.begin(), std::min(length - 16, 32U));
  }
  const bool local_nat64 = octets[1] == 0x64 && octets[5] == 0x01;
  const bool teredo = octets[0] == 0x20;
  return length >= 96 && !local_nat64 && !teredo && within(*inside.begin(), length - 96);
}

bool is_own_listener(std::span<const Endpoint> listeners, const Endpoint& endpoint,
                     bool (*is_local)(const IpAddress&)) noexcept {
  const IpAddress plain = endpoint.address.unmapped();
  if (is_listener(listeners, {plain, endpoint.port}, is_local)) {
    return true;
  }
  const Disguise hidden(plain);
  return std::any_of(hidden.begin(), hidden.end(), [&](const IpAddress& inside) {
    return is_listener(listeners, {inside, endpoint.port}, is_local);
  });
}

}  // namespace socks64::gateway
