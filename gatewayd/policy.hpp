// What requests are judged by, and what a reload replaces: one immutable snapshot, shared by all
// workers. A session takes the one of the moment when it is accepted, and keeps it alive.
#ifndef SOCKS64_GATEWAYD_POLICY_HPP
#define SOCKS64_GATEWAYD_POLICY_HPP

#include <memory>

#include "config.hpp"

namespace socks64::gateway {

struct Policy {
  LimitConfig limits;
};

[[nodiscard]] inline std::shared_ptr<const Policy> make_policy(const Config& config) {
  return std::make_shared<const Policy>(Policy{config.limits});
}

}  // namespace socks64::gateway

#endif
