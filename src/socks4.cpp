#include "socks64/socks4.hpp"

#include <algorithm>

#include "parsed.hpp"

namespace socks64 {
namespace {

constexpr std::size_t fixed_part = 8;  // VN CD DSTPORT DSTIP

bool is_known(Command command) noexcept {
  return command == Command::connect || command == Command::bind;
}

/// DSTIP 0.0.0.x, x not 0: a name follows (SOCKS4a).
bool announces_name(Bytes address) noexcept {
  return address[0] == 0 && address[1] == 0 && address[2] == 0 && address[3] != 0;
}

/// What stands before the first NUL of `in`. `missing` counts the NUL only.
Parsed<std::string_view> parse_text(Bytes in, std::size_t longest, Errc too_long) noexcept {
  const Bytes seen = in.first(std::min(in.size(), longest + 1));
  const auto nul = std::find(seen.begin(), seen.end(), std::uint8_t{0});
  const auto size = static_cast<std::size_t>(nul - seen.begin());
  if (nul != seen.end()) {
    return complete(size + 1, as_text(seen.first(size)));
  }
  if (size > longest) {
    return invalid<std::string_view>(too_long);
  }
  return need_more<std::string_view>(in, size + 1);
}

/// The judgement on a part behind which at least `then` octets more belong to the request.
Parsed<Socks4Request> unfinished_request(const Parsed<std::string_view>& part,
                                         std::size_t then) noexcept {
  Parsed<Socks4Request> out = unfinished<Socks4Request>(part);
  if (out.status == ParseStatus::need_more) {
    out.missing += then;
  }
  return out;
}

}  // namespace

Parsed<Socks4Request> parse_socks4_request(Bytes in) noexcept {
  if (!in.empty() && in[0] != socks4_version) {
    return invalid<Socks4Request>(Errc::bad_version);
  }
  if (in.size() > 1 && !is_known(static_cast<Command>(in[1]))) {
    return invalid<Socks4Request>(Errc::bad_command);
  }
  if (in.size() < fixed_part) {
    return need_more<Socks4Request>(in, fixed_part + 1);
  }

  Reader reader(in.subspan(1));
  Socks4Request out;
  out.request.command = static_cast<Command>(reader.u8());
  const Port port = reader.u16();
  const Bytes address = reader.take(4);
  const bool named = announces_name(address);

  const Parsed<std::string_view> user =
      parse_text(in.subspan(fixed_part), max_socks4_user_size, Errc::bad_credentials);
  if (user.status != ParseStatus::complete) {
    return unfinished_request(user, named ? 2 : 0);
  }
  out.user = user.value;
  if (!named) {
    out.request.target =
        Endpoint{IpAddress::v4({address[0], address[1], address[2], address[3]}), port};
    return complete(fixed_part + user.consumed, out);
  }

  const Bytes rest = in.subspan(fixed_part + user.consumed);
  const Parsed<std::string_view> text = parse_text(rest, DomainName::max_size, Errc::bad_name);
  // The first octet is of the name, so a NUL is still to come behind it.
  if (text.status != ParseStatus::complete) {
    return unfinished_request(text, rest.empty() ? 1 : 0);
  }
  const Result<DomainName> name = DomainName::from(text.value);
  if (!name) {
    return invalid<Socks4Request>(name.error());
  }
  out.request.target = NamedEndpoint{*name, port};
  return complete(fixed_part + user.consumed + text.consumed, out);
}

void encode(Writer& out, const Socks4Request& request) noexcept {
  const bool nul_inside = request.user.find('\0') != std::string_view::npos;
  if (!is_known(request.request.command) || nul_inside ||
      request.user.size() > max_socks4_user_size) {
    return out.fail();
  }
  out.u8(socks4_version);
  out.u8(static_cast<std::uint8_t>(request.request.command));
  out.u16(port_of(request.request.target));
  const auto* const endpoint = std::get_if<Endpoint>(&request.request.target);
  if (endpoint != nullptr) {
    const Bytes address = endpoint->address.bytes();
    if (!endpoint->address.is_v4() || announces_name(address)) {
      return out.fail();
    }
    out.bytes(address);
  } else {
    constexpr IpAddress::V4Bytes name_follows{0, 0, 0, 1};
    out.bytes(name_follows);
  }
  out.bytes(as_bytes(request.user));
  out.u8(0);
  if (const auto* const named = std::get_if<NamedEndpoint>(&request.request.target)) {
    if (named->name.empty()) {
      return out.fail();
    }
    out.bytes(as_bytes(named->name.view()));
    out.u8(0);
  }
}

Parsed<Socks4Reply> parse_socks4_reply(Bytes in) noexcept {
  if (!in.empty() && in[0] != socks4_reply_version) {
    return invalid<Socks4Reply>(Errc::bad_version);
  }
  if (in.size() < socks4_reply_size) {
    return need_more<Socks4Reply>(in, socks4_reply_size);
  }
  Reader reader(in.subspan(1));
  Socks4Reply out;
  out.code = static_cast<Socks4Code>(reader.u8());
  out.port = reader.u16();
  const Bytes address = reader.take(4);
  std::copy(address.begin(), address.end(), out.address.begin());
  return complete(socks4_reply_size, out);
}

void encode(Writer& out, const Socks4Reply& reply) noexcept {
  out.u8(socks4_reply_version);
  out.u8(static_cast<std::uint8_t>(reply.code));
  out.u16(reply.port);
  out.bytes(reply.address);
}

Socks4Reply to_socks4(const Reply& reply) noexcept {
  Socks4Reply out;
  out.code = reply.code == ReplyCode::succeeded ? Socks4Code::granted : Socks4Code::rejected;
  out.port = port_of(reply.bound);
  if (const auto* const endpoint = std::get_if<Endpoint>(&reply.bound)) {
    const IpAddress address = endpoint->address.unmapped();
    if (address.is_v4()) {
      std::copy_n(address.bytes().begin(), 4, out.address.begin());
    }
  }
  return out;
}

}  // namespace socks64
