#include "socks64/server_handshake.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "octets.hpp"

namespace socks64 {
namespace {

using test::at;
using test::encoded;
using test::every_kind_of_target;
using test::named;
using test::Octets;
using test::operator+;
using State = ServerHandshake::State;

constexpr std::array none_only{Method::none};
constexpr std::array userpass_only{Method::userpass};
constexpr std::array both{Method::none, Method::userpass};
constexpr std::array userpass_first{Method::userpass, Method::none};

const Octets offers_none{5, 1, 0};
const Octets offers_both{5, 2, 0, 2};
const Octets credentials{1, 4, 'u', 's', 'e', 'r', 6, 's', 'e', 'c', 'r', 'e', 't'};

Octets drain(ServerHandshake& server) {
  const Octets out = Octets{} + server.output();
  server.sent(out.size());
  EXPECT_TRUE(server.output().empty());
  return out;
}

Octets connect_octets(const Target& target) {
  return encoded(Request{Command::connect, target});
}

/// Feeds `stream` in pieces of `chunk`, approving credentials; returns the octets taken.
std::size_t feed(ServerHandshake& server, const Octets& stream, std::size_t chunk) {
  std::size_t taken = 0;
  std::size_t offered = 0;
  while (offered < stream.size() && server.state() == State::reading) {
    offered = std::min(stream.size(), offered + chunk);
    for (;;) {
      taken += server.receive(Bytes(stream).subspan(taken, offered - taken));
      if (server.state() != State::check_credentials) {
        break;
      }
      EXPECT_EQ(server.credentials().user, "user");
      EXPECT_EQ(server.credentials().password, "secret");
      server.authenticated(true);
    }
    if (server.state() == State::reading) {
      EXPECT_EQ(taken, offered);
    }
  }
  return taken;
}

TEST(ServerHandshake, EverySplitOfEveryNegotiation) {
  const Octets early = test::octets("GET / HTTP/1.0\r\n\r\n");
  for (const bool with_user : {false, true}) {
    for (const Target& target : every_kind_of_target()) {
      const Octets negotiation =
          (with_user ? offers_both + credentials : offers_none) + connect_octets(target);
      const Octets stream = negotiation + early;
      for (std::size_t chunk = 1; chunk <= stream.size(); ++chunk) {
        ServerHandshake server(with_user ? std::span<const Method>(userpass_only)
                                         : std::span<const Method>(none_only));
        ASSERT_EQ(feed(server, stream, chunk), negotiation.size()) << chunk;
        ASSERT_EQ(server.state(), State::request_ready);
        ASSERT_EQ(server.method(), with_user ? Method::userpass : Method::none);
        ASSERT_EQ(server.request().command, Command::connect);
        ASSERT_EQ(server.request().target, target);
        ASSERT_EQ(server.receive(early), 0U);
        ASSERT_EQ(drain(server), (with_user ? Octets{5, 2, 1, 0} : Octets{5, 0}));
      }
      for (std::size_t cut = 1; cut < negotiation.size(); ++cut) {
        ServerHandshake server(with_user ? std::span<const Method>(userpass_only)
                                         : std::span<const Method>(none_only));
        const auto middle = stream.begin() + static_cast<std::ptrdiff_t>(cut);
        ASSERT_EQ(feed(server, Octets(stream.begin(), middle), cut), cut);
        ASSERT_EQ(server.state(), State::reading);  // NeedMore is no error
        const Octets rest(middle, stream.end());
        ASSERT_EQ(feed(server, rest, rest.size()), negotiation.size() - cut);
        ASSERT_EQ(server.state(), State::request_ready);
      }
    }
  }
}

TEST(ServerHandshake, TakesNothingOfAMebibyteOfEarlyData) {
  const Octets negotiation = offers_both + credentials + connect_octets(named("v6only.test", 80));
  const Octets stream = negotiation + Octets(1U << 20U, 0x05);
  ServerHandshake server(userpass_first);
  EXPECT_EQ(feed(server, stream, stream.size()), negotiation.size());
  EXPECT_EQ(server.state(), State::request_ready);
  EXPECT_EQ(server.request().target, named("v6only.test", 80));
}

TEST(ServerHandshake, ItsOwnPreferenceChoosesTheMethod) {
  ServerHandshake none_preferred(both);
  EXPECT_EQ(none_preferred.receive(offers_both), 4U);
  EXPECT_EQ(none_preferred.method(), Method::none);
  ServerHandshake userpass_preferred(userpass_first);
  EXPECT_EQ(userpass_preferred.receive(offers_both), 4U);
  EXPECT_EQ(userpass_preferred.method(), Method::userpass);
  ServerHandshake second_choice(userpass_first);
  EXPECT_EQ(second_choice.receive(offers_none), 3U);
  EXPECT_EQ(second_choice.method(), Method::none);
}

TEST(ServerHandshake, NoCommonMethodIsAnsweredAndFails) {
  constexpr std::array unsupported{Method::gssapi, Method::unacceptable};
  for (const std::span<const Method> accepted :
       {std::span<const Method>{}, std::span<const Method>(userpass_only),
        std::span<const Method>(unsupported)}) {
    ServerHandshake server(accepted);
    EXPECT_EQ(server.receive(offers_none + connect_octets(at("::1", 1))), 3U);
    EXPECT_EQ(server.state(), State::failed);
    EXPECT_EQ(server.error(), Errc::no_acceptable_method);
    EXPECT_EQ(drain(server), (Octets{5, 0xff}));
  }
}

TEST(ServerHandshake, BadCredentialsAreAnsweredAndFail) {
  ServerHandshake server(userpass_only);
  const Octets stream = offers_both + credentials + connect_octets(at("::1", 1));
  EXPECT_EQ(server.receive(stream), offers_both.size() + credentials.size());
  ASSERT_EQ(server.state(), State::check_credentials);
  server.authenticated(false);
  EXPECT_EQ(server.state(), State::failed);
  EXPECT_EQ(server.error(), Errc::auth_failed);
  EXPECT_EQ(server.receive(stream), 0U);
  EXPECT_EQ(drain(server), (Octets{5, 2, 1, 1}));
}

TEST(ServerHandshake, CredentialsDoNotStayInTheMachine) {
  for (const bool verdict : {true, false}) {
    ServerHandshake server(userpass_only);
    const auto holds_password = [&] {
      const auto* const memory = reinterpret_cast<const char*>(&server);
      const std::string_view image(memory, sizeof server);
      return image.find("secret") != std::string_view::npos;
    };
    EXPECT_EQ(server.receive(offers_both + credentials), offers_both.size() + credentials.size());
    EXPECT_TRUE(holds_password());
    server.authenticated(verdict);
    EXPECT_FALSE(holds_password());
    EXPECT_TRUE(server.credentials().user.empty());
  }
}

struct Failure {
  const char* what;
  Octets stream;
  Errc error;
  Octets answer;  ///< behind the method choice
};

TEST(ServerHandshake, EveryErrorIsReportedAtOnceAnsweredAndStays) {
  const auto refused = [](std::uint8_t code) { return Octets{5, code, 0, 1, 0, 0, 0, 0, 0, 0}; };
  const Failure rows[] = {
      {"SOCKS4", {4}, Errc::bad_version, {}},
      {"no methods", {5, 0}, Errc::bad_method_count, {}},
      {"request version", offers_none + Octets{4}, Errc::bad_version, {5, 0}},
      {"command 0", offers_none + Octets{5, 0}, Errc::bad_command, Octets{5, 0} + refused(7)},
      {"command 0xF2", offers_none + Octets{5, 0xf2}, Errc::bad_command, Octets{5, 0} + refused(7)},
      {"address type", offers_none + Octets{5, 1, 0, 2}, Errc::bad_address_type,
       Octets{5, 0} + refused(8)},
      {"empty name", offers_none + Octets{5, 1, 0, 3, 0}, Errc::bad_name,
       Octets{5, 0} + refused(1)},
      {"NUL in a name", offers_none + Octets{5, 1, 0, 3, 2, 0}, Errc::bad_name,
       Octets{5, 0} + refused(1)},
  };
  for (const Failure& row : rows) {
    for (const std::size_t chunk : {1U, 1000U}) {
      ServerHandshake server(none_only);
      feed(server, row.stream, chunk);  // the last octet is the one that settles it
      ASSERT_EQ(server.state(), State::failed) << row.what;
      EXPECT_EQ(server.error(), row.error) << row.what;
      server.reply({ReplyCode::succeeded, {}});  // ignored
      EXPECT_EQ(server.receive(row.stream), 0U);
      EXPECT_EQ(drain(server), row.answer) << row.what;
      server.authenticated(true);
      server.reply_again({});
      EXPECT_EQ(server.error(), row.error) << row.what;
      EXPECT_TRUE(server.output().empty());
    }
  }
  ServerHandshake version(userpass_only);
  EXPECT_EQ(feed(version, offers_both + Octets{5}, 1), 5U);
  EXPECT_EQ(version.error(), Errc::bad_version);
  ServerHandshake empty_user(userpass_only);
  EXPECT_EQ(feed(empty_user, offers_both + Octets{1, 0}, 1), 6U);
  EXPECT_EQ(empty_user.error(), Errc::bad_credentials);
  EXPECT_EQ(drain(empty_user), (Octets{5, 2}));
}

TEST(ServerHandshake, RepliesAndBindsSecondReply) {
  for (const Target& bound : every_kind_of_target()) {
    ServerHandshake server(none_only);
    feed(server, offers_none + encoded(Request{Command::bind, at("192.0.2.1", 80)}), 1000);
    ASSERT_EQ(server.state(), State::request_ready);
    EXPECT_EQ(server.request().command, Command::bind);
    const Reply first{ReplyCode::succeeded, bound};
    server.reply(first);  // behind the method choice, which is not written yet
    EXPECT_EQ(server.state(), State::replied);
    EXPECT_EQ(drain(server), (Octets{5, 0}) + encoded(first));
    const Reply second{ReplyCode::ttl_expired, at("2001:db8::1", 9)};
    server.reply_again(second);
    EXPECT_EQ(drain(server), encoded(second));
    EXPECT_EQ(server.receive(offers_none), 0U);
  }
}

TEST(ServerHandshake, EverythingUnsentFitsTogether) {
  ServerHandshake server(userpass_only);
  feed(server, offers_both + credentials + connect_octets(at("::1", 1)), 1);
  const Reply longest{ReplyCode::succeeded, named(std::string(255, 'n'), 1)};
  server.reply(longest);
  EXPECT_EQ(server.state(), State::replied);
  // Written octet by octet.
  Octets out;
  while (!server.output().empty()) {
    out = out + server.output().first(1);
    server.sent(1);
  }
  EXPECT_EQ(out, (Octets{5, 2, 1, 0}) + encoded(longest));
}

TEST(ServerHandshake, CallsOutOfOrderAreWrongState) {
  ServerHandshake verdict(none_only);
  verdict.authenticated(true);
  EXPECT_EQ(verdict.error(), Errc::wrong_state);

  ServerHandshake early_reply(none_only);
  early_reply.reply({});
  EXPECT_EQ(early_reply.error(), Errc::wrong_state);
  EXPECT_TRUE(early_reply.output().empty());

  ServerHandshake sent_too_much(none_only);
  sent_too_much.sent(1);
  EXPECT_EQ(sent_too_much.error(), Errc::wrong_state);

  ServerHandshake second_before_first(none_only);
  feed(second_before_first, offers_none + connect_octets(at("::1", 1)), 100);
  second_before_first.reply({});
  second_before_first.reply_again({});  // the first is still in output()
  EXPECT_EQ(second_before_first.error(), Errc::wrong_state);

  ServerHandshake unnameable(none_only);
  feed(unnameable, offers_none + connect_octets(at("::1", 1)), 100);
  unnameable.reply({ReplyCode::succeeded, NamedEndpoint{}});
  EXPECT_EQ(unnameable.error(), Errc::bad_name);
  EXPECT_EQ(drain(unnameable), (Octets{5, 0}));
}

}  // namespace
}  // namespace socks64
