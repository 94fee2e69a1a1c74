#include "socks64/message.hpp"

#include <algorithm>

#include "parsed.hpp"

namespace socks64 {
namespace {

enum class EmptyName : std::uint8_t { refused, unspecified_address };

constexpr std::size_t fixed_part = 3;  // VER CMD RSV, VER REP RSV, or RSV RSV FRAG

/// The judgement on a target, which is written where it belongs: it has room for a name of 255
/// octets, and to hand it up from function to function costs more than to read it.
struct OnTarget {};
using TargetParsed = Parsed<OnTarget>;

TargetParsed parse_name(Bytes in, EmptyName empty, Target& out) noexcept {
  constexpr std::size_t head = 2;  // ATYP and the length octet
  const std::size_t shortest_name = empty == EmptyName::refused ? 1 : 0;
  if (in.size() < head) {
    return need_more<OnTarget>(in, head + shortest_name + 2);
  }
  const std::size_t size = in[1];
  if (size < shortest_name) {
    return invalid<OnTarget>(Errc::bad_name);
  }

  const Bytes seen = in.subspan(head, std::min(size, in.size() - head));
  if (std::find(seen.begin(), seen.end(), std::uint8_t{0}) != seen.end()) {
    return invalid<OnTarget>(Errc::bad_name);
  }
  const std::size_t whole = head + size + 2;
  if (in.size() < whole) {
    return need_more<OnTarget>(in, whole);
  }

  Reader reader(in.subspan(head));
  const Bytes octets = reader.take(size);
  const Port port = reader.u16();
  if (octets.empty()) {
    out.emplace<Endpoint>().port = port;
    return complete(whole, OnTarget{});
  }
  const Result<DomainName> name = DomainName::from(as_text(octets));
  if (!name) {
    return invalid<OnTarget>(name.error());
  }
  auto& named = out.emplace<NamedEndpoint>();
  named.name = *name;
  named.port = port;
  return complete(whole, OnTarget{});
}

template <class AddressBytes>
TargetParsed parse_address(Bytes in, IpAddress (*make)(const AddressBytes&), Target& out) noexcept {
  AddressBytes octets{};
  const std::size_t whole = 1 + octets.size() + 2;
  if (in.size() < whole) {
    return need_more<OnTarget>(in, whole);
  }
  Reader reader(in.subspan(1));
  const Bytes from = reader.take(octets.size());
  std::copy(from.begin(), from.end(), octets.begin());
  auto& endpoint = out.emplace<Endpoint>();
  endpoint.address = make(octets);
  endpoint.port = reader.u16();
  return complete(whole, OnTarget{});
}

/// ATYP ADDR PORT, RFC 1928 section 5. `out` is left alone unless it is complete.
TargetParsed parse_target(Bytes in, EmptyName empty, Target& out) noexcept {
  if (in.empty()) {
    // The shortest there is: a name of one octet, or of none.
    return need_more<OnTarget>(in, empty == EmptyName::refused ? 5 : 4);
  }
  switch (static_cast<AddressType>(in[0])) {
    case AddressType::ipv4:
      return parse_address<IpAddress::V4Bytes>(
          in, [](const IpAddress::V4Bytes& octets) { return IpAddress::v4(octets); }, out);
    case AddressType::ipv6:
      return parse_address<IpAddress::V6Bytes>(
          in, [](const IpAddress::V6Bytes& octets) { return IpAddress::v6(octets); }, out);
    case AddressType::domain_name:
      return parse_name(in, empty, out);
  }
  return invalid<OnTarget>(Errc::bad_address_type);
}

/// The judgement on a message that ends with its target, in `out`.
template <class T>
void take_judgement(Parsed<T>& out, const TargetParsed& target) noexcept {
  out.status = target.status;
  out.error = target.error;
  out.missing = target.missing;
  if (target.status == ParseStatus::complete) {
    out.consumed = fixed_part + target.consumed;
  }
}

void encode_target(Writer& out, const Target& target) noexcept {
  if (const auto* named = std::get_if<NamedEndpoint>(&target)) {
    const std::string_view name = named->name.view();
    if (name.empty()) {
      return out.fail();
    }
    out.u8(static_cast<std::uint8_t>(AddressType::domain_name));
    out.u8(static_cast<std::uint8_t>(name.size()));
    out.bytes(as_bytes(name));
    out.u16(named->port);
  } else if (const auto* endpoint = std::get_if<Endpoint>(&target)) {
    const bool v4 = endpoint->address.is_v4();
    out.u8(static_cast<std::uint8_t>(v4 ? AddressType::ipv4 : AddressType::ipv6));
    out.bytes(endpoint->address.bytes());
    out.u16(endpoint->port);
  } else {
    out.fail();
  }
}

bool is_known(Command command) noexcept {
  return command == Command::connect || command == Command::bind ||
         command == Command::udp_associate || command == Command::resolve ||
         command == Command::resolve_ptr;
}

/// Either of the two-octet answers: VER and one value.
template <class T>
Parsed<T> parse_pair(Bytes in, bool good_version, T (*make)(std::uint8_t)) noexcept {
  if (!in.empty() && !good_version) {
    return invalid<T>(Errc::bad_version);
  }
  if (in.size() < 2) {
    return need_more<T>(in, 2);
  }
  return complete<T>(2, make(in[1]));
}

}  // namespace

std::string_view describe(ReplyCode code) noexcept {
  switch (code) {  // the words of RFC 1928 section 6
    case ReplyCode::succeeded:
      return "succeeded";
    case ReplyCode::general_failure:
      return "general SOCKS server failure";
    case ReplyCode::not_allowed:
      return "connection not allowed by ruleset";
    case ReplyCode::network_unreachable:
      return "network unreachable";
    case ReplyCode::host_unreachable:
      return "host unreachable";
    case ReplyCode::connection_refused:
      return "connection refused";
    case ReplyCode::ttl_expired:
      return "TTL expired";
    case ReplyCode::command_not_supported:
      return "command not supported";
    case ReplyCode::address_type_not_supported:
      return "address type not supported";
  }
  return "unassigned reply code";
}

bool Greeting::offers(Method method) const noexcept {
  const auto* const end = methods.data() + count;
  return std::find(methods.data(), end, static_cast<std::uint8_t>(method)) != end;
}

Parsed<Greeting> parse_greeting(Bytes in) noexcept {
  if (!in.empty() && in[0] != socks_version) {
    return invalid<Greeting>(Errc::bad_version);
  }
  if (in.size() < 2) {
    return need_more<Greeting>(in, 3);
  }
  const std::size_t count = in[1];
  if (count == 0) {
    return invalid<Greeting>(Errc::bad_method_count);
  }
  if (in.size() < 2 + count) {
    return need_more<Greeting>(in, 2 + count);
  }
  Greeting greeting;
  greeting.count = in[1];
  std::copy_n(in.begin() + 2, count, greeting.methods.begin());
  return complete(2 + count, greeting);
}

void encode(Writer& out, const Greeting& greeting) noexcept {
  if (greeting.count == 0) {
    return out.fail();
  }
  out.u8(socks_version);
  out.u8(greeting.count);
  out.bytes(Bytes(greeting.methods).first(greeting.count));
}

Parsed<MethodChoice> parse_method_choice(Bytes in) noexcept {
  return parse_pair<MethodChoice>(
      in, !in.empty() && in[0] == socks_version,
      [](std::uint8_t value) { return MethodChoice{static_cast<Method>(value)}; });
}

void encode(Writer& out, const MethodChoice& choice) noexcept {
  out.u8(socks_version);
  out.u8(static_cast<std::uint8_t>(choice.method));
}

Parsed<UserPass> parse_userpass(Bytes in) noexcept {
  if (!in.empty() && in[0] != userpass_version) {
    return invalid<UserPass>(Errc::bad_version);
  }
  if (in.size() < 2) {
    return need_more<UserPass>(in, 4);
  }
  const std::size_t user_size = in[1];
  if (user_size == 0) {
    return invalid<UserPass>(Errc::bad_credentials);
  }
  const std::size_t head = 2 + user_size + 1;
  if (in.size() < head) {
    return need_more<UserPass>(in, head);
  }
  // Deviation: PLEN 0 is accepted, see UserPass.
  const std::size_t password_size = in[head - 1];
  if (in.size() < head + password_size) {
    return need_more<UserPass>(in, head + password_size);
  }
  return complete(head + password_size, UserPass{as_text(in.subspan(2, user_size)),
                                                 as_text(in.subspan(head, password_size))});
}

void encode(Writer& out, const UserPass& credentials) noexcept {
  if (credentials.user.empty() || credentials.user.size() > 255 ||
      credentials.password.size() > 255) {
    return out.fail();
  }
  out.u8(userpass_version);
  out.u8(static_cast<std::uint8_t>(credentials.user.size()));
  out.bytes(as_bytes(credentials.user));
  out.u8(static_cast<std::uint8_t>(credentials.password.size()));
  out.bytes(as_bytes(credentials.password));
}

Parsed<UserPassStatus> parse_userpass_status(Bytes in) noexcept {
  // Deviation: VER 0x05 is accepted, see the header.
  return parse_pair<UserPassStatus>(
      in, !in.empty() && (in[0] == userpass_version || in[0] == socks_version),
      [](std::uint8_t value) { return UserPassStatus{value}; });
}

void encode(Writer& out, const UserPassStatus& status) noexcept {
  out.u8(userpass_version);
  out.u8(status.status);
}

Parsed<Request> parse_request(Bytes in) noexcept {
  if (!in.empty() && in[0] != socks_version) {
    return invalid<Request>(Errc::bad_version);
  }
  if (in.size() > 1 && !is_known(static_cast<Command>(in[1]))) {
    return invalid<Request>(Errc::bad_command);
  }
  if (in.size() <= fixed_part) {
    return need_more<Request>(in, fixed_part + 5);
  }
  Parsed<Request> out;
  take_judgement(out, parse_target(in.subspan(fixed_part), EmptyName::refused, out.value.target));
  if (out.status == ParseStatus::complete) {
    out.value.command = static_cast<Command>(in[1]);
  }
  return out;
}

void encode(Writer& out, const Request& request) noexcept {
  if (!is_known(request.command)) {
    return out.fail();
  }
  out.u8(socks_version);
  out.u8(static_cast<std::uint8_t>(request.command));
  out.u8(0);
  encode_target(out, request.target);
}

Parsed<Reply> parse_reply(Bytes in) noexcept {
  if (!in.empty() && in[0] != socks_version) {
    return invalid<Reply>(Errc::bad_version);
  }
  if (in.size() <= fixed_part) {
    return need_more<Reply>(in, min_reply_size);
  }
  Parsed<Reply> out;
  take_judgement(
      out, parse_target(in.subspan(fixed_part), EmptyName::unspecified_address, out.value.bound));
  if (out.status == ParseStatus::complete) {
    out.value.code = static_cast<ReplyCode>(in[1]);
  }
  return out;
}

void encode(Writer& out, const Reply& reply) noexcept {
  out.u8(socks_version);
  out.u8(static_cast<std::uint8_t>(reply.code));
  out.u8(0);
  encode_target(out, reply.bound);
}

Parsed<UdpHeader> parse_udp_header(Bytes datagram) noexcept {
  if (datagram.size() <= fixed_part) {
    return invalid<UdpHeader>(Errc::truncated);
  }
  Parsed<UdpHeader> out;
  take_judgement(out,
                 parse_target(datagram.subspan(fixed_part), EmptyName::refused, out.value.target));
  if (out.status == ParseStatus::need_more) {
    return invalid<UdpHeader>(Errc::truncated);
  }
  if (out.status == ParseStatus::complete) {
    out.value.fragment = datagram[2];
  }
  return out;
}

void encode(Writer& out, const UdpHeader& header) noexcept {
  out.u16(0);
  out.u8(header.fragment);
  encode_target(out, header.target);
}

}  // namespace socks64
