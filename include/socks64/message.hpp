// The messages of RFC 1928 (SOCKS5) and RFC 1929 (username/password), and the UDP request header:
// parse and encode.
//
// Parsers are pure and three-way: Complete (with the octets consumed), NeedMore (with the fewest
// octets still missing), Invalid. They look at a prefix of the stream and never at what follows the
// message. They report Invalid as soon as an octet makes the message impossible.
//
// Encoders write into a bounded Writer. A value that the format cannot carry (an over-long
// password, an empty DST name) fails the Writer; nothing is ever shortened. IPv6 zones do not
// travel.
#ifndef SOCKS64_MESSAGE_HPP
#define SOCKS64_MESSAGE_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "socks64/address.hpp"
#include "socks64/result.hpp"
#include "socks64/wire.hpp"

namespace socks64 {

inline constexpr std::uint8_t socks_version = 0x05;     // RFC 1928 section 3
inline constexpr std::uint8_t userpass_version = 0x01;  // RFC 1929 section 2

/// METHOD, RFC 1928 section 3.
enum class Method : std::uint8_t {
  none = 0x00,
  gssapi = 0x01,
  userpass = 0x02,
  unacceptable = 0xff
};

/// CMD, RFC 1928 section 4. The last two are Tor's extension (docs/extensions.md).
/// Deviation: the RFC knows no other values than the first three.
enum class Command : std::uint8_t {
  connect = 0x01,
  bind = 0x02,
  udp_associate = 0x03,
  resolve = 0xf0,      ///< DST.ADDR is a name, BND.ADDR of the reply one address of it
  resolve_ptr = 0xf1,  ///< DST.ADDR is an address, BND.ADDR of the reply its name
};

/// ATYP, RFC 1928 section 5.
enum class AddressType : std::uint8_t { ipv4 = 0x01, domain_name = 0x03, ipv6 = 0x04 };

/// REP, RFC 1928 section 6. Other values can be received; they are kept as they are.
enum class ReplyCode : std::uint8_t {
  succeeded = 0x00,
  general_failure = 0x01,
  not_allowed = 0x02,
  network_unreachable = 0x03,
  host_unreachable = 0x04,
  connection_refused = 0x05,
  ttl_expired = 0x06,
  command_not_supported = 0x07,
  address_type_not_supported = 0x08,
};

/// "succeeded", "general SOCKS server failure", ... or "unassigned reply code"; never empty.
[[nodiscard]] std::string_view describe(ReplyCode code) noexcept;

// Upper bounds of encoded messages, in octets.
inline constexpr std::size_t max_greeting_size = 2 + 255;
inline constexpr std::size_t method_choice_size = 2;
inline constexpr std::size_t max_userpass_size = 1 + 1 + 255 + 1 + 255;
inline constexpr std::size_t userpass_status_size = 2;
inline constexpr std::size_t max_request_size = 4 + 1 + 255 + 2;
inline constexpr std::size_t max_reply_size = max_request_size;
inline constexpr std::size_t max_udp_header_size = max_request_size;
/// Every reply is at least this long (ATYP domain name with an empty name). So reading this many
/// octets never goes past the end of a reply, and its first five say how long it is.
inline constexpr std::size_t min_reply_size = 4 + 1 + 2;

/// VER NMETHODS METHODS. Unknown methods are kept and mean nothing to us: the server chooses (RFC
/// 1928 section 3).
struct Greeting {
  std::array<std::uint8_t, 255> methods{};
  std::uint8_t count = 0;

  [[nodiscard]] bool offers(Method method) const noexcept;
};
/// Invalid: bad_version, bad_method_count.
[[nodiscard]] Parsed<Greeting> parse_greeting(Bytes in) noexcept;
void encode(Writer& out, const Greeting& greeting) noexcept;

/// VER METHOD, the server's choice.
struct MethodChoice {
  Method method = Method::unacceptable;
};
/// Invalid: bad_version.
[[nodiscard]] Parsed<MethodChoice> parse_method_choice(Bytes in) noexcept;
void encode(Writer& out, const MethodChoice& choice) noexcept;

/// RFC 1929 request. Views into the caller's storage: the parsed form points into `in`.
/// User: 1 to 255 octets. Password: 0 to 255 octets.
/// Deviation: RFC 1929 says PLEN is 1 to 255; empty passwords are seen in the wild and are parsed.
/// Listed in docs/conformance.md.
struct UserPass {
  std::string_view user;
  std::string_view password;
};
/// Invalid: bad_version, bad_credentials (empty user).
[[nodiscard]] Parsed<UserPass> parse_userpass(Bytes in) noexcept;
void encode(Writer& out, const UserPass& credentials) noexcept;

/// RFC 1929 response; any status but 0 is a failure.
struct UserPassStatus {
  std::uint8_t status = 0xff;
};
/// Invalid: bad_version. Deviation: VER 0x05 in this response is accepted too; old servers send it.
[[nodiscard]] Parsed<UserPassStatus> parse_userpass_status(Bytes in) noexcept;
void encode(Writer& out, const UserPassStatus& status) noexcept;

/// VER CMD RSV ATYP DST.ADDR DST.PORT
struct Request {
  Command command = Command::connect;
  Target target;
};
/// Invalid: bad_version, bad_command, bad_address_type, bad_name (empty, or NUL inside). The order
/// of judging is VER, CMD, ATYP, name, so that a server can answer 07 or 08 without the rest of the
/// request. RSV is ignored on receipt: clients that leave rubbish there are in use and harm nobody.
[[nodiscard]] Parsed<Request> parse_request(Bytes in) noexcept;
void encode(Writer& out, const Request& request) noexcept;

/// VER REP RSV ATYP BND.ADDR BND.PORT. An empty BND name is accepted on receipt and read as
/// 0.0.0.0.
struct Reply {
  ReplyCode code = ReplyCode::general_failure;
  Target bound;
};
/// Invalid: bad_version, bad_address_type, bad_name (NUL inside). RSV is ignored.
[[nodiscard]] Parsed<Reply> parse_reply(Bytes in) noexcept;
void encode(Writer& out, const Reply& reply) noexcept;

/// RSV RSV FRAG ATYP DST.ADDR DST.PORT in front of each datagram, RFC 1928 section 7.
struct UdpHeader {
  std::uint8_t fragment = 0;
  Target target;
};
/// A datagram is whole, so there is no NeedMore: it is Invalid with `truncated`. Also Invalid:
/// bad_address_type, bad_name. RSV is ignored; FRAG is parsed, not judged: bad_fragment is the
/// caller's to report.
[[nodiscard]] Parsed<UdpHeader> parse_udp_header(Bytes datagram) noexcept;
void encode(Writer& out, const UdpHeader& header) noexcept;

}  // namespace socks64

#endif
