// The sockets of c-ares, as far as they have to be ours.
#ifndef SOCKS64_GATEWAYD_CARES_SOCKETS_HPP
#define SOCKS64_GATEWAYD_CARES_SOCKETS_HPP

#include <ares.h>

#include "dns/cares_translation.hpp"

namespace socks64::gateway {

/// c-ares 1.18 looks at the header and the question alone, and asks for any name.
inline constexpr bool cares_is_translated = ARES_VERSION >= 0x012200;

/// From here on all datagrams of the channel pass through `translation`, which outlives it. False:
/// the channel is not to be used. Nothing happens if c-ares needs no translation.
[[nodiscard]] bool translate(ares_channel channel, CaresTranslation& translation) noexcept;

}  // namespace socks64::gateway

#endif
