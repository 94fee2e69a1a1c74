// What a source of names made of one question, be it DNS or the system.
#ifndef SOCKS64_GATEWAYD_DNS_REPLY_HPP
#define SOCKS64_GATEWAYD_DNS_REPLY_HPP

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "socks64/address.hpp"

#include "base/failure.hpp"

namespace socks64::gateway {

struct DnsReply {
  Failure failure = Failure::name_failed;
  std::vector<IpAddress> addresses;
  std::string name;  ///< the answer to ptr
  /// How long the answer says that it holds; for name_not_found nothing if it does not say.
  std::optional<std::chrono::seconds> ttl;
};

/// More addresses of one name than this are of no use to a dialler with a deadline.
inline constexpr std::size_t max_reply_addresses = 64;

}  // namespace socks64::gateway

#endif
