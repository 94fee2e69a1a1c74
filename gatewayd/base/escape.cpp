#include "base/escape.hpp"

#include <iterator>

namespace socks64::gateway {
namespace {

bool is_plain(char c) noexcept {
  constexpr std::string_view signs = "-._~:/[]%@+,>";
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         signs.find(c) != std::string_view::npos;
}

bool is_printable(unsigned char c) noexcept {
  return c >= 0x20 && c < 0x7f;
}

void append(fmt::memory_buffer& out, std::string_view text) {
  out.append(text.data(), text.data() + text.size());
}

/// In double quotes; what cannot be printed as `unprintable`, a format for its octet.
template <class Format>
void append_quoted(fmt::memory_buffer& out, std::string_view text, Format unprintable) {
  out.push_back('"');
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (is_printable(octet)) {
      out.push_back(c);
    } else {
      fmt::format_to(std::back_inserter(out), unprintable, octet);
    }
  }
  out.push_back('"');
}

}  // namespace

void append_escaped(fmt::memory_buffer& out, std::string_view text) {
  bool plain = !text.empty();
  for (const char c : text) {
    plain = plain && is_plain(c);
  }
  if (plain) {
    append(out, text);
    return;
  }
  append_quoted(out, text, FMT_STRING("\\x{:02x}"));
}

std::string escaped(std::string_view text) {
  fmt::memory_buffer out;
  append_escaped(out, text);
  return fmt::to_string(out);
}

std::string printable(std::string_view text) {
  fmt::memory_buffer out;
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if (is_printable(octet)) {
      out.push_back(c);
    } else {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", octet);
    }
  }
  return fmt::to_string(out);
}

void append_json_string(fmt::memory_buffer& out, std::string_view text) {
  append_quoted(out, text, FMT_STRING("\\u{:04x}"));
}

}  // namespace socks64::gateway
