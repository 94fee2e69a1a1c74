// The index of many rules says what the plain walk over all of them says, whatever they are.
#include "rules/rule_index.hpp"

#include <array>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "rules/rule_table.hpp"

namespace socks64::gateway {
namespace {

constexpr std::size_t never = std::numeric_limits<std::size_t>::max();

IpAddress ip(std::string_view text) {
  return IpAddress::parse(text).value_or(IpAddress());
}
Prefix block(std::string_view text) {
  return Prefix::parse(text).value_or(Prefix());
}

// Few of each, so that rules share them, lie in one another and meet what is asked for.
constexpr std::array<std::string_view, 10> names{
    "test",      ".test",      "a.test",     ".a.test", "b.a.test",
    ".b.a.test", "c.b.a.test", "other.test", "a.tes2",  "x"};
constexpr std::array<std::string_view, 18> blocks{"0.0.0.0/0",
                                                  "10.0.0.0/8",
                                                  "10.1.0.0/16",
                                                  "10.1.2.0/24",
                                                  "10.1.2.3/32",
                                                  "127.0.0.0/8",
                                                  "192.0.2.0/25",
                                                  "192.0.2.0",
                                                  "255.255.255.255",
                                                  "::/0",
                                                  "2001:db8::/32",
                                                  "2001:db8::/48",
                                                  "2001:db8::7",
                                                  "64:ff9b::/96",
                                                  "64:ff9b::a01:200/120",
                                                  "2002:a01:203::/48",
                                                  "2001::/32",
                                                  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"};
constexpr std::array<std::string_view, 19> addresses{
    "10.0.0.1",          "10.1.0.1",
    "10.1.2.1",          "10.1.2.3",
    "127.0.0.1",         "192.0.2.0",
    "192.0.2.127",       "192.0.2.128",
    "0.0.0.0",           "255.255.255.255",
    "2001:db8::7",       "2001:db8:1::7",
    "64:ff9b::a01:203",  "::ffff:10.1.2.3",
    "2002:a01:203::1",   "2001:0:a01:203:0:0:f5fe:fdfc",
    "::10.1.2.3",        "64:ff9b:1:a01:2:300::",
    "fe80::5efe:a01:203"};
constexpr std::array<std::string_view, 4> users{"alice", "bob", "carol", "*"};
constexpr std::array<std::string_view, 3> listeners{"127.0.0.1:1080", "[::]:1080", "unix:/run/a"};
constexpr std::array<Command, 5> commands{Command::connect, Command::bind, Command::udp_associate,
                                          Command::resolve, Command::resolve_ptr};
constexpr std::array<Port, 3> ports{1, 80, 65535};

/// Rules and requests by chance.
class Chance {
 public:
  explicit Chance(unsigned seed) : random_(seed) {}

  std::size_t below(std::size_t count) {
    return std::uniform_int_distribution<std::size_t>(0, count - 1)(random_);
  }
  bool one_in(std::size_t count) { return below(count) == 0; }
  template <class List>
  auto of(const List& list) {
    return list.at(below(list.size()));
  }

  Rule rule(std::size_t number) {
    Rule rule;
    rule.name = fmt::format("rule {}", number);
    rule.action = one_in(2) ? RuleAction::allow : RuleAction::deny;
    if (one_in(4)) {
      rule.clients = clients();
    }
    if (one_in(4)) {
      rule.users = some_users();
    }
    if (one_in(8)) {
      rule.listeners.emplace().add(of(listeners));
    }
    if (one_in(6)) {
      rule.commands.emplace().add(static_cast<unsigned>(below(4)));
    }
    if (!one_in(5)) {
      rule.to = destinations();
    }
    if (one_in(6)) {
      rule.ports.push_back({of(ports), 65535});
    }
    if (one_in(6)) {
      rule.crossing.emplace().add(static_cast<unsigned>(below(6)));
      rule.crossing->add(static_cast<unsigned>(below(6)));
    }
    seal(rule);
    return rule;
  }

  Client client() {
    return one_in(5) ? Client(Client::Process{}) : Client(Endpoint{ip(of(addresses)), 4711});
  }

 private:
  ClientSet clients() {
    ClientSet set;
    set.unix_sockets = one_in(3);
    for (std::size_t count = below(3); count > 0; --count) {
      set.networks.add(block(of(blocks)));
    }
    return set;
  }
  UserSet some_users() {
    UserSet set;
    set.anyone = one_in(5);
    for (std::size_t count = below(3); count > 0; --count) {
      set.names.add(of(users));
    }
    return set;
  }
  DestinationSet destinations() {
    DestinationSet set;
    set.everything = one_in(12);
    for (std::size_t count = below(3); count > 0; --count) {
      set.names.add(of(names));
    }
    for (std::size_t count = below(3); count > 0; --count) {
      set.networks.add(block(of(blocks)));
    }
    return set;
  }

  std::mt19937 random_;
};

/// The plain walk, its index, and what one asks of both.
class Both {
 public:
  explicit Both(const std::vector<Rule>& rules) : plain_(rules, never), indexed_(rules, 0) {}

  void compare(const RuleQuery& query) const {
    const Decision expected = decide(plain_, query);
    const Decision found = decide(indexed_, query);
    EXPECT_EQ(found.outcome, expected.outcome);
    EXPECT_EQ(name_of(found.rule), name_of(expected.rule));
    EXPECT_EQ(name_of(first_to_allow(indexed_, query)), name_of(first_to_allow(plain_, query)));
  }

 private:
  static std::string_view name_of(const Rule* rule) {
    return rule == nullptr ? std::string_view("none") : std::string_view(rule->name);
  }

  RuleTable plain_;
  RuleTable indexed_;
};

/// Everything that can be known or not, for one requester.
void compare_all(const Both& both, Chance& chance) {
  const Client client = chance.client();
  const std::string_view user = chance.one_in(3) ? std::string_view() : chance.of(users);
  const std::string_view name = chance.of(std::array<std::string_view, 8>{
      "", "test", "a.test", "b.a.test", "c.b.a.test", "d.c.b.a.test", "a..test", "nowhere"});
  RuleQuery query{client, user, chance.of(listeners), chance.of(commands), name, std::nullopt, {}};
  const IpAddress address = ip(chance.of(addresses)).unmapped();
  const Port port = chance.of(ports);
  for (const bool knows_address : {false, true}) {
    for (const bool knows_port : {false, true}) {
      query.address = knows_address ? std::optional(address) : std::nullopt;
      query.port = knows_port ? std::optional(port) : std::nullopt;
      both.compare(query);
    }
  }
}

TEST(RuleIndex, SaysWhatThePlainWalkSays) {
  // Seeds count up from one: a failure names its own.
  for (unsigned seed = 1; seed <= 600 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Chance chance(seed);
    std::vector<Rule> rules;
    for (std::size_t count = 1 + chance.below(40); count > 0; --count) {
      rules.push_back(chance.rule(rules.size()));
    }
    const Both both(rules);
    for (int requests = 0; requests < 40; ++requests) {
      compare_all(both, chance);
    }
  }
}

RuleQuery about(const Client& client, std::string_view name, std::optional<IpAddress> address) {
  return {client, {}, "[::]:1080", Command::connect, name, address, Port{80}};
}

TEST(RuleIndex, BlocksInBlocksBeyondAllBounds) {
  std::vector<Rule> rules;
  for (unsigned length = 1; length <= 128; ++length) {
    Rule rule;
    rule.name = fmt::format("/{}", length);
    rule.action = RuleAction::deny;
    rule.ports = {{static_cast<Port>(length), static_cast<Port>(length)}};
    rule.to.emplace().networks.add(Prefix::make(ip("::"), length).value_or(Prefix()));
    seal(rule);
    rules.push_back(std::move(rule));
  }
  const Both both(rules);
  const Client client(Endpoint{ip("192.0.2.9"), 4711});
  for (Port port = 0; port < 130; ++port) {
    for (const char* to : {"::", "::1", "::1:0:0", "1000::", "8000::"}) {
      RuleQuery query = about(client, {}, ip(to));
      query.port = port;
      both.compare(query);
    }
  }
}

TEST(RuleIndex, ManyOfEachKind) {
  std::vector<Rule> rules;
  for (unsigned i = 0; i < 3'000; ++i) {
    Rule rule;
    rule.name = fmt::format("rule {}", i);
    rule.action = i % 3 == 0 ? RuleAction::allow : RuleAction::deny;
    DestinationSet& to = rule.to.emplace();
    to.names.add(fmt::format("n{}.test", i));
    to.networks.add(block(fmt::format("10.{}.{}.0/24", i / 256, i % 256)));
    if (i % 2 == 0) {
      rule.users.emplace().names.add(fmt::format("user{}", i % 100));
    }
    if (i % 5 == 0) {
      rule.clients.emplace().networks.add(block(fmt::format("192.0.2.{}", i % 256)));
    }
    seal(rule);
    rules.push_back(std::move(rule));
  }
  const Both both(rules);
  Chance chance(1);
  for (int i = 0; i < 300; ++i) {
    const Client client(Endpoint{ip(fmt::format("192.0.2.{}", chance.below(256))), 4711});
    const std::string name = fmt::format("n{}.test", chance.below(3'200));
    const std::string user = fmt::format("user{}", chance.below(100));
    RuleQuery query = about(client, name, std::nullopt);
    query.user = user;
    both.compare(query);
    query.address = ip(fmt::format("10.{}.{}.7", chance.below(13), chance.below(256)));
    both.compare(query);
    query.name = {};
    both.compare(query);
    query.address.reset();
    both.compare(query);
  }
}

}  // namespace
}  // namespace socks64::gateway
