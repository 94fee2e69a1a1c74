// Names by way of the system: what getaddrinfo says, and what happens when it says nothing.
#include "resolve/system_names.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <asio/co_spawn.hpp>
#include <gtest/gtest.h>

#include "dial/look_up.hpp"
#include "resolve/resolve.hpp"
#include "rig/dial_fixture.hpp"
#include "rig/in_line.hpp"

namespace socks64::gateway::testing {
namespace {

/// A system whose names below "stuck" are not answered before it is told to.
class ScriptedSystem {
 public:
  ~ScriptedSystem() { release(); }

  /// Threads that are stuck may outlive this object; what they need does too.
  [[nodiscard]] SystemLookUp look_up() const {
    return [state = state_](const Question& question) { return answer(*state, question); };
  }
  void release() const {
    const std::lock_guard lock(state_->mutex);
    state_->released = true;
    state_->changed.notify_all();
  }
  [[nodiscard]] int asked() const { return state_->asked.load(); }
  [[nodiscard]] int at_once() const { return state_->most.load(); }
  void wait_for(int count) const {
    const Clock::time_point deadline = Clock::now() + 10s;
    while (asked() < count && Clock::now() < deadline) {
      std::this_thread::yield();
    }
    ASSERT_GE(asked(), count);
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    bool released = false;
    std::atomic<int> asked{0};
    std::atomic<int> running{0};
    std::atomic<int> most{0};
  };

  static DnsReply answer(State& state, const Question& question) {
    ++state.asked;
    const int running = ++state.running;
    int most = state.most;
    while (most < running && !state.most.compare_exchange_weak(most, running)) {
    }
    if (question.name.ends_with("stuck")) {
      std::unique_lock lock(state.mutex);
      state.changed.wait(lock, [&state] { return state.released; });
    }
    --state.running;
    DnsReply reply;
    reply.failure = Failure::none;
    if (question.name.starts_with("none")) {
      reply.failure = Failure::name_not_found;
    }
    if (question.name.starts_with("broken")) {
      reply.failure = Failure::name_failed;
    }
    if (reply.failure != Failure::none) {
      return reply;
    }
    if (question.type == RecordType::a) {
      reply.addresses = {ip("127.0.0.1")};
    }
    if (question.type == RecordType::aaaa) {
      reply.addresses = {ip("::1")};
    }
    if (question.type == RecordType::ptr) {
      reply.name = "name-of-" + question.name;
    }
    return reply;
  }

  std::shared_ptr<State> state_ = std::make_shared<State>();
};

class SystemNamesTest : public ::testing::Test {
 protected:
  ResolverConfig config() const {
    ResolverConfig made;
    made.source = NameSource::system;
    made.hosts_file = hosts_.path();
    return made;
  }
  static Task<Answer> question(Resolver& resolver, DomainName name, Family family) {
    co_return co_await resolver.resolve(name, family);
  }
  std::string ask(Resolver& resolver, std::string_view name, Family family = Family::ipv4) {
    const Answer answer = run(context_, question(resolver, named(name), family));
    std::string text(describe(answer.failure));
    for (const IpAddress& address : answer.addresses) {
      text += " " + std::string(address.text().view());
    }
    return text;
  }

  ScriptedSystem system_;
  TemporaryFile hosts_{"127.0.0.1 inhosts\n"};
  asio::io_context context_{1};
};

TEST(AskSystem, KnowsWhatTheHostKnows) {
  const DnsReply four = ask_system({"localhost", RecordType::a});
  ASSERT_EQ(four.failure, Failure::none);
  EXPECT_EQ(four.addresses.front(), ip("127.0.0.1"));
  const DnsReply name = ask_system({"127.0.0.1", RecordType::ptr});
  ASSERT_EQ(name.failure, Failure::none);
  EXPECT_FALSE(name.name.empty());
}

// What inet_aton(3) takes for an address is no literal of SOCKS: rules have not seen one.
TEST(AskSystem, TakesNoNumbersForAddresses) {
  for (const char* const name : {"127.1", "0x7f000001", "2130706433", "0177.0.0.1"}) {
    EXPECT_EQ(ask_system({name, RecordType::a}).failure, Failure::name_not_found) << name;
    EXPECT_EQ(ask_system({name, RecordType::aaaa}).failure, Failure::name_not_found) << name;
  }
}

// "evil.test" by another name is not the one that a rule denies.
TEST(AskSystem, TakesNoEscapesForLetters) {
  for (const char* const name : {"ev\\105l.test", "\\101vil.test", "e\\vil.test", "evil\\.test"}) {
    EXPECT_EQ(ask_system({name, RecordType::a}).failure, Failure::name_not_found) << name;
    EXPECT_EQ(ask_system({name, RecordType::aaaa}).failure, Failure::name_not_found) << name;
  }
}

TEST_F(SystemNamesTest, AnswersAreCachedAndFailuresAreNot) {
  Resolver resolver(config(), system_.look_up());
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(ask(resolver, "a.test"), "none 127.0.0.1");
    EXPECT_EQ(ask(resolver, "A.Test.", Family::ipv6), "none ::1");
    EXPECT_EQ(ask(resolver, "none.test"), "name-not-found");
    EXPECT_EQ(ask(resolver, "broken.test"), "name-failed");
    EXPECT_EQ(ask(resolver, "inhosts"), "none 127.0.0.1");
    EXPECT_EQ(ask(resolver, "localhost"), "none 127.0.0.1");
  }
  EXPECT_EQ(system_.asked(), 5);
}

TEST_F(SystemNamesTest, AnAnswerHoldsAsLongAsConfigured) {
  ResolverConfig forgetful = config();
  forgetful.system_ttl = 0s;
  Resolver resolver(forgetful, system_.look_up());
  EXPECT_EQ(ask(resolver, "a.test"), "none 127.0.0.1");
  EXPECT_EQ(ask(resolver, "a.test"), "none 127.0.0.1");
  EXPECT_EQ(system_.asked(), 2);
}

TEST_F(SystemNamesTest, TheNameOfAnAddress) {
  Resolver resolver(config(), system_.look_up());
  const LookUp look_up(resolver, {});
  const auto name_of = [](const LookUp& with, Target target) -> Task<LookUpResult> {
    co_return co_await with.name_of(target);
  };
  for (const char* const address : {"192.0.2.1", "2001:db8::1"}) {
    const LookUpResult found = run(context_, name_of(look_up, Endpoint{ip(address), 0}));
    ASSERT_EQ(found.failure, Failure::none);
    EXPECT_EQ(text(found.found).view(), std::string("name-of-") + address + ":0");
  }
}

TEST_F(SystemNamesTest, EqualQuestionsAreOne) {
  Resolver resolver(config(), system_.look_up());
  int answered = 0;
  for (int i = 0; i < 20; ++i) {
    asio::co_spawn(context_.get_executor(), question(resolver, named("a.stuck"), Family::ipv4),
                   [&](std::exception_ptr, const Answer& answer) {
                     if (answer.failure == Failure::none) {
                       ++answered;
                     }
                   });
  }
  context_.poll();
  system_.wait_for(1);
  system_.release();
  context_.run();
  EXPECT_EQ(answered, 20);
  EXPECT_EQ(system_.asked(), 1);
}

TEST_F(SystemNamesTest, NoMoreThreadsThanAllowedAndEveryNameHasItsTurn) {
  ResolverConfig narrow = config();
  narrow.system_threads = 3;
  Resolver resolver(narrow, system_.look_up());
  int answered = 0;
  for (int i = 0; i < 50; ++i) {
    asio::co_spawn(context_.get_executor(),
                   question(resolver, named(std::to_string(i) + ".stuck"), Family::ipv4),
                   [&](std::exception_ptr, const Answer& answer) {
                     if (answer.failure == Failure::none) {
                       ++answered;
                     }
                   });
  }
  context_.poll();
  system_.wait_for(3);
  EXPECT_EQ(system_.asked(), 3);
  system_.release();
  context_.run();
  EXPECT_EQ(answered, 50);
  EXPECT_EQ(system_.asked(), 50);
  EXPECT_LE(system_.at_once(), 3);
}

TEST_F(SystemNamesTest, WhoAskedAndLeftTakesNoThread) {
  ResolverConfig narrow = config();
  narrow.system_threads = 1;
  narrow.max_in_flight = 8;
  Resolver resolver(narrow, system_.look_up());
  const Executor executor = context_.get_executor();
  const auto ignore = [](const Answer&) {};
  Resolver::Inquiry first;
  EXPECT_FALSE(resolver.ask(named("first.stuck"), Family::ipv4, executor, ignore, first));
  system_.wait_for(1);
  for (int i = 0; i < 1000; ++i) {
    Resolver::Inquiry gone;
    EXPECT_FALSE(resolver.ask(named(std::to_string(i) + ".left.stuck"), Family::ipv4, executor,
                              ignore, gone));
  }
  system_.release();
  EXPECT_EQ(ask(resolver, "a.test"), "none 127.0.0.1");
  EXPECT_LE(system_.asked(), 3) << "names were looked up that nobody wanted to know";
}

TEST_F(SystemNamesTest, ShutdownWaitsForNoStuckName) {
  auto resolver = std::make_unique<Resolver>(config(), system_.look_up());
  std::vector<Failure> failures;
  for (int i = 0; i < 64; ++i) {
    asio::co_spawn(context_.get_executor(),
                   question(*resolver, named(std::to_string(i) + ".stuck"), Family::ipv4),
                   [&](std::exception_ptr, const Answer& a) { failures.push_back(a.failure); });
  }
  context_.poll();
  system_.wait_for(16);
  const Clock::time_point start = Clock::now();
  resolver.reset();
  const auto took = elapsed_since(start);
  context_.restart();
  context_.run();
  EXPECT_LT(took, 500ms * slowdown);
  EXPECT_EQ(failures, std::vector<Failure>(64, Failure::shutting_down));
  // Now they come back, to an owner who is gone.
  system_.release();
}

TEST_F(SystemNamesTest, StuckNamesDoNotDelayTheOthers) {
  Resolver resolver(config(), system_.look_up());
  const Listener good({ip("127.0.0.1"), 0});
  DialConfig four_first;
  four_first.prefer = FamilyPreference::ipv4;
  const Dialer dialer(resolver, four_first);
  run(context_, dialled(dialer, target("warm.test", good.port()), permit_all));
  std::vector<std::unique_ptr<Resolver::Inquiry>> stuck;
  for (int i = 0; i < 64; ++i) {
    stuck.push_back(std::make_unique<Resolver::Inquiry>());
    EXPECT_FALSE(resolver.ask(
        named(std::to_string(i) + ".stuck"), Family::ipv4, context_.get_executor(),
        [](const Answer&) { FAIL() << "it was not stuck"; }, *stuck.back()));
  }
  system_.wait_for(2 + 16);  // two of the warm name
  const Target literal = Endpoint{ip("127.0.0.1"), good.port()};
  const InLine line;
  const auto p99 = best_of(8, 5ms * slowdown, [&] {
    std::vector<std::chrono::microseconds> times;
    for (int i = 0; i < 100; ++i) {
      for (const Target& to :
           {literal, target("warm.test", good.port()), target("inhosts", good.port())}) {
        times.push_back(time_of(line, [&] {
          const DialResult result = run(context_, dialled(dialer, to, permit_all));
          EXPECT_EQ(result.failure, Failure::none);
        }));
      }
    }
    good.clear_queue();
    std::ranges::sort(times);
    return times[times.size() * 99 / 100];
  });
  EXPECT_LT(p99, 5ms * slowdown);
  std::cout << "names from the system: p99 " << p99.count() << " us\n";
  EXPECT_EQ(system_.at_once(), 16);
}

}  // namespace
}  // namespace socks64::gateway::testing
