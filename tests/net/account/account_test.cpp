// One line a session, whatever a peer sent, and every field in it.
#include "account/account.hpp"

#include <string>

#include <gtest/gtest.h>

#include "base/log.hpp"

namespace socks64::gateway {
namespace {

using namespace std::chrono_literals;

std::string as_text(const AccessRecord& record) {
  fmt::memory_buffer out;
  format_text(out, record);
  return fmt::to_string(out);
}

std::string as_json(const AccessRecord& record) {
  fmt::memory_buffer out;
  format_json(out, record);
  return fmt::to_string(out);
}

AccessRecord full_record() {
  AccessRecord record;
  record.time = std::chrono::system_clock::time_point(1'700'000'000'123ms);
  record.id = 42;
  record.client = *Endpoint::parse("127.0.0.1:4711");
  record.user = "alice";
  record.command = Command::connect;
  record.target = text(Target(NamedEndpoint{*DomainName::from("v6only.test"), 80})).view();
  record.address = *Endpoint::parse("[2001:db8::1]:80");
  record.attempts = 2;
  record.octets_up = 78;
  record.octets_down = 1234567;
  record.resolve_time = 412us;
  record.connect_time = 1900us;
  record.total_time = 12'003'004us;
  record.reply = ReplyCode::succeeded;
  record.end = SessionEnd::both_closed;
  return record;
}

TEST(AccessRecord, TextHasEveryField) {
  EXPECT_EQ(
      as_text(full_record()),
      "2023-11-14T22:13:20.123Z access id=42 client=127.0.0.1:4711 user=alice command=connect "
      "target=v6only.test:80 address=[2001:db8::1]:80 crossing=v4>v6 attempts=2 up=78 "
      "down=1234567 resolve_ms=0.412 connect_ms=1.900 total_ms=12003.004 reply=0 "
      "end=both-closed reason=-");
}

TEST(AccessRecord, ClientOfAUnixSocketIsAProcess) {
  AccessRecord record = full_record();
  record.client = Client(Client::Process{1000, 4711});
  EXPECT_NE(as_text(record).find(" client=unix:1000:4711 "), std::string::npos) << as_text(record);
  EXPECT_NE(as_text(record).find(" crossing=unix>v6 "), std::string::npos) << as_text(record);
  record.address = *Endpoint::parse("192.0.2.1:80");
  EXPECT_NE(as_json(record).find(R"("crossing":"unix>v4")"), std::string::npos) << as_json(record);
}

TEST(AccessRecord, TextMarksWhatIsAbsent) {
  AccessRecord record;
  record.client = *Endpoint::parse("[::1]:1");
  record.end = SessionEnd::bad_handshake;
  record.reason = "wrong protocol version";
  EXPECT_EQ(
      as_text(record),
      "1970-01-01T00:00:00.000Z access id=0 client=[::1]:1 user=- command=- target=- address=- "
      "crossing=- attempts=0 up=0 down=0 resolve_ms=0.000 connect_ms=0.000 total_ms=0.000 "
      "reply=- end=bad-handshake reason=\"wrong protocol version\"");
}

TEST(AccessRecord, JsonHasEveryField) {
  EXPECT_EQ(
      as_json(full_record()),
      R"({"time":"2023-11-14T22:13:20.123Z","id":42,"client":"127.0.0.1:4711",)"
      R"("user":"alice","command":"connect","target":"v6only.test:80","address":"[2001:db8::1]:80",)"
      R"("crossing":"v4>v6","attempts":2,"up":78,"down":1234567,"resolve_ms":0.412,)"
      R"("connect_ms":1.900,"total_ms":12003.004,"reply":0,"end":"both-closed",)"
      R"("reason":null})");
}

TEST(AccessRecord, DatagramsOfAnAssociation) {
  AccessRecord record = full_record();
  record.datagrams = std::make_unique<UdpCounts>();
  record.datagrams->up = 5;
  record.datagrams->down = 4;
  EXPECT_NE(as_text(record).find(" reason=- datagrams_up=5 datagrams_down=4 dropped=-"),
            std::string::npos)
      << as_text(record);
  EXPECT_NE(
      as_json(record).find(R"("reason":null,"datagrams_up":5,"datagrams_down":4,"dropped":{}})"),
      std::string::npos)
      << as_json(record);
  record.datagrams->drop(UdpDrop::foreign, 3);
  record.datagrams->drop(UdpDrop::unreachable);
  EXPECT_NE(as_text(record).find(" dropped=foreign:3,unreachable:1"), std::string::npos)
      << as_text(record);
  EXPECT_NE(as_json(record).find(R"("dropped":{"foreign":3,"unreachable":1}})"), std::string::npos)
      << as_json(record);
}

TEST(AccessRecord, EveryCauseOfADropHasAWordOfItsOwn) {
  std::string seen = " ";
  for (std::size_t cause = 0; cause < udp_drop_causes; ++cause) {
    const std::string word = " " + std::string(describe(static_cast<UdpDrop>(cause))) + " ";
    EXPECT_EQ(seen.find(word), std::string::npos) << word;
    seen += word;
  }
}

TEST(AccessRecord, NamesCannotForgeLinesOrFields) {
  AccessRecord record = full_record();
  record.target =
      text(Target(NamedEndpoint{*DomainName::from("a b\n\" end=x\\\x1b[31m\xff"), 1})).view();
  const std::string text = as_text(record);
  EXPECT_NE(text.find(R"(target="a b\x0a\" end=x\\\x1b[31m\xff:1" )"), std::string::npos) << text;
  EXPECT_EQ(text.find('\n'), std::string::npos);
  const std::string json = as_json(record);
  EXPECT_NE(json.find(R"("target":"a b\u000a\" end=x\\\u001b[31m\u00ff:1")"), std::string::npos)
      << json;
}

TEST(AccessRecord, UsersCannotForgeLinesOrFieldsOrTheLackOfAUser) {
  AccessRecord record = full_record();
  record.user = "a b\n\" end=x";
  EXPECT_NE(as_text(record).find(R"( user="a b\x0a\" end=x" command=)"), std::string::npos)
      << as_text(record);
  EXPECT_NE(as_json(record).find(R"("user":"a b\u000a\" end=x",)"), std::string::npos)
      << as_json(record);
  record.user = "-";
  EXPECT_NE(as_text(record).find(R"( user="-" )"), std::string::npos) << as_text(record);
  EXPECT_NE(as_json(record).find(R"("user":"-")"), std::string::npos) << as_json(record);
  record.user = "";
  EXPECT_NE(as_text(record).find(" user=- "), std::string::npos) << as_text(record);
  EXPECT_NE(as_json(record).find(R"("user":null)"), std::string::npos) << as_json(record);
}

TEST(AccessRecord, CrossingNamesBothFamilies) {
  AccessRecord record;
  for (const char* client : {"127.0.0.1:1", "[::1]:1"}) {
    for (const char* address : {"127.0.0.1:1", "[::1]:1"}) {
      record.client = *Endpoint::parse(client);
      record.address = *Endpoint::parse(address);
      const std::string expected =
          std::string(client[0] == '[' ? "v6" : "v4") + ">" + (address[0] == '[' ? "v6" : "v4");
      EXPECT_EQ(crossing(record), expected);
    }
  }
}

TEST(AccessRecord, EveryEndHasAWordOfItsOwn) {
  std::string seen = " ";
  for (int end = 0; end <= static_cast<int>(SessionEnd::internal); ++end) {
    const std::string word = " " + std::string(describe(static_cast<SessionEnd>(end))) + " ";
    EXPECT_EQ(seen.find(word), std::string::npos) << word;
    seen += word;
  }
}

TEST(Escaping, LeavesPlainWordsAndQuotesTheRest) {
  EXPECT_EQ(escaped("v6only.test:80"), "v6only.test:80");
  EXPECT_EQ(escaped("fe80::1%2"), "fe80::1%2");
  EXPECT_EQ(escaped(""), R"("")");
  EXPECT_EQ(escaped("a=b"), R"("a=b")");
  EXPECT_EQ(escaped(std::string("\0\t\r\n\x7f", 5)), R"("\x00\x09\x0d\x0a\x7f")");
}

TEST(Escaping, LogLevelsReadBack) {
  for (const LogLevel level :
       {LogLevel::trace, LogLevel::debug, LogLevel::info, LogLevel::warning, LogLevel::error}) {
    EXPECT_EQ(parse_log_level(describe(level)), level);
  }
  EXPECT_FALSE(parse_log_level("loud"));
}

}  // namespace
}  // namespace socks64::gateway
