// SOCKS4 and SOCKS4a as ServerHandshake takes them.
#include <algorithm>
#include <array>
#include <string>

#include "socks64/server_handshake.hpp"

#include "octets.hpp"

namespace socks64 {
namespace {

using test::at;
using test::encoded;
using test::named;
using test::Octets;
using test::operator+;
using State = ServerHandshake::State;

constexpr std::array none_only{Method::none};
constexpr std::array userpass_only{Method::userpass};
constexpr std::array userpass_first{Method::userpass, Method::none};
constexpr ServerHandshake::Options allowed{.socks4 = true};

const Octets rejection{0, 91, 0, 0, 0, 0, 0, 0};

Octets drain(ServerHandshake& server) {
  const Octets out = Octets{} + server.output();
  server.sent(out.size());
  EXPECT_TRUE(server.output().empty());
  return out;
}

/// Feeds `stream` in pieces of `chunk`; returns the octets taken.
std::size_t feed(ServerHandshake& server, const Octets& stream, std::size_t chunk) {
  std::size_t taken = 0;
  while (taken < stream.size() && server.state() == State::reading) {
    taken += server.receive(Bytes(stream).subspan(taken, std::min(chunk, stream.size() - taken)));
  }
  return taken;
}

Octets request_octets(const Target& target, std::string_view user = "fred",
                      Command command = Command::connect) {
  return encoded(Socks4Request{{command, target}, user});
}

TEST(Socks4Handshake, EverySplitOfEveryRequest) {
  const Octets early = test::octets("\4\1GET / HTTP/1.0\r\n\r\n");
  for (const Command command : {Command::connect, Command::bind}) {
    for (const Target& target : {at("192.0.2.1", 80), at("0.0.0.0", 80), named("v6only.test", 443),
                                 named(std::string(255, 'n'), 65535)}) {
      for (const std::string& user : {std::string(), std::string("fred"), std::string(255, 'u')}) {
        const Octets request = request_octets(target, user, command);
        const Octets stream = request + early;
        for (std::size_t chunk = 1; chunk <= stream.size(); ++chunk) {
          ServerHandshake server(userpass_first, allowed);
          ASSERT_EQ(feed(server, stream, chunk), request.size()) << chunk;
          ASSERT_EQ(server.state(), State::request_ready);
          ASSERT_TRUE(server.is_socks4());
          ASSERT_EQ(server.method(), Method::none);
          ASSERT_EQ(server.request().command, command);
          ASSERT_EQ(server.request().target, target);
          ASSERT_TRUE(server.output().empty());
          ASSERT_EQ(server.receive(early), 0U);
        }
        for (std::size_t cut = 1; cut < request.size(); ++cut) {
          ServerHandshake server(none_only, allowed);
          ASSERT_EQ(server.receive(Bytes(stream).first(cut)), cut);
          ASSERT_EQ(server.state(), State::reading);
          ASSERT_EQ(server.receive(Bytes(stream).subspan(cut)), request.size() - cut);
          ASSERT_EQ(server.state(), State::request_ready);
          ASSERT_EQ(server.request().target, target);
        }
      }
    }
  }
}

TEST(Socks4Handshake, TakesNothingOfAMebibyteOfEarlyData) {
  for (const Target& target : {at("192.0.2.1", 80), named("v6only.test", 80)}) {
    for (const std::uint8_t filling : Octets{0, 4, 'x'}) {
      const Octets request = request_octets(target);
      const Octets stream = request + Octets(1U << 20U, filling);
      ServerHandshake server(none_only, allowed);
      EXPECT_EQ(server.receive(stream), request.size());
      EXPECT_EQ(server.state(), State::request_ready);
      EXPECT_EQ(server.request().target, target);
    }
  }
}

TEST(Socks4Handshake, IsOffUnlessAskedFor) {
  ServerHandshake server(none_only);
  EXPECT_EQ(feed(server, request_octets(at("192.0.2.1", 80)), 1), 1U);
  EXPECT_EQ(server.state(), State::failed);
  EXPECT_EQ(server.error(), Errc::bad_version);
  EXPECT_FALSE(server.is_socks4());
  EXPECT_TRUE(server.output().empty());
}

TEST(Socks4Handshake, NeedsThatNoAuthenticationIsAccepted) {
  for (const std::span<const Method> accepted :
       {std::span<const Method>{}, std::span<const Method>(userpass_only)}) {
    for (const std::size_t chunk : {1U, 1000U}) {
      ServerHandshake server(accepted, allowed);
      // A user that is named is not one that has logged in.
      feed(server, request_octets(at("192.0.2.1", 80), "root"), chunk);
      EXPECT_EQ(server.state(), State::failed);
      EXPECT_EQ(server.error(), Errc::no_acceptable_method);
      EXPECT_EQ(server.method(), Method::unacceptable);
      server.reply({ReplyCode::succeeded, {}});  // ignored
      EXPECT_EQ(drain(server), rejection);
      EXPECT_TRUE(server.credentials().user.empty());
    }
  }
}

TEST(Socks4Handshake, Socks5StaysWhatItWas) {
  for (const std::size_t chunk : {1U, 1000U}) {
    ServerHandshake server(none_only, allowed);
    const Octets stream{5, 1, 0, 5, 1, 0, 1, 192, 0, 2, 1, 0, 80};
    EXPECT_EQ(feed(server, stream, chunk), stream.size());
    EXPECT_EQ(server.state(), State::request_ready);
    EXPECT_FALSE(server.is_socks4());
    server.reply({ReplyCode::succeeded, at("2001:db8::1", 9)});
    EXPECT_EQ(drain(server),
              (Octets{5, 0}) + encoded(Reply{ReplyCode::succeeded, at("2001:db8::1", 9)}));
  }
  // Having greeted as SOCKS5, it is no longer asked what it speaks.
  ServerHandshake mixed(none_only, allowed);
  feed(mixed, Octets{5, 1, 0} + request_octets(at("192.0.2.1", 80)), 1000);
  EXPECT_EQ(mixed.error(), Errc::bad_version);
  EXPECT_EQ(drain(mixed), (Octets{5, 0}));
}

struct Failure {
  const char* what;
  Octets stream;
  Errc error;
};

TEST(Socks4Handshake, EveryErrorIsReportedAtOnceAnsweredAndStays) {
  const Octets name_head{4, 1, 0, 80, 0, 0, 0, 1, 0};
  const Failure rows[] = {
      {"command 0", {4, 0}, Errc::bad_command},
      {"UDP ASSOCIATE", {4, 3}, Errc::bad_command},
      {"RESOLVE", {4, 0xf0}, Errc::bad_command},
      {"endless user", Octets{4, 1, 0, 80, 192, 0, 2, 1} + Octets(256, 'u'), Errc::bad_credentials},
      {"empty name", name_head + Octets{0}, Errc::bad_name},
      {"endless name", name_head + Octets(256, 'n'), Errc::bad_name},
  };
  for (const Failure& row : rows) {
    for (const std::size_t chunk : {1U, 3U, 1000U}) {
      ServerHandshake server(none_only, allowed);
      EXPECT_EQ(feed(server, row.stream, chunk), row.stream.size()) << row.what;
      ASSERT_EQ(server.state(), State::failed) << row.what;
      EXPECT_EQ(server.error(), row.error) << row.what;
      server.reply({ReplyCode::succeeded, {}});  // ignored
      EXPECT_EQ(server.receive(row.stream), 0U);
      EXPECT_EQ(drain(server), rejection) << row.what;
      server.authenticated(true);
      server.reply_again({});
      EXPECT_EQ(server.error(), row.error) << row.what;
      EXPECT_TRUE(server.output().empty());
    }
  }
}

TEST(Socks4Handshake, RepliesAndBindsSecondReply) {
  ServerHandshake server(none_only, allowed);
  feed(server, request_octets(at("192.0.2.1", 80), "", Command::bind), 1000);
  ASSERT_EQ(server.state(), State::request_ready);
  server.reply({ReplyCode::succeeded, at("192.0.2.9", 258)});
  EXPECT_EQ(server.state(), State::replied);
  EXPECT_EQ(drain(server), (Octets{0, 90, 1, 2, 192, 0, 2, 9}));
  server.reply_again({ReplyCode::succeeded, at("2001:db8::1", 258)});
  EXPECT_EQ(drain(server), (Octets{0, 90, 1, 2, 0, 0, 0, 0}));

  ServerHandshake refused(none_only, allowed);
  feed(refused, request_octets(named("v6only.test", 80)), 1000);
  refused.reply({ReplyCode::connection_refused, {}});
  EXPECT_EQ(refused.state(), State::replied);
  EXPECT_EQ(drain(refused), rejection);
}

TEST(Socks4Handshake, CallsOutOfOrderAreWrongState) {
  ServerHandshake verdict(none_only, allowed);
  feed(verdict, {4, 1}, 2);
  verdict.authenticated(true);
  EXPECT_EQ(verdict.error(), Errc::wrong_state);

  ServerHandshake early_reply(none_only, allowed);
  feed(early_reply, {4, 1}, 2);
  early_reply.reply({});
  EXPECT_EQ(early_reply.error(), Errc::wrong_state);
  EXPECT_TRUE(early_reply.output().empty());
}

}  // namespace
}  // namespace socks64
