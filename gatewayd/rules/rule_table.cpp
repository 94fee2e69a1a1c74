#include "rules/rule_table.hpp"

#include <utility>

namespace socks64::gateway {
namespace {

template <class Next>
const Rule* first_among(Next next, const RuleQuery& query) noexcept {
  while (const Rule* const rule = next()) {
    const Certainty certainty = match(*rule, query).certainty;
    if (certainty == Certainty::no) {
      continue;
    }
    if (rule->action == RuleAction::allow) {
      return rule;
    }
    if (certainty == Certainty::yes) {
      break;
    }
  }
  return nullptr;
}

/// Gives the candidates of an index one after the other.
class Candidates {
 public:
  Candidates(const std::vector<Rule>& rules, const RuleIndex& index,
             const RuleQuery& query) noexcept
      : rules_(rules), numbers_(index, query) {}

  const Rule* operator()() noexcept {
    const RuleNumber number = numbers_.next();
    return number == RuleIndex::Candidates::end ? nullptr : &rules_[number];
  }

 private:
  const std::vector<Rule>& rules_;
  RuleIndex::Candidates numbers_;
};

}  // namespace

RuleTable::RuleTable(std::vector<Rule> rules, std::size_t most_unindexed)
    : rules_(std::move(rules)) {
  if (rules_.size() > most_unindexed) {
    index_ = std::make_unique<const RuleIndex>(rules_);
  }
}

Decision decide(const RuleTable& table, const RuleQuery& query) noexcept {
  if (table.index_ == nullptr) {
    return decide(table.rules_, query);
  }
  Candidates candidates(table.rules_, *table.index_, query);
  return decide_among([&]() noexcept { return candidates(); }, query);
}

const Rule* first_to_allow(const RuleTable& table, const RuleQuery& query) noexcept {
  if (table.index_ == nullptr) {
    auto rule = table.begin();
    return first_among([&]() noexcept { return rule == table.end() ? nullptr : &*rule++; }, query);
  }
  Candidates candidates(table.rules_, *table.index_, query);
  return first_among([&]() noexcept { return candidates(); }, query);
}

}  // namespace socks64::gateway
