// Stage 7 of a request that wants to know instead of to connect: RESOLVE and RESOLVE_PTR
// (docs/extensions.md).
#ifndef SOCKS64_GATEWAYD_LOOK_UP_HPP
#define SOCKS64_GATEWAYD_LOOK_UP_HPP

#include <chrono>

#include "socks64/address.hpp"

#include "base/failure.hpp"
#include "dial/dial.hpp"
#include "loop/net.hpp"
#include "resolve/resolve.hpp"

namespace socks64::gateway {

struct LookUpResult {
  Failure failure = Failure::internal;
  Target found;  ///< for BND.ADDR, with port 0; valid when failure is none
  std::chrono::microseconds time{0};
};

class LookUp {
 public:
  /// `config`: how a dial would go about it. The budget for resolving and connecting bounds this
  /// too.
  LookUp(Resolver& resolver, const DialConfig& config) : resolver_(resolver), config_(config) {}

  /// An address of a name: both families are asked, an IPv4 address goes before an IPv6 one unless
  /// `dial.prefer` is "ipv6", the rest of the order is RFC 6724, and the family that goes second
  /// waits for the first for the resolution delay. A literal answers itself. name_not_found means
  /// that neither family has an address; where a server failed or kept silent about one of them and
  /// the other has none, the failure is that one. Addresses that `permit` drops are not told; when
  /// none is left the failure is denied. It is asked with a port that means nothing, and must live
  /// until the coroutine ends, as `target`. `wishes`: those that the CONNECT would come with.
  [[nodiscard]] Task<LookUpResult> address_of(const Target& target, const AddressFilter& permit,
                                              DialWishes wishes = {}) const;

  /// The name of an address: the hosts file, then PTR. A name that is not a literal has none:
  /// name_invalid.
  [[nodiscard]] Task<LookUpResult> name_of(const Target& target) const;

 private:
  Resolver& resolver_;
  DialConfig config_;
};

}  // namespace socks64::gateway

#endif
