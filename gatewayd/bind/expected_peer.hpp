// Stage 6 of BIND: whom DST names, and where that one is to connect to.
#ifndef SOCKS64_GATEWAYD_EXPECTED_PEER_HPP
#define SOCKS64_GATEWAYD_EXPECTED_PEER_HPP

#include <chrono>
#include <optional>

#include "socks64/address.hpp"

#include "base/failure.hpp"
#include "bind/bind.hpp"
#include "dial/dial.hpp"
#include "loop/net.hpp"
#include "resolve/resolve.hpp"

namespace socks64::gateway {

/// What BIND works with; lives as long as the gateway.
struct BindServices {
  Resolver& resolver;
  DialConfig dial;  ///< how a name would be dialled decides the family that is awaited, and our end
  BindConfig config;
};

struct Expectation {
  Failure failure = Failure::internal;
  ExpectedPeer peer;
  IpAddress local;  ///< ours, of the peer's family; valid when failure is none
  std::chrono::microseconds resolve_time{0};
};

/// Of a name, the family of the address that a dial would try first, and all addresses of that
/// family: any of them may be the one that connects. An address that we have no route to is
/// network_unreachable. `permit` judges every address of a name (a literal has been judged with the
/// request); when it takes all of them, the failure is denied, and so it is when the family may not
/// be used. `client`: our end of the client's connection, if it has an address.
///
/// The references must live until the coroutine ends. Cancelled, it gives shutting_down.
[[nodiscard]] Task<Expectation> expect_peer(const BindServices& services, const Target& target,
                                            const AddressFilter& permit,
                                            std::optional<IpAddress> client,
                                            DialWishes wishes = {});

}  // namespace socks64::gateway

#endif
