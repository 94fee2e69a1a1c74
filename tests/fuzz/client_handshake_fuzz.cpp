// The client machine against a peer that sends anything, in any pieces. Octet 0 chooses the
// options, octet 1 the chunking, the rest is what the peer sends. However it is cut, the outcome is
// the same, and nothing behind the reply is asked for.
#include <algorithm>

#include "socks64/client_handshake.hpp"

#include "fuzz.hpp"

namespace {

using namespace socks64;
using fuzz::require;
using Want = ClientHandshake::Want;

struct Outcome {
  Want want = Want::failed;
  Errc error = Errc::ok;
  std::uint8_t code = 0;
  std::size_t taken = 0;

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Target target_for(unsigned choice) {
  if (choice == 0) {
    return Endpoint{IpAddress::v4(0xc0000201), 80};
  }
  if (choice == 1) {
    return Endpoint{IpAddress::v4(0xc0000201).mapped(), 443};
  }
  return NamedEndpoint{*DomainName::from(choice == 2 ? "v6only.test" : "x"), 8080};
}

Outcome run(std::uint8_t options, std::uint8_t seed, Bytes peer) {
  const bool with_user = (options & 1U) != 0;
  const bool pipelining = (options & 2U) != 0;
  const Request request{Command::connect, target_for((options >> 2U) & 3U)};
  const UserPass credentials{with_user ? "user" : "", (options & 16U) != 0 ? "" : "secret"};
  ClientHandshake client(request, credentials, {.pipelining = pipelining});
  fuzz::Chunks chunks(seed);

  std::size_t taken = 0;
  for (;;) {
    const Want want = client.want();
    require(client.output().empty() == (want != Want::write));
    require((client.read_size() == 0) == (want != Want::read));
    require((client.error() == Errc::ok) == (want != Want::failed));
    if (want == Want::write) {
      client.sent(chunks.next(client.output().size()));
    } else if (want == Want::read && taken < peer.size()) {
      const std::size_t most = std::min(client.read_size(), peer.size() - taken);
      const std::size_t count = chunks.next(most);
      client.received(peer.subspan(taken, count));
      taken += count;
    } else {
      if (want == Want::read) {
        client.closed();
      }
      break;
    }
  }

  if (client.want() == Want::done) {
    // Exactly the choice, the status if there was one, and the reply.
    std::size_t expected = parse_method_choice(peer).consumed;
    if (peer[1] == 0x02) {
      expected += parse_userpass_status(peer.subspan(expected)).consumed;
    }
    expected += parse_reply(peer.subspan(expected)).consumed;
    require(taken == expected);
    require(client.reply_code() == ReplyCode::succeeded);
    return {Want::done, Errc::ok, 0, taken};
  }
  require(client.want() == Want::failed);
  const Errc error = client.error();
  client.sent(1);
  client.received(peer);
  client.closed();
  client.expect_another_reply();
  require(client.want() == Want::failed && client.error() == error);
  const bool refused = error == Errc::request_failed;
  if (refused) {
    require(client.reply_code() != ReplyCode::succeeded);
  }
  return {Want::failed, error,
          refused ? static_cast<std::uint8_t>(client.reply_code()) : std::uint8_t{0}, 0};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) {
    return 0;
  }
  const Bytes peer = Bytes(data, size).subspan(2);
  const Outcome outcome = run(data[0], data[1], peer);
  require(outcome == run(data[0], 0, peer));
  require(outcome == run(data[0], 255, peer));
  return 0;
}
