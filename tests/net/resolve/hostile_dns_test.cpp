// DNS that lies, that says too much, and that is asked for very many names.
#include <chrono>
#include <iostream>
#include <malloc.h>
#include <string>
#include <vector>

#include <asio/co_spawn.hpp>
#include <gtest/gtest.h>

#include "resolve/resolve.hpp"
#include "rig/dns_server.hpp"
#include "rig/peers.hpp"

namespace socks64::gateway::testing {
namespace {

using namespace std::chrono_literals;

class HostileDns : public ::testing::Test {
 protected:
  ResolverConfig config() const {
    ResolverConfig made;
    made.servers = {dns_.endpoint()};
    made.hosts_file.clear();
    made.query_timeout = 5s;
    return made;
  }
  static Task<Answer> question(Resolver& resolver, DomainName name, Family family) {
    co_return co_await resolver.resolve(name, family);
  }
  Answer answer(Resolver& resolver, std::string_view name, Family family = Family::ipv4) {
    return run(context_, question(resolver, named(name), family));
  }
  std::string ask(Resolver& resolver, std::string_view name, Family family = Family::ipv4) {
    const Answer given = answer(resolver, name, family);
    std::string text(describe(given.failure));
    for (const IpAddress& address : given.addresses) {
      text += " " + std::string(address.text().view());
    }
    return text;
  }

  DnsServer dns_;
  asio::io_context context_{1};
};

TEST_F(HostileDns, ForgedAnswersAreIgnored) {
  dns_.script("a.test", Family::ipv4, {.addresses = {"192.0.2.1"}, .delay = 50ms, .forged = true});
  dns_.script("a.test", Family::ipv6,
              {.addresses = {"2001:db8::1"}, .delay = 50ms, .forged = true});
  Resolver resolver(config());
  EXPECT_EQ(ask(resolver, "a.test"), "none 192.0.2.1");
  EXPECT_EQ(ask(resolver, "a.test", Family::ipv6), "none 2001:db8::1");
}

// What an answer says of other names is nobody's business (RFC 5452 section 6).
TEST_F(HostileDns, RecordsNobodyAskedForAreNotTaken) {
  dns_.script("a.test", Family::ipv4,
              {.addresses = {"192.0.2.1"}, .unasked = {{"bank.test", "198.51.100.66"}}});
  dns_.script("bank.test", Family::ipv4, {.addresses = {"192.0.2.2"}});
  dns_.script("empty.test", Family::ipv4, {.unasked = {{"bank.test", "198.51.100.66"}}});
  dns_.script("alias.test", Family::ipv4,
              {.addresses = {"192.0.2.3"},
               .cnames = {"b.test"},
               .unasked = {{"alias.test", "198.51.100.66"},
                           {"c.test", "198.51.100.66"},
                           {"with space.test", "198.51.100.66"}}});
  Resolver resolver(config());
  EXPECT_EQ(ask(resolver, "a.test"), "none 192.0.2.1");
  EXPECT_EQ(ask(resolver, "bank.test"), "none 192.0.2.2");
  EXPECT_EQ(ask(resolver, "empty.test"), "name-not-found");
  EXPECT_EQ(ask(resolver, "alias.test"), "none 192.0.2.3");
}

TEST_F(HostileDns, AChainOfAliasesIsFollowedAsLongAsItIs) {
  std::vector<std::string> chain;
  for (int i = 1; i <= 40; ++i) {
    chain.push_back("n" + std::to_string(i) + ".test");
  }
  dns_.script("long.test", Family::ipv4, {.addresses = {"192.0.2.1"}, .cnames = chain});
  Resolver resolver(config());
  EXPECT_EQ(ask(resolver, "long.test"), "none 192.0.2.1");
}

TEST_F(HostileDns, AChainInALoopEnds) {
  dns_.script("loop.test", Family::ipv4, {.cnames = {"a.test", "b.test", "loop.test"}});
  dns_.script("self.test", Family::ipv4, {.cnames = {"self.test"}});
  Resolver resolver(config());
  EXPECT_EQ(ask(resolver, "loop.test"), "name-failed");
  EXPECT_EQ(ask(resolver, "self.test"), "name-failed");
}

TEST_F(HostileDns, AnswersOf64KiBAreBounded) {
  std::vector<std::string> addresses;
  for (int i = 0; i < 4000; ++i) {
    addresses.push_back("198.18." + std::to_string(i / 250) + "." + std::to_string(i % 250));
  }
  dns_.script("huge.test", Family::ipv4, {.addresses = addresses, .truncate = true});
  Resolver resolver(config());
  const Answer given = answer(resolver, "huge.test");
  EXPECT_EQ(given.failure, Failure::none);
  EXPECT_EQ(given.addresses.size(), 64U);
  EXPECT_EQ(dns_.tcp_queries(), 1);
}

// More than the 512 octets of RFC 1035 section 4.2.1, and no TC: it has arrived, so it counts.
TEST_F(HostileDns, AnOversizedDatagramDoesNoHarm) {
  std::vector<std::string> addresses;
  for (int i = 0; i < 100; ++i) {
    addresses.push_back("198.18.0." + std::to_string(i));
  }
  dns_.script("big.test", Family::ipv4, {.addresses = addresses});
  Resolver resolver(config());
  const Answer given = answer(resolver, "big.test");
  EXPECT_EQ(given.failure, Failure::none);
  EXPECT_EQ(given.addresses.size(), 64U);
}

// Names are octets to DNS (RFC 2181 section 11): nothing is converted, nothing is refused.
TEST_F(HostileDns, NamesAreAskedForAsTheyAreGiven) {
  Resolver resolver(config());
  for (const char* const name : {"xn--bcher-kva.test",
                                 "b\xc3\xbc"
                                 "cher.test",
                                 "_dmarc._tcp.test", "with space.test", "back\\slash.test",
                                 "-dash-.test", "*.test", "1.2.3", "a@b.test", "\xff\xfe.test"}) {
    dns_.script(name, Family::ipv4, {.addresses = {"192.0.2.1"}});
    EXPECT_EQ(ask(resolver, name), "none 192.0.2.1") << name;
    EXPECT_EQ(dns_.queries(name, Family::ipv4), 1) << name;
  }
}

// Both families at once are two questions for one name.
TEST_F(HostileDns, ANameThatNoHostHasIsAskedForInBothFamilies) {
  dns_.script("with space.test", Family::ipv4, {.addresses = {"192.0.2.1"}, .delay = 50ms});
  dns_.script("with space.test", Family::ipv6, {.addresses = {"2001:db8::1"}, .delay = 50ms});
  Resolver resolver(config());
  std::vector<std::size_t> found;
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    asio::co_spawn(context_.get_executor(), question(resolver, named("with space.test"), family),
                   [&found](std::exception_ptr, const Answer& given) {
                     found.push_back(given.addresses.size());
                   });
  }
  context_.run();
  EXPECT_EQ(found, (std::vector<std::size_t>{1, 1}));
}

TEST_F(HostileDns, AMalformedAnswerFailsItsQuestionAlone) {
  dns_.script("slow.test", Family::ipv4, {.addresses = {"192.0.2.1"}, .delay = 200ms});
  dns_.script("garbage.test", Family::ipv4, {.garbage = true});
  ResolverConfig once = config();
  once.tries = 1;
  Resolver resolver(once);
  Failure slow = Failure::name_failed;
  asio::co_spawn(context_.get_executor(), question(resolver, named("slow.test"), Family::ipv4),
                 [&slow](std::exception_ptr, const Answer& given) { slow = given.failure; });
  context_.poll();
  asio::io_context other(1);
  for (int i = 0; i < 3; ++i) {
    const Answer given = run(other, question(resolver, named("garbage.test"), Family::ipv4));
    EXPECT_EQ(given.failure, Failure::name_failed);
  }
  context_.run();
  EXPECT_EQ(slow, Failure::none);
  EXPECT_EQ(dns_.queries("slow.test", Family::ipv4), 1);
}

// An alias of letters, digits, hyphens, underscores and slashes is taken; one with other octets
// makes a failure, which closes and does not open.
TEST_F(HostileDns, AnAliasThatNoHostCanHaveFails) {
  dns_.script("good.test", Family::ipv4, {.addresses = {"192.0.2.1"}, .cnames = {"_c.test"}});
  dns_.script("bad.test", Family::ipv4, {.addresses = {"192.0.2.1"}, .cnames = {"b\nc.test"}});
  Resolver resolver(config());
  EXPECT_EQ(ask(resolver, "good.test"), "none 192.0.2.1");
  EXPECT_EQ(ask(resolver, "bad.test"), "name-failed");
}

TEST_F(HostileDns, SearchDomainsAreNotApplied) {
  const TemporaryFile resolv_conf(
      "search evil.test example.test\ndomain evil.test\noptions ndots:5\nnameserver 127.0.0.1\n");
  ResolverConfig searching = config();
  searching.servers.clear();
  searching.resolv_conf = resolv_conf.path();
  searching.default_port = dns_.endpoint().port;
  for (const char* const name : {"intranet.evil.test", "intranet.example.test", "a.b.evil.test"}) {
    dns_.script(name, Family::ipv4, {.addresses = {"198.51.100.66"}});
  }
  Resolver resolver(searching);
  EXPECT_EQ(ask(resolver, "intranet"), "name-not-found");
  EXPECT_EQ(ask(resolver, "a.b"), "name-not-found");
  EXPECT_EQ(dns_.queries(), 2);
}

/// Asks for n0, n1, ... with so many under way at once.
Task<> ask_for_many(Resolver& resolver, int& next, int last, int& good) {
  while (next < last) {
    const DomainName name = named("n" + std::to_string(next++) + ".test");
    const Answer answer = co_await resolver.resolve(name, Family::ipv4);
    if (answer.failure == Failure::none) {
      ++good;
    }
  }
}

TEST_F(HostileDns, TenThousandNamesInBoundedMemory) {
  constexpr int names = slowdown > 1 ? 2'000 : 10'000;
  constexpr int at_once = slowdown > 1 ? 300 : 1500;
  constexpr std::size_t kept = 500;
  for (int i = 0; i < 2 * names; ++i) {
    dns_.script("n" + std::to_string(i) + ".test", Family::ipv4, {.addresses = {"192.0.2.1"}});
  }
  ResolverConfig small = config();
  small.cache_entries = kept;
  // What a server has no room for is asked for again; here its thread may wait for a processor.
  small.query_timeout = 2s;
  small.tries = 5;
  Resolver resolver(small);
  int next = 0;
  int good = 0;
  const auto ask_until = [&](int last) {
    for (int i = 0; i < at_once; ++i) {
      asio::co_spawn(context_.get_executor(), ask_for_many(resolver, next, last, good),
                     [](std::exception_ptr escaped) { EXPECT_FALSE(escaped); });
    }
    context_.restart();
    context_.run();
  };
  const Clock::time_point start = Clock::now();
  ask_until(names);
  std::cout << names << " names in " << elapsed_since(start).count() << " ms\n";
  EXPECT_EQ(good, names);
  const int asked = dns_.queries();
  EXPECT_GE(asked, names);
  // The last ones are known, the first ones are not any more.
  for (int i = names - 200; i < names; ++i) {
    static_cast<void>(answer(resolver, "n" + std::to_string(i) + ".test"));
  }
  EXPECT_EQ(dns_.queries(), asked);
  for (int i = 0; i < 200; ++i) {
    static_cast<void>(answer(resolver, "n" + std::to_string(i) + ".test"));
  }
  EXPECT_EQ(dns_.queries(), asked + 200);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  // As many again leave nothing more behind: 100 octets a name would be a megabyte.
  const std::size_t before = ::mallinfo2().uordblks;
  ask_until(2 * names);
  const std::size_t after = ::mallinfo2().uordblks;
  EXPECT_EQ(good, 2 * names);
  EXPECT_LT(after, before + 600 * 1024);
  std::cout << "heap " << before / 1024 << " KiB, after as many again " << after / 1024 << " KiB\n";
#endif
}

}  // namespace
}  // namespace socks64::gateway::testing
