// Who asks: what the first stages have found out.
#ifndef SOCKS64_GATEWAYD_REQUESTER_HPP
#define SOCKS64_GATEWAYD_REQUESTER_HPP

#include <cstddef>
#include <string>

#include "base/client.hpp"

namespace socks64::gateway {

struct Requester {
  Client client;
  std::size_t listener = 0;  ///< index into Config::listeners
  std::string user;          ///< empty: not authenticated
};

}  // namespace socks64::gateway

#endif
