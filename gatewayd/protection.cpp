#include "protection.hpp"

#include <algorithm>
#include <array>

#include "disguise.hpp"

namespace socks64::gateway {
namespace {

struct Block {
  IpAddress::V6Bytes network;  ///< IPv4 in the first four
  unsigned length;
  Family family;
  std::string_view reason;
};

constexpr std::string_view loopback = "protected-loopback";
constexpr std::string_view unspecified = "protected-unspecified";
constexpr std::string_view link_local = "protected-link-local";
constexpr std::string_view metadata = protected_metadata;
constexpr std::string_view multicast = "protected-multicast";

// The first that contains an address says what it is.
constexpr std::array blocks{
    Block{{127}, 8, Family::ipv4, loopback},
    Block{{0}, 8, Family::ipv4, unspecified},
    Block{{169, 254, 169, 254}, 32, Family::ipv4, metadata},
    Block{{100, 100, 100, 200}, 32, Family::ipv4, metadata},
    Block{{168, 63, 129, 16}, 32, Family::ipv4, metadata},
    Block{{192, 0, 0, 192}, 32, Family::ipv4, metadata},
    Block{{169, 254}, 16, Family::ipv4, link_local},
    Block{{224}, 4, Family::ipv4, multicast},
    Block{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, Family::ipv6, loopback},
    Block{{0}, 128, Family::ipv6, unspecified},
    Block{{0xfd, 0x00, 0x0e, 0xc2}, 32, Family::ipv6, metadata},
    Block{{0xfd, 0x20, 0x00, 0xce, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54},
          128,
          Family::ipv6,
          metadata},
    Block{{0xfe, 0x80}, 10, Family::ipv6, link_local},
    Block{{0xff}, 8, Family::ipv6, multicast},
};

bool shares_bits(std::span<const std::uint8_t> octets, const Block& block) noexcept {
  const std::size_t whole = block.length / 8;
  if (!std::equal(octets.begin(), octets.begin() + static_cast<std::ptrdiff_t>(whole),
                  block.network.begin())) {
    return false;
  }
  const unsigned rest = block.length % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xff00U >> rest);
  return ((octets[whole] ^ block.network[whole]) & mask) == 0;
}

bool contains(const Block& block, const IpAddress& address) noexcept {
  return block.family == address.family() && shares_bits(address.bytes(), block);
}

std::string_view undisguised(const IpAddress& address) noexcept {
  for (const Block& block : blocks) {
    if (contains(block, address)) return block.reason;
  }
  return {};
}

bool is_listener(std::span<const Endpoint> listeners, const Endpoint& endpoint,
                 bool (*is_local)(const IpAddress&)) noexcept {
  return std::any_of(listeners.begin(), listeners.end(), [&](const Endpoint& listener) {
    if (listener.port != endpoint.port || listener.address.family() != endpoint.address.family()) {
      return false;
    }
    if (endpoint.address.is_unspecified()) return true;  // this host, whichever address
    if (!listener.address.is_unspecified()) {
      return std::ranges::equal(listener.address.bytes(), endpoint.address.bytes());
    }
    return endpoint.address.is_loopback() || is_local(endpoint.address);
  });
}

}  // namespace

std::string_view protected_as(const IpAddress& address) noexcept {
  const std::string_view itself = undisguised(address);
  if (!itself.empty()) return itself;
  for (const IpAddress& inside : Disguise(address)) {
    const std::string_view hidden = undisguised(inside);
    if (!hidden.empty()) return hidden;
  }
  return {};
}

bool is_protected(const Prefix& block) noexcept {
  const auto within = [](const IpAddress& network, unsigned length) {
    return std::any_of(blocks.begin(), blocks.end(), [&](const Block& wide) {
      return length >= wide.length && contains(wide, network);
    });
  };
  const IpAddress& network = block.network();
  const unsigned length = block.length();
  if (within(network, length)) return true;
  if (network.is_v4()) return false;
  const Disguise inside(network);
  // An address alone is read like any other. Of a block, the part of it that all its addresses
  // share must say which IPv4 block hides in it: that is so for 6to4, and with the IPv4 address at
  // the end.
  if (length == 128) return !protected_as(network).empty();
  if (inside.begin() == inside.end()) return false;
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
  if (is_listener(listeners, {plain, endpoint.port}, is_local)) return true;
  const Disguise hidden(plain);
  return std::any_of(hidden.begin(), hidden.end(), [&](const IpAddress& inside) {
    return is_listener(listeners, {inside, endpoint.port}, is_local);
  });
}

}  // namespace socks64::gateway
