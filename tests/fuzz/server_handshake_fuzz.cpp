// The server machine against a client that sends anything, in any pieces. Octet 0 chooses what is
// accepted (SOCKS4 by bit 3) and the verdict on credentials, octet 1 the chunking, the rest is what
// the client sends.
// However it is cut, state, error, answers and (when it succeeds) the octets taken are the same.
#include <algorithm>
#include <array>
#include <string>

#include "socks64/server_handshake.hpp"

#include "fuzz.hpp"

namespace {

using namespace socks64;
using fuzz::require;
using State = ServerHandshake::State;

struct Outcome {
  State state = State::failed;
  Errc error = Errc::ok;
  std::size_t taken = 0;
  std::string output;
  std::string user;

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

/// What came in can be sent on, in the protocol that it came in.
void check_request(const Request& request, bool socks4) {
  std::array<std::uint8_t, std::max(max_request_size, max_socks4_request_size)> buffer{};
  Writer out(buffer);
  if (socks4) {
    encode(out, Socks4Request{request, ""});
  } else {
    encode(out, request);
  }
  require(out.ok());
}

Outcome run(std::uint8_t options, std::uint8_t seed, Bytes peer, bool drain_at_once) {
  constexpr std::array<Method, 3> both{Method::none, Method::gssapi, Method::userpass};
  constexpr std::array<Method, 2> reversed{Method::userpass, Method::none};
  std::span<const Method> accepted = both;
  if ((options & 3U) == 1) {
    accepted = std::span(both).first(1);
  }
  if ((options & 3U) == 2) {
    accepted = std::span(both).last(1);
  }
  if ((options & 3U) == 3) {
    accepted = reversed;
  }
  const bool accepts_none =
      std::find(accepted.begin(), accepted.end(), Method::none) != accepted.end();
  const bool verdict = (options & 4U) == 0;
  const bool socks4 = (options & 8U) != 0;
  ServerHandshake server(accepted, {.socks4 = socks4});
  fuzz::Chunks chunks(seed);

  Outcome outcome;
  std::size_t offered = 0;
  const auto drain = [&] {
    outcome.output += fuzz::as_text(server.output());
    server.sent(server.output().size());
    require(server.output().empty());
  };
  while (server.state() == State::reading && offered < peer.size()) {
    offered += chunks.next(peer.size() - offered);
    for (;;) {
      const std::size_t left = offered - outcome.taken;
      const std::size_t taken = server.receive(peer.subspan(outcome.taken, left));
      require(taken <= left);
      outcome.taken += taken;
      if (server.state() == State::reading) {
        require(taken == left);
      }
      if (server.state() != State::check_credentials) {
        break;
      }
      require(server.method() == Method::userpass);
      outcome.user = server.credentials().user;
      require(!outcome.user.empty());
      require(server.receive(peer) == 0);
      server.authenticated(verdict);
      require(server.credentials().user.empty());
    }
    if (drain_at_once) {
      drain();
    }
  }

  require(!server.is_socks4() || (socks4 && peer[0] == socks4_version));
  if (server.state() == State::request_ready) {
    require(server.is_socks4() == (peer[0] == socks4_version));
    check_request(server.request(), server.is_socks4());
    if (server.is_socks4()) {
      require(server.method() == Method::none && accepts_none);
    }
    require(server.receive(peer) == 0);
    const std::size_t before = server.output().size();
    server.reply({ReplyCode::succeeded, server.request().target});
    require(server.state() == State::replied);
    if (server.is_socks4()) {
      require(before == 0 && server.output().size() == socks4_reply_size);
    }
  } else {
    outcome.taken = 0;  // how much a failed negotiation looked at is its own affair
  }
  if (server.state() == State::failed) {
    const Errc error = server.error();
    require(error != Errc::ok);
    require(server.receive(peer) == 0);
    server.reply({});
    server.authenticated(true);
    require(server.state() == State::failed && server.error() == error);
  }
  drain();
  outcome.state = server.state();
  outcome.error = server.error();
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) {
    return 0;
  }
  const Bytes peer = Bytes(data, size).subspan(2);
  const Outcome outcome = run(data[0], data[1], peer, true);
  require(outcome == run(data[0], 0, peer, false));
  require(outcome == run(data[0], 255, peer, false));
  return 0;
}
