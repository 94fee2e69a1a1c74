// What newer versions of c-ares see of the datagrams.
#include "dns/cares_translation.hpp"

#include <string>

#include <gtest/gtest.h>

#include "rig/dns_octets.hpp"

namespace socks64::gateway::testing {
namespace {

const Octets address{192, 0, 2, 1};

DnsOctets answer_to(std::string_view name, unsigned flags = 0x8180) {
  DnsOctets message = DnsOctets(flags).question(name, type_a);
  message.set16(0, 0x1234);
  return message;
}

/// What c-ares sees; empty: nothing.
Octets seen(const CaresTranslation& translation, const Octets& sent, std::size_t room = 65535) {
  Octets buffer = sent;
  buffer.resize(room);
  buffer.resize(translation.for_cares(buffer, sent.size()));
  return buffer;
}

Octets copy_of(Bytes octets) {
  return {octets.begin(), octets.end()};
}

DnsOctets query_for(std::string_view name) {
  return answer_to(name, 0x0100);
}

Octets on_the_wire(const CaresTranslation& translation, const Octets& query) {
  std::array<std::uint8_t, CaresTranslation::max_query> out{};
  const std::optional<Bytes> sent = translation.for_server(query, out);
  return sent ? copy_of(*sent) : Octets();
}

TEST(CaresTranslation, AnAnswerIsOneRecordThatSaysNothing) {
  const CaresTranslation translation;
  const Octets sent = answer_to("a.test", 0x87b3)
                          .answer(asked_name, type_a, 60, address)
                          .authority({0xff, 0xff}, type_soa, 60, {})
                          .octets;
  const Octets given = seen(translation, sent);
  ASSERT_GT(given.size(), sent.size());
  // The ID, TC and the code stay; one question, one record.
  EXPECT_EQ(Octets(given.begin(), given.begin() + 12),
            (Octets{0x12, 0x34, 0x83, 0x03, 0, 1, 0, 1, 0, 0, 0, 0}));
  EXPECT_TRUE(std::equal(sent.begin() + 12, sent.begin() + 24, given.begin() + 12));
  EXPECT_EQ(copy_of(translation.as_sent(given)), sent);
}

TEST(CaresTranslation, WhatIsNoAnswerIsDropped) {
  const CaresTranslation translation;
  const Octets sent = answer_to("a.test").octets;
  for (std::size_t size = 0; size < sent.size(); ++size) {
    EXPECT_TRUE(
        seen(translation, Octets(sent.begin(), sent.begin() + static_cast<std::ptrdiff_t>(size)))
            .empty())
        << size;
  }
  EXPECT_TRUE(seen(translation, query_for("a.test").octets).empty());
  EXPECT_TRUE(seen(translation, answer_to("a.test", 0xa980).octets).empty()) << "opcode 5";
  EXPECT_TRUE(seen(translation, answer_to("a.test").question("a.test", type_a).octets).empty());
  EXPECT_TRUE(seen(translation, DnsOctets().octets).empty());
  EXPECT_TRUE(seen(translation, DnsOctets().question("a.test", type_soa).octets).empty());
  EXPECT_TRUE(seen(translation, DnsOctets().question("a.test", type_a, 3).octets).empty());
  EXPECT_TRUE(seen(translation, answer_to("a b.test").octets).empty()) << "nobody asked for it";
  DnsOctets compressed = answer_to("a");
  compressed.octets.resize(12);
  compressed.octets.insert(compressed.octets.end(), {0xc0, 11, 0, 1, 0, 1});
  EXPECT_TRUE(seen(translation, compressed.octets).empty());
}

TEST(CaresTranslation, WhatHasNoRoomIsDropped) {
  const CaresTranslation translation;
  const Octets sent = answer_to("a.test").answer(asked_name, type_a, 60, address).octets;
  const std::size_t needed = seen(translation, sent).size();
  EXPECT_EQ(seen(translation, sent, needed).size(), needed);
  EXPECT_TRUE(seen(translation, sent, needed - 1).empty());
  Octets big = sent;
  big.resize(65507);
  EXPECT_EQ(seen(translation, big, 131072).size() > 65535, false);
  EXPECT_TRUE(seen(translation, big, 131072).empty());
}

TEST(CaresTranslation, ARecordOfAServerIsNotTakenForOurs) {
  const CaresTranslation translation;
  const CaresTranslation other;
  const Octets sent = answer_to("a.test").answer(asked_name, type_a, 60, address).octets;
  const Octets given = seen(other, sent);
  EXPECT_EQ(copy_of(translation.as_sent(given)), given);
  EXPECT_EQ(copy_of(translation.as_sent(sent)), sent);
  EXPECT_TRUE(translation.as_sent({}).empty());
}

TEST(CaresTranslation, NamesOfHostsNeedNoStandIn) {
  CaresTranslation translation;
  for (const std::string name : {"a.test", "xn--bcher-kva.test", "_dmarc._tcp.test", "-dash-.test",
                                 "1.2.3", "0/25.2.0.192.in-addr.arpa"}) {
    EXPECT_EQ(translation.borrow(name), name);
    const Octets query = query_for(name).octets;
    EXPECT_EQ(on_the_wire(translation, query), query);
    translation.give_back(name);
  }
}

TEST(CaresTranslation, OtherNamesAreKeptFromCAres) {
  CaresTranslation translation;
  for (const std::string name : {"with space.test", "back\\slash.test", "*.test", "*1", "a@b.test",
                                 "b\xc3\xbc"
                                 "cher.test"}) {
    const std::string stand_in = translation.borrow(name);
    EXPECT_NE(stand_in, name);
    EXPECT_EQ(translation.borrow(name), stand_in);
    translation.give_back(name);
    // To the server goes the name, and what comes back is an answer to the stand-in.
    EXPECT_EQ(on_the_wire(translation, query_for(stand_in).octets), query_for(name).octets);
    const Octets sent = answer_to(name).answer(asked_name, type_a, 60, address).octets;
    const Octets given = seen(translation, sent);
    const Octets question = answer_to(stand_in).octets;
    ASSERT_GT(given.size(), question.size());
    EXPECT_TRUE(std::equal(question.begin() + 12, question.end(), given.begin() + 12));
    EXPECT_EQ(copy_of(translation.as_sent(given)), sent);
    translation.give_back(name);
    EXPECT_TRUE(on_the_wire(translation, query_for(stand_in).octets).empty());
    EXPECT_TRUE(seen(translation, sent).empty());
  }
}

TEST(CaresTranslation, StandInsAreToldApart) {
  CaresTranslation translation;
  const std::string one = translation.borrow("a b.test");
  const std::string two = translation.borrow("a@b.test");
  EXPECT_NE(one, two);
  translation.give_back("a b.test");
  EXPECT_EQ(on_the_wire(translation, query_for(two).octets), query_for("a@b.test").octets);
  EXPECT_NE(translation.borrow("a\tb.test"), two);
}

// c-ares would ask a server for the stand-in.
TEST(CaresTranslation, AStandInIsNotAskedForOverTcp) {
  CaresTranslation translation;
  static_cast<void>(translation.borrow("a b.test"));
  const Octets given = seen(translation, answer_to("a b.test", 0x8380).octets);
  ASSERT_GT(given.size(), 4U);
  EXPECT_EQ(given[2] & 0x02, 0) << "TC: c-ares would ask over TCP for the stand-in";
  EXPECT_EQ(given[3] & 0x0f, 0) << "the server is a good one";
  EXPECT_EQ(reply_in(translation.as_sent(given), {"a b.test", RecordType::a}).failure,
            Failure::name_failed);
}

}  // namespace
}  // namespace socks64::gateway::testing
