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
  if (password) {
    login = octets_of(UserPass{"alice", "a password of some length"});
  }
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

template <class Function, class... Arguments>
void add(const char* name, Function function, Arguments... arguments) {
  benchmark::RegisterBenchmark((std::string("codec/") + name).c_str(),
                               [=](benchmark::State& state) { function(state, arguments...); });
}

const bool registered = [] {
  const Request by_name{Command::connect, named()};
  const Request by_address{Command::connect, addressed()};
  const Reply reply{ReplyCode::succeeded, addressed()};
  add("encode/request_by_name", encode_message<Request>, by_name);
  add("encode/reply", encode_message<Reply>, reply);
  add("encode/udp_header", encode_message<UdpHeader>, UdpHeader{0, addressed()});
  const auto parsed_request = [](Bytes in) { return parse_request(in); };
  const auto parsed_header = [](Bytes in) { return parse_udp_header(in); };
  add("parse/request_by_name", parse_message<Request, decltype(parsed_request)>, by_name,
      parsed_request);
  add("parse/request_by_address", parse_message<Request, decltype(parsed_request)>, by_address,
      parsed_request);
  const auto parsed_reply = [](Bytes in) { return parse_reply(in); };
  add("parse/reply", parse_message<Reply, decltype(parsed_reply)>, reply, parsed_reply);
  add("parse/udp_header_by_address", parse_message<UdpHeader, decltype(parsed_header)>,
      UdpHeader{0, addressed()}, parsed_header);
  add("parse/udp_header_by_name", parse_message<UdpHeader, decltype(parsed_header)>,
      UdpHeader{0, named()}, parsed_header);
  add("server_handshake", negotiate, false);
  add("server_handshake_with_password", negotiate, true);
  return true;
}();

}  // namespace
}  // namespace socks64
