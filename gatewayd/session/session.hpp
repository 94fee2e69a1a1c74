// One client's session, from the accepted connection to its access record: the spine of the
// gateway.
#ifndef SOCKS64_GATEWAYD_SESSION_HPP
#define SOCKS64_GATEWAYD_SESSION_HPP

#include <memory>

#include "loop/net.hpp"
#include "session/session_control.hpp"
#include "session/session_services.hpp"

namespace socks64::gateway {

/// Serves one client. Ends with the socket closed and the record written, whatever happens.
[[nodiscard]] Task<> session(Socket client, std::shared_ptr<SessionControl> control,
                             const SessionServices& services);

}  // namespace socks64::gateway

#endif
