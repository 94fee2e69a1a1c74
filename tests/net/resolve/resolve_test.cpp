// The resolver against a DNS server that does what it is told.
#include "resolve/resolve.hpp"

#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <vector>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <gtest/gtest.h>

#include "rig/dns_server.hpp"
#include "rig/peers.hpp"

namespace socks64::gateway::testing {
namespace {

using namespace std::chrono_literals;

std::string text_of(const Answer& answer) {
  std::string text(describe(answer.failure));
  for (const IpAddress& address : answer.addresses) {
    text += " " + std::string(address.text().view());
  }
  return text;
}

Task<Answer> question(Resolver& resolver, DomainName name, Family family) {
  co_return co_await resolver.resolve(name, family);
}

class Resolve : public ::testing::Test {
 protected:
  ResolverConfig config() const {
    ResolverConfig made;
    made.servers = {dns_.endpoint()};
    made.hosts_file = hosts_.path();
    made.query_timeout = 5s;
    return made;
  }
  std::string ask(Resolver& resolver, std::string_view name, Family family = Family::ipv4) {
    return text_of(run(context_, question(resolver, named(name), family)));
  }
  /// Waits for the server to have seen something: the only way to know that a question is out.
  void wait_for_queries(int count) const {
    const Clock::time_point deadline = Clock::now() + 10s;
    while (dns_.queries() < count && Clock::now() < deadline) {
      std::this_thread::yield();
    }
    ASSERT_GE(dns_.queries(), count);
  }

  DnsServer dns_;
  TemporaryFile hosts_{"192.0.2.77 inhosts\n"};
  asio::io_context context_{1};
};

TEST_F(Resolve, BothFamiliesAreSeparateQuestions) {
  dns_.script("both.test", Family::ipv4, {.addresses = {"192.0.2.1", "192.0.2.2"}});
  dns_.script("both.test", Family::ipv6, {.addresses = {"2001:db8::1"}});
  Resolver resolver(config());
  EXPECT_EQ(ask(resolver, "both.test"), "none 192.0.2.1 192.0.2.2");
  EXPECT_EQ(dns_.queries("both.test", Family::ipv6), 0);
  EXPECT_EQ(ask(resolver, "both.test", Family::ipv6), "none 2001:db8::1");
}

TEST_F(Resolve, AnswersAreCachedWhateverCaseAndDot) {
  dns_.script("a.test", Family::ipv4, {.addresses = {"192.0.2.1"}});
  Resolver resolver(config());
  EXPECT_EQ(ask(resolver, "a.test"), "none 192.0.2.1");
  const Answer again = run(context_, question(resolver, named("A.Test."), Family::ipv4));
  EXPECT_EQ(text_of(again), "none 192.0.2.1");
  EXPECT_TRUE(again.cached);
  EXPECT_EQ(dns_.queries(), 1);
}

TEST_F(Resolve, FollowsCnamesAndTakesTheSmallestTtl) {
  dns_.script("alias.test", Family::ipv4,
              {.addresses = {"192.0.2.1"}, .cnames = {"b.test", "c.test"}});
  dns_.script("nowhere.test", Family::ipv4, {.cnames = {"b.test"}});
  Resolver resolver(config());
  EXPECT_EQ(ask(resolver, "alias.test"), "none 192.0.2.1");
  EXPECT_EQ(ask(resolver, "nowhere.test"), "name-not-found");
}

TEST_F(Resolve, TtlExpires) {
  dns_.script("short.test", Family::ipv4, {.addresses = {"192.0.2.1"}, .ttl = 1});
  Resolver resolver(config());
  EXPECT_EQ(ask(resolver, "short.test"), "none 192.0.2.1");
  dns_.script("short.test", Family::ipv4, {.addresses = {"192.0.2.2"}, .ttl = 1});
  const Clock::time_point deadline = Clock::now() + 10s;
  std::string answer;
  do {
    answer = ask(resolver, "short.test");
  } while (answer == "none 192.0.2.1" && Clock::now() < deadline);
  EXPECT_EQ(answer, "none 192.0.2.2");
  EXPECT_EQ(dns_.queries("short.test", Family::ipv4), 2);
}

TEST_F(Resolve, TtlIsBoundedFromBothSides) {
  dns_.script("long.test", Family::ipv4, {.addresses = {"192.0.2.1"}, .ttl = 86'400});
  dns_.script("zero.test", Family::ipv4, {.addresses = {"192.0.2.1"}, .ttl = 0});
  ResolverConfig bounded = config();
  bounded.max_ttl = 0s;
  Resolver never(bounded);
  EXPECT_EQ(ask(never, "long.test"), "none 192.0.2.1");
  EXPECT_EQ(ask(never, "long.test"), "none 192.0.2.1");
  EXPECT_EQ(dns_.queries("long.test", Family::ipv4), 2);
  bounded.max_ttl = 3600s;
  bounded.min_ttl = 60s;
  Resolver always(bounded);
  EXPECT_EQ(ask(always, "zero.test"), "none 192.0.2.1");
  EXPECT_EQ(ask(always, "zero.test"), "none 192.0.2.1");
  EXPECT_EQ(dns_.queries("zero.test", Family::ipv4), 1);
}

TEST_F(Resolve, NegativeAnswersAreCachedAsLongAsTheSoaSaysAndNoLonger) {
  dns_.script("gone.test", Family::ipv4, {.rcode = nxdomain, .soa = std::pair(60U, 60U)});
  dns_.script("empty.test", Family::ipv4, {.soa = std::pair(60U, 60U)});
  dns_.script("uncached.test", Family::ipv4, {.rcode = nxdomain, .soa = std::pair(60U, 0U)});
  Resolver resolver(config());
  for (const char* const name : {"gone.test", "empty.test", "uncached.test", "unscripted.test"}) {
    EXPECT_EQ(ask(resolver, name), "name-not-found") << name;
    EXPECT_EQ(ask(resolver, name), "name-not-found") << name;
  }
  EXPECT_EQ(dns_.queries("gone.test", Family::ipv4), 1);
  EXPECT_EQ(dns_.queries("empty.test", Family::ipv4), 1);
  EXPECT_EQ(dns_.queries("uncached.test", Family::ipv4), 2);
  EXPECT_EQ(dns_.queries("unscripted.test", Family::ipv4), 1);  // no SOA: our own bound
}

TEST_F(Resolve, FailuresAreToldApartAndNotCached) {
  dns_.script("broken.test", Family::ipv4, {.rcode = servfail});
  dns_.script("garbage.test", Family::ipv4, {.garbage = true});
  dns_.script("silent.test", Family::ipv4, {.drop = true});
  ResolverConfig impatient = config();
  impatient.query_timeout = 50ms;
  impatient.tries = 1;
  Resolver resolver(impatient);
  EXPECT_EQ(ask(resolver, "broken.test"), "name-failed");
  EXPECT_EQ(ask(resolver, "garbage.test"), "name-failed");
  EXPECT_EQ(ask(resolver, "silent.test"), "name-timeout");
  const int before = dns_.queries();
  dns_.script("broken.test", Family::ipv4, {.addresses = {"192.0.2.1"}});
  dns_.script("silent.test", Family::ipv4, {.addresses = {"192.0.2.2"}});
  EXPECT_EQ(ask(resolver, "broken.test"), "none 192.0.2.1");
  EXPECT_EQ(ask(resolver, "silent.test"), "none 192.0.2.2");
  EXPECT_GE(dns_.queries(), before + 2);
}

TEST_F(Resolve, InvalidNamesNeverReachTheWire) {
  Resolver resolver(config());
  const std::string name255 = std::string(63, 'a') + "." + std::string(63, 'a') + "." +
                              std::string(63, 'a') + "." + std::string(63, 'a');
  ASSERT_EQ(name255.size(), 255U);
  for (const std::string& name :
       {std::string("."), std::string("a..b"), std::string(64, 'a'), name255}) {
    EXPECT_EQ(ask(resolver, name), "name-invalid") << name;
  }
  EXPECT_EQ(dns_.queries(), 0);
}

TEST_F(Resolve, TheLongestNameIsAskedAsItIs) {
  const std::string longest = std::string(63, 'a') + "." + std::string(63, 'b') + "." +
                              std::string(63, 'c') + "." + std::string(61, 'd');
  dns_.script(longest, Family::ipv4, {.addresses = {"192.0.2.1"}});
  Resolver resolver(config());
  EXPECT_EQ(ask(resolver, longest + "."), "none 192.0.2.1");
}

TEST_F(Resolve, NoSearchDomains) {
  Resolver resolver(config());
  EXPECT_EQ(ask(resolver, "single"), "name-not-found");
  EXPECT_EQ(dns_.queries(), 1);
  EXPECT_EQ(dns_.queries("single", Family::ipv4), 1);
}

TEST_F(Resolve, BigAnswersComeOverTcp) {
  std::vector<std::string> addresses;
  std::string expected = "none";
  for (int i = 1; i <= 60; ++i) {
    addresses.push_back("192.0.2." + std::to_string(i));
    expected += " " + addresses.back();
  }
  dns_.script("big.test", Family::ipv4, {.addresses = addresses, .truncate = true});
  Resolver resolver(config());
  EXPECT_EQ(ask(resolver, "big.test"), expected);
  EXPECT_EQ(dns_.tcp_queries(), 1);
  dns_.script("after.test", Family::ipv4, {.addresses = {"192.0.2.1"}});
  EXPECT_EQ(ask(resolver, "after.test"), "none 192.0.2.1");
}

TEST_F(Resolve, HostsFileAndLocalhostNeedNoServer) {
  Resolver resolver(config());
  EXPECT_EQ(ask(resolver, "InHosts."), "none 192.0.2.77");
  EXPECT_EQ(ask(resolver, "inhosts", Family::ipv6), "name-not-found");
  EXPECT_EQ(ask(resolver, "localhost"), "none 127.0.0.1");
  // RFC 7686 section 2.
  EXPECT_EQ(ask(resolver, "abc.onion"), "name-not-found");
  EXPECT_EQ(ask(resolver, "a b.onion"), "name-not-found");
  EXPECT_EQ(ask(resolver, "any.LOCALHOST", Family::ipv6), "none ::1");
  EXPECT_EQ(dns_.queries(), 0);
}

TEST_F(Resolve, FollowsTheHostsFile) {
  Resolver resolver(config());
  EXPECT_EQ(ask(resolver, "inhosts"), "none 192.0.2.77");
  hosts_.write("192.0.2.78 inhosts\n");
  const Clock::time_point deadline = Clock::now() + 10s;
  std::string answer;
  do {
    answer = ask(resolver, "inhosts");
  } while (answer != "none 192.0.2.78" && Clock::now() < deadline);
  EXPECT_EQ(answer, "none 192.0.2.78");
  EXPECT_EQ(dns_.queries(), 0);
}

TEST_F(Resolve, FollowsABigHostsFile) {
  Resolver resolver(config());
  EXPECT_EQ(ask(resolver, "inhosts"), "none 192.0.2.77");
  std::string block_list;
  for (int i = 0; i < 10'000; ++i) {
    block_list += "0.0.0.0 n" + std::to_string(i) + ".blocked.test\n";
  }
  hosts_.write(block_list + "192.0.2.78 inhosts\n");
  const Clock::time_point deadline = Clock::now() + 20s;
  std::string answer;
  do {
    answer = ask(resolver, "inhosts");
  } while (answer != "none 192.0.2.78" && Clock::now() < deadline);
  EXPECT_EQ(answer, "none 192.0.2.78");
  EXPECT_EQ(ask(resolver, "n9999.blocked.test"), "none 0.0.0.0");
  EXPECT_EQ(dns_.queries(), 0);
}

TEST_F(Resolve, WithoutAServerItFailsAtOnceAndFollowsResolvConf) {
  const TemporaryFile resolv_conf("# nobody yet\noptions ndots:3\n");
  ResolverConfig lonely = config();
  lonely.servers.clear();
  lonely.resolv_conf = resolv_conf.path();
  lonely.default_port = dns_.endpoint().port;
  Resolver resolver(lonely);
  const Clock::time_point start = Clock::now();
  EXPECT_EQ(ask(resolver, "a.test"), "name-failed");
  EXPECT_LT(elapsed_since(start), 500ms);
  EXPECT_EQ(dns_.queries(), 0);  // c-ares left alone would have asked 127.0.0.1

  dns_.script("a.test", Family::ipv4, {.addresses = {"192.0.2.1"}});
  resolv_conf.write("nameserver 127.0.0.1\n");
  const Clock::time_point deadline = Clock::now() + 10s;
  std::string answer;
  do {
    answer = ask(resolver, "a.test");
  } while (answer == "name-failed" && Clock::now() < deadline);
  EXPECT_EQ(answer, "none 192.0.2.1");
}

TEST_F(Resolve, ANewResolvConfDoesNotCutWhatIsUnderWay) {
  const TemporaryFile resolv_conf("nameserver 127.0.0.1\n");
  ResolverConfig following = config();
  following.servers.clear();
  following.resolv_conf = resolv_conf.path();
  following.default_port = dns_.endpoint().port;
  dns_.script("slow.test", Family::ipv4, {.addresses = {"192.0.2.1"}, .delay = 2500ms});
  Resolver resolver(following);
  std::string slow;
  asio::co_spawn(context_.get_executor(), question(resolver, named("slow.test"), Family::ipv4),
                 [&](std::exception_ptr, const Answer& answer) { slow = text_of(answer); });
  context_.poll();
  wait_for_queries(1);
  resolv_conf.write("# nobody any more\n");
  asio::io_context other(1);
  const Clock::time_point deadline = Clock::now() + 10s;
  std::string answer;
  int count = 0;
  do {
    const std::string fresh = "n" + std::to_string(++count) + ".test";
    answer = text_of(run(other, question(resolver, named(fresh), Family::ipv4)));
  } while (answer == "name-not-found" && Clock::now() < deadline);
  EXPECT_EQ(answer, "name-failed");
  EXPECT_EQ(slow, "");
  context_.run();
  EXPECT_EQ(slow, "none 192.0.2.1");
}

TEST_F(Resolve, ADeadFirstServerDelaysByOneTimeout) {
  DnsServer dead;
  dead.drop_below("test");
  dns_.script("a.test", Family::ipv4, {.addresses = {"192.0.2.1"}});
  ResolverConfig two = config();
  two.servers = {dead.endpoint(), dns_.endpoint()};
  two.query_timeout = 100ms;
  Resolver resolver(two);
  const Clock::time_point start = Clock::now();
  EXPECT_EQ(ask(resolver, "a.test"), "none 192.0.2.1");
  EXPECT_GE(elapsed_since(start), 90ms);
  EXPECT_LT(elapsed_since(start), 2s);
  EXPECT_EQ(dead.queries("a.test", Family::ipv4), 1);
}

TEST_F(Resolve, ASlowNameHasTheConfiguredTimeBesideQuickOnes) {
  // What a server is still looking up it answers to whoever asks once it knows.
  dns_.script("slow.test", Family::ipv4, {.drop = true});
  ResolverConfig patient = config();
  patient.query_timeout = 2s;
  Resolver resolver(patient);
  for (const char* const name : {"a.test", "b.test", "c.test", "d.test"}) {
    dns_.script(name, Family::ipv4, {.addresses = {"192.0.2.1"}});
    EXPECT_EQ(ask(resolver, name), "none 192.0.2.1") << name;
  }
  const std::future<void> known = std::async(std::launch::async, [this] {
    std::this_thread::sleep_for(900ms);
    dns_.script("slow.test", Family::ipv4, {.addresses = {"192.0.2.2"}});
  });
  EXPECT_EQ(ask(resolver, "slow.test"), "none 192.0.2.2");
}

TEST_F(Resolve, ASilentServerIsGivenUpWhenTheConfiguredTimeHasPassed) {
  dns_.script("a.test", Family::ipv4, {.addresses = {"192.0.2.1"}});
  dns_.script("silent.test", Family::ipv4, {.drop = true});
  ResolverConfig patient = config();
  patient.query_timeout = 400ms;
  patient.max_ttl = 0s;
  Resolver resolver(patient);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(ask(resolver, "a.test"), "none 192.0.2.1");
  }
  EXPECT_EQ(dns_.queries("a.test", Family::ipv4), 4);
  const Clock::time_point start = Clock::now();
  EXPECT_EQ(ask(resolver, "silent.test"), "name-timeout");
  EXPECT_GE(elapsed_since(start), 1100ms);
}

TEST_F(Resolve, EqualQuestionsOfManyThreadsAreOneQuery) {
  dns_.script("shared.test", Family::ipv4, {.addresses = {"192.0.2.1"}, .ttl = 0, .delay = 300ms});
  Resolver resolver(config());
  constexpr int threads = 4;
  constexpr int each = 16;
  std::vector<std::future<int>> workers;
  for (int i = 0; i < threads; ++i) {
    workers.push_back(std::async(std::launch::async, [&resolver] {
      asio::io_context context(1);
      int good = 0;
      for (int j = 0; j < each; ++j) {
        const char* const spelling = j % 2 == 0 ? "shared.test" : "SHARED.test.";
        asio::co_spawn(context.get_executor(), question(resolver, named(spelling), Family::ipv4),
                       [&good](std::exception_ptr, const Answer& answer) {
                         if (text_of(answer) == "none 192.0.2.1") {
                           ++good;
                         }
                       });
      }
      context.run();
      return good;
    }));
  }
  int good = 0;
  for (auto& worker : workers) {
    good += worker.get();
  }
  EXPECT_EQ(good, threads * each);
  EXPECT_EQ(dns_.queries("shared.test", Family::ipv4), 1);
  // TTL 0: shared while in flight, forgotten afterwards.
  EXPECT_EQ(ask(resolver, "shared.test"), "none 192.0.2.1");
  EXPECT_EQ(dns_.queries("shared.test", Family::ipv4), 2);
}

TEST_F(Resolve, OneWaiterGoesTheOthersStay) {
  dns_.script("slow.test", Family::ipv4, {.addresses = {"192.0.2.1"}, .delay = 300ms});
  Resolver resolver(config());
  asio::cancellation_signal cancel;
  std::string first = "nothing";
  std::string second = "nothing";
  const Clock::time_point start = Clock::now();
  std::chrono::milliseconds first_after{};
  asio::co_spawn(context_.get_executor(), question(resolver, named("slow.test"), Family::ipv4),
                 asio::bind_cancellation_slot(
                     cancel.slot(), [&](std::exception_ptr escaped, const Answer& answer) {
                       first = escaped ? "exception" : text_of(answer);
                       first_after = elapsed_since(start);
                     }));
  asio::co_spawn(context_.get_executor(), question(resolver, named("slow.test"), Family::ipv4),
                 [&](std::exception_ptr, const Answer& answer) { second = text_of(answer); });
  Timer soon(context_.get_executor(), 20ms);
  soon.async_wait([&](std::error_code) { cancel.emit(asio::cancellation_type::terminal); });
  context_.run();
  EXPECT_TRUE(first == "exception" || first == "shutting-down") << first;
  EXPECT_LT(first_after, 250ms);
  EXPECT_EQ(second, "none 192.0.2.1");
  EXPECT_EQ(dns_.queries(), 1);
}

TEST_F(Resolve, TheNumberOfQuestionsOnTheWireIsBounded) {
  dns_.drop_below("stuck");
  ResolverConfig narrow = config();
  narrow.max_in_flight = 2;
  Resolver resolver(narrow);
  Resolver::Inquiry first;
  Resolver::Inquiry second;
  Resolver::Inquiry third;
  Resolver::Inquiry again;
  const Executor executor = context_.get_executor();
  const auto ignore = [](const Answer&) {};
  EXPECT_FALSE(resolver.ask(named("a.stuck"), Family::ipv4, executor, ignore, first));
  EXPECT_FALSE(resolver.ask(named("b.stuck"), Family::ipv4, executor, ignore, second));
  EXPECT_FALSE(resolver.ask(named("b.stuck"), Family::ipv4, executor, ignore, again));
  const std::optional<Answer> refused =
      resolver.ask(named("c.stuck"), Family::ipv4, executor, ignore, third);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->failure, Failure::no_resources);
}

TEST_F(Resolve, AbandonedQuestionsGiveWay) {
  dns_.drop_below("stuck");
  dns_.script("late.test", Family::ipv4, {.addresses = {"192.0.2.1"}, .delay = 500ms});
  dns_.script("fresh.test", Family::ipv4, {.addresses = {"192.0.2.2"}});
  ResolverConfig narrow = config();
  narrow.max_in_flight = 4;
  Resolver resolver(narrow);
  const Executor executor = context_.get_executor();
  const auto ignore = [](const Answer&) {};
  {
    Resolver::Inquiry late;
    EXPECT_FALSE(resolver.ask(named("late.test"), Family::ipv4, executor, ignore, late));
    wait_for_queries(1);
  }
  for (int i = 0; i < 100; ++i) {
    Resolver::Inquiry gone;
    EXPECT_FALSE(
        resolver.ask(named(std::to_string(i) + ".stuck"), Family::ipv4, executor, ignore, gone))
        << i;
  }
  EXPECT_EQ(ask(resolver, "fresh.test"), "none 192.0.2.2");
  // The place was lost, the answer is not.
  const Clock::time_point deadline = Clock::now() + 10s;
  std::optional<Answer> known;
  while (!known && Clock::now() < deadline) {
    Resolver::Inquiry again;
    known = resolver.ask(named("late.test"), Family::ipv4, executor, ignore, again);
  }
  ASSERT_TRUE(known);
  EXPECT_EQ(text_of(*known), "none 192.0.2.1");
}

TEST_F(Resolve, WhoStillWaitsKeepsHisPlace) {
  dns_.drop_below("stuck");
  ResolverConfig narrow = config();
  narrow.max_in_flight = 2;
  Resolver resolver(narrow);
  const Executor executor = context_.get_executor();
  const auto ignore = [](const Answer&) {};
  Resolver::Inquiry first;
  Resolver::Inquiry rejoined;
  Resolver::Inquiry third;
  EXPECT_FALSE(resolver.ask(named("a.stuck"), Family::ipv4, executor, ignore, first));
  {
    Resolver::Inquiry left;
    EXPECT_FALSE(resolver.ask(named("b.stuck"), Family::ipv4, executor, ignore, left));
  }
  EXPECT_FALSE(resolver.ask(named("b.stuck"), Family::ipv4, executor, ignore, rejoined));
  EXPECT_TRUE(resolver.ask(named("c.stuck"), Family::ipv4, executor, ignore, third));
  rejoined.withdraw();
  EXPECT_FALSE(resolver.ask(named("c.stuck"), Family::ipv4, executor, ignore, third));
  EXPECT_TRUE(resolver.ask(named("b.stuck"), Family::ipv4, executor, ignore, rejoined));
}

TEST_F(Resolve, ABusyChannelChangesItsPort) {
  dns_.script("slow.test", Family::ipv4, {.addresses = {"192.0.2.1"}, .delay = 1500ms});
  Resolver resolver(config());
  std::string slow;
  asio::co_spawn(context_.get_executor(), question(resolver, named("slow.test"), Family::ipv4),
                 [&](std::exception_ptr, const Answer& answer) { slow = text_of(answer); });
  context_.poll();
  wait_for_queries(1);
  asio::io_context other(1);
  for (int i = 0; i < 200; ++i) {
    const std::string name = "n" + std::to_string(i) + ".test";
    ASSERT_EQ(text_of(run(other, question(resolver, named(name), Family::ipv4))), "name-not-found");
  }
  // The first takes 63 besides the slow one; once it is retired, no channel stays busy for long.
  EXPECT_GE(dns_.ports().size(), 3U);
  EXPECT_EQ(dns_.queries("slow.test", Family::ipv4), 1);
  context_.run();
  EXPECT_EQ(slow, "none 192.0.2.1");
}

TEST_F(Resolve, AChannelThatNeverRestsChangesItsPortWithTime) {
  dns_.drop_below("stuck");
  Resolver resolver(config());
  Resolver::Inquiry slow;
  EXPECT_FALSE(resolver.ask(
      named("a.stuck"), Family::ipv4, context_.get_executor(), [](const Answer&) {}, slow));
  wait_for_queries(1);
  asio::io_context other(1);
  const Clock::time_point start = Clock::now();
  int asked = 0;
  while (dns_.ports().size() == 1 && elapsed_since(start) < 10s) {
    Timer pause(other.get_executor(), 100ms);
    pause.async_wait([](std::error_code) {});
    other.restart();
    other.run();
    const std::string name = "n" + std::to_string(asked++) + ".test";
    EXPECT_EQ(text_of(run(other, question(resolver, named(name), Family::ipv4))), "name-not-found");
  }
  EXPECT_EQ(dns_.ports().size(), 2U);
  EXPECT_LT(asked, 60);
}

TEST_F(Resolve, RetiredChannelsAreFewAndLoseNoQuestion) {
  dns_.drop_below("stuck");
  ResolverConfig narrow = config();
  narrow.max_in_flight = 128;
  narrow.query_timeout = 60s;
  Resolver resolver(narrow);
  const Executor executor = context_.get_executor();
  const auto ignore = [](const Answer&) {};
  const std::size_t before = open_descriptors();
  // In every channel somebody waits for one question, so all are worth keeping.
  constexpr int rounds = 22;
  std::vector<std::unique_ptr<Resolver::Inquiry>> waiting;
  int seen = 0;
  const auto put_again = [this] { return dns_.queries("0.waits.stuck", Family::ipv4) > 1; };
  for (int round = 0; round < rounds && !put_again(); ++round) {
    waiting.push_back(std::make_unique<Resolver::Inquiry>());
    const std::string waits = std::to_string(round) + ".waits.stuck";
    EXPECT_FALSE(resolver.ask(named(waits), Family::ipv4, executor, ignore, *waiting.back()));
    for (int i = 1; i < 64; ++i) {
      Resolver::Inquiry gone;
      const std::string leaves = std::to_string(round * 64 + i) + ".stuck";
      EXPECT_FALSE(resolver.ask(named(leaves), Family::ipv4, executor, ignore, gone));
    }
    seen += 64;
    wait_for_queries(seen);
    EXPECT_LE(open_descriptors(), before + 18);
  }
  const Clock::time_point deadline = Clock::now() + 10s;
  while (!put_again() && Clock::now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_TRUE(put_again()) << "the oldest channel went, its question was not put again";
  EXPECT_EQ(dns_.queries("5.waits.stuck", Family::ipv4), 1);
}

TEST_F(Resolve, ChannelsThatNobodyWaitsForMakeRoomFirst) {
  dns_.drop_below("stuck");
  ResolverConfig narrow = config();
  narrow.max_in_flight = 128;
  narrow.query_timeout = 60s;
  Resolver resolver(narrow);
  const Executor executor = context_.get_executor();
  const auto ignore = [](const Answer&) {};
  const std::size_t before = open_descriptors();
  Resolver::Inquiry waits;
  EXPECT_FALSE(resolver.ask(named("waits.stuck"), Family::ipv4, executor, ignore, waits));
  wait_for_queries(1);
  for (int round = 0; round < 30; ++round) {
    for (int i = 1; i <= 64; ++i) {
      Resolver::Inquiry gone;
      const std::string leaves = std::to_string(round * 64 + i) + ".stuck";
      EXPECT_FALSE(resolver.ask(named(leaves), Family::ipv4, executor, ignore, gone));
    }
    wait_for_queries(1 + (round + 1) * 64);
    EXPECT_LE(open_descriptors(), before + 18);
  }
  EXPECT_GE(dns_.ports().size(), 19U) << "no channel had to make room";
  EXPECT_EQ(dns_.queries("waits.stuck", Family::ipv4), 1);
}

/// While it lives this process can open nothing.
class NoDescriptors {
 public:
  NoDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit none = before_;
    none.rlim_cur = 0;
    ::setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit before_{};
};

TEST_F(Resolve, AChannelThatCouldNotStartIsTriedAgain) {
  const TemporaryFile resolv_conf("nameserver 127.0.0.1\n");
  ResolverConfig unlucky = config();
  unlucky.servers.clear();
  unlucky.resolv_conf = resolv_conf.path();
  unlucky.default_port = dns_.endpoint().port;
  dns_.script("a.test", Family::ipv4, {.addresses = {"192.0.2.1"}});
  const Clock::time_point start = Clock::now();
  Resolver resolver(unlucky);
  EXPECT_EQ(ask(resolver, "a.test"), "none 192.0.2.1");
  // The file changes, and the channel that follows it is made in want of descriptors; after that
  // the file stays as it is.
  resolv_conf.write("# changed\nnameserver 127.0.0.1\n");
  std::string answer;
  {
    const NoDescriptors want;
    for (int i = 0; elapsed_since(start) < 1500ms; ++i) {
      answer = ask(resolver, "n" + std::to_string(i) + ".test");
    }
    EXPECT_EQ(answer, "name-failed");
  }
  dns_.script("b.test", Family::ipv4, {.addresses = {"192.0.2.2"}});
  const Clock::time_point deadline = Clock::now() + 10s;
  while (answer == "name-failed" && Clock::now() < deadline) {
    answer = ask(resolver, "b.test");
  }
  EXPECT_EQ(answer, "none 192.0.2.2");
}

TEST_F(Resolve, ShutdownWaitsForNoServer) {
  dns_.drop_below("stuck");
  auto resolver = std::make_unique<Resolver>(config());
  std::vector<std::string> answers;
  for (int i = 0; i < 64; ++i) {
    asio::co_spawn(context_.get_executor(),
                   question(*resolver, named(std::to_string(i) + ".stuck"), Family::ipv4),
                   [&](std::exception_ptr, const Answer& a) { answers.push_back(text_of(a)); });
  }
  context_.poll();
  wait_for_queries(64);
  const Clock::time_point start = Clock::now();
  resolver.reset();
  const auto took = elapsed_since(start);
  context_.restart();
  context_.run();
  EXPECT_LT(took, 200ms * slowdown);
  EXPECT_EQ(answers, std::vector<std::string>(64, "shutting-down"));
  RecordProperty("shutdown_ms", static_cast<int>(took.count()));
}

TEST_F(Resolve, AWorkerMayDieWithQuestionsUnderWay) {
  dns_.script("late.test", Family::ipv4, {.addresses = {"192.0.2.1"}, .delay = 50ms});
  Resolver resolver(config());
  for (int i = 0; i < 20; ++i) {
    auto worker = std::make_unique<asio::io_context>(1);
    asio::co_spawn(worker->get_executor(), question(resolver, named("late.test"), Family::ipv4),
                   [](std::exception_ptr, const Answer&) {});
    worker->poll();
    worker.reset();
  }
  EXPECT_EQ(ask(resolver, "late.test"), "none 192.0.2.1");
}

}  // namespace
}  // namespace socks64::gateway::testing
