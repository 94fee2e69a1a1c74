#include "socks64/message.hpp"

#include <string>

#include "octets.hpp"

namespace socks64 {
namespace {

using test::at;
using test::encoded;
using test::every_kind_of_target;
using test::expect_invalid_at;
using test::named;
using test::Octets;
using test::parse_every_split;
using test::operator+;

TEST(Greeting, BothWays) {
  for (const std::size_t count : {1U, 2U, 255U}) {
    Greeting greeting;
    greeting.count = static_cast<std::uint8_t>(count);
    for (std::size_t i = 0; i < count; ++i) {
      greeting.methods[i] = static_cast<std::uint8_t>(i);
    }
    const Octets octets = encoded(greeting);
    EXPECT_EQ(octets.size(), 2 + count);
    const Greeting back = parse_every_split(octets, parse_greeting);
    EXPECT_EQ(back.count, greeting.count);
    EXPECT_EQ(back.methods, greeting.methods);
    EXPECT_TRUE(back.offers(Method::none));
    EXPECT_EQ(back.offers(Method::gssapi), count > 1);
    EXPECT_EQ(back.offers(Method::userpass), count > 2);
  }
  EXPECT_EQ(encoded([] {
              Greeting both;
              both.methods = {0, 2};
              both.count = 2;
              return both;
            }()),
            (Octets{5, 2, 0, 2}));
}

TEST(Greeting, Invalid) {
  expect_invalid_at(1, {4, 1, 0}, Errc::bad_version, parse_greeting);
  expect_invalid_at(1, test::octets("GET / HTTP/1.1"), Errc::bad_version, parse_greeting);
  expect_invalid_at(2, {5, 0, 0}, Errc::bad_method_count, parse_greeting);
  std::array<std::uint8_t, 8> buffer{};
  Writer out(buffer);
  encode(out, Greeting{});
  EXPECT_FALSE(out.ok());
}

TEST(MethodChoice, BothWays) {
  for (const Method method :
       {Method::none, Method::gssapi, Method::userpass, Method::unacceptable, Method{0x80}}) {
    const Octets octets = encoded(MethodChoice{method});
    EXPECT_EQ(octets, (Octets{5, static_cast<std::uint8_t>(method)}));
    EXPECT_EQ(parse_every_split(octets, parse_method_choice).method, method);
  }
  expect_invalid_at(1, {1, 0}, Errc::bad_version, parse_method_choice);
}

TEST(UserPass, BothWays) {
  const std::string longest(255, 'p');
  const UserPass rows[] = {{"user", "secret"}, {"u", ""}, {longest, longest}, {"u", {"\0\xff", 2}}};
  for (const UserPass& row : rows) {
    const Octets octets = encoded(row);
    const UserPass back = parse_every_split(octets, parse_userpass);
    EXPECT_EQ(back.user, row.user);
    EXPECT_EQ(back.password, row.password);
  }
  EXPECT_EQ(encoded(UserPass{"ab", "c"}), (Octets{1, 2, 'a', 'b', 1, 'c'}));
}

TEST(UserPass, Invalid) {
  expect_invalid_at(1, {5, 1, 'u', 1, 'p'}, Errc::bad_version, parse_userpass);
  expect_invalid_at(2, {1, 0, 1, 'p'}, Errc::bad_credentials, parse_userpass);
  const std::string too_long(256, 'x');
  for (const UserPass& row :
       {UserPass{"", "p"}, UserPass{too_long, "p"}, UserPass{"u", too_long}}) {
    std::array<std::uint8_t, 1024> buffer{};
    Writer out(buffer);
    encode(out, row);
    EXPECT_FALSE(out.ok());
    EXPECT_EQ(out.size(), 0U);
  }
}

TEST(UserPassStatus, BothWays) {
  for (const std::uint8_t status : Octets{0, 1, 255}) {
    const Octets octets = encoded(UserPassStatus{status});
    EXPECT_EQ(octets, (Octets{1, status}));
    EXPECT_EQ(parse_every_split(octets, parse_userpass_status).status, status);
  }
  const Octets old{5, 0};  // Deviation: VER 5
  EXPECT_EQ(parse_every_split(old, parse_userpass_status).status, 0);
  expect_invalid_at(1, {0, 0}, Errc::bad_version, parse_userpass_status);
}

TEST(Request, EveryCommandAndTargetBothWays) {
  for (const Command command : {Command::connect, Command::bind, Command::udp_associate,
                                Command::resolve, Command::resolve_ptr}) {
    for (const Target& target : every_kind_of_target()) {
      const Octets octets = encoded(Request{command, target});
      EXPECT_LE(octets.size(), max_request_size);
      const Request back = parse_every_split(octets, parse_request);
      EXPECT_EQ(back.command, command);
      EXPECT_EQ(back.target, target);
    }
  }
  EXPECT_EQ(encoded(Request{Command::connect, at("192.0.2.1", 80)}),
            (Octets{5, 1, 0, 1, 192, 0, 2, 1, 0, 80}));
  EXPECT_EQ(encoded(Request{Command::bind, named("ab", 0x1234)}),
            (Octets{5, 2, 0, 3, 2, 'a', 'b', 0x12, 0x34}));
  EXPECT_EQ(encoded(Request{Command::resolve, named("ab", 0)}),
            (Octets{5, 0xf0, 0, 3, 2, 'a', 'b', 0, 0}));
  EXPECT_EQ(encoded(Request{Command::resolve_ptr, at("192.0.2.1", 0)}),
            (Octets{5, 0xf1, 0, 1, 192, 0, 2, 1, 0, 0}));
}

TEST(Request, IsJudgedInOrderAndAtOnce) {
  expect_invalid_at(1, {4, 9, 0, 9}, Errc::bad_version, parse_request);
  expect_invalid_at(2, {5, 9, 0, 9}, Errc::bad_command, parse_request);
  expect_invalid_at(2, {5, 0, 0, 1}, Errc::bad_command, parse_request);
  expect_invalid_at(2, {5, 0xf2, 0, 3}, Errc::bad_command, parse_request);
  expect_invalid_at(4, {5, 1, 0, 2, 0}, Errc::bad_address_type, parse_request);
  expect_invalid_at(4, {5, 1, 0, 0}, Errc::bad_address_type, parse_request);
  expect_invalid_at(5, {5, 1, 0, 3, 0, 0, 80}, Errc::bad_name, parse_request);
  expect_invalid_at(7, {5, 1, 0, 3, 3, 'a', 0, 'b', 0, 80}, Errc::bad_name, parse_request);
  const Octets reserved{5, 1, 0xee, 1, 192, 0, 2, 1, 0, 80};
  EXPECT_EQ(parse_every_split(reserved, parse_request).target, at("192.0.2.1", 80));
}

TEST(Request, WhatCannotTravelIsNotEncoded) {
  for (const Request& request :
       {Request{Command{9}, at("192.0.2.1", 80)}, Request{Command::connect, NamedEndpoint{}}}) {
    std::array<std::uint8_t, 300> buffer{};
    Writer out(buffer);
    encode(out, request);
    EXPECT_FALSE(out.ok());
  }
}

TEST(Reply, EveryCodeAndTargetBothWays) {
  for (unsigned code = 0; code < 256; ++code) {
    const Octets octets = encoded(Reply{static_cast<ReplyCode>(code), at("::1", 1)});
    EXPECT_EQ(static_cast<unsigned>(parse_every_split(octets, parse_reply).code), code);
  }
  for (const Target& target : every_kind_of_target()) {
    const Octets octets = encoded(Reply{ReplyCode::succeeded, target});
    EXPECT_LE(octets.size(), max_reply_size);
    EXPECT_GE(octets.size(), min_reply_size);
    EXPECT_EQ(parse_every_split(octets, parse_reply).bound, target);
  }
}

TEST(Reply, EmptyNameIsTheUnspecifiedAddress) {
  const Octets octets{5, 0, 0, 3, 0, 0x1f, 0x90};
  EXPECT_EQ(octets.size(), min_reply_size);
  EXPECT_EQ(parse_every_split(octets, parse_reply).bound, at("0.0.0.0", 8080));
}

TEST(Reply, Invalid) {
  expect_invalid_at(1, {0, 0, 0, 1}, Errc::bad_version, parse_reply);
  expect_invalid_at(4, {5, 0, 0, 5, 0}, Errc::bad_address_type, parse_reply);
  expect_invalid_at(6, {5, 0, 0, 3, 2, 0, 'a', 0, 80}, Errc::bad_name, parse_reply);
}

TEST(Reply, TwoReadsAreEnoughForAnyReply) {
  for (const Target& target : every_kind_of_target()) {
    const Octets octets = encoded(Reply{ReplyCode::succeeded, target});
    const Parsed<Reply> first = parse_reply({});
    EXPECT_EQ(first.missing, min_reply_size);
    const Parsed<Reply> second = parse_reply(Bytes(octets).first(min_reply_size));
    if (second.status != ParseStatus::complete) {
      EXPECT_EQ(min_reply_size + second.missing, octets.size());
    }
  }
}

TEST(UdpHeader, BothWays) {
  for (const Target& target : every_kind_of_target()) {
    for (const std::uint8_t fragment : Octets{0, 1, 0x81}) {
      const Octets octets = encoded(UdpHeader{fragment, target});
      EXPECT_LE(octets.size(), max_udp_header_size);
      const Octets datagram = octets + test::octets("payload");
      const Parsed<UdpHeader> header = parse_udp_header(datagram);
      ASSERT_EQ(header.status, ParseStatus::complete);
      EXPECT_EQ(header.consumed, octets.size());
      EXPECT_EQ(header.value.fragment, fragment);
      EXPECT_EQ(header.value.target, target);
      for (std::size_t size = 0; size < octets.size(); ++size) {
        const Parsed<UdpHeader> cut = parse_udp_header(Bytes(octets).first(size));
        EXPECT_EQ(cut.status, ParseStatus::invalid);
        EXPECT_EQ(cut.error, Errc::truncated);
      }
    }
  }
  // Overhead of 10 and 22 octets, RFC 1928 section 7.
  EXPECT_EQ(encoded(UdpHeader{0, at("192.0.2.1", 53)}).size(), 10U);
  EXPECT_EQ(encoded(UdpHeader{0, at("2001:db8::1", 53)}).size(), 22U);
}

TEST(UdpHeader, Invalid) {
  const Octets type{0, 0, 0, 2, 1, 2, 3, 4, 5, 6};
  EXPECT_EQ(parse_udp_header(type).error, Errc::bad_address_type);
  const Octets empty_name{0, 0, 0, 3, 0, 0, 53, 1};
  EXPECT_EQ(parse_udp_header(empty_name).error, Errc::bad_name);
}

}  // namespace
}  // namespace socks64
