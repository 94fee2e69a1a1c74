// A name in a DNS message (RFC 1035 sections 3.1 and 4.1.4).
#ifndef SOCKS64_GATEWAYD_WIRE_NAME_HPP
#define SOCKS64_GATEWAYD_WIRE_NAME_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "socks64/wire.hpp"

namespace socks64::gateway {

/// Labels, each after its length, without the root's 0 at the end.
class WireName {
 public:
  /// 255 octets with the root's (RFC 1035 section 2.3.4).
  static constexpr std::size_t max_size = 254;

  WireName() = default;
  /// Expects a canonical name (dns_name.hpp).
  explicit WireName(std::string_view canonical) noexcept;

  /// Takes a name from `message`, which `reader` reads from its beginning. False, and no more to be
  /// read: malformed. Pointers lead backwards, so there is no loop, and there are not many of them.
  [[nodiscard]] static bool read(Reader& reader, Bytes message, WireName& name) noexcept;

  [[nodiscard]] Bytes labels() const noexcept { return Bytes(octets_).first(size_); }
  /// As it is on the wire, uncompressed.
  [[nodiscard]] std::size_t wire_size() const noexcept { return size_ + 1; }

  /// Letters, digits, hyphens, underscores, and slashes (RFC 2317): what the name of a host is of.
  [[nodiscard]] bool is_host_name() const noexcept;
  /// The labels with dots between them, in the case that they have. Expects the name of a host.
  [[nodiscard]] std::string text() const;

  /// Whatever the case (RFC 4343).
  friend bool operator==(const WireName& one, const WireName& other) noexcept;

 private:
  [[nodiscard]] bool append(Bytes label) noexcept;

  std::array<std::uint8_t, max_size> octets_{};
  std::size_t size_ = 0;
};

}  // namespace socks64::gateway

#endif
