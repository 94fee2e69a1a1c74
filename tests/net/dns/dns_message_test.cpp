// What is taken of an answer, and what is not.
#include "dns/dns_message.hpp"

#include <chrono>
#include <string>

#include <gtest/gtest.h>

#include "rig/dns_octets.hpp"

namespace socks64::gateway::testing {
namespace {

using namespace std::chrono_literals;

const Octets one{192, 0, 2, 1};
const Octets two{192, 0, 2, 2};
const Octets evil{198, 51, 100, 66};

std::string text_of(const DnsReply& reply) {
  std::string text(describe(reply.failure));
  for (const IpAddress& address : reply.addresses) {
    text += " " + std::string(address.text().view());
  }
  if (!reply.name.empty()) {
    text += " " + reply.name;
  }
  return text + (reply.ttl ? " " + std::to_string(reply.ttl->count()) + "s" : "");
}

std::string read(const DnsOctets& message, RecordType type = RecordType::a,
                 const std::string& name = "a.test") {
  return text_of(reply_in(message.octets, {name, type}));
}

DnsOctets asked(unsigned type = type_a) {
  return DnsOctets().question("a.test", type);
}

Octets soa(std::uint32_t minimum) {
  Octets data{0, 0};  // both names are the root
  data.resize(2 + 16);
  for (unsigned shift = 32; shift > 0; shift -= 8) {
    data.push_back(static_cast<std::uint8_t>(minimum >> (shift - 8) & 0xffU));
  }
  return data;
}

TEST(DnsMessage, TakesAddressesOfBothFamilies) {
  EXPECT_EQ(
      read(
          asked().answer(asked_name, type_a, 60, one).answer(wire_name("A.Test"), type_a, 30, two)),
      "none 192.0.2.1 192.0.2.2 30s");
  const Octets six{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  EXPECT_EQ(read(asked(type_aaaa).answer(asked_name, type_aaaa, 60, six), RecordType::aaaa),
            "none 2001:db8::1 60s");
  EXPECT_EQ(read(asked()), "name-not-found");
}

TEST(DnsMessage, TakesTheFirstName) {
  EXPECT_EQ(read(asked(type_ptr)
                     .answer(asked_name, type_ptr, 60, wire_name("One.Test"))
                     .answer(asked_name, type_ptr, 50, wire_name("two.test")),
                 RecordType::ptr),
            "none One.Test 50s");
  EXPECT_EQ(read(asked(type_ptr)
                     .answer(asked_name, type_cname, 9, wire_name("1.0/25.test"))
                     .answer(wire_name("1.0/25.test"), type_ptr, 60, wire_name("one.test")),
                 RecordType::ptr),
            "none one.test 9s");
  EXPECT_EQ(read(asked(type_ptr).answer(asked_name, type_ptr, 60, {0}), RecordType::ptr),
            "name-not-found");
}

TEST(DnsMessage, TakesNothingOfOtherNames) {
  EXPECT_EQ(read(asked().answer(wire_name("bank.test"), type_a, 60, evil)), "name-not-found");
  EXPECT_EQ(read(asked().answer(wire_name("a.test.test"), type_a, 60, evil)), "name-not-found");
  EXPECT_EQ(read(asked().answer({6, 'a', '.', 't', 'e', 's', 't', 0}, type_a, 60, evil)),
            "name-not-found");
  // Nor of their aliases.
  EXPECT_EQ(read(asked()
                     .answer(wire_name("b.test"), type_cname, 1, wire_name("c.test"))
                     .answer(wire_name("c.test"), type_a, 60, evil)
                     .answer(asked_name, type_a, 50, one)),
            "none 192.0.2.1 50s");
}

TEST(DnsMessage, TakesNothingOfOtherTypesClassesAndSizes) {
  EXPECT_EQ(read(asked().answer(asked_name, type_aaaa, 60, Octets(16))), "name-not-found");
  EXPECT_EQ(read(asked().answer(asked_name, type_a, 60, evil, 3)), "name-not-found");
  EXPECT_EQ(read(asked().answer(asked_name, type_a, 60, {1, 2, 3})), "name-not-found");
  EXPECT_EQ(read(asked(type_aaaa).answer(asked_name, type_aaaa, 60, one), RecordType::aaaa),
            "name-not-found");
  EXPECT_EQ(read(asked().answer(asked_name, type_cname, 60, wire_name("b.test"), 3)),
            "name-not-found");
}

TEST(DnsMessage, FollowsTheChainFromTheQuestion) {
  EXPECT_EQ(read(asked()
                     .answer(asked_name, type_cname, 40, wire_name("b.test"))
                     .answer(wire_name("B.test"), type_cname, 50, wire_name("c.test"))
                     .answer(asked_name, type_a, 1, evil)
                     .answer(wire_name("c.test"), type_a, 60, one)),
            "none 192.0.2.1 40s");
}

TEST(DnsMessage, AChainInALoopEndsWithTheMessage) {
  DnsOctets message = asked();
  for (int i = 0; i < 500; ++i) {
    message.answer(asked_name, type_cname, 60, wire_name("b.test"))
        .answer(wire_name("b.test"), type_cname, 60, asked_name);
  }
  EXPECT_EQ(read(message), "name-failed");
  EXPECT_EQ(read(asked().answer(asked_name, type_cname, 60, asked_name)), "name-failed");
}

TEST(DnsMessage, AChainMayStandInAnyOrder) {
  EXPECT_EQ(read(asked()
                     .answer(wire_name("c.test"), type_a, 60, one)
                     .answer(wire_name("b.test"), type_cname, 50, wire_name("c.test"))
                     .answer(asked_name, type_cname, 40, wire_name("b.test"))),
            "none 192.0.2.1 40s");
  // Its target is another server's matter; then the answer names nothing.
  EXPECT_EQ(read(asked().answer(asked_name, type_cname, 40, wire_name("b.test"))),
            "name-not-found");
}

TEST(DnsMessage, WhatIsTruncatedFails) {
  constexpr unsigned truncated = 0x8380;
  EXPECT_EQ(
      read(DnsOctets(truncated).question("a.test", type_a).answer(asked_name, type_a, 60, one)),
      "name-failed");
  EXPECT_EQ(read(DnsOctets(truncated).question("a.test", type_a)), "name-failed");
  EXPECT_EQ(read(DnsOctets(truncated | dns::Header::nxdomain).question("a.test", type_a)),
            "name-failed");
}

TEST(DnsMessage, AnAliasOrANameThatNoHostCanHaveFails) {
  for (const char* const bad : {"b\nc.test", "b c.test", "b\\.test", "\xff.test", "b@c.test"}) {
    EXPECT_EQ(read(asked()
                       .answer(asked_name, type_cname, 60, wire_name(bad))
                       .answer(wire_name(bad), type_a, 60, one)),
              "name-failed")
        << bad;
    EXPECT_EQ(
        read(asked(type_ptr).answer(asked_name, type_ptr, 60, wire_name(bad)), RecordType::ptr),
        "name-failed")
        << bad;
  }
  EXPECT_EQ(read(asked(type_ptr).answer(asked_name, type_ptr, 60, {3, 'a', '.', 'b', 0}),
                 RecordType::ptr),
            "name-failed");
  EXPECT_EQ(read(asked(type_ptr).answer(asked_name, type_ptr, 60, wire_name("127.0.0.1")),
                 RecordType::ptr),
            "name-failed");
  // One that nobody follows does no harm.
  EXPECT_EQ(read(asked()
                     .answer(wire_name("b.test"), type_cname, 60, wire_name("b c.test"))
                     .answer(asked_name, type_a, 60, one)),
            "none 192.0.2.1 60s");
}

TEST(DnsMessage, AThousandRecordsAreBounded) {
  DnsOctets message = asked();
  for (std::uint8_t i = 0; i < 250; ++i) {
    for (std::uint8_t j = 0; j < 4; ++j) {
      message.answer(asked_name, type_a, i < 16 ? 60 : 1, {198, 18, i, j});
    }
  }
  const DnsReply reply = reply_in(message.octets, {"a.test", RecordType::a});
  EXPECT_EQ(reply.failure, Failure::none);
  EXPECT_EQ(reply.addresses.size(), max_reply_addresses);
  EXPECT_EQ(reply.ttl, 60s);  // that of the others is of no account
}

TEST(DnsMessage, EveryTruncationOfTheAnswersFails) {
  const Octets whole = asked()
                           .answer(asked_name, type_cname, 40, wire_name("b.test"))
                           .answer(wire_name("b.test"), type_a, 60, one)
                           .octets;
  EXPECT_EQ(text_of(reply_in(whole, {"a.test", RecordType::a})), "none 192.0.2.1 40s");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(text_of(reply_in(Bytes(whole).first(size), {"a.test", RecordType::a})), "name-failed")
        << size;
  }
}

TEST(DnsMessage, MalformedNamesFail) {
  const auto of_owner = [](const Octets& owner) {
    return read(asked().answer(owner, type_a, 60, one));
  };
  const std::uint8_t here = 12 + 8 + 4;  // the first record
  EXPECT_EQ(of_owner({0xc0, here}), "name-failed") << "a pointer to itself";
  EXPECT_EQ(of_owner({0xc0, here + 2, 1, 'b', 0}), "name-failed") << "a pointer forwards";
  EXPECT_EQ(of_owner({1, 'b', 0xc0, here}), "name-failed") << "a loop";
  EXPECT_EQ(of_owner({0xff, 0xff}), "name-failed") << "a pointer out of the message";
  EXPECT_EQ(of_owner({0x40, 'b', 0}), "name-failed") << "a reserved length";
  EXPECT_EQ(of_owner({0x80, 'b', 0}), "name-failed") << "a reserved length";
  Octets label(65, 'b');
  label[0] = 64;
  label.push_back(0);
  EXPECT_EQ(of_owner(label), "name-failed") << "a label of 64 octets";
  const std::string label63(63, 'b');
  const std::string longest = label63 + "." + label63 + "." + label63 + "." + std::string(61, 'b');
  EXPECT_EQ(of_owner(wire_name(longest)), "name-not-found") << "255 octets";
  EXPECT_EQ(of_owner(wire_name(longest + "b")), "name-failed") << "256 octets";
  // 255 octets by way of a pointer, too.
  EXPECT_EQ(read(asked()
                     .answer(wire_name(longest), type_a, 60, one)
                     .answer({1, 'b', 0xc0, here}, type_a, 60, one)),
            "name-failed");
  // An alias has to be all of the data.
  EXPECT_EQ(read(asked().answer(asked_name, type_cname, 60, {0xc0, 12, 0})), "name-failed");
  EXPECT_EQ(read(asked().answer(asked_name, type_cname, 60, {1, 'b'})), "name-failed");
  EXPECT_EQ(read(asked().answer(asked_name, type_cname, 60, {})), "name-failed");
}

TEST(DnsMessage, PointersToPointersAreBounded) {
  const auto with_pointers = [](std::size_t count) {
    DnsOctets message = asked();
    // In the data of a record of another type: each points to the one before it, the first to the
    // name.
    const std::size_t first = message.octets.size() + 2 + 10;
    Octets data;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t target = i == 0 ? 12 : first + 2 * (i - 1);
      data.push_back(static_cast<std::uint8_t>(0xc0 | target >> 8U));
      data.push_back(static_cast<std::uint8_t>(target & 0xffU));
    }
    message.answer(asked_name, 99, 60, data);
    const std::size_t last = first + 2 * (count - 1);
    const Octets owner{static_cast<std::uint8_t>(0xc0 | last >> 8U),
                       static_cast<std::uint8_t>(last & 0xffU)};
    return read(message.answer(owner, type_a, 60, one));
  };
  EXPECT_EQ(with_pointers(40), "none 192.0.2.1 60s");
  EXPECT_EQ(with_pointers(60), "name-failed");
}

TEST(DnsMessage, WhatIsNoAnswerToThisQuestionFails) {
  const auto answered = [](DnsOctets message) {
    return read(message.answer(asked_name, type_a, 60, one));
  };
  EXPECT_EQ(answered(asked()), "none 192.0.2.1 60s");
  EXPECT_EQ(answered(DnsOctets(0x0180).question("a.test", type_a)), "name-failed") << "a query";
  EXPECT_EQ(answered(DnsOctets(0xa980).question("a.test", type_a)), "name-failed") << "opcode 5";
  EXPECT_EQ(answered(DnsOctets().question("b.test", type_a)), "name-failed");
  EXPECT_EQ(answered(DnsOctets().question("a.test", type_aaaa)), "name-failed");
  EXPECT_EQ(answered(DnsOctets().question("a.test", type_a, 3)), "name-failed");
  EXPECT_EQ(answered(asked().question("a.test", type_a)), "name-failed") << "two questions";
  EXPECT_EQ(read(DnsOctets()), "name-failed") << "no question";
  EXPECT_EQ(answered(DnsOctets().question("A.TEST", type_a)), "none 192.0.2.1 60s");
}

TEST(DnsMessage, FailuresOfTheServerAreFailures) {
  for (unsigned rcode = 0; rcode < 16; ++rcode) {
    const std::string expected = rcode == 0   ? "none 192.0.2.1 60s"
                                 : rcode == 3 ? "name-not-found"
                                              : "name-failed";
    EXPECT_EQ(read(DnsOctets(0x8180 | rcode)
                       .question("a.test", type_a)
                       .answer(asked_name, type_a, 60, one)),
              expected)
        << rcode;
  }
}

// RFC 2181 section 8.
TEST(DnsMessage, ATtlWithTheHighestBitIsZero) {
  EXPECT_EQ(read(asked().answer(asked_name, type_a, 0x7fffffff, one)),
            "none 192.0.2.1 2147483647s");
  EXPECT_EQ(read(asked().answer(asked_name, type_a, 0x80000000, one)), "none 192.0.2.1 0s");
  EXPECT_EQ(read(asked().answer(asked_name, type_a, 0xffffffff, one)), "none 192.0.2.1 0s");
  EXPECT_EQ(read(asked()
                     .answer(asked_name, type_cname, 0x80000000, wire_name("b.test"))
                     .answer(wire_name("b.test"), type_a, 60, one)),
            "none 192.0.2.1 0s");
  EXPECT_EQ(read(asked().authority({0}, type_soa, 0x80000000, soa(7))), "name-not-found 0s");
  EXPECT_EQ(read(asked().authority({0}, type_soa, 60, soa(0x80000000))), "name-not-found 0s");
}

TEST(DnsMessage, ANegativeAnswerHoldsForTheSmallerOfTtlAndMinimum) {
  EXPECT_EQ(read(asked().authority({0}, type_soa, 60, soa(7))), "name-not-found 7s");
  EXPECT_EQ(read(asked().authority({0}, type_soa, 6, soa(7))), "name-not-found 6s");
  DnsOctets message = DnsOctets(0x8183)
                          .question("a.test", type_a)
                          .answer(asked_name, type_cname, 9, wire_name("b.test"));
  const std::size_t answered = message.octets.size();
  const Octets whole = message.authority(wire_name("test"), 2, 1, wire_name("ns.test"))
                           .authority(wire_name("test"), type_soa, 30, soa(20))
                           .octets;
  const Question question{"a.test", RecordType::a};
  EXPECT_EQ(text_of(reply_in(whole, question)), "name-not-found 20s");
  for (std::size_t size = 24; size < whole.size(); ++size) {
    EXPECT_EQ(text_of(reply_in(Bytes(whole).first(size), question)),
              size < answered ? "name-failed" : "name-not-found")
        << size;
  }
  // One in the answer section says nothing.
  EXPECT_EQ(read(asked().answer(asked_name, type_soa, 60, soa(7))), "name-not-found");
}

}  // namespace
}  // namespace socks64::gateway::testing
