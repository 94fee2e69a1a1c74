// What requests are judged by, and what a reload replaces: one immutable snapshot, shared by all
// workers. A session takes the one of the moment when it is accepted, and keeps it alive.
#ifndef SOCKS64_GATEWAYD_POLICY_HPP
#define SOCKS64_GATEWAYD_POLICY_HPP

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "socks64/address.hpp"

#include "auth/auth_policy.hpp"
#include "config/config.hpp"
#include "rules/rule_table.hpp"

namespace socks64::gateway {

class RefusalHints;

struct Policy {
  AuthPolicy auth;
  LimitConfig limits;
  RuleTable rules;                     ///< empty: everybody may do everything (but protection.hpp)
  bool any_preference = false;         ///< whether some rule has `prefer`
  bool any_source = false;             ///< whether some rule has `bind_address`
  std::vector<std::string> listeners;  ///< as rules call them, by index into Config::listeners
  RefusalHints* hints = nullptr;       ///< null: nobody is told
  std::vector<Endpoint> own;           ///< where the gateway listens, with the ports that it got
};

[[nodiscard]] inline AuthPolicy make_auth_policy(const Config& config) {
  AuthPolicy auth{config.auth.users, config.auth.cache_time, config.auth.methods, {}};
  for (const ListenerConfig& listener : config.listeners) {
    auth.listeners.push_back(listener.auth);
  }
  return auth;
}

/// `own`: the TCP listeners as they were bound. `hints` outlives the policy.
[[nodiscard]] inline std::shared_ptr<const Policy> make_policy(Config config,
                                                               std::vector<Endpoint> own = {},
                                                               RefusalHints* hints = nullptr) {
  auto policy = std::make_shared<Policy>();
  policy->auth = make_auth_policy(config);
  policy->limits = config.limits;
  policy->rules = RuleTable(std::move(config.rules));
  for (const Rule& rule : policy->rules) {
    policy->any_preference |= rule.prefer.has_value();
    policy->any_source |= rule.source_v4 || rule.source_v6;
  }
  for (const ListenerConfig& listener : config.listeners) {
    policy->listeners.push_back(listener.address.text());
  }
  policy->own = std::move(own);
  policy->hints = hints;
  return policy;
}

}  // namespace socks64::gateway

#endif
