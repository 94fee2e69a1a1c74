// Framing, with a login: however the octets are cut or joined, the same comes out and nothing is
// lost, though the verification of the password goes on elsewhere while they wait.
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "rig/process.hpp"
#include "rig/sockets.hpp"

namespace socks64::gateway::test {
namespace {

const std::string greeting("\x05\x02\x00\x02", 4);
const std::string login(
    "\x01\x05"
    "alice"
    "\x06"
    "secret");
const std::string wrong_login(
    "\x01\x05"
    "alice"
    "\x06"
    "Secret");
const std::string asks_password("\x05\x02", 2);
const std::string welcome("\x01\x00", 2);

class FramingLogin : public ::testing::Test {
 protected:
  [[nodiscard]] std::string config() const {
    return "[auth]\nusers_file = \"" + users_ + "\"\nmethods = [\"password\"]\n";
  }

 private:
  TemporaryDirectory directory_;
  /// "secret", as cheap as bcrypt can be: what is tested here is the framing.
  std::string users_ = directory_.write(
      "users", "alice:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n");
};

void expect_admitted(Stream& client) {
  ASSERT_EQ(client.receive(2), asks_password);
  ASSERT_EQ(client.receive(2), welcome);
  ASSERT_EQ(receive_reply(client).code, 0);
}

TEST_F(FramingLogin, EverythingInOneWithAMebibyteOfEarlyData) {
  GatewayProcess gateway(config());
  Destination destination;
  Stream client = Stream::connect(gateway.listener());
  const std::string early = pattern(std::size_t{1} << 20U, 7);
  std::thread sender([&] {
    client.send(greeting + login + request(destination.endpoint()) + early);
    client.finish();
  });
  Stream server = destination.accept();
  EXPECT_TRUE(server.receive_all() == early);
  server.send("got it");
  server.finish();
  sender.join();
  expect_admitted(client);
  EXPECT_EQ(client.receive_all(), "got it");
  Fields record = gateway.next_record();
  EXPECT_EQ(record["user"], "alice");
  EXPECT_EQ(record["up"], "1048576");
  EXPECT_EQ(record["end"], "both-closed");
}

TEST_F(FramingLogin, CutAtEveryOctet) {
  GatewayProcess gateway(config());
  Destination destination;
  const std::string asked = greeting + login + request("127.0.0.1", destination.port());
  const std::string early = pattern(std::size_t{64} << 10U, 7);
  for (std::size_t cut = 1; cut <= asked.size(); ++cut) {
    Stream client = Stream::connect(gateway.listener());
    client.send(asked.substr(0, cut));
    client.flush();
    std::thread sender([&] {
      client.send(asked.substr(cut) + early);
      client.finish();
    });
    Stream server = destination.accept();
    const bool whole = server.receive_all() == early;
    sender.join();
    ASSERT_TRUE(whole) << cut;
    server.finish();
    expect_admitted(client);
    ASSERT_EQ(client.receive_all(), "") << cut;
  }
}

TEST_F(FramingLogin, OneOctetAtATime) {
  GatewayProcess gateway(config());
  Destination destination;
  Stream client = Stream::connect(gateway.listener());
  for (const char octet : greeting + login + request("127.0.0.1", destination.port()) + "early") {
    client.send({&octet, 1});
    client.flush();
  }
  expect_admitted(client);
  Stream server = destination.accept();
  EXPECT_EQ(server.receive(5), "early");
}

TEST_F(FramingLogin, BehindAWrongPasswordNothingCounts) {
  GatewayProcess gateway(config());
  Destination destination;
  for (std::size_t cut = greeting.size(); cut <= greeting.size() + wrong_login.size(); ++cut) {
    const std::string whole = greeting + wrong_login + request(destination.endpoint()) + "early";
    Stream client = Stream::connect(gateway.listener());
    client.send(whole.substr(0, cut));
    client.flush();
    (void)client.try_send(whole.substr(cut));
    EXPECT_EQ(client.receive_all().substr(0, 4), asks_password + "\x01\x01") << cut;
    client.close();
    Fields record = gateway.next_record();
    EXPECT_EQ(record["end"], "auth-failed") << cut;
    EXPECT_EQ(record["attempts"], "0") << cut;
  }
}

}  // namespace
}  // namespace socks64::gateway::test
