// The two machines against each other, over a stream cut into every size of piece.
#include <algorithm>
#include <array>
#include <deque>
#include <tuple>

#include "socks64/client_handshake.hpp"
#include "socks64/server_handshake.hpp"

#include "octets.hpp"

namespace socks64 {
namespace {

using test::every_kind_of_target;
using test::Octets;
using test::operator+;
using Want = ClientHandshake::Want;
using State = ServerHandshake::State;

enum class Login { none, good, bad };

class HandshakePair : public testing::TestWithParam<std::tuple<Login, bool, bool, std::size_t>> {
 protected:
  Login login() const { return std::get<0>(GetParam()); }
  bool pipelining() const { return std::get<1>(GetParam()); }
  bool server_wants_login() const { return std::get<2>(GetParam()); }
  std::size_t chunk() const { return std::get<3>(GetParam()); }

  /// Moves octets both ways until neither side can. The client's first data follow its request at
  /// once and the destination's first data follow the reply at once; each must arrive untouched.
  void run(ClientHandshake& client, ServerHandshake& server, const Reply& reply) {
    Octets up;
    Octets down;
    bool early_sent = false;
    for (bool moved = true; moved;) {
      moved = false;
      if (client.want() == Want::write) {
        const Bytes part = client.output().first(std::min(chunk(), client.output().size()));
        up = up + part;
        client.sent(part.size());
        moved = true;
        if (pipelining() && client.want() == Want::read && !early_sent) {
          up = up + client_data;
          early_sent = true;
        }
      }
      if (!up.empty() && server.state() == State::reading) {
        const std::size_t taken = server.receive(Bytes(up).first(std::min(chunk(), up.size())));
        up.erase(up.begin(), up.begin() + static_cast<std::ptrdiff_t>(taken));
        moved = moved || taken > 0;
      }
      if (server.state() == State::check_credentials) {
        server.authenticated(server.credentials().password == "secret");
        moved = true;
      }
      if (server.state() == State::request_ready) {
        server.reply(reply);
      }
      if (!server.output().empty()) {
        const Bytes part = server.output().first(std::min(chunk(), server.output().size()));
        down = down + part;
        server.sent(part.size());
        moved = true;
        if (server.state() == State::replied && server.output().empty()) {
          down = down + destination_data;
        }
      }
      if (!down.empty() && client.want() == Want::read) {
        const std::size_t count = std::min({chunk(), down.size(), client.read_size()});
        client.received(Bytes(down).first(count));
        down.erase(down.begin(), down.begin() + static_cast<std::ptrdiff_t>(count));
        moved = true;
      }
    }
    left_up = up;
    left_down = down;
  }

  const Octets client_data = test::octets("GET / HTTP/1.0\r\n\r\n");
  const Octets destination_data = test::octets("220 ready\r\n");
  Octets left_up;
  Octets left_down;
};

TEST_P(HandshakePair, AgreeForEveryTarget) {
  const std::array accepted{server_wants_login() ? Method::userpass : Method::none};
  UserPass credentials;
  if (login() == Login::good) {
    credentials = {"user", "secret"};
  }
  if (login() == Login::bad) {
    credentials = {"user", "guess"};
  }

  for (const Target& target : every_kind_of_target()) {
    ClientHandshake client({Command::connect, target}, credentials, {.pipelining = pipelining()});
    ServerHandshake server(accepted);
    run(client, server, {ReplyCode::succeeded, target});

    const bool offered =
        server_wants_login() ? login() != Login::none : login() == Login::none || !pipelining();
    if (!offered) {
      ASSERT_EQ(client.error(), Errc::no_acceptable_method);
      ASSERT_EQ(server.error(), Errc::no_acceptable_method);
    } else if (server_wants_login() && login() == Login::bad) {
      ASSERT_EQ(client.error(), Errc::auth_failed);
      ASSERT_EQ(server.error(), Errc::auth_failed);
    } else {
      ASSERT_EQ(client.want(), Want::done);
      ASSERT_EQ(client.bound(), target);
      ASSERT_EQ(server.state(), State::replied);
      ASSERT_EQ(server.request().target, target);
      ASSERT_EQ(left_down, destination_data);
      ASSERT_EQ(left_up, pipelining() ? client_data : Octets{});
    }
  }
}

TEST_P(HandshakePair, ARefusalReachesTheClient) {
  if (login() != Login::none || server_wants_login()) {
    return;
  }
  for (unsigned code = 1; code <= 8; ++code) {
    ClientHandshake client({Command::connect, test::named("v6only.test", 80)}, {},
                           {.pipelining = pipelining()});
    const std::array accepted{Method::none};
    ServerHandshake server(accepted);
    run(client, server, {static_cast<ReplyCode>(code), {}});
    ASSERT_EQ(client.error(), Errc::request_failed);
    ASSERT_EQ(static_cast<unsigned>(client.reply_code()), code);
  }
}

INSTANTIATE_TEST_SUITE_P(Everything, HandshakePair,
                         testing::Combine(testing::Values(Login::none, Login::good, Login::bad),
                                          testing::Bool(), testing::Bool(),
                                          testing::Values(std::size_t{1}, std::size_t{2},
                                                          std::size_t{3}, std::size_t{7},
                                                          std::size_t{64}, std::size_t{4096})));

}  // namespace
}  // namespace socks64
