// What requests are judged by, and what a reload replaces: one immutable snapshot, shared by all
// workers. A session takes the one of the moment when it is accepted, and keeps it alive.
#ifndef SOCKS64_GATEWAYD_POLICY_HPP
#define SOCKS64_GATEWAYD_POLICY_HPP

#include <memory>

#include "auth_policy.hpp"
#include "config.hpp"

namespace socks64::gateway {

struct Policy {
  AuthPolicy auth;
  LimitConfig limits;
};

[[nodiscard]] inline AuthPolicy make_auth_policy(const Config& config) {
  AuthPolicy auth{config.auth.users, config.auth.cache_time, config.auth.methods, {}};
  for (const ListenerConfig& listener : config.listeners) {
    auth.listeners.push_back(listener.auth);
  }
  return auth;
}

[[nodiscard]] inline std::shared_ptr<const Policy> make_policy(const Config& config) {
  auto policy = std::make_shared<Policy>();
  policy->auth = make_auth_policy(config);
  policy->limits = config.limits;
  return policy;
}

}  // namespace socks64::gateway

#endif
