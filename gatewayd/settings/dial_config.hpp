// How targets are dialled, as the configuration says it. Without Asio, as all of Config.
#ifndef SOCKS64_GATEWAYD_DIAL_CONFIG_HPP
#define SOCKS64_GATEWAYD_DIAL_CONFIG_HPP

#include <chrono>

#include "base/family_preference.hpp"
#include "base/route.hpp"

namespace socks64::gateway {

struct DialConfig {
  std::chrono::milliseconds connect_timeout{10'000};  ///< for the whole of resolving and connecting
  std::chrono::milliseconds resolution_delay{
      50};                                       ///< RFC 8305 section 3: how long A waits for AAAA
  std::chrono::milliseconds attempt_delay{250};  ///< RFC 8305 section 5
  FamilyPreference prefer = FamilyPreference::system;  ///< system: RFC 6724 alone
  bool ipv4 = true;  ///< whether addresses of this family may be dialled at all
  bool ipv6 = true;
  Source source;  ///< our end of every connection
  std::chrono::seconds family_memory{
      600};  ///< how long it is remembered which family worked; 0: not
};

}  // namespace socks64::gateway

#endif
