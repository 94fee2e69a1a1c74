// A client that has come: what a session's record begins with.
#ifndef SOCKS64_GATEWAYD_ARRIVAL_HPP
#define SOCKS64_GATEWAYD_ARRIVAL_HPP

#include <chrono>
#include <cstdint>

#include "base/client.hpp"

namespace socks64::gateway {

struct Arrival {
  std::uint64_t id = 0;  ///< unique in the life of the process
  Client client;
  std::chrono::system_clock::time_point time;   ///< of the accept
  std::chrono::steady_clock::time_point began;  ///< the same, for what is measured from then on
};

}  // namespace socks64::gateway

#endif
