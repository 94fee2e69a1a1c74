#include "dns_message.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace socks64::gateway {
namespace {

constexpr std::uint16_t type_soa = 6;

/// Steps over a name without following it: a compression pointer ends it (RFC 1035 section 4.1.4).
void skip_name(Reader& message) noexcept {
  while (message.ok()) {
    const std::uint8_t octet = message.u8();
    if (octet == 0) return;
    if ((octet & 0xc0U) == 0xc0U) {
      static_cast<void>(message.u8());
      return;
    }
    static_cast<void>(message.take(octet));
  }
}

std::uint32_t u32(Reader& message) noexcept {
  const std::uint32_t high = message.u16();
  return high << 16U | message.u16();
}

}  // namespace

std::optional<std::chrono::seconds> negative_ttl_of(Bytes message) noexcept {
  Reader reader(message);
  static_cast<void>(reader.take(4));  // ID and flags
  const unsigned questions = reader.u16();
  const unsigned answers = reader.u16();
  const unsigned authorities = reader.u16();
  static_cast<void>(reader.u16());  // ARCOUNT
  for (unsigned i = 0; i < questions && reader.ok(); ++i) {
    skip_name(reader);
    static_cast<void>(reader.take(4));
  }
  // CNAMEs may stand in the answer section of a negative answer (RFC 2308 section 2).
  for (unsigned i = 0; i < answers + authorities && reader.ok(); ++i) {
    skip_name(reader);
    const std::uint16_t type = reader.u16();
    static_cast<void>(reader.u16());  // CLASS
    const std::uint32_t ttl = u32(reader);
    const std::size_t length = reader.u16();
    const Bytes data = reader.take(length);
    if (!reader.ok()) break;
    if (i < answers || type != type_soa || data.size() < 4) continue;
    // MINIMUM is the last field, whatever the two names before it look like.
    Reader tail(data.last(4));
    const std::uint32_t minimum = u32(tail);
    return std::chrono::seconds(std::min(ttl, minimum));
  }
  return std::nullopt;
}

}  // namespace socks64::gateway
