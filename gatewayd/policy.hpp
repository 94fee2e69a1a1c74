// What requests are judged by, and what a reload replaces: one immutable snapshot, shared by all
// workers. A session takes the one of the moment when it is accepted, and keeps it alive.
#ifndef SOCKS64_GATEWAYD_POLICY_HPP
#define SOCKS64_GATEWAYD_POLICY_HPP

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "socks64/address.hpp"

#include "config.hpp"
#include "rules.hpp"

namespace socks64::gateway {

class RefusalHints;

struct Policy {
  std::vector<Rule> rules;             ///< empty: everybody may do everything (but protection.hpp)
  std::vector<std::string> listeners;  ///< as rules call them, by index into Config::listeners
  RefusalHints* hints = nullptr;       ///< null: nobody is told
  std::vector<Endpoint> own;           ///< where the gateway listens, with the ports that it got
};

/// `own`: the TCP listeners as they were bound. `hints` outlives the policy.
[[nodiscard]] inline std::shared_ptr<const Policy> make_policy(const Config& config,
                                                               std::vector<Endpoint> own = {},
                                                               RefusalHints* hints = nullptr) {
  auto policy = std::make_shared<Policy>();
  policy->rules = config.rules;
  for (const ListenerConfig& listener : config.listeners)
    policy->listeners.push_back(listener.address.text());
  policy->own = std::move(own);
  policy->hints = hints;
  return policy;
}

}  // namespace socks64::gateway

#endif
