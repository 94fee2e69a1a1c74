// How a name or an address is reached, through the whole daemon: what [dial] and [resolver] change.
#include <memory>
#include <netdb.h>
#include <string>
#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "rig/dns_server.hpp"
#include "rig/process.hpp"
#include "rig/sockets.hpp"

namespace socks64::gateway::test {
namespace {

class Dialling : public ::testing::Test {
 protected:
  [[nodiscard]] std::string config(const std::string& dial) const {
    return fmt::format("[resolver]\nhosts_file = \"{}\"\nservers = [\"{}\"]\n[dial]\n{}\n", hosts_,
                       dns_.endpoint().text().view(), dial);
  }

  testing::DnsServer dns_;

 private:
  TemporaryDirectory directory_;
  std::string hosts_ = directory_.write(
      "hosts", "::1 six.test\n127.0.0.2 pair.test\n127.0.0.1 pair.test\n127.0.0.1 four.test\n");
};

TEST_F(Dialling, FromTheAddressThatIsConfigured) {
  GatewayProcess gateway(config("bind_address = [\"127.0.0.9\", \"::1\"]"));
  Destination destination;
  Stream client = Stream::connect(gateway.listener());
  const ReplyMessage reply = ask(client, "four.test", destination.port());
  ASSERT_EQ(reply.code, 0);
  const Stream server = destination.accept();
  EXPECT_EQ(server.remote().address.text().view(), "127.0.0.9");
  EXPECT_EQ(reply.bound, server.remote());
}

TEST_F(Dialling, OnlyTheFamiliesThatAreConfigured) {
  GatewayProcess gateway(config("families = [\"ipv4\"]"));
  Destination destination;
  {
    Stream client = Stream::connect(gateway.listener());
    EXPECT_EQ(ask(client, endpoint("::1", destination.port())).code, 2);
    client.close();
    EXPECT_EQ(gateway.next_record()["reason"], "denied");
  }
  {
    Stream client = Stream::connect(gateway.listener());
    EXPECT_EQ(ask(client, "six.test", destination.port()).code, 4);
    client.close();
    EXPECT_EQ(gateway.next_record()["reason"], "name-not-found");
  }
  Stream client = Stream::connect(gateway.listener());
  EXPECT_EQ(ask(client, "four.test", destination.port()).code, 0);
}

TEST_F(Dialling, AnInterfaceThatIsNotThereIsNoWayOut) {
  GatewayProcess gateway(config("interface = \"no-such-device\""));
  Destination destination;
  Stream client = Stream::connect(gateway.listener());
  EXPECT_EQ(ask(client, destination.endpoint()).code, 3);
  client.close();
  EXPECT_EQ(gateway.next_record()["reason"], "network-unreachable");
}

TEST_F(Dialling, ASecondAddressAfterARefusal) {
  GatewayProcess gateway(config({}));
  Destination destination;  // on 127.0.0.1; nobody is at 127.0.0.2
  for (int i = 0; i < 5; ++i) {
    Stream client = Stream::connect(gateway.listener());
    ASSERT_EQ(ask(client, "pair.test", destination.port()).code, 0);
    destination.accept().close();
    client.close();
    Fields record = gateway.next_record();
    EXPECT_EQ(record["attempts"], "2");
    EXPECT_LT(std::stod(record["connect_ms"]), 50 * 20) << "waited for, and not tried at once";
  }
}

TEST_F(Dialling, AServerThatFailsIsNoHostToReach) {
  dns_.script("broken.test", Family::ipv4, {.rcode = testing::servfail});
  dns_.script("broken.test", Family::ipv6, {.rcode = testing::servfail});
  GatewayProcess gateway(config({}));
  Stream client = Stream::connect(gateway.listener());
  EXPECT_EQ(ask(client, "broken.test", 80).code, 4);
  client.close();
  EXPECT_EQ(gateway.next_record()["reason"], "name-failed");
}

// The name of this host is what the system knows even where there is no DNS.
TEST(SystemBackend, KnowsTheNameOfThisHost) {
  char host[256] = {};
  ASSERT_EQ(::gethostname(host, sizeof host - 1), 0);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* known = nullptr;
  if (::getaddrinfo(host, nullptr, &hints, &known) != 0) {
    GTEST_SKIP() << "NOT RUN: this host does not know its own name, " << host;
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(known, &::freeaddrinfo);
  GatewayProcess gateway("[resolver]\nbackend = \"system\"\nhosts_file = \"\"\n");
  Stream client = Stream::connect(gateway.listener());
  const Target target = NamedEndpoint{*DomainName::from(host), 0};
  client.send(greeting_none + request(target, Command::resolve));
  const ReplyMessage reply = receive_answer(client);
  EXPECT_EQ(reply.code, 0) << host;
  EXPECT_FALSE(reply.bound.address.is_unspecified());
}

}  // namespace
}  // namespace socks64::gateway::test
