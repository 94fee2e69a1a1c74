// Text of a known most length, without a heap.
#ifndef SOCKS64_TEXT_BUFFER_HPP
#define SOCKS64_TEXT_BUFFER_HPP

#include <array>
#include <cstddef>
#include <string_view>

namespace socks64 {

/// Fixed-size output of the text forms: no heap, converts to string_view.
template <std::size_t N>
class TextBuffer {
 public:
  [[nodiscard]] std::string_view view() const noexcept { return {data_.data(), size_}; }
  operator std::string_view() const noexcept { return view(); }
  /// Appends as much as fits; returns false when something was cut.
  bool append(std::string_view text) noexcept {
    bool whole = true;
    for (const char c : text) {
      if (size_ == N) {
        whole = false;
        break;
      }
      data_[size_++] = c;
    }
    return whole;
  }

 private:
  std::array<char, N> data_{};
  std::size_t size_ = 0;
};

}  // namespace socks64

#endif
