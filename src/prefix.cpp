#include "socks64/prefix.hpp"

#include <algorithm>
#include <bit>

#include "text.hpp"

namespace socks64 {
namespace {

constexpr unsigned mapped_bits = 96;  // the length of ::ffff:0:0/96

unsigned bits_of(const IpAddress& address) noexcept {
  return address.is_v4() ? 32 : 128;
}

IpAddress masked(const IpAddress& address, unsigned length) noexcept {
  IpAddress::V6Bytes octets{};
  const std::span<const std::uint8_t> from = address.bytes();
  const std::size_t whole = length / 8;
  std::copy_n(from.begin(), whole, octets.begin());
  if (length % 8 != 0) {
    octets[whole] = static_cast<std::uint8_t>(from[whole] & (0xff00U >> (length % 8)));
  }
  if (address.is_v6()) {
    return IpAddress::v6(octets);
  }
  return IpAddress::v4(IpAddress::V4Bytes{octets[0], octets[1], octets[2], octets[3]});
}

}  // namespace

Result<Prefix> Prefix::make(const IpAddress& address, unsigned length) noexcept {
  if (length > bits_of(address)) {
    return Errc::bad_prefix;
  }
  IpAddress block = address;
  if (address.is_v4_mapped() && length >= mapped_bits) {
    block = address.unmapped();
    length -= mapped_bits;
  }
  Prefix prefix;
  prefix.network_ = masked(block, length);
  prefix.length_ = static_cast<std::uint8_t>(length);
  return prefix;
}

Result<Prefix> Prefix::parse(std::string_view text) noexcept {
  const std::size_t slash = text.find('/');
  const Result<IpAddress> address = IpAddress::parse(first(text, slash));
  if (!address) {
    return address.error();
  }
  if (address->zone() != 0) {
    return Errc::bad_prefix;
  }

  unsigned length = bits_of(*address);
  if (slash != std::string_view::npos) {
    if (!parse_decimal(after(text, slash + 1), length)) {
      return Errc::bad_prefix;
    }
  }
  const Result<Prefix> prefix = make(*address, length);
  if (!prefix) {
    return prefix.error();
  }
  // Judged in the family as written: ::ffff:192.0.2.0/120 has no host bits, /90 has.
  if (masked(*address, length) != *address) {
    return Errc::bad_prefix;
  }
  return prefix;
}

bool Prefix::contains(const IpAddress& address) const noexcept {
  const IpAddress plain = address.unmapped();
  if (plain.family() != network_.family()) {
    return false;
  }
  return masked(plain, length_) == network_;
}

Prefix::Text Prefix::text() const noexcept {
  Text out;
  out.append(network_.text());
  out.append("/");
  append_number(out, length_);
  return out;
}

unsigned common_prefix_length(const IpAddress& a, const IpAddress& b) noexcept {
  if (a.family() != b.family()) {
    return 0;
  }
  const std::span<const std::uint8_t> left = a.bytes();
  const std::span<const std::uint8_t> right = b.bytes();
  unsigned length = 0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    const auto difference = static_cast<std::uint8_t>(left[i] ^ right[i]);
    length += static_cast<unsigned>(std::countl_zero(difference));
    if (difference != 0) {
      break;
    }
  }
  return length;
}

}  // namespace socks64
