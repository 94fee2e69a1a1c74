// The protocol library: messages read and written, and the server's side of a handshake.
#include <array>
#include <benchmark/benchmark.h>
#include <string>
#include <vector>

#include "socks64/message.hpp"
#include "socks64/server_handshake.hpp"

namespace socks64 {
namespace {

Target named() {
  return NamedEndpoint{DomainName::from("www.some-service.example.com").value_or(DomainName()),
                       443};
}
Target addressed() {
  return Endpoint{IpAddress::parse("2001:db8::7").value_or(IpAddress()), 443};
}

template <class Message>
std::vector<std::uint8_t> octets_of(const Message& message) {
  std::array<std::uint8_t, 600> storage{};
  Writer out(storage);
  encode(out, message);
  return {storage.begin(), storage.begin() + static_cast<std::ptrdiff_t>(out.size())};
}

template <class Message>
void encode_message(benchmark::State& state, const Message& message) {
  std::array<std::uint8_t, 600> storage{};
  for (auto _ : state) {
    Writer out(storage);
    encode(out, message);
    benchmark::DoNotOptimize(storage.data());
    benchmark::ClobberMemory();
  }
}

template <class Message, class Parse>
void parse_message(benchmark::State& state, const Message& message, Parse parse) {
  const std::vector<std::uint8_t> octets = octets_of(message);
  for (auto _ : state) {
    auto parsed = parse(Bytes(octets));
    benchmark::DoNotOptimize(parsed);
  }
}

void negotiate(benchmark::State& state, bool password) {
  std::vector<std::uint8_t> greeting;
  std::vector<std::uint8_t> login;
  Greeting offered;
  offered.methods[0] = static_cast<std::uint8_t>(password ? Method::userpass : Method::none);
  offered.count = 1;
  greeting = octets_of(offered);
  if (password) login = octets_of(UserPass{"alice", "a password of some length"});
  const std::vector<std::uint8_t> request = octets_of(Request{Command::connect, named()});
  const Reply success{ReplyCode::succeeded, addressed()};
  const std::array accepted{password ? Method::userpass : Method::none};
  for (auto _ : state) {
    ServerHandshake machine(accepted);
    std::size_t taken = machine.receive(greeting);
    machine.sent(machine.output().size());
    if (password) {
      taken += machine.receive(login);
      machine.authenticated(true);
      machine.sent(machine.output().size());
    }
    taken += machine.receive(request);
    machine.reply(success);
    benchmark::DoNotOptimize(machine.output().data());
    machine.sent(machine.output().size());
    if (taken != greeting.size() + login.size() + request.size()) {
      state.SkipWithError("the handshake stopped");
    }
  }
}

// NOLINTBEGIN(cert-err58-cpp): registration
BENCHMARK_CAPTURE(encode_message, codec / request_by_name, Request{Command::connect, named()});
BENCHMARK_CAPTURE(encode_message, codec / reply, Reply{ReplyCode::succeeded, addressed()});
BENCHMARK_CAPTURE(encode_message, codec / udp_header, UdpHeader{0, addressed()});
BENCHMARK_CAPTURE(parse_message, codec / request_by_name, Request{Command::connect, named()},
                  parse_request);
BENCHMARK_CAPTURE(parse_message, codec / request_by_address, Request{Command::connect, addressed()},
                  parse_request);
BENCHMARK_CAPTURE(parse_message, codec / reply, Reply{ReplyCode::succeeded, addressed()},
                  parse_reply);
BENCHMARK_CAPTURE(parse_message, codec / udp_header_by_address, UdpHeader{0, addressed()},
                  parse_udp_header);
BENCHMARK_CAPTURE(parse_message, codec / udp_header_by_name, UdpHeader{0, named()},
                  parse_udp_header);
BENCHMARK_CAPTURE(negotiate, codec / server, false);
BENCHMARK_CAPTURE(negotiate, codec / server_with_password, true);
// NOLINTEND(cert-err58-cpp)

}  // namespace
}  // namespace socks64
