// Pieces of text, and numbers in it. A private header, shared by the text forms.
//
// std::string_view::substr throws out_of_range, and a reference to that is enough to make the
// shared object need libstdc++: hence first() and after(), which are also what a parser means.
#ifndef SOCKS64_TEXT_HPP
#define SOCKS64_TEXT_HPP

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <system_error>

#include "socks64/text_buffer.hpp"

namespace socks64 {

/// The first `count` characters, or all when there are fewer (npos included).
[[nodiscard]] constexpr std::string_view first(std::string_view text, std::size_t count) noexcept {
  return {text.data(), count < text.size() ? count : text.size()};
}

/// What is left behind the first `count` characters.
[[nodiscard]] constexpr std::string_view after(std::string_view text, std::size_t count) noexcept {
  text.remove_prefix(count < text.size() ? count : text.size());
  return text;
}

/// Digits only: no sign, no blank, and no leading zero, which some readers take as octal.
template <class T>
[[nodiscard]] bool parse_decimal(std::string_view text, T& out) noexcept {
  if (text.empty() || (text.size() > 1 && text.front() == '0')) {
    return false;
  }
  if (text.front() < '0' || text.front() > '9') {
    return false;
  }
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, out);
  return error == std::errc{} && stop == end;
}

template <std::size_t N>
void append_number(TextBuffer<N>& out, std::uint32_t value, int base = 10) noexcept {
  std::array<char, 10> digits{};
  const auto [end, error] =
      std::to_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (error == std::errc{}) {
    out.append({digits.data(), static_cast<std::size_t>(end - digits.data())});
  }
}

}  // namespace socks64

#endif
