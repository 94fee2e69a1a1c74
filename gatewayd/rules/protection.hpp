// The built-in protection: what nobody reaches through the gateway unless a rule names it, because
// it means something else on this side than on the client's.
//
// Pure. Addresses are judged by what they are and by what hides in them (disguise.hpp). Names are
// not judged here: what they resolve to is, each time, right before it is used.
#ifndef SOCKS64_GATEWAYD_PROTECTION_HPP
#define SOCKS64_GATEWAYD_PROTECTION_HPP

#include <span>
#include <string_view>

#include "socks64/address.hpp"
#include "socks64/prefix.hpp"

namespace socks64::gateway {

/// Why an address is protected, for the access record: "protected-loopback", ...; empty: it is not.
/// - loopback: 127.0.0.0/8, ::1
/// - unspecified: 0.0.0.0/8 (0.0.0.0 is this host to the kernel, RFC 1122 section 3.2.1.3), ::
/// - link-local: 169.254.0.0/16, fe80::/10
/// - metadata: what clouds tell their machines, credentials included: 169.254.169.254,
///   100.100.100.200, 168.63.129.16, 192.0.0.192, fd00:ec2::/32 (credentials of a pod
///   are at ::23, those of a machine at ::254), fd20:ce::254
/// - multicast: 224.0.0.0/4, ff00::/8
/// Broadcast addresses are not: TCP has no use for them, and no socket of the gateway may send to
/// one (SO_BROADCAST).
[[nodiscard]] std::string_view protected_as(const IpAddress& address) noexcept;

/// As protected_as() has it.
inline constexpr std::string_view protected_metadata = "protected-metadata";

/// Whether the whole block is protected, and for one reason: only a rule for such a block reaches
/// what is in it. 127.0.0.0/8 is, 0.0.0.0/0 is not; 64:ff9b::7f00:0/104 is, too.
[[nodiscard]] bool is_protected(const Prefix& block) noexcept;

/// Whether the endpoint, or what hides in it, is where the gateway itself listens: through it, a
/// client would reach the gateway as another client. `listeners` are as they were bound; one on
/// 0.0.0.0 or :: stands for its port on every address that `is_local` says is this host's.
[[nodiscard]] bool is_own_listener(std::span<const Endpoint> listeners, const Endpoint& endpoint,
                                   bool (*is_local)(const IpAddress&)) noexcept;

}  // namespace socks64::gateway

#endif
