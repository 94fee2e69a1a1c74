#include "socks64/socks4.hpp"

#include <string>

#include "octets.hpp"

namespace socks64 {
namespace {

using test::at;
using test::encoded;
using test::expect_invalid_at;
using test::named;
using test::Octets;
using test::parse_every_split;
using test::operator+;

const std::string longest_text(255, 'n');

Octets with_nul(std::string_view text) {
  return test::octets(text) + Octets{0};
}

TEST(Socks4Request, AddressesAndNamesBothWays) {
  for (const Command command : {Command::connect, Command::bind}) {
    for (const std::string_view user :
         {std::string_view{}, std::string_view{"fred"}, std::string_view{longest_text}}) {
      for (const Target& target :
           {at("192.0.2.1", 80), at("0.0.0.0", 0), at("0.0.1.0", 65535), named("v6only.test", 8080),
            named("x", 0), named(longest_text, 65535)}) {
        const Octets octets = encoded(Socks4Request{{command, target}, user});
        EXPECT_LE(octets.size(), max_socks4_request_size);
        const Socks4Request back = parse_every_split(octets, parse_socks4_request);
        EXPECT_EQ(back.request.command, command);
        EXPECT_EQ(back.request.target, target);
        EXPECT_EQ(back.user, user);
      }
    }
  }
  EXPECT_EQ(encoded(Socks4Request{{Command::connect, at("192.0.2.1", 258)}, "fred"}),
            (Octets{4, 1, 1, 2, 192, 0, 2, 1}) + with_nul("fred"));
  EXPECT_EQ(encoded(Socks4Request{{Command::bind, named("a.test", 80)}, ""}),
            (Octets{4, 2, 0, 80, 0, 0, 0, 1, 0}) + with_nul("a.test"));
}

TEST(Socks4Request, EveryAddressOfTheLastOctetAnnouncesAName) {
  for (unsigned last = 1; last < 256; ++last) {
    const Octets octets =
        Octets{4, 1, 0, 80, 0, 0, 0, static_cast<std::uint8_t>(last), 'u', 0} + with_nul("a.test");
    EXPECT_EQ(parse_every_split(octets, parse_socks4_request).request.target, named("a.test", 80));
  }
}

TEST(Socks4Request, Invalid) {
  const Octets head{4, 1, 0, 80, 192, 0, 2, 1};
  const Octets name_head{4, 1, 0, 80, 0, 0, 0, 7};
  const Octets too_long(256, 'n');
  expect_invalid_at(1, {5, 1, 0}, Errc::bad_version, parse_socks4_request);
  expect_invalid_at(1, {0, 90, 0}, Errc::bad_version, parse_socks4_request);
  for (const std::uint8_t command : Octets{0, 3, 4, 0xf0, 0xf1, 0xff}) {
    expect_invalid_at(2, {4, command, 0, 80}, Errc::bad_command, parse_socks4_request);
  }
  expect_invalid_at(8 + 256, head + too_long, Errc::bad_credentials, parse_socks4_request);
  expect_invalid_at(8 + 256, name_head + too_long, Errc::bad_credentials, parse_socks4_request);
  expect_invalid_at(10, name_head + Octets{0, 0}, Errc::bad_name, parse_socks4_request);
  expect_invalid_at(9 + 256, name_head + Octets{0} + too_long, Errc::bad_name,
                    parse_socks4_request);
}

TEST(Socks4Request, NeverMeansOctetsThatAreNotOfTheRequest) {
  // How many octets a reader may ask for: exact where the length is known, a lower bound elsewhere.
  EXPECT_EQ(parse_socks4_request({}).missing, 9U);
  const Octets address{4, 1, 0, 80, 192, 0, 2, 1};
  EXPECT_EQ(parse_socks4_request(address).missing, 1U);
  const Octets name{4, 1, 0, 80, 0, 0, 0, 1};
  EXPECT_EQ(parse_socks4_request(name).missing, 3U);  // NUL, a letter, NUL
  EXPECT_EQ(parse_socks4_request(name + Octets{'u'}).missing, 3U);
  EXPECT_EQ(parse_socks4_request(name + Octets{0}).missing, 2U);
  EXPECT_EQ(parse_socks4_request(name + Octets{0, 'a'}).missing, 1U);
}

TEST(Socks4Request, WhatCannotBeCarriedIsNotEncoded) {
  const auto fails = [](const Socks4Request& request) {
    std::array<std::uint8_t, max_socks4_request_size> buffer{};
    Writer out(buffer);
    encode(out, request);
    return !out.ok();
  };
  const Request plain{Command::connect, at("192.0.2.1", 80)};
  EXPECT_FALSE(fails({plain, "fred"}));
  EXPECT_TRUE(fails({{Command::udp_associate, plain.target}, ""}));
  EXPECT_TRUE(fails({{Command::resolve, plain.target}, ""}));
  EXPECT_TRUE(fails({{Command::connect, at("2001:db8::1", 80)}, ""}));
  EXPECT_TRUE(fails({{Command::connect, at("::ffff:192.0.2.1", 80)}, ""}));
  EXPECT_TRUE(fails({{Command::connect, at("0.0.0.9", 80)}, ""}));
  EXPECT_TRUE(fails({{Command::connect, NamedEndpoint{}}, ""}));
  EXPECT_TRUE(fails({plain, longest_text + "n"}));
  EXPECT_TRUE(fails({plain, std::string_view("a\0b", 3)}));
}

TEST(Socks4Reply, BothWays) {
  for (unsigned code = 0; code < 256; ++code) {
    const Socks4Reply reply{static_cast<Socks4Code>(code), {192, 0, 2, 1}, 1080};
    const Octets octets = encoded(reply);
    EXPECT_EQ(octets, (Octets{0, static_cast<std::uint8_t>(code), 4, 56, 192, 0, 2, 1}));
    const Socks4Reply back = parse_every_split(octets, parse_socks4_reply);
    EXPECT_EQ(back.code, reply.code);
    EXPECT_EQ(back.address, reply.address);
    EXPECT_EQ(back.port, reply.port);
  }
  expect_invalid_at(1, {4, 90, 0, 0, 0, 0, 0, 0}, Errc::bad_version, parse_socks4_reply);
}

TEST(Socks4Reply, EveryReplyOfSocks5HasOne) {
  for (unsigned code = 0; code < 256; ++code) {
    const Reply reply{static_cast<ReplyCode>(code), at("192.0.2.1", 1080)};
    EXPECT_EQ(encoded(to_socks4(reply)),
              (Octets{0, static_cast<std::uint8_t>(code == 0 ? 90 : 91), 4, 56, 192, 0, 2, 1}));
  }
  const auto bound = [](const Target& target) {
    return encoded(to_socks4({ReplyCode::succeeded, target}));
  };
  EXPECT_EQ(bound(at("::ffff:192.0.2.1", 1080)), (Octets{0, 90, 4, 56, 192, 0, 2, 1}));
  EXPECT_EQ(bound(at("2001:db8::1", 1080)), (Octets{0, 90, 4, 56, 0, 0, 0, 0}));
  EXPECT_EQ(bound(named("a.test", 1080)), (Octets{0, 90, 4, 56, 0, 0, 0, 0}));
}

}  // namespace
}  // namespace socks64
