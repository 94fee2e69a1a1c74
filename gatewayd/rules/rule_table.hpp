// The rules in force: the list, and where it is long an index of it. Pure, immutable.
#ifndef SOCKS64_GATEWAYD_RULE_TABLE_HPP
#define SOCKS64_GATEWAYD_RULE_TABLE_HPP

#include <cstddef>
#include <memory>
#include <vector>

#include "rules/rule_index.hpp"
#include "rules/rules.hpp"

namespace socks64::gateway {

class RuleTable {
 public:
  /// Asking this many rules one after the other is as fast as looking them up in an index.
  static constexpr std::size_t few = 3;

  /// No rules.
  RuleTable() noexcept = default;
  /// Sealed ones. More than `most_unindexed` get an index.
  explicit RuleTable(std::vector<Rule> rules, std::size_t most_unindexed = few);

  [[nodiscard]] bool empty() const noexcept { return rules_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return rules_.size(); }
  [[nodiscard]] auto begin() const noexcept { return rules_.begin(); }
  [[nodiscard]] auto end() const noexcept { return rules_.end(); }

 private:
  friend Decision decide(const RuleTable& table, const RuleQuery& query) noexcept;
  friend const Rule* first_to_allow(const RuleTable& table, const RuleQuery& query) noexcept;

  std::vector<Rule> rules_;
  std::unique_ptr<const RuleIndex> index_;  ///< null: they are few
};

/// As decide() of all the rules in their order.
[[nodiscard]] Decision decide(const RuleTable& table, const RuleQuery& query) noexcept;

/// The first rule that allows the request, or may, unless one before it denies it for certain;
/// null: none.
[[nodiscard]] const Rule* first_to_allow(const RuleTable& table, const RuleQuery& query) noexcept;

}  // namespace socks64::gateway

#endif
