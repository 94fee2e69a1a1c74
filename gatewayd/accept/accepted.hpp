// A connection on its way to its session.
#ifndef SOCKS64_GATEWAYD_ACCEPTED_HPP
#define SOCKS64_GATEWAYD_ACCEPTED_HPP

#include <cstddef>

#include "accept/limits.hpp"
#include "base/arrival.hpp"
#include "base/descriptor.hpp"
#include "base/ticket.hpp"

namespace socks64::gateway {

/// What is known of a connection when accept(2) has returned it and the limits have admitted it.
/// The listener makes it, the gateway gives it its number and chooses a worker, and the session
/// keeps it to its end.
struct Accepted {
  SessionLimit::Ticket session;  ///< the first, so it is given back after all else
  Ticket<Counter> of_client;     ///< one of the client's sessions; empty where those have no limit
  Descriptor socket;
  Arrival arrival;
  std::size_t listener = 0;  ///< index into Config::listeners
};

}  // namespace socks64::gateway

#endif
