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

}  // namespace socks64::test

#endif
