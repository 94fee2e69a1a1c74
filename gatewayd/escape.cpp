#include "escape.hpp"

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
  out.push_back('"');
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (is_printable(octet)) {
      out.push_back(c);
    } else {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", octet);
    }
  }
  out.push_back('"');
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
  out.push_back('"');
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (is_printable(octet)) {
      out.push_back(c);
    } else {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", octet);
    }
  }
  out.push_back('"');
}

}  // namespace socks64::gateway
