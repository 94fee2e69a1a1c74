// A request on its way to its addresses: judges each of them right before it is used, and remembers
// why it was refused. For CONNECT, BIND and the look-ups alike.
#ifndef SOCKS64_GATEWAYD_JUDGED_FILTER_HPP
#define SOCKS64_GATEWAYD_JUDGED_FILTER_HPP

#include <optional>
#include <string_view>

#include "socks64/message.hpp"

#include "authorise/authorise.hpp"

namespace socks64::gateway {

/// What is referred to outlives it. Pass it by std::ref where a function is asked for.
class JudgedFilter {
 public:
  JudgedFilter(const Policy& policy, const Requester& requester, const Request& request) noexcept;
  JudgedFilter(const JudgedFilter&) = delete;
  JudgedFilter& operator=(const JudgedFilter&) = delete;

  /// Whether the address may be used. If not, the reason is kept; if something would have been
  /// reached, the log gets a hint now and then.
  [[nodiscard]] bool operator()(const Endpoint& address) noexcept;
  /// The same without a trace.
  [[nodiscard]] bool allows(const Endpoint& address) const noexcept;
  /// Why the last address was refused, for the access record; of none, that it was.
  [[nodiscard]] std::string_view reason() const noexcept { return reason_; }

  /// Our end towards an address that is allowed, if a rule says it.
  [[nodiscard]] std::optional<IpAddress> source(const Endpoint& address) const noexcept;
  /// Which family is tried first, if a rule says it.
  [[nodiscard]] std::optional<FamilyPreference> preference() const noexcept;

 private:
  const Policy& policy_;
  const Requester& requester_;
  Command command_;
  AskedTarget asked_;  ///< once: names are folded, and literals among them parsed
  std::string_view reason_;
};

}  // namespace socks64::gateway

#endif
