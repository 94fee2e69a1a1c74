// Text forms of addresses. Written out rather than left to inet_pton(3) and inet_ntop(3): those
// want NUL-terminated copies, know no zone, and print "::1.2.3.4" where RFC 5952 does not.
#include "socks64/address.hpp"

#include <algorithm>
#include <charconv>

#include "text.hpp"

namespace socks64 {
namespace {

constexpr std::size_t v6_groups = 8;
constexpr std::array<std::uint8_t, 12> v4_mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool parse_v4(std::string_view text, std::span<std::uint8_t, 4> out) noexcept {
  for (std::size_t i = 0; i < out.size(); ++i) {
    const bool last = i + 1 == out.size();
    const std::size_t dot = last ? text.size() : text.find('.');
    if (dot == std::string_view::npos) {
      return false;
    }
    if (!parse_decimal(first(text, dot), out[i])) {
      return false;
    }
    text.remove_prefix(last ? dot : dot + 1);
  }
  return text.empty();
}

bool parse_group(std::string_view text, std::span<std::uint8_t, 2> out) noexcept {
  if (text.empty() || text.size() > 4) {
    return false;
  }
  std::uint16_t value = 0;
  const char* const end = text.data() + text.size();
  // from_chars takes no sign for an unsigned type and no "0x".
  const auto [stop, error] = std::from_chars(text.data(), end, value, 16);
  if (error != std::errc{} || stop != end) {
    return false;
  }
  out[0] = static_cast<std::uint8_t>(value >> 8U);
  out[1] = static_cast<std::uint8_t>(value & 0xffU);
  return true;
}

/// Colon-separated groups on one side of "::", the last of which may be a dotted quad when
/// `allow_v4`. Returns the octets written, or npos.
std::size_t parse_groups(std::string_view text, bool allow_v4,
                         std::span<std::uint8_t, 16> out) noexcept {
  std::size_t size = 0;
  if (text.empty()) {
    return 0;
  }
  for (;;) {
    const std::size_t colon = text.find(':');
    const std::string_view group = first(text, colon);
    const bool last = colon == std::string_view::npos;
    if (last && allow_v4 && group.find('.') != std::string_view::npos) {
      if (size + 4 > out.size()) {
        return std::string_view::npos;
      }
      if (!parse_v4(group, std::span<std::uint8_t, 4>(&out[size], 4))) {
        return std::string_view::npos;
      }
      return size + 4;
    }
    if (size + 2 > out.size()) {
      return std::string_view::npos;
    }
    if (!parse_group(group, std::span<std::uint8_t, 2>(&out[size], 2))) {
      return std::string_view::npos;
    }
    size += 2;
    if (last) {
      return size;
    }
    text.remove_prefix(colon + 1);
  }
}

/// RFC 4291 section 2.2.
bool parse_v6(std::string_view text, std::span<std::uint8_t, 16> out) noexcept {
  const std::size_t gap = text.find("::");
  if (gap == std::string_view::npos) {
    return parse_groups(text, true, out) == out.size();
  }

  IpAddress::V6Bytes tail{};
  const std::size_t head_size = parse_groups(first(text, gap), false, out);
  const std::size_t tail_size = parse_groups(after(text, gap + 2), true, tail);
  if (head_size == std::string_view::npos || tail_size == std::string_view::npos) {
    return false;
  }
  // "::" stands for at least one group of zeros.
  if (head_size + tail_size > out.size() - 2) {
    return false;
  }
  std::copy_n(tail.begin(), tail_size, out.end() - static_cast<std::ptrdiff_t>(tail_size));
  return true;
}

struct Run {
  std::size_t begin = v6_groups;
  std::size_t size = 0;
};

/// RFC 5952 section 4.2: the longest run of zero groups, the first of equals, never a single one.
Run longest_zero_run(const std::array<std::uint16_t, v6_groups>& groups) noexcept {
  Run best;
  Run run;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (groups[i] != 0) {
      run = {};
      continue;
    }
    if (run.size == 0) {
      run.begin = i;
    }
    ++run.size;
    if (run.size > best.size) {
      best = run;
    }
  }
  return best.size >= 2 ? best : Run{};
}

void append_v4(IpAddress::Text& out, std::span<const std::uint8_t, 4> octets) noexcept {
  for (std::size_t i = 0; i < octets.size(); ++i) {
    if (i != 0) {
      out.append(".");
    }
    append_number(out, octets[i]);
  }
}

void append_v6(IpAddress::Text& out, std::span<const std::uint8_t, 16> octets) noexcept {
  std::array<std::uint16_t, v6_groups> groups{};
  for (std::size_t i = 0; i < groups.size(); ++i) {
    groups[i] = static_cast<std::uint16_t>(octets[2 * i] << 8U | octets[2 * i + 1]);
  }
  const Run gap = longest_zero_run(groups);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (i == gap.begin) {
      out.append("::");
      i += gap.size - 1;
      continue;
    }
    if (i != 0 && i != gap.begin + gap.size) {
      out.append(":");
    }
    append_number(out, groups[i], 16);
  }
}

template <std::size_t N>
void append_host_and_port(TextBuffer<N>& out, const IpAddress& address, Port port) noexcept {
  if (address.is_v6()) {
    out.append("[");
  }
  out.append(address.text());
  out.append(address.is_v6() ? "]:" : ":");
  append_number(out, port);
}

}  // namespace

IpAddress IpAddress::v4(const V4Bytes& bytes) noexcept {
  IpAddress address;
  std::copy(bytes.begin(), bytes.end(), address.bytes_.begin());
  return address;
}

IpAddress IpAddress::v4(std::uint32_t host_order) noexcept {
  return v4(V4Bytes{
      static_cast<std::uint8_t>(host_order >> 24U), static_cast<std::uint8_t>(host_order >> 16U),
      static_cast<std::uint8_t>(host_order >> 8U), static_cast<std::uint8_t>(host_order)});
}

IpAddress IpAddress::v6(const V6Bytes& bytes, std::uint32_t zone) noexcept {
  IpAddress address;
  address.family_ = Family::ipv6;
  address.bytes_ = bytes;
  address.zone_ = zone;
  return address;
}

Result<IpAddress> IpAddress::parse(std::string_view text) noexcept {
  if (text.find(':') == std::string_view::npos) {
    V4Bytes octets{};
    if (!parse_v4(text, octets)) {
      return Errc::bad_address;
    }
    return v4(octets);
  }
  std::uint32_t zone = 0;
  if (const std::size_t percent = text.find('%'); percent != std::string_view::npos) {
    if (!parse_decimal(after(text, percent + 1), zone)) {
      return Errc::bad_address;
    }
    text = first(text, percent);
  }
  V6Bytes octets{};
  if (!parse_v6(text, octets)) {
    return Errc::bad_address;
  }
  return v6(octets, zone);
}

std::span<const std::uint8_t> IpAddress::bytes() const noexcept {
  return {bytes_.data(), is_v4() ? std::size_t{4} : bytes_.size()};
}

std::uint32_t IpAddress::v4_value() const noexcept {
  return std::uint32_t{bytes_[0]} << 24U | std::uint32_t{bytes_[1]} << 16U |
         std::uint32_t{bytes_[2]} << 8U | std::uint32_t{bytes_[3]};
}

bool IpAddress::is_unspecified() const noexcept {
  const IpAddress plain = unmapped();
  return std::all_of(plain.bytes_.begin(), plain.bytes_.end(),
                     [](std::uint8_t octet) { return octet == 0; });
}

bool IpAddress::is_loopback() const noexcept {
  const IpAddress plain = unmapped();
  if (plain.is_v4()) {
    return plain.bytes_[0] == 127;
  }
  V6Bytes one{};
  one.back() = 1;
  return plain.bytes_ == one;
}

bool IpAddress::is_link_local() const noexcept {
  const IpAddress plain = unmapped();
  if (plain.is_v4()) {
    return plain.bytes_[0] == 169 && plain.bytes_[1] == 254;
  }
  return plain.bytes_[0] == 0xfe && (plain.bytes_[1] & 0xc0U) == 0x80;
}

bool IpAddress::is_multicast() const noexcept {
  const IpAddress plain = unmapped();
  if (plain.is_v4()) {
    return (plain.bytes_[0] & 0xf0U) == 0xe0;
  }
  return plain.bytes_[0] == 0xff;
}

bool IpAddress::is_v4_mapped() const noexcept {
  return is_v6() && std::equal(v4_mapped_prefix.begin(), v4_mapped_prefix.end(), bytes_.begin());
}

IpAddress IpAddress::unmapped() const noexcept {
  if (!is_v4_mapped()) {
    return *this;
  }
  return v4(V4Bytes{bytes_[12], bytes_[13], bytes_[14], bytes_[15]});
}

IpAddress IpAddress::mapped() const noexcept {
  if (is_v6()) {
    return *this;
  }
  V6Bytes octets{};
  std::copy(v4_mapped_prefix.begin(), v4_mapped_prefix.end(), octets.begin());
  std::copy_n(bytes_.begin(), 4, octets.begin() + v4_mapped_prefix.size());
  return v6(octets);
}

IpAddress::Text IpAddress::text() const noexcept {
  Text out;
  if (is_v4()) {
    append_v4(out, std::span(bytes_).first<4>());
    return out;
  }
  if (is_v4_mapped()) {  // RFC 5952 section 5
    out.append("::ffff:");
    append_v4(out, std::span(bytes_).last<4>());
  } else {
    append_v6(out, bytes_);
  }
  if (zone_ != 0) {
    out.append("%");
    append_number(out, zone_);
  }
  return out;
}

Result<Port> parse_port(std::string_view text) noexcept {
  Port port = 0;
  if (!parse_decimal(text, port)) {
    return Errc::bad_port;
  }
  return port;
}

Result<Endpoint> Endpoint::parse(std::string_view text) noexcept {
  const bool bracketed = !text.empty() && text.front() == '[';
  const std::size_t host_end = bracketed ? text.find(']') : text.rfind(':');
  if (bracketed && host_end == std::string_view::npos) {
    return Errc::bad_address;
  }

  const std::string_view host = bracketed ? after(first(text, host_end), 1) : first(text, host_end);
  const Result<IpAddress> address = IpAddress::parse(host);
  if (!address || address->is_v6() != bracketed) {
    return Errc::bad_address;
  }

  const std::string_view rest = after(text, bracketed ? host_end + 1 : host_end);
  if (rest.empty() || rest.front() != ':') {
    return Errc::bad_port;
  }
  const Result<Port> port = parse_port(after(rest, 1));
  if (!port) {
    return port.error();
  }
  return Endpoint{*address, *port};
}

Endpoint::Text Endpoint::text() const noexcept {
  Text out;
  append_host_and_port(out, address, port);
  return out;
}

Result<DomainName> DomainName::from(std::string_view name) noexcept {
  if (name.empty() || name.size() > max_size) {
    return Errc::bad_name;
  }
  if (name.find('\0') != std::string_view::npos) {
    return Errc::bad_name;
  }
  DomainName out;
  std::copy(name.begin(), name.end(), out.data_.begin());
  out.size_ = static_cast<std::uint8_t>(name.size());
  return out;
}

Port port_of(const Target& target) noexcept {
  if (const auto* named = std::get_if<NamedEndpoint>(&target)) {
    return named->port;
  }
  if (const auto* endpoint = std::get_if<Endpoint>(&target)) {
    return endpoint->port;
  }
  return 0;
}

TargetText text(const Target& target) noexcept {
  TargetText out;
  if (const auto* named = std::get_if<NamedEndpoint>(&target)) {
    out.append(named->name.view());
    out.append(":");
    append_number(out, named->port);
  } else if (const auto* endpoint = std::get_if<Endpoint>(&target)) {
    append_host_and_port(out, endpoint->address, endpoint->port);
  }
  return out;
}

}  // namespace socks64
