// What a request costs under few rules and many: judged by name, before anything is looked up, and
// by address, right before that is dialled or sent to.
#include "rules/rules.hpp"

#include <benchmark/benchmark.h>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "authorise/authorise.hpp"
#include "authorise/policy.hpp"
#include "config/config_rules.hpp"
#include "rules/rule_table.hpp"

namespace socks64::gateway {
namespace {

enum class Hit : std::uint8_t { first, last, none };
enum class By : std::uint8_t { name, address };
enum class Shape : std::uint8_t { one_rule, many_rules };

std::string name_entry(std::size_t i) {
  return fmt::format("host{}.example.com", i);
}
/// Of 32.0.0.0/4: nothing of it is protected.
IpAddress address_in(std::size_t i) {
  return IpAddress::v4(static_cast<std::uint32_t>(0x20000000U + (i << 8U) + 7U));
}

void add_entry(DestinationSet& to, std::size_t i) {
  std::string problem = add_destination(to, name_entry(i));
  problem += add_destination(
      to, fmt::format("{}/24", IpAddress::v4(address_in(i).v4_value() - 7U).text().view()));
  if (!problem.empty()) {
    std::abort();
  }
}

std::vector<Rule> rules_of(Shape shape, std::size_t entries) {
  std::vector<Rule> rules;
  for (std::size_t i = 0; i < entries; ++i) {
    if (rules.empty() || shape == Shape::many_rules) {
      rules.emplace_back();
      rules.back().name = fmt::format("rule {}", i);
      rules.back().to.emplace();
    }
    add_entry(*rules.back().to, i);
  }
  for (Rule& rule : rules) {
    seal(rule);
  }
  return rules;
}

/// How a table of rules is asked: as it chooses, or one after the other, to compare.
enum class Walk : std::uint8_t { chosen, plain };

std::shared_ptr<const Policy> policy_of(const std::vector<Rule>& rules, Walk walk = Walk::chosen) {
  auto policy = std::make_shared<Policy>();
  policy->listeners = {"127.0.0.1:1080"};
  policy->rules = RuleTable(rules, walk == Walk::chosen ? RuleTable::few : rules.size());
  return policy;
}

/// One request, judged as a session judges it: by its name, or by the address that is dialled.
void judge_request(benchmark::State& state, const Policy& policy, By by, std::size_t entry) {
  const Requester requester{Client(Endpoint{IpAddress::v4(0x0a000009), 4711}), 0, {}};
  const bool named = by == By::name;
  const Target target = NamedEndpoint{
      DomainName::from(named ? name_entry(entry) : "www.nowhere.test").value_or(DomainName()), 443};
  const Endpoint address{address_in(entry), 443};
  for (auto _ : state) {
    Verdict verdict = named ? judge(policy, requester, Command::connect, target)
                            : judge(policy, requester, Command::connect, target, address);
    benchmark::DoNotOptimize(verdict);
  }
}

void judged(benchmark::State& state, Shape shape, By by, Hit hit, Walk walk) {
  const auto entries = static_cast<std::size_t>(state.range(0));
  const auto policy = policy_of(rules_of(shape, entries), walk);
  judge_request(state, *policy, by,
                hit == Hit::first  ? 0
                : hit == Hit::last ? entries - 1
                                   : entries + 10);
}

/// What a small office writes: some denied, some allowed, the last one for all the rest.
void few_rules(benchmark::State& state, By by, Walk walk) {
  const auto count = static_cast<std::size_t>(state.range(0));
  std::vector<Rule> rules;
  for (std::size_t i = 0; i + 1 < count; ++i) {
    Rule rule;
    rule.name = fmt::format("rule {}", i);
    rule.action = RuleAction::deny;
    add_entry(rule.to.emplace(), i);
    if (i % 3 == 1) {
      rule.ports.push_back({1, 1023});
    }
    seal(rule);
    rules.push_back(std::move(rule));
  }
  if (count > 0) {
    rules.emplace_back().name = "the rest";
    Prefix block;
    rules.back().clients.emplace().networks.add(
        parse_network("10.0.0.0/8", block).empty() ? block : Prefix());
    seal(rules.back());
  }
  const auto policy = policy_of(rules, walk);
  judge_request(state, *policy, by, 100);
}

/// Rules under which each user has a network: nothing of them is decided by a name.
void one_rule_a_user(benchmark::State& state, By by) {
  const auto count = static_cast<std::size_t>(state.range(0));
  std::vector<Rule> rules = rules_of(Shape::many_rules, count);
  for (std::size_t i = 0; i < count; ++i) {
    rules[i].users.emplace().names.add(fmt::format("user{}", i));
  }
  const auto policy = policy_of(rules);
  const Requester requester{Client(Endpoint{IpAddress::v4(0x0a000009), 4711}), 0,
                            fmt::format("user{}", count / 2)};
  const Target target =
      NamedEndpoint{DomainName::from("www.nowhere.test").value_or(DomainName()), 443};
  const Endpoint address{address_in(count / 2), 443};
  for (auto _ : state) {
    Verdict verdict = by == By::name ? judge(*policy, requester, Command::connect, target)
                                     : judge(*policy, requester, Command::connect, target, address);
    benchmark::DoNotOptimize(verdict);
  }
}

/// From the rules as read to the table that is in force; a copy of them included.
void make(benchmark::State& state) {
  const std::vector<Rule> rules =
      rules_of(Shape::many_rules, static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    const auto policy = policy_of(rules);
    benchmark::DoNotOptimize(policy.get());
  }
}

template <class Function, class... Arguments>
benchmark::internal::Benchmark* add(const std::string& name, Function function,
                                    Arguments... arguments) {
  return benchmark::RegisterBenchmark(
      ("rules/" + name).c_str(), [=](benchmark::State& state) { function(state, arguments...); });
}

const bool registered = [] {
  for (const auto& [by, by_name] :
       {std::pair(By::name, "name"), std::pair(By::address, "address")}) {
    for (const auto& [hit, hit_name] :
         {std::pair(Hit::first, "first"), std::pair(Hit::last, "last"),
          std::pair(Hit::none, "none")}) {
      const std::string suffix = fmt::format("{}_{}", by_name, hit_name);
      for (const int entries : {10, 1'000, 10'000}) {
        add("one_rule/" + suffix, judged, Shape::one_rule, by, hit, Walk::chosen)->Arg(entries);
        add("many_rules/" + suffix, judged, Shape::many_rules, by, hit, Walk::chosen)->Arg(entries);
        add("one_by_one/" + suffix, judged, Shape::many_rules, by, hit, Walk::plain)->Arg(entries);
      }
    }
    for (const int rules : {0, 1, 2, 3, 4, 6, 8, 16}) {
      add(fmt::format("few/{}", by_name), few_rules, by, Walk::chosen)->Arg(rules);
      add(fmt::format("few_one_by_one/{}", by_name), few_rules, by, Walk::plain)->Arg(rules);
    }
    add(fmt::format("of_users/{}", by_name), one_rule_a_user, by)->Arg(10'000);
  }
  for (const int rules : {10'000, 100'000}) {
    add("table", make)->Arg(rules)->Unit(benchmark::kMillisecond);
  }
  return true;
}();

}  // namespace
}  // namespace socks64::gateway
