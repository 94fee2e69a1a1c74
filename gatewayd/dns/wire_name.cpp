#include "dns/wire_name.hpp"

#include <algorithm>

namespace socks64::gateway {
namespace {

constexpr std::size_t max_label = 63;
constexpr std::uint8_t pointer_bits = 0xc0;
/// No name has as many parts that another one could share. Without a bound a message of pointers to
/// pointers would cost thousands of steps a record.
constexpr int max_pointers = 50;

std::uint8_t lower(std::uint8_t octet) noexcept {
  return octet >= 'A' && octet <= 'Z' ? static_cast<std::uint8_t>(octet - 'A' + 'a') : octet;
}

bool is_host_octet(std::uint8_t octet) noexcept {
  const std::uint8_t small = lower(octet);
  return (small >= 'a' && small <= 'z') || (octet >= '0' && octet <= '9') || octet == '-' ||
         octet == '_' || octet == '/';
}

}  // namespace

WireName::WireName(std::string_view canonical) noexcept {
  while (!canonical.empty()) {
    const std::string_view label = canonical.substr(0, canonical.find('.'));
    if (!append({reinterpret_cast<const std::uint8_t*>(label.data()), label.size()})) {
      return;
    }
    canonical.remove_prefix(std::min(label.size() + 1, canonical.size()));
  }
}

bool WireName::append(Bytes label) noexcept {
  if (label.size() > max_label || label.size() >= max_size - size_) {
    return false;
  }
  octets_[size_++] = static_cast<std::uint8_t>(label.size());
  std::ranges::copy(label, octets_.begin() + static_cast<std::ptrdiff_t>(size_));
  size_ += label.size();
  return true;
}

bool WireName::read(Reader& reader, Bytes message, WireName& name) noexcept {
  name.size_ = 0;
  std::size_t start = reader.consumed();  // of what lies in one piece
  Reader elsewhere(message);
  Reader* from = &reader;
  for (int pointers = 0;;) {
    const std::uint8_t octet = from->u8();
    if (!from->ok()) {
      return false;
    }
    if (octet == 0) {
      return true;
    }
    if ((octet & pointer_bits) != pointer_bits) {
      const Bytes label = from->take(octet);
      if (!from->ok() || !name.append(label)) {
        return false;  // 0x40 and 0x80 are lengths of no label
      }
      continue;
    }
    const std::size_t target = static_cast<std::size_t>(octet & ~pointer_bits) << 8U | from->u8();
    // A prior occurrence, says RFC 1035 section 4.1.4: each piece begins before the one that led
    // there.
    if (!from->ok() || target >= start || ++pointers > max_pointers) {
      return false;
    }
    start = target;
    elsewhere = Reader(message);
    static_cast<void>(elsewhere.take(target));
    from = &elsewhere;
  }
}

bool WireName::is_host_name() const noexcept {
  for (Reader reader(labels()); reader.remaining() > 0;) {
    if (!std::ranges::all_of(reader.take(reader.u8()), is_host_octet)) {
      return false;
    }
  }
  return true;
}

std::string WireName::text() const {
  std::string text;
  text.reserve(size_);
  for (Reader reader(labels()); reader.remaining() > 0;) {
    const Bytes label = reader.take(reader.u8());
    if (!text.empty()) {
      text.push_back('.');
    }
    text.append(label.begin(), label.end());
  }
  return text;
}

bool operator==(const WireName& one, const WireName& other) noexcept {
  // Lengths are below 'A': they are compared as they are.
  return std::ranges::equal(one.labels(), other.labels(), {}, lower, lower);
}

}  // namespace socks64::gateway
