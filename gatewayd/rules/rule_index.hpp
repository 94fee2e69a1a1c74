// Which of many rules a request can match at all, so that the others need not be asked. Pure; see
// rule_index.cpp and docs/decisions/0006-rule-index.md.
#ifndef SOCKS64_GATEWAYD_RULE_INDEX_HPP
#define SOCKS64_GATEWAYD_RULE_INDEX_HPP

#include <array>
#include <cstddef>
#include <vector>

#include "rules/rule_lists.hpp"
#include "rules/rules.hpp"

namespace socks64::gateway {

class RuleIndex {
 public:
  class Candidates;

  /// The rules, sealed, must outlive it, and their entries must stay where they are.
  explicit RuleIndex(const std::vector<Rule>& rules);
  RuleIndex(const RuleIndex&) = delete;
  RuleIndex& operator=(const RuleIndex&) = delete;
  ~RuleIndex() = default;

 private:
  enum class Key : std::uint8_t { to, users, clients, none };

  /// Rules by who may ask.
  struct Askers {
    TextRules users;
    BlockRules clients;
    std::vector<RuleNumber> processes;  ///< clients of UNIX sockets
    std::vector<RuleNumber> others;     ///< anybody, as far as is listed here

    void add(const Rule& rule, RuleNumber number, Key key);
    void seal();
  };
  /// Rules by what is asked for.
  struct Destinations {
    TextRules names;
    TextRules below;  ///< names with everything below them, without the leading dot
    BlockRules networks;

    void add(const DestinationSet& to, RuleNumber number);
    void seal();
  };
  class Choice;

  std::size_t count_;
  Destinations destinations_;
  Askers always_;
  Askers without_address_;      ///< besides, as long as the address of a name is not known
  Askers without_destination_;  ///< besides, as long as nothing is
};

/// The rules that may match a request, in their order; among them may be some that do not. Rules
/// that cannot match are left out, and so are those that say nothing new: such a rule does not
/// match for certain, and one before it has the same action, the same requesters and the same
/// criteria except `to`, and matches perhaps.
class RuleIndex::Candidates {
 public:
  /// Both must outlive it.
  Candidates(const RuleIndex& index, const RuleQuery& query) noexcept;

  static constexpr RuleNumber end = UINT32_MAX;
  /// The number of the next one, or `end`.
  [[nodiscard]] RuleNumber next() noexcept;

 private:
  void add(RuleNumbers rules) noexcept;
  void add(const Askers& askers, const RuleQuery& query) noexcept;
  void add_name(const Destinations& destinations, std::string_view name) noexcept;

  struct List {
    const RuleNumber* next;
    const RuleNumber* end;
  };
  /// More lists than any sensible configuration has for one request: blocks in blocks, sixty deep.
  /// Beyond, every rule is a candidate.
  static constexpr std::size_t most_lists = 64;

  std::array<List, most_lists> lists_;
  std::size_t lists_count_ = 0;
  bool all_ = false;
  RuleNumber at_ = 0;  ///< when all are
  RuleNumber count_;
};

}  // namespace socks64::gateway

#endif
