// Bounded readers and writers over octets in network byte order. A failed access is sticky: check
// once at the end.
#ifndef SOCKS64_WIRE_HPP
#define SOCKS64_WIRE_HPP

#include <cstddef>
#include <cstdint>
#include <span>

namespace socks64 {

using Bytes = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;

/// Reads from the front of a buffer. After the first access past the end every read yields 0 or an
/// empty span and `ok()` is false.
class Reader {
 public:
  explicit constexpr Reader(Bytes data) noexcept : data_(data) {}

  [[nodiscard]] constexpr std::uint8_t u8() noexcept {
    const Bytes octet = take(1);
    return octet.empty() ? std::uint8_t{0} : octet[0];
  }
  [[nodiscard]] constexpr std::uint16_t u16() noexcept {
    const Bytes octets = take(2);
    return octets.empty() ? std::uint16_t{0}
                          : static_cast<std::uint16_t>(octets[0] << 8U | octets[1]);
  }
  /// Exactly `count` octets, or an empty span and a sticky failure.
  [[nodiscard]] constexpr Bytes take(std::size_t count) noexcept {
    if (!ok_ || count > data_.size() - position_) {
      ok_ = false;
      return {};
    }
    const Bytes octets = data_.subspan(position_, count);
    position_ += count;
    return octets;
  }
  [[nodiscard]] constexpr bool ok() const noexcept { return ok_; }
  [[nodiscard]] constexpr std::size_t consumed() const noexcept { return position_; }
  [[nodiscard]] constexpr std::size_t remaining() const noexcept {
    return data_.size() - position_;
  }

 private:
  Bytes data_;
  std::size_t position_ = 0;
  bool ok_ = true;
};

/// Writes to the front of a caller's buffer. After the first write past the end, or fail(), nothing
/// more is written and `ok()` is false.
class Writer {
 public:
  explicit constexpr Writer(MutableBytes out) noexcept : out_(out) {}

  constexpr void u8(std::uint8_t value) noexcept {
    if (reserve(1)) {
      out_[position_++] = value;
    }
  }
  constexpr void u16(std::uint16_t value) noexcept {
    if (reserve(2)) {
      out_[position_++] = static_cast<std::uint8_t>(value >> 8U);
      out_[position_++] = static_cast<std::uint8_t>(value & 0xffU);
    }
  }
  constexpr void bytes(Bytes data) noexcept {
    if (reserve(data.size())) {
      for (const std::uint8_t octet : data) {
        out_[position_++] = octet;
      }
    }
  }
  /// For an encoder that meets a value which the format cannot carry.
  constexpr void fail() noexcept { ok_ = false; }
  [[nodiscard]] constexpr bool ok() const noexcept { return ok_; }
  [[nodiscard]] constexpr std::size_t size() const noexcept { return position_; }

 private:
  [[nodiscard]] constexpr bool reserve(std::size_t count) noexcept {
    ok_ = ok_ && count <= out_.size() - position_;
    return ok_;
  }

  MutableBytes out_;
  std::size_t position_ = 0;
  bool ok_ = true;
};

}  // namespace socks64

#endif
