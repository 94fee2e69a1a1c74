// Authentication through the whole daemon: who gets in, by which method, and what is told of who
// does not.
#include <array>
#include <chrono>
#include <crypt.h>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "socks64/sockaddr.hpp"

#include "rig/process.hpp"
#include "rig/sockets.hpp"

namespace socks64::gateway::test {
namespace {

using namespace std::chrono_literals;

constexpr unsigned long quick = 1000;    // rounds of sha512crypt: under a millisecond
constexpr unsigned long slow = 6000000;  // some seconds

std::string hash_of(const std::string& password, unsigned long rounds = quick) {
  char setting[CRYPT_GENSALT_OUTPUT_SIZE];
  const auto data = std::make_unique<crypt_data>();
  if (::crypt_gensalt_rn("$6$", rounds, nullptr, 0, setting, sizeof setting) == nullptr) {
    return {};
  }
  return ::crypt_rn(password.c_str(), setting, data.get(), sizeof *data);
}

/// A hash that is costly to compare with, and that nothing matches: made without computing it.
std::string slow_hash() {
  return fmt::format("$6$rounds={}$WPk26nQTnxZ384js${}", slow, std::string(86, '.'));
}

std::string entry(const std::string& user, const std::string& password) {
  return user + ":" + hash_of(password) + "\n";
}

std::string octet(std::size_t value) {
  return {static_cast<char>(value)};
}

const std::string offer_password("\x05\x01\x02", 3);
const std::string chose_password("\x05\x02", 2);
const std::string accepted("\x01\x00", 2);
const std::string rejected("\x01\x01", 2);
const std::string nothing_acceptable("\x05\xff", 2);

std::string credentials(const std::string& user, const std::string& password) {
  return "\x01" + octet(user.size()) + user + octet(password.size()) + password;
}

/// Logs in and asks for the destination.
ReplyMessage log_in(Stream& client, const std::string& user, const std::string& password,
                    const Endpoint& destination) {
  client.send(offer_password + credentials(user, password) + request(destination));
  if (client.receive(2) != chose_password || client.receive(2) != accepted) {
    return {};
  }
  return receive_reply(client);
}

void expect_rejected(Stream& client, const std::string& user, const std::string& password) {
  client.send(offer_password + credentials(user, password));
  EXPECT_EQ(client.receive(4), chose_password + rejected) << user;
  EXPECT_EQ(client.receive_all(), "") << "the connection closes after a failure";
  client.close();
}

void expect_echo(Stream& client, Stream& server) {
  client.send("ping");
  EXPECT_EQ(server.receive(4), "ping");
  server.send("pong");
  EXPECT_EQ(client.receive(4), "pong");
}

class Auth : public ::testing::Test {
 protected:
  void users(const std::string& text) {
    directory_.write("users", text);
    std::filesystem::permissions(users_file(), std::filesystem::perms(0600));
  }
  [[nodiscard]] std::string users_file() const { return directory_.path("users"); }
  [[nodiscard]] std::string config(const std::string& methods = "\"password\"",
                                   const std::string& more = {}) const {
    return fmt::format("{}\n[auth]\nusers_file = \"{}\"\nmethods = [{}]\n", more, users_file(),
                       methods);
  }

  TemporaryDirectory directory_;
};

TEST_F(Auth, TheRightPasswordGetsInAndTheUserIsInTheRecord) {
  users(entry("alice", "secret") + entry("bob \"x\"", ""));
  GatewayProcess gateway(config());
  Destination destination;
  for (const auto& [user, password, field] :
       std::vector<std::array<std::string, 3>>{{"alice", "secret", "alice"},
                                               {"alice", "secret", "alice"},
                                               {"bob \"x\"", "", R"("bob \"x\"")"}}) {
    Stream client = Stream::connect(gateway.listener());
    ASSERT_EQ(log_in(client, user, password, destination.endpoint()).code, 0) << user;
    Stream server = destination.accept();
    expect_echo(client, server);
    client.finish();
    server.finish();
    EXPECT_EQ(client.receive_all(), "");
    Fields record = gateway.next_record();
    EXPECT_EQ(record["user"], field);
    EXPECT_EQ(record["end"], "both-closed");
  }
}

TEST_F(Auth, WhoIsWrongHearsNoAndTheLogSaysWhy) {
  users(entry("alice", "secret") + "locked:!" + hash_of("secret") + "\nnobody:*\n");
  GatewayProcess gateway(config());
  struct Wrong {
    std::string user;
    std::string password;
    std::string reason;
  };
  const std::vector<Wrong> cases = {
      {"alice", "Secret", "wrong-password"},
      {"alice", "", "wrong-password"},
      {"alice", std::string("secret\0", 7), "wrong-password"},
      {"Alice", "secret", "unknown-user"},
      {"bob", "secret", "unknown-user"},
      {"*", "secret", "unknown-user"},
      {"locked", "secret", "locked-user"},
      {"nobody", "", "locked-user"},
      {std::string(255, 'n'), std::string(255, 'p'), "unknown-user"},
  };
  for (const Wrong& wrong : cases) {
    Stream client = Stream::connect(gateway.listener());
    expect_rejected(client, wrong.user, wrong.password);
    EXPECT_NE(gateway.wait_for_log(
                  fmt::format(" warning authentication failed for user \"{}\" from 127.0.0.1 ({})",
                              wrong.user, wrong.reason)),
              "");
    Fields record = gateway.next_record();
    EXPECT_EQ(record["end"], "auth-failed");
    EXPECT_EQ(record["reason"], wrong.reason);
    EXPECT_EQ(record["user"], "-") << "the record names who was let in, and nobody was";
    EXPECT_EQ(record["command"], "-");
  }
}

TEST_F(Auth, TheLongestNameAndPassword) {
  const std::string user(255, '\xe9');
  const std::string password(255, 'p');
  users(entry(user, password));
  GatewayProcess gateway(config());
  Destination destination;
  Stream client = Stream::connect(gateway.listener());
  EXPECT_EQ(log_in(client, user, password, destination.endpoint()).code, 0);
  Stream other = Stream::connect(gateway.listener());
  expect_rejected(other, user, password.substr(1));
}

TEST_F(Auth, EveryMessageCutAtEveryOctet) {
  users(entry("alice", "secret"));
  GatewayProcess gateway(config());
  Destination destination;
  const std::string all = offer_password + credentials("alice", "secret") +
                          request(destination.endpoint()) + "early data";
  for (std::size_t cut = 1; cut < all.size(); ++cut) {
    Stream client = Stream::connect(gateway.listener());
    client.send(all.substr(0, cut));
    client.flush();
    client.send(all.substr(cut));
    ASSERT_EQ(client.receive(4), chose_password + accepted) << cut;
    ASSERT_EQ(receive_reply(client).code, 0) << cut;
    Stream server = destination.accept();
    EXPECT_EQ(server.receive(10), "early data") << cut;
  }
}

TEST_F(Auth, EverythingInOneSegmentWithEarlyData) {
  users(entry("alice", "secret"));
  GatewayProcess gateway(config());
  Destination destination;
  Stream client = Stream::connect(gateway.listener());
  const std::string early = pattern(100000, 1);
  client.send(offer_password + credentials("alice", "secret") + request(destination.endpoint()) +
              early);
  EXPECT_EQ(client.receive(4), chose_password + accepted);
  EXPECT_EQ(receive_reply(client).code, 0);
  Stream server = destination.accept();
  EXPECT_EQ(server.receive(early.size()), early);
}

// RFC 1928 section 3.
TEST_F(Auth, TheListenersOrderChoosesTheMethod) {
  users(entry("alice", "secret"));
  const std::string both("\x05\x02\x00\x02", 4);
  const std::string none("\x05\x01\x00", 3);
  const std::string gssapi("\x05\x01\x01", 3);
  {
    GatewayProcess gateway(config("\"password\", \"none\""));
    Stream client = Stream::connect(gateway.listener());
    client.send(both);
    EXPECT_EQ(client.receive(2), chose_password);
    Stream plain = Stream::connect(gateway.listener());
    plain.send(none);
    EXPECT_EQ(plain.receive(2), std::string("\x05\x00", 2));
    Stream other = Stream::connect(gateway.listener());
    other.send(gssapi);
    EXPECT_EQ(other.receive_all(), nothing_acceptable);
    other.close();
    EXPECT_EQ(gateway.next_record()["end"], "bad-handshake") << "nobody had to log in";
  }
  {
    GatewayProcess gateway(config("\"none\", \"password\""));
    Stream client = Stream::connect(gateway.listener());
    client.send(both);
    EXPECT_EQ(client.receive(2), std::string("\x05\x00", 2));
  }
  {
    GatewayProcess gateway(config("\"password\""));
    for (const std::string& offer : {none, gssapi}) {
      Stream client = Stream::connect(gateway.listener());
      client.send(offer + request(endpoint("127.0.0.1", 9)));
      EXPECT_EQ(client.receive_all(), nothing_acceptable);
      client.close();
      Fields record = gateway.next_record();
      EXPECT_EQ(record["end"], "auth-failed");
      EXPECT_EQ(record["reason"], "no-acceptable-method");
      EXPECT_NE(gateway.wait_for_log(
                    "authentication failed for user \"\" from 127.0.0.1 (no-acceptable-method)"),
                "");
    }
  }
}

/// The method that is chosen for a client that offers both.
int method_at(const Endpoint& listener) {
  Stream client = Stream::connect(listener);
  client.send(std::string("\x05\x02\x02\x00", 4));
  const std::string choice = client.receive(2);
  return choice.size() == 2 ? static_cast<std::uint8_t>(choice[1]) : -1;
}

TEST_F(Auth, MethodsPerListenerAndClientNetwork) {
  if (!has_ipv6_loopback()) {
    GTEST_SKIP() << "NOT RUN: this machine has no IPv6 loopback, so its network is untested";
  }
  users(entry("alice", "secret"));
  GatewayProcess gateway(GatewayProcess::Options{fmt::format(R"(
[auth]
users_file = "{}"
methods = ["password"]
[[listener]]
address = "127.0.0.1:0"
[[listener]]
address = "127.0.0.1:0"
auth = ["none"]
[[listener]]
address = "127.0.0.1:0"
  [[listener.clients]]
  from = ["192.0.2.0/24", "::/0"]
  auth = ["password"]
  [[listener.clients]]
  from = ["127.0.0.0/8"]
  auth = ["none"]
[[listener]]
address = "[::1]:0"
auth = ["none"]
  [[listener.clients]]
  from = ["127.0.0.0/8"]
  auth = ["none"]
  [[listener.clients]]
  from = ["::1"]
  auth = ["password", "none"]
)",
                                                             users_file()),
                                                 {}});
  EXPECT_EQ(method_at(gateway.listener(0)), 2) << "that of [auth]";
  EXPECT_EQ(method_at(gateway.listener(1)), 0) << "its own";
  EXPECT_EQ(method_at(gateway.listener(2)), 0) << "the client's network's";
  EXPECT_EQ(method_at(gateway.listener(3)), 2) << "the client's network's";
}

TEST_F(Auth, UnixSocketsAskToo) {
  users(entry("alice", "secret"));
  const std::string path = directory_.path("s");
  GatewayProcess gateway(GatewayProcess::Options{config(), {"--listen", "unix:" + path}});
  Destination destination;
  Stream client = Stream::connect(path);
  EXPECT_EQ(log_in(client, "alice", "secret", destination.endpoint()).code, 0);
  Stream other = Stream::connect(path);
  expect_rejected(other, "alice", "wrong");
  EXPECT_NE(gateway.wait_for_log("for user \"alice\" from unix:"), "");
}

TEST_F(Auth, AReloadChangesUsersWhileRelaysGoOn) {
  users(entry("alice", "secret") + entry("bob", "first"));
  GatewayProcess gateway(config());
  Destination destination;
  Stream alice = Stream::connect(gateway.listener());
  ASSERT_EQ(log_in(alice, "alice", "secret", destination.endpoint()).code, 0);
  Stream server = destination.accept();
  Stream bob = Stream::connect(gateway.listener());
  ASSERT_EQ(log_in(bob, "bob", "first", destination.endpoint()).code, 0);

  users(entry("bob", "second") + entry("carol", "secret"));
  gateway.signal(SIGHUP);
  ASSERT_NE(gateway.wait_for_log("configuration reloaded"), "");
  expect_echo(alice, server);
  Stream gone = Stream::connect(gateway.listener());
  expect_rejected(gone, "alice", "secret");
  Stream old = Stream::connect(gateway.listener());
  expect_rejected(old, "bob", "first");  // which is known to have been right
  Stream changed = Stream::connect(gateway.listener());
  EXPECT_EQ(log_in(changed, "bob", "second", destination.endpoint()).code, 0);
  Stream added = Stream::connect(gateway.listener());
  EXPECT_EQ(log_in(added, "carol", "secret", destination.endpoint()).code, 0);
  expect_echo(alice, server);
}

TEST_F(Auth, ABadReloadChangesNothing) {
  users(entry("alice", "secret"));
  GatewayProcess gateway(config());
  Destination destination;
  const auto expect_refused = [&](const std::string& problem) {
    gateway.signal(SIGHUP);
    EXPECT_NE(gateway.wait_for_log(problem), "") << problem;
    EXPECT_NE(gateway.wait_for_log("gatewayd keeps the old one"), "");
    Stream client = Stream::connect(gateway.listener());
    EXPECT_EQ(log_in(client, "alice", "secret", destination.endpoint()).code, 0);
    Stream bob = Stream::connect(gateway.listener());
    expect_rejected(bob, "bob", "secret");
  };
  users(entry("bob", "secret") + "carol:plain\n");
  expect_refused(users_file() + ":2: user \"carol\": this is not a hash");
  users(entry("bob", "secret") + entry("bob", "secret"));
  expect_refused(users_file() + ":2: user \"bob\" is listed twice");
  users(entry("bob", "secret"));
  std::filesystem::permissions(users_file(), std::filesystem::perms(0602));
  expect_refused("every user may write to it");
  std::filesystem::remove(users_file());
  expect_refused(users_file() + ": cannot read: No such file");
  std::filesystem::create_directory(users_file());
  expect_refused(users_file() + ": it is not a regular file");
}

TEST_F(Auth, AReloadCannotLeaveARunningListenerWithoutAnAnswer) {
  users(entry("alice", "secret"));
  const auto with = [&](const char* address) {
    return config() + "[[listener]]\naddress = \"" + address + "\"\n";
  };
  GatewayProcess gateway(GatewayProcess::Options{with("127.0.0.1:0"), {}});
  gateway.directory().write("gatewayd.toml", with("127.0.0.2:0"));
  gateway.signal(SIGHUP);
  EXPECT_NE(gateway.wait_for_log("127.0.0.1:0 is running but is no longer in the configuration"),
            "");
  EXPECT_NE(gateway.wait_for_log("gatewayd keeps the old one"), "");
  EXPECT_EQ(method_at(gateway.listener(0)), 2);
}

TEST_F(Auth, ABadUsersFileIsRefusedAtTheStart) {
  users("alice:plain\n" + entry("bob", "secret") + "bob:*\nnothing\n");
  const std::string file = directory_.write("gatewayd.toml", config());
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"-c", file}, {"-c", file, "--check-config"}}) {
    const Finished finished = run_gatewayd(arguments);
    EXPECT_EQ(finished.status, 1);
    for (const char* problem : {":1: user \"alice\": this is not a hash",
                                ":3: user \"bob\" is listed twice", ":4: there is no colon"}) {
      EXPECT_NE(finished.err.find(users_file() + problem), std::string::npos) << finished.err;
    }
    EXPECT_EQ(finished.err.find("plain"), std::string::npos);
  }
}

TEST_F(Auth, AFileThatEverybodyMayReadIsWorthAWarning) {
  users(entry("alice", "secret"));
  std::filesystem::permissions(users_file(), std::filesystem::perms(0644));
  const std::string file = directory_.write("gatewayd.toml", config());
  const Finished checked = run_gatewayd({"-c", file, "--check-config"});
  EXPECT_EQ(checked.status, 0);
  EXPECT_NE(checked.err.find("every user may read the password hashes"), std::string::npos)
      << checked.err;
  GatewayProcess gateway(config());
  EXPECT_NE(gateway.said().find("every user may read the password hashes"), std::string::npos)
      << gateway.said();
}

TEST_F(Auth, ListenDoesNotDropWhatTheFileAsksFor) {
  users(entry("alice", "secret"));
  const std::string file = directory_.write(
      "gatewayd.toml", fmt::format("[auth]\nusers_file = \"{}\"\n[[listener]]\naddress = "
                                   "\"127.0.0.1:0\"\nauth = [\"password\"]\n",
                                   users_file()));
  const Finished finished = run_gatewayd({"-c", file, "--listen", "127.0.0.1:0"});
  EXPECT_EQ(finished.status, 1);
  EXPECT_NE(finished.err.find("--listen would discard"), std::string::npos) << finished.err;
}

TEST_F(Auth, ListenDoesNotDropWhatARuleDenies) {
  const auto start = [&](std::string_view at) {
    const std::string file = directory_.write(
        "gatewayd.toml",
        fmt::format("[[listener]]\naddress = \"127.0.0.1:1080\"\n[[rule]]\nname = \"no mail\"\n"
                    "action = \"deny\"\nlisteners = [\"127.0.0.1:1080\"]\nports = [25]\n"
                    "[[rule]]\naction = \"allow\"\n"));
    return run_gatewayd({"-c", file, "--check-config", "--listen", std::string(at)});
  };
  const Finished refused = start("127.0.0.1:1081");
  EXPECT_EQ(refused.status, 1);
  EXPECT_NE(refused.err.find("--listen would remove a listener that \"no mail\" names"),
            std::string::npos)
      << refused.err;
  const Finished same = start("127.0.0.1:1080");
  EXPECT_EQ(same.status, 0) << same.err;
}

/// Whether octets wait to be read.
bool has_octets(const Stream& stream) {
  pollfd ready{stream.fd(), POLLIN, 0};
  return ::poll(&ready, 1, 0) == 1;
}

TEST_F(Auth, ASlowHashDelaysNobodyElse) {
  users(entry("alice", "secret") + "slow:" + slow_hash() + "\n");
  GatewayProcess gateway(config("\"password\"", "threads = 1\n[timeouts]\ndrain = 0"));
  Destination destination;
  Stream running = Stream::connect(gateway.listener());
  ASSERT_EQ(log_in(running, "alice", "secret", destination.endpoint()).code, 0);
  Stream server = destination.accept();
  Stream waiting = Stream::connect(gateway.listener());
  waiting.send(offer_password + credentials("slow", "a"));
  ASSERT_EQ(waiting.receive(2), chose_password);
  expect_echo(running, server);
  // Not from the cache, and one that fails.
  Stream wrong = Stream::connect(gateway.listener());
  expect_rejected(wrong, "alice", "wrong");
  Stream fresh = Stream::connect(gateway.listener());
  EXPECT_EQ(log_in(fresh, "alice", "secret", destination.endpoint()).code, 0);
  expect_echo(running, server);
  EXPECT_FALSE(has_octets(waiting)) << "all this took longer than the hash: nothing was shown";
}

TEST_F(Auth, TheHandshakesDeadlineCoversTheVerification) {
  users("slow:" + slow_hash() + "\n");
  GatewayProcess gateway(config("\"password\"", "[timeouts]\nhandshake = \"300ms\""));
  Stream client = Stream::connect(gateway.listener());
  client.send(offer_password + credentials("slow", "a"));
  EXPECT_EQ(client.receive_all(), chose_password);
  EXPECT_EQ(gateway.next_record()["end"], "handshake-timeout");
}

/// A client with another address than the rest of the tests has.
Stream connect_from(const char* source, const Endpoint& to) {
  Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage name{};
  socklen_t size = to_sockaddr(endpoint(source, 0), name);
  EXPECT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&name), size), 0);
  size = to_sockaddr(to, name);
  EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&name), size), 0);
  return Stream(std::move(socket));
}

TEST_F(Auth, AFloodIsBoundedAndKeepsNobodyElseOut) {
  users(entry("alice", "secret") + "slow:" + slow_hash() + "\n");
  GatewayProcess gateway(config("\"password\"", "[timeouts]\nhandshake = \"3s\""));
  Destination destination;
  constexpr int count = 320;  // 256 wait, some are computed
  std::vector<Stream> flood;
  for (int i = 0; i < count; ++i) {
    flood.push_back(Stream::connect(gateway.listener()));
    flood.back().send(offer_password + credentials("slow", std::to_string(i)));
  }
  EXPECT_NE(gateway.wait_for_log("for user \"slow\" from 127.0.0.1 (auth-busy)"), "");
  Stream client = connect_from("127.0.0.2", gateway.listener());
  EXPECT_EQ(log_in(client, "alice", "secret", destination.endpoint()).code, 0);
  for (Stream& stream : flood) {
    const std::string answer = stream.receive_all();
    EXPECT_TRUE(answer == chose_password || answer == chose_password + rejected);
    stream.close();
  }
  int busy = 0;
  for (int i = 0; i < count; ++i) {
    Fields record = gateway.next_record();
    EXPECT_TRUE(record["end"] == "auth-failed" || record["end"] == "handshake-timeout");
    busy += record["reason"] == "auth-busy" ? 1 : 0;
  }
  EXPECT_GE(busy, 1);
}

TEST_F(Auth, NoLogEverHoldsAPassword) {
  users(entry("alice", "right-pAssw0rd"));
  GatewayProcess gateway(
      config("\"password\"",
             "[timeouts]\ndrain = 0\n[log]\nlevel = \"trace\"\n[access_log]\nformat = \"json\""));
  Destination destination;
  Stream client = Stream::connect(gateway.listener());
  ASSERT_EQ(log_in(client, "alice", "right-pAssw0rd", destination.endpoint()).code, 0);
  client.close();
  Stream wrong = Stream::connect(gateway.listener());
  expect_rejected(wrong, "alice", "wrong-pAssw0rd");
  Stream unknown = Stream::connect(gateway.listener());
  expect_rejected(unknown, "bob", "wrong-pAssw0rd");
  Stream cut = Stream::connect(gateway.listener());
  cut.send(offer_password + credentials("alice", "right-pAssw0rd").substr(0, 18));
  cut.finish();
  EXPECT_EQ(cut.receive_all(), chose_password);
  gateway.signal(SIGHUP);
  EXPECT_NE(gateway.wait_for_log("configuration reloaded"), "");
  gateway.signal(SIGTERM);
  EXPECT_NE(gateway.wait_for_log("gatewayd ends"), "");
  EXPECT_NE(gateway.said().find("alice"), std::string::npos);
  EXPECT_EQ(gateway.said().find("pAssw0rd"), std::string::npos) << gateway.said();
  EXPECT_EQ(gateway.said().find("$6$"), std::string::npos) << "nor a hash";
}

Finished run_shell(const TemporaryDirectory& directory, const std::string& command) {
  Finished finished;
  const std::string out = directory.path("out");
  const int status = std::system((command + " >" + out + " 2>&1").c_str());
  finished.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  std::ifstream file(out);
  finished.out = {std::istreambuf_iterator<char>(file), {}};
  return finished;
}

// The filter against lines that the daemon itself has written, with names that try to forge them.
TEST_F(Auth, TheFilterForFail2banFindsTheFailuresAndNothingElse) {
  if (run_shell(directory_, "command -v fail2ban-regex").status != 0) {
    GTEST_SKIP() << "NOT RUN: fail2ban is not installed, so conf/fail2ban is untested";
  }
  users(entry("alice", "secret") + "locked:*\n");
  const std::string log = directory_.path("log");
  {
    GatewayProcess gateway(config());
    Destination destination;
    const std::string forged = "x\" from 192.0.2.9 (wrong-password)";
    const std::string line =
        "2026-11-21T14:15:36.658Z warning authentication failed for user \"a\" from 192.0.2.9 "
        "(wrong-password)";
    for (const auto& [user, password] :
         std::vector<std::pair<std::string, std::string>>{{"alice", "wrong"},
                                                          {"bob\\", "wrong"},
                                                          {"locked", "x"},
                                                          {forged, "x"},
                                                          {"a\n" + line, "x"},
                                                          {line + "\\", "x"}}) {
      Stream client = Stream::connect(gateway.listener());
      expect_rejected(client, user, password);
      (void)gateway.next_record();
    }
    Stream none = Stream::connect(gateway.listener());
    none.send(std::string("\x05\x01\x00", 3));
    EXPECT_EQ(none.receive_all(), nothing_acceptable);
    none.close();
    Stream good = Stream::connect(gateway.listener());
    EXPECT_EQ(log_in(good, "alice", "secret", destination.endpoint()).code, 0);
    destination.accept().close();
    good.close();
    for (int i = 0; i < 2; ++i) {
      (void)gateway.next_record();
    }
    directory_.write("log", gateway.said());
  }
  const Finished found =
      run_shell(directory_, "fail2ban-regex -v " + log + " " GATEWAYD_FAIL2BAN_FILTER);
  EXPECT_EQ(found.status, 0) << found.out;
  EXPECT_NE(found.out.find("Failregex: 6 total"), std::string::npos) << found.out;
  EXPECT_NE(found.out.find(" 127.0.0.1 "), std::string::npos) << found.out;
  EXPECT_EQ(found.out.find(" 192.0.2.9 "), std::string::npos) << found.out;
}

TEST_F(Auth, CurlLogsIn) {
  if (run_shell(directory_, "command -v curl").status != 0) {
    GTEST_SKIP() << "NOT RUN: curl is not installed";
  }
  users(entry("alice", "s:cret%"));
  GatewayProcess gateway(config());
  Destination destination;
  const auto curl = [&](const char* login) {
    return fmt::format("curl -sS --max-time 60 --socks5 {} --proxy-user '{}' http://127.0.0.1:{}/ ",
                       gateway.listener().text().view(), login, destination.port());
  };
  std::thread server([&destination] {
    Stream stream = destination.accept();
    std::string head;
    while (head.find("\r\n\r\n") == std::string::npos) {
      head += stream.receive(1);
    }
    stream.send("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nhi\n");
    stream.finish();
    EXPECT_EQ(stream.receive_all(), "");
  });
  EXPECT_EQ(run_shell(directory_, curl("alice:s:cret%")).out, "hi\n");
  server.join();
  EXPECT_EQ(run_shell(directory_, curl("alice:wrong")).status, 97);  // CURLE_PROXY
}

}  // namespace
}  // namespace socks64::gateway::test
