// What a program asks for when it resolves a name, and what it is told: the part that getaddrinfo
// and the gethostby... family have in common.
#ifndef SOCKS64_SHIM_NAME_QUERY_HPP
#define SOCKS64_SHIM_NAME_QUERY_HPP

#include <netdb.h>
#include <string_view>

#include "socks64/address.hpp"

#include "names/classify.hpp"
#include "names/local_names.hpp"

namespace socks64::shim {

/// RFC 3089 section 3: a program that is bound to one family and is given a literal of the other
/// can still get there, if the literal is treated as a name. Not for addresses that mean this host
/// or this link: on the gateway they would mean something else.
[[nodiscard]] bool can_be_delegated(const IpAddress& literal) noexcept;

enum class Verdict : unsigned char {
  found,
  no_such_name,  ///< it cannot be the name of a host
  no_room,       ///< the table of fake addresses is full
};

/// Whether the rules leave it to libc which name an address has.
[[nodiscard]] bool is_for_libc(const IpAddress& address) noexcept;

/// Remembers the addresses that libc gave for a name: by the rule that made the name direct
/// (direct_rule()) they are direct, too.
void note_direct(const Rule& rule, const IpAddress& address) noexcept;
void note_direct(const Rule& rule, const addrinfo* list) noexcept;
void note_direct(const Rule& rule, const hostent* entry) noexcept;

/// Whether a call may wait for the gateway. With `verify_names` a name that does not exist, says
/// the gateway, is no_such_name then.
enum class Waiting : unsigned char { allowed, forbidden };

/// What the program is told of a name that is neither a literal nor direct: the addresses that
/// classify() has left in `out` for a local name, a fake one in each family asked for otherwise.
/// The order is the one to try them in.
[[nodiscard]] Verdict look_up(const ClassifiedName& name, Families families, Waiting waiting,
                              HostAddresses& out) noexcept;

/// The same for a literal that can_be_delegated(), in place of a name.
[[nodiscard]] Verdict delegate_literal(const LiteralName& literal, Families families,
                                       HostAddresses& out) noexcept;

/// The other way: the name behind a fake address, or a local one.
[[nodiscard]] bool look_up_address(const IpAddress& address, DomainName& name) noexcept;

/// False only where the kernel makes no socket of the family at all.
[[nodiscard]] bool host_has(Family family) noexcept;

}  // namespace socks64::shim

#endif
