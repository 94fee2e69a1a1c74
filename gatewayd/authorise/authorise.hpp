// Stage 5: who may do what. Judged twice: the target as it was asked for, before anything is looked
// up, and every resolved address at the moment of its use.
#ifndef SOCKS64_GATEWAYD_AUTHORISE_HPP
#define SOCKS64_GATEWAYD_AUTHORISE_HPP

#include <optional>
#include <string_view>

#include "socks64/message.hpp"

#include "authorise/policy.hpp"
#include "authorise/requester.hpp"
#include "rules/rules.hpp"

namespace socks64::gateway {

struct Verdict {
  bool allowed = true;
  std::string_view reason;  ///< for the access record: a literal, or lives as long as the policy
};

/// The target as asked for. Allowed means: not refused yet; its addresses are judged later.
[[nodiscard]] Verdict judge(const Policy& policy, const Requester& requester, Command command,
                            const Target& target) noexcept;

/// One address that is about to be dialled, sent to, or that comes in as the peer of a BIND; never
/// IPv4-mapped. `target` is what was asked for, a name or the address itself.
[[nodiscard]] Verdict judge(const Policy& policy, const Requester& requester, Command command,
                            const Target& target, const Endpoint& address) noexcept;

/// Tells the operator now and then what would allow an address that was refused for this reason.
void hint(const Policy& policy, const Requester& requester, std::string_view reason,
          const Endpoint& address) noexcept;

/// Nothing is reached by a look-up: what it tells is the rules' business alone.
[[nodiscard]] bool reaches(Command command) noexcept;

// What judge() asks the rules, for who wants to know why.

/// The target as rules see it: a name, or an address however it was spelled (RFC 3089 section 3
/// sends addresses as names).
class AskedTarget {
 public:
  explicit AskedTarget(const Target& target) noexcept;

  [[nodiscard]] std::string_view name() const noexcept {
    return address_ ? std::string_view() : name_.view();
  }
  [[nodiscard]] const std::optional<IpAddress>& address() const noexcept { return address_; }
  [[nodiscard]] Port port() const noexcept { return port_; }

 private:
  FoldedName name_;
  std::optional<IpAddress> address_;
  Port port_;
};

/// judge() of an address, for who asks about many (JudgedFilter).
[[nodiscard]] Verdict judge(const Policy& policy, const Requester& requester, Command command,
                            const AskedTarget& asked, const Endpoint& address) noexcept;

/// `bind_address` of the rule that allows this address, if it has one for its family.
[[nodiscard]] std::optional<IpAddress> source_address(const Policy& policy,
                                                      const Requester& requester, Command command,
                                                      const AskedTarget& asked,
                                                      const Endpoint& address) noexcept;

/// `prefer` of the first rule that allows the request as far as is known before its addresses are.
[[nodiscard]] std::optional<FamilyPreference> preference(const Policy& policy,
                                                         const Requester& requester,
                                                         Command command,
                                                         const AskedTarget& asked) noexcept;

/// What is referred to must outlive the result.
[[nodiscard]] RuleQuery query_before(const Policy& policy, const Requester& requester,
                                     Command command, const AskedTarget& asked) noexcept;
[[nodiscard]] RuleQuery query_about(const Policy& policy, const Requester& requester,
                                    Command command, const AskedTarget& asked,
                                    const Endpoint& address) noexcept;

}  // namespace socks64::gateway

#endif
