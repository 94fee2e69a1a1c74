// Octets for tests: readable literals, and encoded messages as vectors.
#ifndef SOCKS64_TESTS_UNIT_OCTETS_HPP
#define SOCKS64_TESTS_UNIT_OCTETS_HPP

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "socks64/message.hpp"

namespace socks64::test {

using Octets = std::vector<std::uint8_t>;

inline Octets octets(std::string_view text) {
  return {text.begin(), text.end()};
}

inline Octets operator+(Octets a, const Octets& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline Octets operator+(Octets a, Bytes b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

template <class Message>
Octets encoded(const Message& message) {
  std::array<std::uint8_t, 1024> buffer{};
  Writer out(buffer);
  encode(out, message);
  EXPECT_TRUE(out.ok());
  return {buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(out.size())};
}

inline IpAddress ip(std::string_view text) {
  const Result<IpAddress> address = IpAddress::parse(text);
  EXPECT_TRUE(address.has_value()) << text;
  return address.value_or({});
}

inline Target at(std::string_view address, Port port) {
  return Endpoint{ip(address), port};
}

inline Target named(std::string_view name, Port port) {
  const Result<DomainName> domain = DomainName::from(name);
  EXPECT_TRUE(domain.has_value());
  return NamedEndpoint{domain.value_or({}), port};
}

/// One target for each address type, and names of both extreme sizes.
inline std::vector<Target> every_kind_of_target() {
  return {at("192.0.2.1", 80), at("2001:db8::1", 443), named("v6only.test", 8080), named("x", 0),
          named(std::string(255, 'n'), 65535)};
}

/// Whole: complete, also with more behind it. Every shorter prefix: NeedMore, with a `missing` that
/// a reader may trust. Returns the parsed value; `message` must outlive it.
template <class T>
T parse_every_split(const Octets& message, Parsed<T> (*parse)(Bytes)) {
  for (std::size_t size = 0; size < message.size(); ++size) {
    const Parsed<T> part = parse(Bytes(message).first(size));
    EXPECT_EQ(part.status, ParseStatus::need_more) << size;
    EXPECT_EQ(part.error, Errc::ok);
    EXPECT_GE(part.missing, 1U);
    EXPECT_LE(size + part.missing, message.size());
  }
  const Octets longer = message + octets("what follows");
  EXPECT_EQ(parse(longer).consumed, message.size());
  const Parsed<T> whole = parse(message);
  EXPECT_EQ(whole.status, ParseStatus::complete);
  EXPECT_EQ(whole.consumed, message.size());
  return whole.value;
}

/// Invalid from octet number `position` (counted from 1) on, and not before.
template <class T>
void expect_invalid_at(std::size_t position, const Octets& message, Errc error,
                       Parsed<T> (*parse)(Bytes)) {
  for (std::size_t size = 0; size <= message.size(); ++size) {
    const Parsed<T> part = parse(Bytes(message).first(size));
    EXPECT_EQ(part.status, size < position ? ParseStatus::need_more : ParseStatus::invalid) << size;
    EXPECT_EQ(part.error, size < position ? Errc::ok : error) << size;
  }
}

}  // namespace socks64::test

#endif
