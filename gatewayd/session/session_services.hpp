// What sessions use and never own.
#ifndef SOCKS64_GATEWAYD_SESSION_SERVICES_HPP
#define SOCKS64_GATEWAYD_SESSION_SERVICES_HPP

#include <memory>
#include <span>

#include "accept/user_limits.hpp"
#include "account/account.hpp"
#include "config/config.hpp"
#include "datagram/udp_batch.hpp"
#include "dial/dial.hpp"
#include "dial/look_up.hpp"
#include "handshake/authenticate.hpp"
#include "loop/deadline.hpp"
#include "relay/relay.hpp"

namespace socks64::gateway {

struct BindServices;
struct Policy;
struct UdpService;

/// What sessions use and never own; all of it outlives every session. This part is that of all
/// workers.
struct SharedServices {
  const Dialer& dialer;
  const LookUp* look_up;     ///< null: RESOLVE and RESOLVE_PTR are not served
  const BindServices* bind;  ///< null: BIND is not served
  UdpService* udp;           ///< null: UDP ASSOCIATE is not served
  UserCounts& users;
  AccessLog& access_log;
  AuthServices auth;
  /// As at the start: SessionControl::listener() is an index into these.
  std::span<const ListenerConfig> listeners;
};

/// And this is the session's own worker's.
struct SessionServices : SharedServices {
  /// The current one: Worker::use() replaces it. A session keeps the one that it began with.
  std::shared_ptr<const Policy> policy;
  UdpPool& udp_pool;
  RelayPool& relay_pool;
  RelayLimits relay_limits;
  DeadlineQueue& handshake_deadlines;
  DeadlineQueue& farewell_deadlines;
};

}  // namespace socks64::gateway

#endif
