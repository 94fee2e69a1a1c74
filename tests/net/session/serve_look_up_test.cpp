// RESOLVE and RESOLVE_PTR through the whole daemon.
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "rig/process.hpp"
#include "rig/sockets.hpp"

namespace socks64::gateway::test {
namespace {

/// Names are in a hosts file; DNS knows none, or is not there.
class LookUps : public ::testing::Test {
 protected:
  enum class Dns : std::uint8_t { empty, absent };

  [[nodiscard]] std::string config(Dns dns = Dns::empty, const std::string& more = {}) const {
    const Endpoint server = dns == Dns::empty ? dns_.endpoint() : nobody_.endpoint();
    return fmt::format(
        "[resolver]\nhosts_file = \"{}\"\nservers = [\"{}\"]\nquery_timeout = \"200ms\"\n{}\n",
        hosts_, server.text().view(), more);
  }

  static Reply ask_for(Stream& client, const Target& target, Command command) {
    client.send(greeting_none + request(target, command));
    EXPECT_EQ(client.receive(2), std::string("\x05\x00", 2));
    const std::string octets = client.receive_all();
    const auto parsed =
        parse_reply({reinterpret_cast<const std::uint8_t*>(octets.data()), octets.size()});
    EXPECT_EQ(parsed.status, ParseStatus::complete);
    EXPECT_EQ(parsed.consumed, octets.size()) << "something behind the reply";
    return parsed.value;
  }

  static Target named(std::string_view name, Port port = 0) {
    return NamedEndpoint{*DomainName::from(name), port};
  }

 private:
  EmptyDns dns_;
  ClosedPort nobody_;
  TemporaryDirectory directory_;
  std::string hosts_ = directory_.write("hosts", "192.0.2.7 v4.test\n2001:db8::7 v6.test\n");
};

TEST_F(LookUps, ResolveAnswersAndCloses) {
  GatewayProcess gateway(config());
  for (const Port port : {Port{0}, Port{80}}) {  // the port is ignored
    Stream client = Stream::connect(gateway.listener());
    const Reply reply = ask_for(client, named("v4.test", port), Command::resolve);
    EXPECT_EQ(reply.code, ReplyCode::succeeded);
    EXPECT_EQ(reply.bound, Target(endpoint("192.0.2.7", 0)));
    client.close();
    Fields record = gateway.next_record();
    EXPECT_EQ(record["command"], "resolve");
    EXPECT_EQ(record["target"], fmt::format("v4.test:{}", port));
    EXPECT_EQ(record["address"], "192.0.2.7:0");
    EXPECT_EQ(record["crossing"], "-");
    EXPECT_EQ(record["attempts"], "0");
    EXPECT_EQ(record["reply"], "0");
    EXPECT_EQ(record["end"], "answered");
    EXPECT_EQ(record["reason"], "-");
  }
  Stream client = Stream::connect(gateway.listener());
  EXPECT_EQ(ask_for(client, named("v6.test"), Command::resolve).bound,
            Target(endpoint("2001:db8::7", 0)));
}

TEST_F(LookUps, ResolveOfALiteralIsTheLiteral) {
  GatewayProcess gateway(config(Dns::absent));
  for (const Target& target : {named("192.0.2.1"), Target(endpoint("192.0.2.1", 5))}) {
    Stream client = Stream::connect(gateway.listener());
    EXPECT_EQ(ask_for(client, target, Command::resolve).bound, Target(endpoint("192.0.2.1", 0)));
  }
}

TEST_F(LookUps, ResolveTellsNoSuchNameFromNoAnswer) {
  {
    GatewayProcess gateway(config());
    Stream client = Stream::connect(gateway.listener());
    EXPECT_EQ(ask_for(client, named("missing.test"), Command::resolve).code,
              ReplyCode::host_unreachable);
    client.close();
    Fields record = gateway.next_record();
    EXPECT_EQ(record["end"], "request-failed");
    EXPECT_EQ(record["reason"], "name-not-found");
    EXPECT_EQ(record["reply"], "4");
  }
  GatewayProcess gateway(config(Dns::absent));
  Stream client = Stream::connect(gateway.listener());
  EXPECT_EQ(ask_for(client, named("missing.test"), Command::resolve).code,
            ReplyCode::general_failure);
}

TEST_F(LookUps, ResolvePtrAnswersWithAName) {
  GatewayProcess gateway(config());
  for (const char* address : {"192.0.2.7", "::ffff:192.0.2.7", "2001:db8::7"}) {
    Stream client = Stream::connect(gateway.listener());
    const Reply reply = ask_for(client, endpoint(address, 80), Command::resolve_ptr);
    EXPECT_EQ(reply.code, ReplyCode::succeeded);
    EXPECT_EQ(reply.bound, named(address[0] == '2' ? "v6.test" : "v4.test")) << address;
    client.close();
    Fields record = gateway.next_record();
    EXPECT_EQ(record["command"], "resolve-ptr");
    EXPECT_EQ(record["end"], "answered");
  }
  Stream client = Stream::connect(gateway.listener());
  EXPECT_EQ(ask_for(client, endpoint("192.0.2.8", 0), Command::resolve_ptr).code,
            ReplyCode::host_unreachable);
}

TEST_F(LookUps, ResolvePtrOfANameIsTheWrongKindOfAddress) {
  GatewayProcess gateway(config());
  Stream client = Stream::connect(gateway.listener());
  EXPECT_EQ(ask_for(client, named("v4.test"), Command::resolve_ptr).code,
            ReplyCode::address_type_not_supported);
}

TEST_F(LookUps, CanBeSwitchedOff) {
  GatewayProcess gateway(config(Dns::empty, "[commands]\nresolve = false"));
  for (const Command command : {Command::resolve, Command::resolve_ptr}) {
    Stream client = Stream::connect(gateway.listener());
    EXPECT_EQ(ask_for(client, endpoint("192.0.2.7", 0), command).code,
              ReplyCode::command_not_supported);
    client.close();
    EXPECT_EQ(gateway.next_record()["reason"], "command-not-supported");
  }
}

}  // namespace
}  // namespace socks64::gateway::test
