// The nouns of SOCKS: IP addresses, endpoints, domain names, and the target of a request.
#ifndef SOCKS64_ADDRESS_HPP
#define SOCKS64_ADDRESS_HPP

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <variant>

#include "socks64/result.hpp"
#include "socks64/text_buffer.hpp"

namespace socks64 {

enum class Family : std::uint8_t { ipv4, ipv6 };

/// A TCP or UDP port in host byte order, 0 to 65535.
using Port = std::uint16_t;

/// An IPv4 or IPv6 address in network byte order, with the IPv6 zone (scope id, 0 = none).
/// Equality and order are bytewise; 192.0.2.1 and ::ffff:192.0.2.1 differ until `unmapped()`.
class IpAddress {
 public:
  using V4Bytes = std::array<std::uint8_t, 4>;
  using V6Bytes = std::array<std::uint8_t, 16>;
  using Text = TextBuffer<64>;

  /// 0.0.0.0
  constexpr IpAddress() noexcept = default;
  [[nodiscard]] static IpAddress v4(const V4Bytes& bytes) noexcept;
  /// `host_order` as in 0x7f000001 for 127.0.0.1.
  [[nodiscard]] static IpAddress v4(std::uint32_t host_order) noexcept;
  [[nodiscard]] static IpAddress v6(const V6Bytes& bytes, std::uint32_t zone = 0) noexcept;

  /// Strict literals only: dotted quad, or RFC 4291 text with an optional numeric %zone (interface
  /// names are the system's business). No brackets, no "127.1", no leading zeros in decimal parts:
  /// some readers take those as octal. Errors: bad_address.
  [[nodiscard]] static Result<IpAddress> parse(std::string_view text) noexcept;

  [[nodiscard]] Family family() const noexcept { return family_; }
  [[nodiscard]] bool is_v4() const noexcept { return family_ == Family::ipv4; }
  [[nodiscard]] bool is_v6() const noexcept { return family_ == Family::ipv6; }
  /// 4 or 16 octets.
  [[nodiscard]] std::span<const std::uint8_t> bytes() const noexcept;
  [[nodiscard]] std::uint32_t zone() const noexcept { return zone_; }
  /// Precondition: is_v4(). Host byte order.
  [[nodiscard]] std::uint32_t v4_value() const noexcept;

  // An IPv4-mapped address answers as the IPv4 address inside: that is where the kernel sends.
  [[nodiscard]] bool is_unspecified() const noexcept;
  [[nodiscard]] bool is_loopback() const noexcept;    ///< 127/8, ::1
  [[nodiscard]] bool is_link_local() const noexcept;  ///< 169.254/16, fe80::/10
  [[nodiscard]] bool is_multicast() const noexcept;   ///< 224/4, ff00::/8
  [[nodiscard]] bool is_v4_mapped() const noexcept;   ///< ::ffff:0:0/96
  /// The IPv4 address inside ::ffff:a.b.c.d; any other address unchanged.
  [[nodiscard]] IpAddress unmapped() const noexcept;
  /// ::ffff:a.b.c.d for an IPv4 address; an IPv6 address unchanged.
  [[nodiscard]] IpAddress mapped() const noexcept;

  /// RFC 5952 text (IPv4: dotted quad; IPv4-mapped: mixed notation), "%zone" appended when there is
  /// one.
  [[nodiscard]] Text text() const noexcept;

  friend bool operator==(const IpAddress&, const IpAddress&) noexcept = default;
  friend std::strong_ordering operator<=>(const IpAddress&, const IpAddress&) noexcept = default;

 private:
  Family family_ = Family::ipv4;
  V6Bytes bytes_{};  ///< IPv4 uses the first four
  std::uint32_t zone_ = 0;
};

/// Decimal, 0 to 65535, digits only, no leading zeros. Errors: bad_port.
[[nodiscard]] Result<Port> parse_port(std::string_view text) noexcept;

struct Endpoint {
  using Text = TextBuffer<80>;

  IpAddress address;
  Port port = 0;

  /// "192.0.2.1:80" or "[2001:db8::1]:80"; the port is required. Errors: bad_address, bad_port.
  [[nodiscard]] static Result<Endpoint> parse(std::string_view text) noexcept;
  [[nodiscard]] Text text() const noexcept;

  friend bool operator==(const Endpoint&, const Endpoint&) noexcept = default;
};

/// A name as SOCKS carries it (RFC 1928 section 5): 1 to 255 octets, any value but NUL, kept as
/// given. It is not checked against host-name syntax; whoever resolves it decides.
class DomainName {
 public:
  static constexpr std::size_t max_size = 255;

  /// An invalid, empty name: only to be assigned to.
  constexpr DomainName() noexcept = default;
  /// Errors: bad_name.
  [[nodiscard]] static Result<DomainName> from(std::string_view name) noexcept;

  [[nodiscard]] std::string_view view() const noexcept { return {data_.data(), size_}; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

  friend bool operator==(const DomainName& a, const DomainName& b) noexcept {
    return a.view() == b.view();
  }

 private:
  std::array<char, max_size> data_{};
  std::uint8_t size_ = 0;
};

struct NamedEndpoint {
  DomainName name;
  Port port = 0;

  friend bool operator==(const NamedEndpoint&, const NamedEndpoint&) noexcept = default;
};

/// DST.ADDR and DST.PORT (or BND.*) of RFC 1928: an address or a name, and a port.
using Target = std::variant<Endpoint, NamedEndpoint>;

[[nodiscard]] Port port_of(const Target& target) noexcept;

using TargetText = TextBuffer<DomainName::max_size + 8>;
/// "name:port", "a.b.c.d:port" or "[v6]:port". Names are NOT escaped: escape before logging.
[[nodiscard]] TargetText text(const Target& target) noexcept;

}  // namespace socks64

#endif
