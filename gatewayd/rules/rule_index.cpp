// Rules are judged in their order, and the first that matches decides: with ten thousand of them
// that is ten thousand questions for each connect and each datagram. Nearly all of them are
// answered by one criterion, which lists something that is not what was asked for. So each rule is
// filed under the entries of its most telling criterion: `to`, `users` or `clients`, whichever has
// entries that the fewest rules share. A request finds the rules that are filed under its own name
// and the domains around it, under the blocks around its address and around what hides in that
// (disguise.hpp), under its user, under the blocks around its client. These lists are merged in the
// order of the rules, and each rule found is asked as before: the index only leaves out what would
// have said no, so it can be wrong in one way only, by leaving out too much.
//
// What is not known yet is what makes it hard. While a name has no address, every rule with a block
// in its `to` may match, and while nothing is known of the destination every rule with a `to`. Such
// a rule decides nothing: it is remembered only that some rule may allow, or may deny. Two rules
// that differ in nothing but their `to` are therefore one, and the first of them stands for all.
// One that matches for certain - by its name - is filed under that name anyway.
#include "rules/rule_index.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_set>

#include "rules/disguise.hpp"

namespace socks64::gateway {
namespace {

bool lists_destinations(const Rule& rule) noexcept {
  return rule.to && !rule.to->everything;
}

bool lists_users(const Rule& rule) noexcept {
  return rule.users && !rule.users->anyone;
}

void append(std::string& out, std::string_view text) {
  // With its length: no text can be taken for two.
  out += std::to_string(text.size());
  out += ':';
  out += text;
}

void append(std::string& out, const TextSet& texts) {
  std::vector<std::string_view> sorted(texts.begin(), texts.end());
  std::sort(sorted.begin(), sorted.end());
  out += std::to_string(sorted.size());
  out += '=';
  for (const std::string_view text : sorted) {
    append(out, text);
  }
}

void append(std::string& out, const std::optional<Choices>& choices) {
  out += choices ? std::to_string(choices->bits()) : std::string();
  out += ';';
}

/// Equal for rules that differ in nothing that matters here but their `to`. Not `crossing`: it is
/// known no sooner than the address.
std::string shape_of(const Rule& rule) {
  std::string shape = rule.action == RuleAction::allow ? "a" : "d";
  append(shape, rule.commands);
  for (const PortSpan& span : rule.ports) {
    shape += std::to_string(span.low) + '-' + std::to_string(span.high) + ',';
  }
  if (rule.listeners) {
    shape += 'l';
    append(shape, *rule.listeners);
  }
  if (rule.users) {
    shape += rule.users->anyone ? "U" : "u";
    append(shape, rule.users->names);
  }
  if (rule.clients) {
    shape += rule.clients->unix_sockets ? "C" : "c";
    for (const Prefix& block : rule.clients->networks.blocks()) {
      append(shape, block.text().view());
    }
  }
  return shape;
}

}  // namespace

void RuleIndex::Askers::add(const Rule& rule, RuleNumber number, Key key) {
  if (key == Key::users) {
    for (const std::string& user : rule.users->names) {
      users.add(user, number);
    }
  } else if (key == Key::clients) {
    for (const Prefix& block : rule.clients->networks.blocks()) {
      clients.add(block, number);
    }
    if (rule.clients->unix_sockets) {
      processes.push_back(number);
    }
  } else {
    others.push_back(number);
  }
}

void RuleIndex::Askers::seal() {
  users.seal();
  clients.seal();
}

void RuleIndex::Destinations::add(const DestinationSet& to, RuleNumber number) {
  for (const std::string& name : to.names.exact()) {
    names.add(name, number);
  }
  for (const std::string& name : to.names.below()) {
    below.add(name, number);
  }
  for (const Prefix& block : to.networks.blocks()) {
    networks.add(block, number);
  }
}

void RuleIndex::Destinations::seal() {
  names.seal();
  below.seal();
  networks.seal();
}

/// Finds the criterion by which a rule is filed, with everything filed under everything.
class RuleIndex::Choice {
 public:
  explicit Choice(const std::vector<Rule>& rules) {
    for (RuleNumber number = 0; number < rules.size(); ++number) {
      const Rule& rule = rules[number];
      if (lists_destinations(rule)) {
        destinations_.add(*rule.to, number);
      }
      if (lists_users(rule)) {
        askers_.add(rule, number, Key::users);
      }
      if (rule.clients) {
        askers_.add(rule, number, Key::clients);
      }
    }
    destinations_.seal();
    askers_.seal();
  }

  /// Never Key::to.
  [[nodiscard]] Key asker(const Rule& rule) const { return best(rule, false); }
  [[nodiscard]] Key any(const Rule& rule) const { return best(rule, lists_destinations(rule)); }

 private:
  /// How many rules share the entry that most share, and how many entries there are.
  class Cost {
   public:
    void add(std::size_t rules) noexcept {
      shared_ = std::max(shared_, rules);
      ++entries_;
    }
    [[nodiscard]] bool operator<(const Cost& other) const noexcept {
      return std::tie(shared_, entries_) < std::tie(other.shared_, other.entries_);
    }

   private:
    std::size_t shared_ = 0;
    std::size_t entries_ = 0;
  };

  [[nodiscard]] Cost of_destinations(const Rule& rule) const {
    Cost cost;
    for (const std::string& name : rule.to->names.exact()) {
      cost.add(destinations_.names.find(name).size());
    }
    for (const std::string& name : rule.to->names.below()) {
      cost.add(destinations_.below.find(name).size());
    }
    for (const Prefix& block : rule.to->networks.blocks()) {
      cost.add(destinations_.networks.find(block).size());
    }
    return cost;
  }
  [[nodiscard]] Cost of_users(const Rule& rule) const {
    Cost cost;
    for (const std::string& user : rule.users->names) {
      cost.add(askers_.users.find(user).size());
    }
    return cost;
  }
  [[nodiscard]] Cost of_clients(const Rule& rule) const {
    Cost cost;
    for (const Prefix& block : rule.clients->networks.blocks()) {
      cost.add(askers_.clients.find(block).size());
    }
    if (rule.clients->unix_sockets) {
      cost.add(askers_.processes.size());
    }
    return cost;
  }

  [[nodiscard]] Key best(const Rule& rule, bool with_destinations) const {
    Key key = Key::none;
    Cost least;
    const auto offer = [&](Key offered, const Cost& cost) {
      if (key != Key::none && !(cost < least)) {
        return;
      }
      key = offered;
      least = cost;
    };
    if (with_destinations) {
      offer(Key::to, of_destinations(rule));
    }
    if (lists_users(rule)) {
      offer(Key::users, of_users(rule));
    }
    if (rule.clients) {
      offer(Key::clients, of_clients(rule));
    }
    return key;
  }

  Destinations destinations_;
  Askers askers_;
};

RuleIndex::RuleIndex(const std::vector<Rule>& rules) : count_(rules.size()) {
  const Choice choice(rules);
  std::unordered_set<std::string> seen;
  std::unordered_set<std::string> seen_with_networks;
  for (RuleNumber number = 0; number < rules.size(); ++number) {
    const Rule& rule = rules[number];
    const Key key = choice.any(rule);
    if (key != Key::to) {
      always_.add(rule, number, key);
      continue;
    }
    destinations_.add(*rule.to, number);
    std::string shape = shape_of(rule);
    const Key asker = choice.asker(rule);
    if (!rule.to->networks.empty() && seen_with_networks.insert(shape).second) {
      without_address_.add(rule, number, asker);
    }
    if (seen.insert(std::move(shape)).second) {
      without_destination_.add(rule, number, asker);
    }
  }
  destinations_.seal();
  always_.seal();
  without_address_.seal();
  without_destination_.seal();
}

// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): as many lists as there are
RuleIndex::Candidates::Candidates(const RuleIndex& index, const RuleQuery& query) noexcept
    : count_(static_cast<RuleNumber>(index.count_)) {
  add(index.always_, query);
  if (query.without_destination()) {
    add(index.without_destination_, query);
    return;
  }
  if (!query.name.empty()) {
    add_name(index.destinations_, query.name);
  }
  if (!query.address) {
    add(index.without_address_, query);
    return;
  }
  const auto take = [this](RuleNumbers rules) { add(rules); };
  index.destinations_.networks.for_each_around(*query.address, take);
  for (const IpAddress& inside : Disguise(*query.address)) {
    index.destinations_.networks.for_each_around(inside, take);
  }
}

void RuleIndex::Candidates::add(RuleNumbers rules) noexcept {
  if (rules.empty()) {
    return;
  }
  if (lists_count_ == lists_.size()) {
    all_ = true;
    return;
  }
  lists_[lists_count_++] = {rules.data(), rules.data() + rules.size()};
}

void RuleIndex::Candidates::add(const Askers& askers, const RuleQuery& query) noexcept {
  add(askers.others);
  if (!query.user.empty() && !askers.users.empty()) {
    add(askers.users.find(query.user));
  }
  if (query.client.process) {
    return add(askers.processes);
  }
  askers.clients.for_each_around(query.client.endpoint.address,
                                 [this](RuleNumbers rules) { add(rules); });
}

void RuleIndex::Candidates::add_name(const Destinations& destinations,
                                     std::string_view name) noexcept {
  if (!destinations.names.empty()) {
    add(destinations.names.find(name));
  }
  if (destinations.below.empty()) {
    return;
  }
  for (std::size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.')) {
    name.remove_prefix(dot + 1);
    add(destinations.below.find(name));
  }
}

RuleNumber RuleIndex::Candidates::next() noexcept {
  if (all_) {
    return at_ < count_ ? at_++ : end;
  }
  RuleNumber least = end;
  for (std::size_t i = 0; i < lists_count_; ++i) {
    least = std::min(least, *lists_[i].next);
  }
  for (std::size_t i = 0; i < lists_count_;) {
    List& list = lists_[i];
    if (*list.next == least && ++list.next == list.end) {
      list = lists_[--lists_count_];
    } else {
      ++i;
    }
  }
  return least;
}

}  // namespace socks64::gateway
