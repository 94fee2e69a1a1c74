// Who may do what: one ordered list of rules, of which the first that matches decides. Pure.
//
// A request is judged as often as something new is known about it: by the name that was asked for,
// before anything is looked up, and by every address right before it is used. What is not known yet
// makes a criterion uncertain, and the rule with it. A request is refused at once only when no rule
// that may still match allows it; it is allowed for good only when all is known.
#ifndef SOCKS64_GATEWAYD_RULES_HPP
#define SOCKS64_GATEWAYD_RULES_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "socks64/address.hpp"
#include "socks64/message.hpp"
#include "socks64/prefix.hpp"

#include "base/client.hpp"
#include "base/family_preference.hpp"
#include "rules/rule_sets.hpp"

namespace socks64::gateway {

enum class RuleAction : std::uint8_t { allow, deny };

/// What a rule asks about; in the order in which it is asked.
enum class Criterion : std::uint8_t {
  listeners,
  commands,
  clients,
  users,
  ports,
  to,
  crossing,
  none,
};
/// The key of the configuration: "listeners", ...
[[nodiscard]] std::string_view describe(Criterion criterion) noexcept;

struct PortSpan {
  Port low = 0;
  Port high = 0;
};

struct ClientSet {
  bool unix_sockets = false;
  NetworkSet networks;
};

struct UserSet {
  bool anyone = false;  ///< whoever has authenticated
  TextSet names;
};

struct DestinationSet {
  bool everything = false;
  NameSet names;
  NetworkSet networks;
  NetworkSet opened;  ///< of `networks` those that reach protected addresses (protection.hpp)
  NetworkSet hosts;   ///< of `networks` those that are one address
};

/// A set of small numbers.
class Choices {
 public:
  void add(unsigned index) noexcept { bits_ |= 1U << index; }
  [[nodiscard]] bool contains(unsigned index) const noexcept { return (bits_ >> index & 1U) != 0; }
  [[nodiscard]] unsigned bits() const noexcept { return bits_; }
  [[nodiscard]] bool operator==(const Choices&) const noexcept = default;

 private:
  unsigned bits_ = 0;
};

/// Where in Choices a command, and a crossing of families, has its place.
[[nodiscard]] unsigned index_of(Command command) noexcept;
[[nodiscard]] unsigned index_of(const Client& client, Family destination) noexcept;

/// A criterion that is absent matches everything.
struct Rule {
  std::string name;  ///< for the log: as the file gives it, or "rule N"
  RuleAction action = RuleAction::allow;
  std::optional<ClientSet> clients;
  std::optional<UserSet> users;
  std::optional<TextSet> listeners;  ///< as ListenAddress::text() has them
  std::optional<Choices> commands;
  std::optional<DestinationSet> to;
  std::vector<PortSpan> ports;  ///< empty: any
  std::optional<Choices> crossing;
  // What an allowed request is given.
  std::optional<Choices> families;  ///< 0: IPv4, 1: IPv6; only addresses of these are used
  std::optional<FamilyPreference> prefer;
  std::optional<IpAddress> source_v4;
  std::optional<IpAddress> source_v6;
  bool from_option = false;  ///< of the command line, and not of the file
  std::string refusal;       ///< for access records: "denied-by:NAME"; seal() writes it

  [[nodiscard]] bool matches_everything() const noexcept;
  /// Whether the criteria that are known before any request is read leave a request from there
  /// possible. `listener` as ListenAddress::text() has it.
  [[nodiscard]] bool applies_to(std::string_view listener) const noexcept;
};

/// Adds what is left to derive once all entries are in. Call it once, for every rule.
void seal(Rule& rule);

/// A request as far as it is known.
struct RuleQuery {
  const Client& client;
  std::string_view user;      ///< empty: not authenticated
  std::string_view listener;  ///< as ListenAddress::text() has it
  Command command = Command::connect;
  std::string_view name;             ///< in lower case, without the trailing dot; empty: none
  std::optional<IpAddress> address;  ///< nothing: not known yet
  std::optional<Port> port;          ///< nothing: not known yet

  /// Nothing is known of the destination: a UDP association before its first datagram, a BIND for
  /// any peer.
  [[nodiscard]] bool without_destination() const noexcept { return name.empty() && !address; }
};

enum class Certainty : std::uint8_t { no, maybe, yes };

struct Match {
  Certainty certainty = Certainty::yes;
  Criterion criterion = Criterion::none;  ///< the first that says no, or else the first maybe
};
[[nodiscard]] Match match(const Rule& rule, const RuleQuery& query) noexcept;

struct Decision {
  enum class Outcome : std::uint8_t { allow, deny, open };
  Outcome outcome = Outcome::deny;
  const Rule* rule = nullptr;  ///< of allow and deny: the one that decides; null: none matches
};
/// `open`: a rule that may match allows it; to be asked again when more is known. With no rules at
/// all everything is allowed, otherwise what no rule matches is denied.
[[nodiscard]] Decision decide(const std::vector<Rule>& rules, const RuleQuery& query) noexcept;

/// The same for the rules that next() returns one after the other, and null after the last. A rule
/// that next() leaves out does not match, or a rule before it has the same action and may match.
template <class Next>
[[nodiscard]] Decision decide_among(Next next, const RuleQuery& query) noexcept {
  using Outcome = Decision::Outcome;
  bool may_allow = false;
  bool may_deny = false;
  while (const Rule* const rule = next()) {
    const Certainty certainty = match(*rule, query).certainty;
    if (certainty == Certainty::no) {
      continue;
    }
    const bool allows = rule->action == RuleAction::allow;
    if (certainty == Certainty::yes) {
      if (allows ? may_deny : may_allow) {
        return {Outcome::open, nullptr};
      }
      // Rules before this one that may match say the same; which of them it will be is not known.
      return {allows ? Outcome::allow : Outcome::deny, rule};
    }
    (allows ? may_allow : may_deny) = true;
    if (may_allow && may_deny) {
      return {Outcome::open, nullptr};
    }
  }
  return {may_allow ? Outcome::open : Outcome::deny, nullptr};
}

/// A name as RuleQuery wants it, without memory of its own to ask for.
class FoldedName {
 public:
  explicit FoldedName(std::string_view name) noexcept;
  [[nodiscard]] std::string_view view() const noexcept { return {text_.data(), size_}; }

 private:
  std::array<char, DomainName::max_size> text_;
  std::size_t size_ = 0;
};

}  // namespace socks64::gateway

#endif
