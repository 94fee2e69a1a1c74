// Framing: however the octets of a negotiation are cut or joined, the same comes out and nothing is
// lost; and what is no negotiation is turned away as RFC 1928 says.
#include <thread>

#include <gtest/gtest.h>

#include "rig/process.hpp"
#include "rig/sockets.hpp"

namespace socks64::gateway::test {
namespace {

TEST(Framing, EveryMessageCutAtEveryOctet) {
  GatewayProcess gateway;
  Destination destination;
  const std::string name("127.0.0.1");
  const std::string asked = request(name, destination.port());
  const std::string whole = greeting_none + asked + "early";
  for (std::size_t cut = 1; cut < whole.size(); ++cut) {
    Stream client = Stream::connect(gateway.listener());
    client.send(whole.substr(0, cut));
    if (cut >= greeting_none.size()) {
      ASSERT_EQ(client.receive(2), std::string("\x05\x00", 2)) << cut;
    }
    client.flush();
    client.send(whole.substr(cut));
    if (cut < greeting_none.size()) {
      ASSERT_EQ(client.receive(2), std::string("\x05\x00", 2)) << cut;
    }
    ASSERT_EQ(receive_reply(client).code, 0) << cut;
    Stream server = destination.accept();
    ASSERT_EQ(server.receive(5), "early") << cut;
    server.send("back");
    ASSERT_EQ(client.receive(4), "back") << cut;
  }
}

TEST(Framing, OneOctetAtATime) {
  GatewayProcess gateway;
  Destination destination;
  Stream client = Stream::connect(gateway.listener());
  for (const char octet : greeting_none + request("127.0.0.1", destination.port()) + "early") {
    client.send({&octet, 1});
    client.flush();
  }
  EXPECT_EQ(receive_answer(client).code, 0);
  Stream server = destination.accept();
  EXPECT_EQ(server.receive(5), "early");
}

TEST(Framing, EverythingInOneWithAMebibyteOfEarlyData) {
  GatewayProcess gateway;
  Destination destination;
  Stream client = Stream::connect(gateway.listener());
  const std::string early = pattern(std::size_t{1} << 20U, 7);
  std::thread sender([&] {
    client.send(greeting_none + request(destination.endpoint()) + early);
    client.finish();
  });
  Stream server = destination.accept();
  EXPECT_TRUE(server.receive_all() == early);
  server.send("got it");
  server.finish();
  sender.join();
  EXPECT_EQ(receive_answer(client).code, 0);
  EXPECT_EQ(client.receive_all(), "got it");
  Fields record = gateway.next_record();
  EXPECT_EQ(record["up"], "1048576");
  EXPECT_EQ(record["down"], "6");
  EXPECT_EQ(record["end"], "both-closed");
}

// A request, its data and a FIN before the destination is even dialled: a half-close, no departure.
TEST(Framing, EarlyFinIsAHalfClose) {
  GatewayProcess gateway;
  Destination destination;
  Stream client = Stream::connect(gateway.listener());
  client.send(greeting_none + request(destination.endpoint()) + "question");
  client.finish();
  Stream server = destination.accept();
  EXPECT_EQ(server.receive_all(), "question");
  server.send("answer");
  server.finish();
  EXPECT_EQ(receive_answer(client).code, 0);
  EXPECT_EQ(client.receive_all(), "answer");
}

TEST(Framing, NoAcceptableMethod) {
  GatewayProcess gateway;
  Stream client = Stream::connect(gateway.listener());
  client.send(std::string("\x05\x02\x01\x02", 4));
  EXPECT_EQ(client.receive_all(), "\x05\xff");
  client.close();
  Fields record = gateway.next_record();
  EXPECT_EQ(record["end"], "bad-handshake");
  EXPECT_EQ(record["reason"], "\"no acceptable authentication method\"");
  EXPECT_EQ(record["reply"], "-");
}

TEST(Framing, ManyMethods) {
  GatewayProcess gateway;
  Destination destination;
  Stream client = Stream::connect(gateway.listener());
  std::string methods("\x05\xff", 2);
  for (int i = 0; i < 254; ++i) {
    methods += static_cast<char>(254 - i);
  }
  client.send(methods + '\0' + request(destination.endpoint()));
  EXPECT_EQ(receive_answer(client).code, 0);
}

struct Refusal {
  const char* what;
  std::string octets;
  int reply;
  const char* reason;
};

TEST(Framing, RequestsThatAreAnsweredWithAFailure) {
  GatewayProcess gateway("[commands]\nbind = false\nudp = false\n");
  const std::string v4("\x7f\x00\x00\x01\x00\x50", 6);
  const Refusal refusals[] = {
      {"unknown command", std::string("\x05\x09\x00\x01", 4) + v4, 7, "\"unknown command\""},
      {"unknown address type", std::string("\x05\x01\x00\x02", 4) + v4, 8,
       "\"unknown address type\""},
      {"empty name", std::string("\x05\x01\x00\x03\x00\x00\x50", 7), 1, "\"not a usable name\""},
      {"name with NUL",
       std::string("\x05\x01\x00\x03\x03"
                   "a\0b"
                   "\x00\x50",
                   10),
       1, "\"not a usable name\""},
      {"BIND", std::string("\x05\x02\x00\x01", 4) + v4, 7, "command-not-supported"},
      {"UDP ASSOCIATE", std::string("\x05\x03\x00\x01", 4) + v4, 7, "command-not-supported"},
      {"port 0", std::string("\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x00", 10), 1, "bad-port"},
  };
  for (const Refusal& refusal : refusals) {
    Stream client = Stream::connect(gateway.listener());
    client.send(greeting_none + refusal.octets);
    const ReplyMessage reply = receive_answer(client);
    EXPECT_EQ(reply.code, refusal.reply) << refusal.what;
    EXPECT_EQ(client.receive_all(), "") << refusal.what;
    client.close();
    Fields record = gateway.next_record();
    EXPECT_EQ(record["reply"], std::to_string(refusal.reply)) << refusal.what;
    EXPECT_EQ(record["reason"], refusal.reason) << refusal.what;
  }
}

TEST(Framing, GarbageIsClosedWithoutAWord) {
  GatewayProcess gateway;
  for (const std::string& garbage : {std::string("GET / HTTP/1.1\r\n\r\n"),
                                     std::string("\x04\x01\x00\x50\x7f\x00\x00\x01\x00", 9),
                                     std::string("\x16\x03\x01\x02\x00", 5),
                                     std::string(100'000, '\xee'), std::string("\x05\x00", 2)}) {
    Stream client = Stream::connect(gateway.listener());
    (void)client.try_send(garbage);
    EXPECT_EQ(client.receive_all(), "");
    Fields record = gateway.next_record();
    EXPECT_EQ(record["end"], "bad-handshake");
    EXPECT_EQ(record["reason"], garbage == std::string("\x05\x00", 2)
                                    ? "\"no authentication methods listed\""
                                    : "\"wrong protocol version\"");
  }
}

TEST(Framing, TruncatedHandshakes) {
  GatewayProcess gateway;
  const std::string whole = greeting_none + request("destination.test", 80);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    Stream client = Stream::connect(gateway.listener());
    client.send(whole.substr(0, length));
    client.finish();
    EXPECT_EQ(client.receive_all(), length < 3 ? "" : std::string("\x05\x00", 2)) << length;
    Fields record = gateway.next_record();
    EXPECT_EQ(record["end"], length == 0 ? "no-handshake" : "bad-handshake") << length;
    EXPECT_EQ(record["command"], "-");
  }
}

TEST(Framing, ResetInTheHandshake) {
  GatewayProcess gateway;
  Stream client = Stream::connect(gateway.listener());
  client.send("\x05");
  client.flush();
  client.reset();
  Fields record = gateway.next_record();
  EXPECT_TRUE(record["end"] == "bad-handshake" || record["end"] == "no-handshake") << record["end"];
}

}  // namespace
}  // namespace socks64::gateway::test
