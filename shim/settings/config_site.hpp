// For the readers of configuration values: where a value stands, and how mistakes are reported.
#ifndef SOCKS64_SHIM_CONFIG_SITE_HPP
#define SOCKS64_SHIM_CONFIG_SITE_HPP

#include <algorithm>
#include <charconv>
#include <string_view>
#include <system_error>

#include "host/file_text.hpp"
#include "settings/config.hpp"

namespace socks64::shim {

/// Where a value stands, for the problem to name it.
struct Site {
  Config& config;
  std::string_view place;

  /// Notes the first problem only: what follows it is often its consequence. Returns false, so that
  /// a parser can return what it says.
  template <class... Texts>
  bool problem(const Texts&... texts) const noexcept {
    if (config.problem.view().empty()) {
      config.problem.append(place);
      config.problem.append(": ");
      (config.problem.append(texts), ...);
    }
    return false;
  }
};

/// A value as it may be shown: short, printable, and without what stands before an '@': that may be
/// a password in the wrong place.
inline TextBuffer<64> shown(std::string_view value) noexcept {
  TextBuffer<64> out;
  out.append("'");
  if (const std::size_t at = value.rfind('@'); at != std::string_view::npos) {
    out.append("...");
    value = part(value, at);
  }
  for (const char c : part(value, 0, 48)) {
    const char printable = c >= 0x20 && c < 0x7f ? c : '?';
    out.append({&printable, 1});
  }
  out.append(value.size() > 48 ? "...'" : "'");
  return out;
}

/// A word that can be shown whole: what is not one may be a piece of a URL with a password in it.
inline bool is_plain_word(std::string_view text) noexcept {
  return text.size() <= 32 && std::all_of(text.begin(), text.end(), [](char c) {
           return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
                  c == '-';
         });
}

/// The whole text is a decimal number that fits.
template <class Number>
bool parse_decimal(std::string_view text, Number& out) noexcept {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, out);
  return !text.empty() && error == std::errc{} && stop == end;
}

}  // namespace socks64::shim

#endif
