#include "host/numeric_name.hpp"

#include <array>
#include <charconv>
#include <cstring>
#include <net/if.h>

#include "host/file_text.hpp"
#include "host/host_guard.hpp"

namespace socks64::shim {

namespace {

constexpr std::size_t npos = std::string_view::npos;

/// One number of inet_aton: decimal, 0x hexadecimal or 0 octal.
bool parse_part(std::string_view text, std::uint64_t& value) noexcept {
  int base = 10;
  if (text.size() > 2 && text[0] == '0' && lower(text[1]) == 'x') {
    text.remove_prefix(2);
    base = 16;
  } else if (text.size() > 1 && text[0] == '0') {
    text.remove_prefix(1);
    base = 8;
  }
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, base);
  return !text.empty() && text.front() != '-' && error == std::errc{} && stop == end;
}

/// inet_aton: the last of one to four parts fills what the others leave.
Result<IpAddress> parse_aton(std::string_view text) noexcept {
  std::uint64_t address = 0;
  for (unsigned parts = 1; parts <= 4; ++parts) {
    const std::size_t dot = text.find('.');
    std::uint64_t value = 0;
    if (!parse_part(part(text, 0, dot), value)) {
      return Errc::bad_address;
    }
    if (dot == npos) {
      const unsigned free_bits = 32 - 8 * (parts - 1);
      if (value >> free_bits != 0) {
        return Errc::bad_address;
      }
      return IpAddress::v4(static_cast<std::uint32_t>(address | value));
    }
    if (value > 255 || parts == 4) {
      return Errc::bad_address;
    }
    address |= value << (32 - 8 * parts);
    text = part(text, dot + 1);
  }
  return Errc::bad_address;
}

}  // namespace

Result<IpAddress> parse_numeric(std::string_view text) noexcept {
  if (text.find(':') == npos) {
    return parse_aton(text);
  }
  const std::size_t percent = text.find('%');
  const Result<IpAddress> address = IpAddress::parse(part(text, 0, percent));
  if (!address || percent == npos) {
    return address;
  }
  const std::string_view zone = part(text, percent + 1);
  std::array<char, IF_NAMESIZE> interface {};
  if (zone.empty() || zone.size() >= interface.size()) {
    return Errc::bad_address;
  }
  std::memcpy(interface.data(), zone.data(), zone.size());
  const ErrnoGuard guard;
  std::uint32_t index = if_nametoindex(interface.data());
  if (index == 0) {
    const auto [stop, error] = std::from_chars(zone.data(), zone.data() + zone.size(), index);
    if (error != std::errc{} || stop != zone.data() + zone.size()) {
      return Errc::bad_address;
    }
  }
  IpAddress::V6Bytes bytes{};
  std::memcpy(bytes.data(), address->bytes().data(), bytes.size());
  return IpAddress::v6(bytes, index);
}

}  // namespace socks64::shim
