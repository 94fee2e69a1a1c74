#include "dns/dns_answer.hpp"

#include <array>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace socks64::shim {

namespace {

using Octets = std::vector<std::uint8_t>;

Verdict find(const DnsName*, std::string_view name, Families families,
             HostAddresses& out) noexcept {
  if (name == "full.test") {
    return Verdict::no_room;
  }
  if (name.find(' ') != std::string_view::npos) {
    return Verdict::no_such_name;
  }
  for (std::uint32_t i = 0; i < (name == "many.test" ? 32U : 1U); ++i) {
    if (families.ipv4 && name != "many.test") {
      out.add(IpAddress::v4(7 + i));
    }
    if (families.ipv6) {
      out.add(IpAddress::v6(
          {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(7 + i)}));
    }
  }
  return Verdict::found;
}

DnsReverse find_name(const IpAddress& address, DomainName& name) noexcept {
  if (address == IpAddress::v4(7) || address == *IpAddress::parse("100::7")) {
    name = *DomainName::from("v6only.test");
    return DnsReverse::named;
  }
  if (address == IpAddress::v4(9)) {
    name = *DomainName::from("two..dots");
    return DnsReverse::named;
  }
  return address == IpAddress::v4(8) ? DnsReverse::nobody : DnsReverse::elsewhere;
}

constexpr DnsNames names{find, find_name};

enum Code { no_error, format_error, server_failure, name_error, not_implemented };

void put16(Octets& out, unsigned value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8U));
  out.push_back(static_cast<std::uint8_t>(value));
}

Octets wire(std::string_view name) {
  Octets out;
  while (!name.empty()) {
    const std::size_t dot = std::min(name.find('.'), name.size());
    out.push_back(static_cast<std::uint8_t>(dot));
    out.insert(out.end(), name.begin(), name.begin() + static_cast<std::ptrdiff_t>(dot));
    name.remove_prefix(std::min(dot + 1, name.size()));
  }
  out.push_back(0);
  return out;
}

Octets message(unsigned flags, unsigned questions, unsigned additional, const Octets& body) {
  Octets out;
  for (const unsigned field : {0x1234U, flags, questions, 0U, 0U, additional}) {
    put16(out, field);
  }
  out.insert(out.end(), body.begin(), body.end());
  return out;
}

Octets question(const Octets& name, unsigned type, unsigned klass = 1) {
  Octets out = name;
  put16(out, type);
  put16(out, klass);
  return out;
}

Octets query(std::string_view name, unsigned type) {
  return message(0x0100, 1, 0, question(wire(name), type));
}

Octets opt(unsigned size, unsigned version = 0, unsigned flags = 0) {
  Octets out{0};
  for (const unsigned field : {41U, size, version, flags, 0U}) {
    put16(out, field);
  }
  return out;
}

Octets with(Octets first, const Octets& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

struct Reply {
  Octets octets;

  explicit Reply(const Octets& asked, DnsTransport transport = DnsTransport::datagram,
                 DnsOthers others = DnsOthers::empty) {
    std::array<std::uint8_t, dns_max_answer> out{};
    octets.assign(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(
                                                 answer_dns(asked, transport, others, names, out)));
  }
  [[nodiscard]] unsigned at16(std::size_t offset) const {
    return unsigned{octets.at(offset)} << 8U | octets.at(offset + 1);
  }
  [[nodiscard]] unsigned flags() const { return at16(2); }
  [[nodiscard]] int code() const { return static_cast<int>(flags() & 0xfU); }
  [[nodiscard]] bool truncated() const { return (flags() & 0x200U) != 0; }
  [[nodiscard]] unsigned questions() const { return at16(4); }
  [[nodiscard]] unsigned answers() const { return at16(6); }
  [[nodiscard]] unsigned additional() const { return at16(10); }
  [[nodiscard]] Octets tail(std::size_t size) const {
    return {octets.end() - static_cast<std::ptrdiff_t>(size), octets.end()};
  }
};

TEST(DnsAnswer, HeaderRepeatsWhatIsTheClients) {
  const Reply reply(query("v6only.test", 1));
  EXPECT_EQ(0x1234U, reply.at16(0));
  EXPECT_EQ(0x8180U, reply.flags());  // QR, RD as asked, RA; neither AA nor AD
  EXPECT_EQ(0x8090U, Reply(message(0x0010, 1, 0, question(wire("a.test"), 1))).flags());  // CD
  EXPECT_EQ(0U, reply.at16(8));
}

TEST(DnsAnswer, AddressRecords) {
  const Reply v4(query("v6only.test", 1));
  EXPECT_EQ(1U, v4.answers());
  EXPECT_EQ((Octets{0xc0, 12, 0, 1, 0, 1, 0, 0, 0, dns_ttl, 0, 4, 0, 0, 0, 7}), v4.tail(16));
  const Reply v6(query("v6only.test", 28));
  EXPECT_EQ(1U, v6.answers());
  EXPECT_EQ((Octets{0xc0, 12, 0, 28, 0, 1, 0, 0, 0, dns_ttl, 0, 16, 1, 0,
                    0,    0,  0, 0,  0, 0, 0, 0, 0, 0,       0, 0,  0, 7}),
            v6.tail(28));
  EXPECT_EQ(2U, Reply(query("v6only.test", 255)).answers());
}

TEST(DnsAnswer, QuestionComesBackAsItWasSpelled) {
  // Clients compare it, some with random upper case (draft-vixie-dnsext-dns0x20).
  const Octets asked = query("V6oNLy.tEsT", 1);
  const Reply reply(asked);
  EXPECT_TRUE(std::equal(asked.begin() + 12, asked.end(), reply.octets.begin() + 12));
}

TEST(DnsAnswer, NamesOfAddresses) {
  const Octets expected = wire("v6only.test");
  EXPECT_EQ(expected, Reply(query("7.0.0.0.in-addr.arpa", 12)).tail(expected.size()));
  EXPECT_EQ(expected, Reply(query("7.0.0.0.IN-ADDR.ARPA", 12)).tail(expected.size()));
  const std::string v6 = "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.ip6.arpa";
  EXPECT_EQ(expected, Reply(query(v6, 12)).tail(expected.size()));
  EXPECT_EQ(1U, Reply(query(v6, 12)).answers());
}

TEST(DnsAnswer, AddressesWithoutName) {
  EXPECT_EQ(name_error, Reply(query("8.0.0.0.in-addr.arpa", 12)).code());
  EXPECT_EQ(name_error, Reply(query("1.2.0.192.in-addr.arpa", 12)).code());
  EXPECT_EQ(name_error, Reply(query("9.0.0.0.in-addr.arpa", 12)).code());  // no wire form
  const Reply elsewhere(query("1.2.0.192.in-addr.arpa", 12), DnsTransport::datagram,
                        DnsOthers::truncated);
  EXPECT_TRUE(elsewhere.truncated());
  EXPECT_FALSE(
      Reply(query("8.0.0.0.in-addr.arpa", 12), DnsTransport::datagram, DnsOthers::truncated)
          .truncated());
}

TEST(DnsAnswer, NamesThatLookLikeAddressesButAreNone) {
  for (const char* name :
       {"in-addr.arpa", "0.0.0.in-addr.arpa", "07.0.0.0.in-addr.arpa", "256.0.0.0.in-addr.arpa",
        "1.7.0.0.0.in-addr.arpa", "7.0.0.0.in-addr.arpa.test", "x.0.0.0.in-addr.arpa",
        "7.0.0.0.ip6.arpa", "_services._dns-sd._udp.local"}) {
    const Reply reply(query(name, 12));
    EXPECT_EQ(no_error, reply.code()) << name;
    EXPECT_EQ(0U, reply.answers()) << name;
  }
}

TEST(DnsAnswer, OtherTypes) {
  for (const unsigned type : {2U, 5U, 6U, 15U, 16U, 33U, 65U, 252U, 65535U}) {
    const Octets asked = query("_http._tcp.example.test", type);
    const Reply empty(asked);
    EXPECT_EQ(no_error, empty.code());
    EXPECT_EQ(0U, empty.answers());
    EXPECT_FALSE(empty.truncated());
    const Reply truncated(asked, DnsTransport::datagram, DnsOthers::truncated);
    EXPECT_EQ(no_error, truncated.code());
    EXPECT_TRUE(truncated.truncated());
    EXPECT_EQ(server_failure, Reply(asked, DnsTransport::stream, DnsOthers::failure).code());
  }
  EXPECT_FALSE(Reply(query("a.test", 1), DnsTransport::datagram, DnsOthers::truncated).truncated());
}

TEST(DnsAnswer, NamesThatNoHostCanHave) {
  EXPECT_EQ(name_error, Reply(query("a b.test", 1)).code());
  EXPECT_EQ(name_error, Reply(message(0, 1, 0, question({3, 'a', '.', 'b', 0}, 1))).code());
  EXPECT_EQ(name_error, Reply(message(0, 1, 0, question({3, 'a', 0, 'b', 0}, 28))).code());
  EXPECT_EQ(server_failure, Reply(query("full.test", 1)).code());
  const Reply root(query("", 1));
  EXPECT_EQ(no_error, root.code());
  EXPECT_EQ(0U, root.answers());
}

TEST(DnsAnswer, WhatIsNoQueryGetsNoAnswer) {
  const Octets good = query("a.test", 1);
  for (std::size_t size = 0; size < dns_header_size; ++size) {
    EXPECT_TRUE(Reply(Octets(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)))
                    .octets.empty());
  }
  EXPECT_TRUE(Reply(message(0x8000, 1, 0, question(wire("a.test"), 1))).octets.empty());
}

TEST(DnsAnswer, EveryTruncationOfAQueryIsAFormatError) {
  const Octets good = with(query("host.example.test", 1), {});
  Octets whole = message(0x0100, 1, 1, with(question(wire("host.example.test"), 1), opt(1232)));
  for (std::size_t size = dns_header_size; size < whole.size(); ++size) {
    const Reply reply(Octets(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
    EXPECT_EQ(format_error, reply.code()) << size;
    EXPECT_EQ(dns_header_size, reply.octets.size()) << size;
    EXPECT_EQ(0x1234U, reply.at16(0));
  }
  EXPECT_EQ(no_error, Reply(whole).code());
  EXPECT_EQ(no_error, Reply(good).code());
}

TEST(DnsAnswer, FormatErrors) {
  const Octets one = question(wire("a.test"), 1);
  const Octets pointer = question({0xc0, 12}, 1);
  const Octets reserved = question({0x41, 'a', 0}, 1);
  const Octets long_name = question(wire(std::string(63, 'a') + "." + std::string(63, 'b') + "." +
                                         std::string(63, 'c') + "." + std::string(62, 'd')),
                                    1);
  const Octets longest = question(wire(std::string(63, 'a') + "." + std::string(63, 'b') + "." +
                                       std::string(63, 'c') + "." + std::string(61, 'd')),
                                  1);
  const auto code = [](const Octets& asked) { return Reply(asked).code(); };
  EXPECT_EQ(format_error, code(message(0, 0, 0, {})));
  EXPECT_EQ(format_error, code(message(0, 0, 0, one)));
  EXPECT_EQ(format_error, code(message(0, 2, 0, with(one, one))));
  EXPECT_EQ(format_error, code(message(0, 1, 0, pointer)));
  EXPECT_EQ(format_error, code(message(0, 1, 0, reserved)));
  EXPECT_EQ(format_error, code(message(0, 1, 0, long_name)));
  EXPECT_EQ(no_error, code(message(0, 1, 0, longest)));
  EXPECT_EQ(format_error, code(message(0, 1, 0, with(one, {0}))));  // octets left over
  EXPECT_EQ(format_error, code(message(0, 1, 1, one)));             // a record is missing
  EXPECT_EQ(format_error, code(message(0, 1, 2, with(one, with(opt(512), opt(512))))));
  Octets owned = opt(512);
  owned[0] = 1;
  owned.insert(owned.begin() + 1, {'x', 0});
  EXPECT_EQ(format_error, code(message(0, 1, 1, with(one, owned))));  // OPT belongs to the root
}

TEST(DnsAnswer, OtherRecordsArePassedOver) {
  const Octets one = question(wire("a.test"), 1);
  // A record of type TXT whose owner is a pointer to the question.
  const Octets record{0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 0, 0, 2, 1, 'x'};
  EXPECT_EQ(1U, Reply(message(0, 1, 2, with(one, with(record, opt(512))))).answers());
}

TEST(DnsAnswer, OtherOperationsAndClasses) {
  for (const unsigned opcode : {1U, 2U, 4U, 5U, 15U}) {
    const Reply reply(message(opcode << 11U, 1, 0, question(wire("a.test"), 1)));
    EXPECT_EQ(not_implemented, reply.code());
    EXPECT_EQ(opcode, reply.flags() >> 11U & 0xfU);
  }
  for (const unsigned klass : {0U, 3U, 4U, 254U}) {
    EXPECT_EQ(not_implemented,
              Reply(message(0, 1, 0, question(wire("version.bind"), 16, klass))).code());
  }
  EXPECT_EQ(1U, Reply(message(0, 1, 0, question(wire("a.test"), 1, 255))).answers());
}

TEST(DnsAnswer, ExtendedDns) {
  const Octets one = question(wire("a.test"), 1);
  const Reply reply(message(0, 1, 1, with(one, opt(4096, 0, 0x8000))));
  EXPECT_EQ(1U, reply.additional());
  EXPECT_EQ((Octets{0, 0, 41, 0x04, 0xd0, 0, 0, 0x80, 0, 0, 0}), reply.tail(11));  // DO comes back
  const Reply plain(message(0, 1, 1, with(one, opt(4096))));
  EXPECT_EQ((Octets{0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0}), plain.tail(11));
  EXPECT_EQ(0U, Reply(query("a.test", 1)).additional());
  const Reply bad_version(message(0, 1, 1, with(one, opt(4096, 1))));
  EXPECT_EQ(0, bad_version.code());
  EXPECT_EQ((Octets{0, 0, 41, 0x04, 0xd0, 1, 0, 0, 0, 0, 0}), bad_version.tail(11));  // BADVERS
  EXPECT_EQ(0U, bad_version.answers());
}

TEST(DnsAnswer, WhatDoesNotFitIntoADatagramIsToBeAskedForByTcp) {
  const Octets one = question(wire("many.test"), 28);
  const Reply small(message(0, 1, 0, one));
  EXPECT_TRUE(small.truncated());
  EXPECT_EQ(0U, small.answers());
  EXPECT_EQ(12 + one.size(), small.octets.size());
  EXPECT_TRUE(Reply(message(0, 1, 1, with(one, opt(0)))).truncated());  // below 512 means 512
  const Reply large(message(0, 1, 1, with(one, opt(1232))));
  EXPECT_FALSE(large.truncated());
  EXPECT_EQ(32U, large.answers());
  EXPECT_EQ(32U, Reply(message(0, 1, 0, one), DnsTransport::stream).answers());
}

TEST(DnsAnswer, TheLongestAnswerFits) {
  const std::string name = std::string(63, 'a') + "." + std::string(63, 'b') + "." +
                           std::string(63, 'c') + "." + std::string(61, 'd');
  const Reply reply(message(0, 1, 1, with(question(wire(name), 28), opt(65535))));
  EXPECT_EQ(no_error, reply.code());
  EXPECT_EQ(1U, reply.answers());
}

}  // namespace
}  // namespace socks64::shim
