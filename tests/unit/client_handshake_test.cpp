#include "socks64/client_handshake.hpp"

#include <algorithm>
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
using Want = ClientHandshake::Want;

const Octets chose_none{5, 0};
const Octets chose_userpass{5, 2};
const Octets status_good{1, 0};

Request connect_to(const Target& target) {
  return {Command::connect, target};
}

Octets succeeded(const Target& bound) {
  return encoded(Reply{ReplyCode::succeeded, bound});
}

/// Plays `peer` to the machine, reading at most `chunk` octets and writing at most `chunk` at a
/// time. Returns how much was read; what was written goes to `written`.
std::size_t play(ClientHandshake& client, const Octets& peer, std::size_t chunk, Octets& written) {
  std::size_t taken = 0;
  for (;;) {
    if (client.want() == Want::write) {
      const Bytes part = client.output().first(std::min(chunk, client.output().size()));
      EXPECT_FALSE(part.empty());
      EXPECT_EQ(client.read_size(), 0U);
      written = written + part;
      client.sent(part.size());
    } else if (client.want() == Want::read && taken < peer.size()) {
      EXPECT_TRUE(client.output().empty());
      EXPECT_GE(client.read_size(), 1U);
      const std::size_t count = std::min({client.read_size(), chunk, peer.size() - taken});
      client.received(Bytes(peer).subspan(taken, count));
      taken += count;
    } else {
      return taken;
    }
  }
}

std::size_t play(ClientHandshake& client, const Octets& peer) {
  Octets written;
  return play(client, peer, peer.size() + 1, written);
}

TEST(ClientHandshake, SendsWhatTheRfcSays) {
  ClientHandshake client(connect_to(at("192.0.2.1", 80)), {});
  Octets written;
  play(client, chose_none + succeeded(at("198.51.100.1", 1234)), 1, written);
  EXPECT_EQ(client.want(), Want::done);
  EXPECT_EQ(client.bound(), at("198.51.100.1", 1234));
  EXPECT_EQ(written, (Octets{5, 1, 0, 5, 1, 0, 1, 192, 0, 2, 1, 0, 80}));
}

TEST(ClientHandshake, SendsCredentialsOnlyWhenAsked) {
  ClientHandshake asked(connect_to(at("192.0.2.1", 80)), {"u", "pw"});
  Octets written;
  play(asked, chose_userpass + status_good + succeeded(at("0.0.0.0", 0)), 1, written);
  EXPECT_EQ(asked.want(), Want::done);
  EXPECT_EQ(written, (Octets{5, 2, 0, 2, 1, 1, 'u', 2, 'p', 'w', 5, 1, 0, 1, 192, 0, 2, 1, 0, 80}));

  ClientHandshake not_asked(connect_to(at("192.0.2.1", 80)), {"u", "pw"});
  written.clear();
  play(not_asked, chose_none + succeeded(at("0.0.0.0", 0)), 1, written);
  EXPECT_EQ(not_asked.want(), Want::done);
  EXPECT_EQ(written, (Octets{5, 2, 0, 2, 5, 1, 0, 1, 192, 0, 2, 1, 0, 80}));
}

TEST(ClientHandshake, PipeliningSaysAllInOneWriteAndOffersOneMethod) {
  ClientHandshake plain(connect_to(at("192.0.2.1", 80)), {}, {.pipelining = true});
  EXPECT_EQ(Octets{} + plain.output(), (Octets{5, 1, 0, 5, 1, 0, 1, 192, 0, 2, 1, 0, 80}));
  EXPECT_EQ(play(plain, chose_none + succeeded(at("::1", 9))), 2U + 22U);
  EXPECT_EQ(plain.want(), Want::done);

  ClientHandshake secret(connect_to(at("192.0.2.1", 80)), {"u", "pw"}, {.pipelining = true});
  EXPECT_EQ(Octets{} + secret.output(),
            (Octets{5, 1, 2, 1, 1, 'u', 2, 'p', 'w', 5, 1, 0, 1, 192, 0, 2, 1, 0, 80}));
  EXPECT_EQ(play(secret, chose_userpass + status_good + succeeded(at("::1", 9))), 4U + 22U);
  EXPECT_EQ(secret.want(), Want::done);
}

TEST(ClientHandshake, EverySplitOfEveryAnswerAndNeverAnOctetPastTheReply) {
  const Octets early = test::octets("SSH-2.0-server speaks first\r\n");
  for (const bool with_user : {false, true}) {
    for (const bool pipelining : {false, true}) {
      for (const Target& bound : every_kind_of_target()) {
        const Octets answers =
            (with_user ? chose_userpass + status_good : chose_none) + succeeded(bound);
        const Octets stream = answers + early;
        for (std::size_t chunk = 1; chunk <= answers.size() + 1; ++chunk) {
          ClientHandshake client(connect_to(named("v6only.test", 80)),
                                 with_user ? UserPass{"user", "secret"} : UserPass{},
                                 {.pipelining = pipelining});
          Octets written;
          ASSERT_EQ(play(client, stream, chunk, written), answers.size()) << chunk;
          ASSERT_EQ(client.want(), Want::done);
          ASSERT_EQ(client.bound(), bound);
          ASSERT_EQ(client.read_size(), 0U);
        }
        // Two pieces, cut everywhere: a read ends at the cut although more was asked for.
        for (std::size_t cut = 0; cut <= answers.size(); ++cut) {
          ClientHandshake client(connect_to(named("v6only.test", 80)),
                                 with_user ? UserPass{"user", "secret"} : UserPass{},
                                 {.pipelining = pipelining});
          const Octets head(answers.begin(), answers.begin() + static_cast<std::ptrdiff_t>(cut));
          const Octets tail(answers.begin() + static_cast<std::ptrdiff_t>(cut), answers.end());
          ASSERT_EQ(play(client, head), cut);
          ASSERT_EQ(client.want() == Want::done, tail.empty());
          ASSERT_EQ(play(client, tail + early), tail.size());
          ASSERT_EQ(client.want(), Want::done);
        }
      }
    }
  }
}

TEST(ClientHandshake, EveryTruncationIsAFailure) {
  const Octets answers = chose_userpass + status_good + succeeded(named("bound.test", 80));
  for (std::size_t size = 0; size < answers.size(); ++size) {
    ClientHandshake client(connect_to(at("::1", 80)), {"user", "secret"});
    play(client, Octets(answers.begin(), answers.begin() + static_cast<std::ptrdiff_t>(size)));
    client.closed();
    EXPECT_EQ(client.want(), Want::failed);
    EXPECT_EQ(client.error(), Errc::truncated);
  }
  ClientHandshake before_anything(connect_to(at("::1", 80)), {});
  before_anything.closed();
  EXPECT_EQ(before_anything.error(), Errc::truncated);
  EXPECT_TRUE(before_anything.output().empty());
}

struct Failure {
  const char* what;
  Octets peer;
  UserPass credentials;
  bool pipelining;
  Errc error;
};

TEST(ClientHandshake, EveryErrorIsReportedAtOnceAndStays) {
  const Octets reply = succeeded(at("::1", 1));
  const Failure rows[] = {
      {"SOCKS4 or HTTP", test::octets("H"), {}, false, Errc::bad_version},
      {"0xFF", {5, 0xff}, {}, false, Errc::no_acceptable_method},
      {"0xFF with credentials", {5, 0xff}, {"u", "p"}, true, Errc::no_acceptable_method},
      {"userpass not offered", {5, 2}, {}, false, Errc::unexpected_method},
      {"none not offered", {5, 0}, {"u", "p"}, true, Errc::unexpected_method},
      {"GSSAPI", {5, 1}, {"u", "p"}, false, Errc::unexpected_method},
      {"status version", {5, 2, 7}, {"u", "p"}, false, Errc::bad_version},
      {"status", {5, 2, 1, 1}, {"u", "p"}, false, Errc::auth_failed},
      {"status, pipelined", {5, 2, 1, 0xff}, {"u", "p"}, true, Errc::auth_failed},
      {"reply version", {5, 0, 4}, {}, false, Errc::bad_version},
      {"reply address type", {5, 0, 5, 0, 0, 9}, {}, false, Errc::bad_address_type},
      {"NUL in the bound name", {5, 0, 5, 0, 0, 3, 2, 0}, {}, false, Errc::bad_name},
  };
  for (const Failure& row : rows) {
    for (const std::size_t chunk : {1U, 100U}) {
      ClientHandshake client(connect_to(at("::1", 80)), row.credentials,
                             {.pipelining = row.pipelining});
      Octets written;
      EXPECT_EQ(play(client, row.peer + reply, chunk, written) >= row.peer.size(), true)
          << row.what;
      ASSERT_EQ(client.want(), Want::failed) << row.what;
      EXPECT_EQ(client.error(), row.error) << row.what;
      EXPECT_TRUE(client.output().empty());
      EXPECT_EQ(client.read_size(), 0U);
      client.received(reply);
      client.sent(5);
      client.closed();
      client.expect_another_reply();
      EXPECT_EQ(client.error(), row.error) << row.what;
    }
  }
}

TEST(ClientHandshake, ARefusalCarriesItsCode) {
  for (unsigned code = 1; code < 256; ++code) {
    ClientHandshake client(connect_to(at("::1", 80)), {});
    play(client, chose_none + encoded(Reply{static_cast<ReplyCode>(code), {}}));
    EXPECT_EQ(client.error(), Errc::request_failed);
    EXPECT_EQ(static_cast<unsigned>(client.reply_code()), code);
  }
}

TEST(ClientHandshake, ARefusalCountsEvenWhenTheRestIsRubbishOrMissing) {
  ClientHandshake rubbish(connect_to(at("::1", 80)), {});
  play(rubbish, chose_none + Octets{5, 4, 0, 0, 0, 0, 0, 0, 0, 0});
  EXPECT_EQ(rubbish.error(), Errc::request_failed);
  EXPECT_EQ(rubbish.reply_code(), ReplyCode::host_unreachable);

  ClientHandshake missing(connect_to(at("::1", 80)), {});
  play(missing, chose_none + Octets{5, 5});
  EXPECT_EQ(missing.want(), Want::read);
  missing.closed();
  EXPECT_EQ(missing.error(), Errc::request_failed);
  EXPECT_EQ(missing.reply_code(), ReplyCode::connection_refused);
}

TEST(ClientHandshake, WhatCannotBeEncodedFailsAtOnce) {
  const std::string too_long(256, 'x');
  EXPECT_EQ(ClientHandshake(connect_to(at("::1", 1)), {too_long, "p"}).error(),
            Errc::bad_credentials);
  EXPECT_EQ(ClientHandshake(connect_to(at("::1", 1)), {"u", too_long}).error(),
            Errc::bad_credentials);
  EXPECT_EQ(ClientHandshake(connect_to(NamedEndpoint{}), {}).error(), Errc::bad_name);
  EXPECT_EQ(ClientHandshake(Request{Command{7}, at("::1", 1)}, {}).error(), Errc::bad_command);
  const ClientHandshake failed(connect_to(NamedEndpoint{}), {});
  EXPECT_EQ(failed.want(), Want::failed);
  EXPECT_TRUE(failed.output().empty());
}

TEST(ClientHandshake, TheLongestMessagesFitInOneOutput) {
  const std::string longest(255, 'x');
  const ClientHandshake client(connect_to(named(longest, 1)), {longest, longest},
                               {.pipelining = true});
  EXPECT_EQ(client.output().size(), 3 + max_userpass_size + max_request_size);
}

TEST(ClientHandshake, CallsOutOfOrderAreWrongState) {
  ClientHandshake read_early(connect_to(at("::1", 80)), {});
  read_early.received(chose_none);
  EXPECT_EQ(read_early.error(), Errc::wrong_state);

  ClientHandshake sent_too_much(connect_to(at("::1", 80)), {});
  sent_too_much.sent(4);
  EXPECT_EQ(sent_too_much.error(), Errc::wrong_state);

  ClientHandshake read_too_much(connect_to(at("::1", 80)), {});
  read_too_much.sent(3);
  read_too_much.received(Octets{5, 0, 5});
  EXPECT_EQ(read_too_much.error(), Errc::wrong_state);

  ClientHandshake second_reply_early(connect_to(at("::1", 80)), {});
  second_reply_early.expect_another_reply();
  EXPECT_EQ(second_reply_early.error(), Errc::wrong_state);

  ClientHandshake nothing(connect_to(at("::1", 80)), {});
  nothing.sent(0);
  nothing.received({});
  EXPECT_EQ(nothing.want(), Want::write);
}

TEST(ClientHandshake, BindHasASecondReply) {
  ClientHandshake client({Command::bind, at("192.0.2.1", 80)}, {});
  play(client, chose_none + succeeded(at("198.51.100.1", 2000)));
  ASSERT_EQ(client.want(), Want::done);
  client.closed();  // after "done" the stream's end is the owner's
  ASSERT_EQ(client.want(), Want::done);
  client.expect_another_reply();
  EXPECT_EQ(client.want(), Want::read);
  EXPECT_EQ(client.read_size(), min_reply_size);
  EXPECT_EQ(play(client, succeeded(at("192.0.2.1", 3000)) + test::octets("data")), 10U);
  EXPECT_EQ(client.want(), Want::done);
  EXPECT_EQ(client.bound(), at("192.0.2.1", 3000));
}

// docs/extensions.md
TEST(ClientHandshake, ResolveGetsAnAddressAndResolvePtrAName) {
  ClientHandshake resolve({Command::resolve, test::named("v6only.test", 0)}, {});
  play(resolve, chose_none + succeeded(at("2001:db8::1", 0)));
  ASSERT_EQ(resolve.want(), Want::done);
  EXPECT_EQ(resolve.bound(), at("2001:db8::1", 0));
  ClientHandshake pointer({Command::resolve_ptr, at("2001:db8::1", 0)}, {});
  play(pointer, chose_none + succeeded(test::named("v6only.test", 0)));
  ASSERT_EQ(pointer.want(), Want::done);
  EXPECT_EQ(pointer.bound(), test::named("v6only.test", 0));
}

TEST(ClientHandshake, CredentialsDoNotStayInTheMachine) {
  const std::string password = "correct horse";
  ClientHandshake client(connect_to(at("::1", 80)), {"user", password}, {.pipelining = true});
  const auto holds_password = [&] {
    const auto* const memory = reinterpret_cast<const char*>(&client);
    const std::string_view image(memory, sizeof client);
    return image.find(password) != std::string_view::npos;
  };
  EXPECT_TRUE(holds_password());
  client.sent(client.output().size());
  EXPECT_FALSE(holds_password());
}

}  // namespace
}  // namespace socks64
