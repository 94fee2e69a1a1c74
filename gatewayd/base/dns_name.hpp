// A name as the cache, the hosts file and the wire agree on it.
#ifndef SOCKS64_GATEWAYD_DNS_NAME_HPP
#define SOCKS64_GATEWAYD_DNS_NAME_HPP

#include <optional>
#include <string>
#include <string_view>

#include "socks64/address.hpp"

namespace socks64::gateway {

/// Lower case (RFC 4343), without the trailing dot; nothing when DNS cannot carry it: an empty
/// label, a label over 63 octets, more than 253 octets (255 on the wire, RFC 1035 section 2.3.4),
/// or a NUL.
[[nodiscard]] std::optional<std::string> canonical_name(std::string_view name);

/// "localhost" and everything below it (RFC 6761 section 6.3). Expects a canonical name.
[[nodiscard]] bool is_localhost(std::string_view canonical) noexcept;

/// A Tor service, which is never a question for DNS (RFC 7686 section 2). Expects a canonical name.
[[nodiscard]] bool is_onion(std::string_view canonical) noexcept;

/// Where the name of an address is asked for: "1.2.0.192.in-addr.arpa" (RFC 1035 section 3.5), or
/// 32 nibbles below "ip6.arpa" (RFC 3596 section 2.5). Expects no IPv4-mapped address.
[[nodiscard]] std::string pointer_name(const IpAddress& address);

/// An IP literal that was sent as a name: with or without brackets, the zone as a number or as an
/// interface of this host. Never the inet_aton() forms ("127.1", "0x7f000001"): these are names.
[[nodiscard]] std::optional<IpAddress> literal_from(std::string_view text) noexcept;

}  // namespace socks64::gateway

#endif
