// How a parser says what it found, and octets as text. A private header, shared by the messages.
#ifndef SOCKS64_PARSED_HPP
#define SOCKS64_PARSED_HPP

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "socks64/result.hpp"
#include "socks64/wire.hpp"

namespace socks64 {

template <class T>
Parsed<T> invalid(Errc error) noexcept {
  Parsed<T> out;
  out.status = ParseStatus::invalid;
  out.error = error;
  return out;
}

/// `least` is the smallest size that the whole message can still have.
template <class T>
Parsed<T> need_more(Bytes in, std::size_t least) noexcept {
  Parsed<T> out;
  out.missing = least - in.size();
  return out;
}

template <class T>
Parsed<T> complete(std::size_t consumed, const T& value) noexcept {
  Parsed<T> out;
  out.status = ParseStatus::complete;
  out.consumed = consumed;
  out.value = value;
  return out;
}

/// The judgement on `part`, passed on for the message that it belongs to.
template <class T, class Part>
Parsed<T> unfinished(const Parsed<Part>& part) noexcept {
  Parsed<T> out;
  out.status = part.status;
  out.error = part.error;
  out.missing = part.missing;
  return out;
}

[[nodiscard]] inline std::string_view as_text(Bytes octets) noexcept {
  return {reinterpret_cast<const char*>(octets.data()), octets.size()};
}

[[nodiscard]] inline Bytes as_bytes(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace socks64

#endif
