// What c-ares does not tell of a negative answer, and of a name: how long it holds.
#ifndef SOCKS64_GATEWAYD_DNS_MESSAGE_HPP
#define SOCKS64_GATEWAYD_DNS_MESSAGE_HPP

#include <chrono>
#include <optional>

#include "socks64/wire.hpp"

namespace socks64::gateway {

/// RFC 2308 section 5: the smaller of the TTL of the SOA record in the authority section and of its
/// MINIMUM field. Nothing when the message is malformed or has no such record.
[[nodiscard]] std::optional<std::chrono::seconds> negative_ttl_of(Bytes message) noexcept;

/// The smallest TTL in the answer section, the CNAMEs on the way included. Nothing when the message
/// is malformed or has no answer.
[[nodiscard]] std::optional<std::chrono::seconds> answer_ttl_of(Bytes message) noexcept;

}  // namespace socks64::gateway

#endif
