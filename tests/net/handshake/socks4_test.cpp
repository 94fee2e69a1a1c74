// SOCKS4 and SOCKS4a through the whole daemon, where a listener takes them.
#include "socks64/socks4.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "rig/process.hpp"
#include "rig/sockets.hpp"

namespace socks64::gateway::test {
namespace {

/// Two listeners: the first takes SOCKS4, the second does not say.
class Socks4 : public ::testing::Test {
 protected:
  [[nodiscard]] GatewayProcess::Options options() const {
    return {
        "[[listener]]\naddress = \"127.0.0.1:0\"\nsocks4 = true\n"
        "[[listener]]\naddress = \"127.0.0.1:0\"\n"
        "[resolver]\nhosts_file = \"" +
            hosts_ + "\"\nservers = [\"" + std::string(dns_.endpoint().text().view()) + "\"]\n",
        {}};
  }

 private:
  EmptyDns dns_;
  TemporaryDirectory directory_;
  std::string hosts_ =
      directory_.write("hosts", "127.0.0.1 v4.destination.test\n::1 v6.destination.test\n");
};

std::string request4(const Target& target, std::string_view user = "fred",
                     Command command = Command::connect) {
  std::array<std::uint8_t, max_socks4_request_size> octets{};
  Writer out(octets);
  encode(out, Socks4Request{{command, target}, user});
  EXPECT_TRUE(out.ok());
  return {octets.begin(), octets.begin() + static_cast<std::ptrdiff_t>(out.size())};
}

Target named(std::string_view name, Port port) {
  return NamedEndpoint{*DomainName::from(name), port};
}

const std::string rejection("\0\x5b\0\0\0\0\0\0", 8);

/// The reply that says "granted" and where the gateway's end is, as octets.
std::string granted(const Endpoint& bound) {
  std::string octets("\0\x5a", 2);
  octets += static_cast<char>(bound.port >> 8U);
  octets += static_cast<char>(bound.port & 0xffU);
  for (const std::uint8_t octet : bound.address.bytes()) {
    octets += static_cast<char>(octet);
  }
  return octets;
}

TEST_F(Socks4, ConnectsToAddressesAndNames) {
  GatewayProcess gateway(options());
  Destination destination;
  for (const Target& target :
       {Target(destination.endpoint()), named("v4.destination.test", destination.port()),
        named("127.0.0.1", destination.port())}) {
    Stream client = Stream::connect(gateway.listener());
    client.send(request4(target) + "early");
    Stream server = destination.accept();
    EXPECT_EQ(client.receive(socks4_reply_size), granted(server.remote()));
    EXPECT_EQ(server.receive(5), "early");
    server.send("back");
    EXPECT_EQ(client.receive(4), "back");
    client.finish();
    server.finish();
    EXPECT_EQ(client.receive_all(), "");
    Fields record = gateway.next_record();
    EXPECT_EQ(record["command"], "connect");
    EXPECT_EQ(record["target"], text(target).view());
    EXPECT_EQ(record["reply"], "0");
    EXPECT_EQ(record["up"], "5");
    EXPECT_EQ(record["down"], "4");
    EXPECT_EQ(record["end"], "both-closed");
  }
}

// What SOCKS4 is good for behind this gateway: a client of IPv4 alone reaches IPv6.
TEST_F(Socks4, ReachesIpv6ByNameAndSaysZerosForItsEnd) {
  if (!has_ipv6_loopback()) {
    GTEST_SKIP() << "NOT RUN: this machine has no IPv6 loopback";
  }
  GatewayProcess gateway(options());
  Destination destination("::1");
  Stream client = Stream::connect(gateway.listener());
  client.send(request4(named("v6.destination.test", destination.port())));
  Stream server = destination.accept();
  EXPECT_EQ(client.receive(socks4_reply_size), granted({IpAddress{}, server.remote().port}));
  client.finish();
  server.finish();
  EXPECT_EQ(client.receive_all(), "");
  EXPECT_EQ(gateway.next_record()["crossing"], "v4>v6");
}

TEST_F(Socks4, RequestCutAtEveryOctet) {
  GatewayProcess gateway(options());
  Destination destination;
  const std::string whole = request4(named("127.0.0.1", destination.port())) + "early";
  for (std::size_t cut = 1; cut < whole.size(); ++cut) {
    Stream client = Stream::connect(gateway.listener());
    client.send(whole.substr(0, cut));
    client.flush();
    client.send(whole.substr(cut));
    Stream server = destination.accept();
    ASSERT_EQ(client.receive(socks4_reply_size), granted(server.remote())) << cut;
    ASSERT_EQ(server.receive(5), "early") << cut;
  }
}

TEST_F(Socks4, EverythingInOneWithAMebibyteOfEarlyData) {
  GatewayProcess gateway(options());
  Destination destination;
  Stream client = Stream::connect(gateway.listener());
  const std::string early = pattern(std::size_t{1} << 20U, 7);
  std::thread sender([&] {
    client.send(request4(named("127.0.0.1", destination.port())) + early);
    client.finish();
  });
  Stream server = destination.accept();
  const Endpoint bound = server.remote();
  EXPECT_TRUE(server.receive_all() == early);
  server.finish();
  sender.join();
  EXPECT_EQ(client.receive_all(), granted(bound));
}

TEST_F(Socks4, FailuresAreReply91) {
  GatewayProcess gateway(options());
  const ClosedPort closed;
  struct Refusal {
    const char* what;
    std::string octets;
    const char* reply;
    const char* reason;
  };
  const std::string name_head("\4\1\0\x50\0\0\0\1", 8);
  const Refusal refusals[] = {
      {"refused", request4(closed.endpoint()), "5", "refused"},
      {"no such name", request4(named("no.such.test", 80)), "4", "name-not-found"},
      {"UDP ASSOCIATE", std::string("\4\3\0\x50\x7f\0\0\1u\0", 10), "7", "\"unknown command\""},
      {"empty name", name_head + std::string(2, '\0'), "1", "\"not a usable name\""},
      {"endless name", name_head + '\0' + std::string(300, 'n'), "1", "\"not a usable name\""},
      {"endless user", name_head + std::string(300, 'u'), "1",
       "\"malformed user name or password\""},
  };
  for (const Refusal& refusal : refusals) {
    Stream client = Stream::connect(gateway.listener());
    client.send(refusal.octets);
    EXPECT_EQ(client.receive_all(), rejection) << refusal.what;
    client.close();
    Fields record = gateway.next_record();
    EXPECT_EQ(record["reply"], refusal.reply) << refusal.what;
    EXPECT_EQ(record["reason"], refusal.reason) << refusal.what;
  }
}

TEST_F(Socks4, IsOffWhereTheListenerDoesNotSay) {
  GatewayProcess gateway(options());
  const Destination destination;
  Stream client = Stream::connect(gateway.listener(1));
  (void)client.try_send(request4(destination.endpoint()));
  EXPECT_EQ(client.receive_all(), "");
  Fields record = gateway.next_record();
  EXPECT_EQ(record["end"], "bad-handshake");
  EXPECT_EQ(record["reason"], "\"wrong protocol version\"");
}

TEST_F(Socks4, Socks5IsTakenBesideIt) {
  GatewayProcess gateway(options());
  Destination destination;
  Stream client = Stream::connect(gateway.listener());
  EXPECT_EQ(ask(client, destination.endpoint()).code, 0);
}

// USERID is no authentication: whoever has to log in cannot come by SOCKS4.
TEST_F(Socks4, IsNoWayAroundAPassword) {
  const TemporaryDirectory directory;
  // "secret", as cheap as bcrypt can be.
  const std::string users = directory.write(
      "users", "alice:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n");
  // Those from 127.0.0.2 need none, so the listener may take SOCKS4.
  GatewayProcess gateway(
      GatewayProcess::Options{"[auth]\nusers_file = \"" + users +
                                  "\"\n[[listener]]\naddress = \"127.0.0.1:0\"\nsocks4 = true\n"
                                  "auth = [\"password\"]\n"
                                  "clients = [{from = [\"127.0.0.2\"], auth = [\"none\"]}]\n",
                              {}});
  const Destination destination;
  for (const std::string_view user : {"", "alice", "alice:secret"}) {
    Stream client = Stream::connect(gateway.listener());
    client.send(request4(destination.endpoint(), user));
    EXPECT_EQ(client.receive_all(), rejection) << user;
    client.close();
    Fields record = gateway.next_record();
    EXPECT_EQ(record["user"], "-");
    EXPECT_EQ(record["reply"], "2");
    EXPECT_EQ(record["reason"], "no-acceptable-method");
  }
}

TEST_F(Socks4, BindHasTwoReplies) {
  GatewayProcess gateway(options());
  Stream client = Stream::connect(gateway.listener());
  client.send(request4(endpoint("127.0.0.1", 0), "", Command::bind));
  const std::string first = client.receive(socks4_reply_size);
  ASSERT_EQ(first.size(), socks4_reply_size);
  ASSERT_EQ(first.substr(0, 2), std::string("\0\x5a", 2));
  EXPECT_EQ(first.substr(4), std::string("\x7f\0\0\1", 4));
  const auto port = static_cast<Port>(static_cast<unsigned char>(first[2]) << 8U |
                                      static_cast<unsigned char>(first[3]));
  Stream peer = Stream::connect(endpoint("127.0.0.1", port));
  EXPECT_EQ(client.receive(socks4_reply_size), granted(peer.local()));
  peer.send("hello");
  EXPECT_EQ(client.receive(5), "hello");
}

/// What curl prints for `url` by way of `proxy`, from a destination that answers one request.
std::string curl(const std::string& proxy, const std::string& url, Destination& destination) {
  std::thread server([&destination] {
    Stream connection = destination.accept();
    std::string asked;
    while (asked.find("\r\n\r\n") == std::string::npos) {
      const std::string octet = connection.receive(1);
      if (octet.empty()) {
        return;
      }
      asked += octet;
    }
    connection.send("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    connection.finish();
    (void)connection.receive_all();
  });
  const std::string command =
      fmt::format("curl -sS --noproxy '' --max-time 30 {} {} 2>&1", proxy, url);
  std::string said;
  std::FILE* const out = ::popen(command.c_str(), "r");
  for (int c = std::fgetc(out); c != EOF; c = std::fgetc(out)) {
    said += static_cast<char>(c);
  }
  if (::pclose(out) != 0) {
    (void)Stream::connect(destination.endpoint());  // lets the server go
  }
  server.join();
  return said;
}

TEST_F(Socks4, CurlSpeaksBoth) {
  if (std::system("command -v curl >/dev/null") != 0) {
    GTEST_SKIP() << "NOT RUN: curl is not installed";
  }
  GatewayProcess gateway(options());
  Destination destination;
  const Endpoint proxy = gateway.listener();
  const std::string at(proxy.text().view());
  EXPECT_EQ(
      curl("--socks4 " + at, fmt::format("http://127.0.0.1:{}/", destination.port()), destination),
      "hello");
  EXPECT_EQ(gateway.next_record()["target"], fmt::format("127.0.0.1:{}", destination.port()));
  EXPECT_EQ(curl("--proxy-user ignored: --socks4a " + at,
                 fmt::format("http://v4.destination.test:{}/", destination.port()), destination),
            "hello");
  EXPECT_EQ(gateway.next_record()["target"],
            fmt::format("v4.destination.test:{}", destination.port()));
}

}  // namespace
}  // namespace socks64::gateway::test
