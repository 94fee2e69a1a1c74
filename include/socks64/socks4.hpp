// The messages of SOCKS4 ("SOCKS: A protocol for TCP proxy across firewalls", Ying-Da Lee) and of
// SOCKS4a, its extension for names ("SOCKS 4A: A Simple Extension to SOCKS 4 Protocol"): parse and
// encode, in the manner of message.hpp. Neither is an RFC.
//
// The request says who the client's user is, but proves nothing: USERID is for the identd look-up
// of the time (RFC 1413), which nobody here makes. Never take it for a user who logged in.
#ifndef SOCKS64_SOCKS4_HPP
#define SOCKS64_SOCKS4_HPP

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "socks64/address.hpp"
#include "socks64/message.hpp"
#include "socks64/result.hpp"
#include "socks64/wire.hpp"

namespace socks64 {

inline constexpr std::uint8_t socks4_version = 0x04;        // VN of a request
inline constexpr std::uint8_t socks4_reply_version = 0x00;  // VN of a reply

/// CD of a reply. Other values can be received; they are kept as they are.
enum class Socks4Code : std::uint8_t {
  granted = 90,
  rejected = 91,       ///< "request rejected or failed": SOCKS4 has no finer reasons
  no_identd = 92,      ///< the client's identd could not be asked
  identd_differs = 93  ///< the client's identd names another user than USERID
};

/// The memo sets no bound on USERID; as in RFC 1929, 255 octets must do.
inline constexpr std::size_t max_socks4_user_size = 255;
inline constexpr std::size_t max_socks4_request_size =
    1 + 1 + 2 + 4 + max_socks4_user_size + 1 + DomainName::max_size + 1;
inline constexpr std::size_t socks4_reply_size = 1 + 1 + 2 + 4;

/// VN CD DSTPORT DSTIP USERID NUL, and for 4a, where DSTIP is 0.0.0.x with x not 0: NAME NUL.
/// DSTIP 0.0.0.0 is an address like any other (a BIND whose peer is not known says it).
struct Socks4Request {
  Request request;        ///< connect or bind; the target an IPv4 address or a name
  std::string_view user;  ///< USERID, 0 to 255 octets without NUL; points into `in` when parsed
};
/// Invalid: bad_version, bad_command (CD neither 1 nor 2), bad_credentials (USERID of more than 255
/// octets), bad_name (empty, or more than 255 octets).
[[nodiscard]] Parsed<Socks4Request> parse_socks4_request(Bytes in) noexcept;
/// Cannot be carried: other commands, IPv6 addresses, the addresses 0.0.0.1 to 0.0.0.255, a USERID
/// that is too long or has a NUL.
void encode(Writer& out, const Socks4Request& request) noexcept;

/// VN CD DSTPORT DSTIP.
struct Socks4Reply {
  Socks4Code code = Socks4Code::rejected;
  IpAddress::V4Bytes address{};  ///< 0.0.0.0 in the reply to BIND: the address of the server itself
  Port port = 0;
};
/// Invalid: bad_version.
[[nodiscard]] Parsed<Socks4Reply> parse_socks4_reply(Bytes in) noexcept;
void encode(Writer& out, const Socks4Reply& reply) noexcept;

/// The same answer in SOCKS4's words: 90 for `succeeded`, 91 for every other REP. What is bound to
/// an IPv6 address, or to a name, becomes 0.0.0.0 with its port; ::ffff:a.b.c.d becomes a.b.c.d.
[[nodiscard]] Socks4Reply to_socks4(const Reply& reply) noexcept;

}  // namespace socks64

#endif
