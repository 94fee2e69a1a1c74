// The pool by itself, with verifications that take as long as a test wants.
#include "auth/password_pool.hpp"

#include <chrono>
#include <condition_variable>
#include <crypt.h>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "rig/sockets.hpp"

namespace socks64::gateway::test {
namespace {

using namespace std::chrono_literals;
using Verdict = PasswordVerdict;

/// A hash function that says what it computes, and waits for the hashes it is told to hold. The
/// password "right" is right.
class Bench {
 public:
  Verdict verify(const Secret& password, std::string_view hash) {
    std::unique_lock lock(mutex_);
    computed_.push_back(std::string(password.view()) + "/" + std::string(hash));
    changed_.notify_all();
    changed_.wait_for(lock, patience, [&] { return held_.count(std::string(hash)) == 0; });
    return password.view() == "right" ? Verdict::good : Verdict::wrong;
  }
  void hold(const std::string& hash) {
    const std::lock_guard lock(mutex_);
    held_.insert(hash);
  }
  void let_go() {
    const std::lock_guard lock(mutex_);
    held_.clear();
    changed_.notify_all();
  }
  /// Waits until so many verifications have begun.
  std::vector<std::string> computed(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, patience, [&] { return computed_.size() >= count; });
    return computed_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> held_;
  std::vector<std::string> computed_;
};

/// One question, and its verdict when it comes.
struct Asked {
  std::mutex mutex;
  std::condition_variable came;
  std::optional<Verdict> verdict;
  PasswordPool::Inquiry inquiry;

  Verdict wait() {
    std::unique_lock lock(mutex);
    EXPECT_TRUE(came.wait_for(lock, patience, [this] { return verdict.has_value(); }));
    return verdict.value_or(Verdict::broken);
  }
};

class Pool : public ::testing::Test {
 protected:
  struct Who {
    std::string source = "192.0.2.1";
    std::string user = "alice";
    std::string password = "right";
    std::string hash = "h";
    bool may_match = true;
  };

  ~Pool() override {
    bench_->let_go();
    asked_.clear();
  }

  Asked& ask(const Who& who) {
    asked_.push_back(std::make_shared<Asked>());
    const std::shared_ptr<Asked> asked = asked_.back();
    const Secret password(who.password);
    const std::optional<Verdict> known = pool().ask(
        {who.source, who.user, password, who.hash, who.may_match, cache_time_},
        [weak = std::weak_ptr(asked)](Verdict verdict) {
          if (const std::shared_ptr<Asked> alive = weak.lock()) {
            const std::lock_guard lock(alive->mutex);
            alive->verdict = verdict;
            alive->came.notify_all();
          }
        },
        asked->inquiry);
    if (known) {
      const std::lock_guard lock(asked->mutex);
      asked->verdict = known;
    }
    return *asked;
  }

  PasswordPool& pool() {
    if (!pool_) {
      config_.verify = [bench = bench_](const Secret& password, std::string_view hash) {
        return bench->verify(password, hash);
      };
      pool_ = std::make_unique<PasswordPool>(config_);
    }
    return *pool_;
  }

  // The threads may outlive the pool, by a moment.
  std::shared_ptr<Bench> bench_ = std::make_shared<Bench>();
  PasswordPool::Config config_;
  std::chrono::seconds cache_time_{0};

 private:
  std::unique_ptr<PasswordPool> pool_;
  std::deque<std::shared_ptr<Asked>> asked_;
};

TEST_F(Pool, RightAndWrong) {
  EXPECT_EQ(ask({}).wait(), Verdict::good);
  EXPECT_EQ(ask({.password = "wrong"}).wait(), Verdict::wrong);
  EXPECT_EQ(ask({.password = ""}).wait(), Verdict::wrong);
}

TEST_F(Pool, WhatMayNotMatchIsComputedAndWrong) {
  cache_time_ = 1h;
  EXPECT_EQ(ask({.may_match = true}).wait(), Verdict::good);
  EXPECT_EQ(ask({.may_match = false}).wait(), Verdict::wrong);
  EXPECT_EQ(ask({.may_match = false}).wait(), Verdict::wrong);
  EXPECT_EQ(bench_->computed(3).size(), 3U);
}

TEST_F(Pool, ASuccessIsRememberedForItsUserPasswordAndHashAlone) {
  cache_time_ = 1h;
  EXPECT_EQ(ask({}).wait(), Verdict::good);
  EXPECT_EQ(ask({}).wait(), Verdict::good);
  EXPECT_EQ(ask({.source = "192.0.2.2"}).wait(), Verdict::good);
  EXPECT_EQ(bench_->computed(1).size(), 1U);
  EXPECT_EQ(ask({.password = "wrong"}).wait(), Verdict::wrong);
  EXPECT_EQ(ask({.user = "bob"}).wait(), Verdict::good);
  EXPECT_EQ(ask({.hash = "another"}).wait(), Verdict::good);
  EXPECT_EQ(bench_->computed(4).size(), 4U);
}

TEST_F(Pool, AFailureIsNotRemembered) {
  cache_time_ = 1h;
  EXPECT_EQ(ask({.password = "wrong"}).wait(), Verdict::wrong);
  EXPECT_EQ(ask({.password = "wrong"}).wait(), Verdict::wrong);
  EXPECT_EQ(bench_->computed(2).size(), 2U);
}

TEST_F(Pool, NothingIsRememberedForNoTime) {
  EXPECT_EQ(ask({}).wait(), Verdict::good);
  EXPECT_EQ(ask({}).wait(), Verdict::good);
  EXPECT_EQ(bench_->computed(2).size(), 2U);
}

TEST_F(Pool, TheOldestSuccessMakesRoom) {
  cache_time_ = 1h;
  config_.cache_entries = 2;
  for (const char* user : {"a", "b", "c", "c", "b"}) {
    EXPECT_EQ(ask({.user = user}).wait(), Verdict::good);
  }
  EXPECT_EQ(bench_->computed(3).size(), 3U);
  EXPECT_EQ(ask({.user = "a"}).wait(), Verdict::good);
  EXPECT_EQ(bench_->computed(4).size(), 4U);
}

TEST_F(Pool, EqualQuestionsAreOneComputation) {
  bench_->hold("h");
  Asked& first = ask({});
  (void)bench_->computed(1);
  Asked& second = ask({.source = "192.0.2.2"});
  Asked& third = ask({});
  bench_->let_go();
  for (Asked* asked : {&first, &second, &third}) {
    EXPECT_EQ(asked->wait(), Verdict::good);
  }
  EXPECT_EQ(bench_->computed(1).size(), 1U);
}

TEST_F(Pool, OneSlowHashLeavesAThreadToTheOthers) {
  bench_->hold("slow");
  std::vector<Asked*> slow;
  for (const char* password : {"a", "b", "c", "d"}) {
    slow.push_back(&ask({.password = password, .hash = "slow"}));
  }
  EXPECT_EQ(ask({.hash = "quick"}).wait(), Verdict::good);
  EXPECT_EQ(ask({.source = "192.0.2.2", .hash = "quick"}).wait(), Verdict::good);
  bench_->let_go();
  for (Asked* asked : slow) {
    EXPECT_EQ(asked->wait(), Verdict::wrong);
  }
}

TEST_F(Pool, AFullLineIsBusyForWhoFilledIt) {
  config_.queue = 4;
  bench_->hold("h");
  Asked& running = ask({.password = "0"});
  (void)bench_->computed(1);
  std::vector<Asked*> waiting;
  for (const char* password : {"1", "2", "3", "4"}) {
    waiting.push_back(&ask({.password = password}));
  }
  EXPECT_EQ(ask({.password = "5"}).wait(), Verdict::busy);
  // Somebody else gets a place, and it is taken from who has the most.
  Asked& other = ask({.source = "2001:db8::/64"});
  EXPECT_EQ(waiting.back()->wait(), Verdict::busy);
  waiting.pop_back();
  bench_->let_go();
  EXPECT_EQ(other.wait(), Verdict::good);
  EXPECT_EQ(running.wait(), Verdict::wrong);
  for (Asked* asked : waiting) {
    EXPECT_EQ(asked->wait(), Verdict::wrong);
  }
}

TEST_F(Pool, SourcesTakeTurns) {
  bench_->hold("h");
  (void)ask({.password = "0"});
  (void)bench_->computed(1);
  for (const char* password : {"1", "2", "3", "4"}) {
    (void)ask({.source = "flood", .password = password});
  }
  Asked& other = ask({.source = "other"});
  bench_->let_go();
  EXPECT_EQ(other.wait(), Verdict::good);
  const std::vector<std::string> order = bench_->computed(6);
  const auto place = std::find(order.begin(), order.end(), "right/h") - order.begin();
  EXPECT_LE(place, 2) << "one of the flood at most is served before";
}

TEST_F(Pool, WhoWithdrawsCostsNoHashAndHearsNothing) {
  bench_->hold("h");
  (void)ask({.password = "0"});
  (void)bench_->computed(1);
  bool told = false;
  {
    PasswordPool::Inquiry inquiry;
    const Secret password("gone");
    EXPECT_FALSE(pool().ask(
        {"s", "u", password, "h", true, 0s}, [&](Verdict) { told = true; }, inquiry));
  }
  bench_->let_go();
  EXPECT_EQ(ask({.password = "last"}).wait(), Verdict::wrong);
  for (const std::string& computed : bench_->computed(2)) {
    EXPECT_NE(computed, "gone/h");
  }
  EXPECT_FALSE(told);
}

TEST_F(Pool, APoolEndsAlthoughAHashIsUnderWay) {
  bench_->hold("h");
  {
    PasswordPool::Config config;
    config.verify = [bench = bench_](const Secret& password, std::string_view hash) {
      return bench->verify(password, hash);
    };
    PasswordPool ending(config);
    PasswordPool::Inquiry inquiry;
    const Secret password("pw");
    (void)ending.ask(
        {"s", "u", password, "h", true, 0s}, [](Verdict) { ADD_FAILURE(); }, inquiry);
    (void)bench_->computed(1);
  }
  bench_->let_go();
}

std::string hash_of(const std::string& password, const char* prefix) {
  char setting[CRYPT_GENSALT_OUTPUT_SIZE];
  const auto data = std::make_unique<crypt_data>();
  if (::crypt_gensalt_rn(prefix, 0, nullptr, 0, setting, sizeof setting) == nullptr) {
    return {};
  }
  return ::crypt_rn(password.c_str(), setting, data.get(), sizeof *data);
}

TEST(VerifyPassword, EveryKindOfHash) {
  for (const char* prefix : {"$y$", "$6$", "$5$", "$2b$"}) {
    const std::string hash = hash_of("secret", prefix);
    EXPECT_EQ(verify_password(Secret("secret"), hash), Verdict::good) << prefix;
    for (const char* wrong : {"", "Secret", "secre", "secrets"}) {
      EXPECT_EQ(verify_password(Secret(wrong), hash), Verdict::wrong) << prefix << wrong;
    }
  }
}

TEST(VerifyPassword, APasswordDoesNotEndAtItsFirstNul) {
  const std::string hash = hash_of("secret", "$5$");
  EXPECT_EQ(verify_password(Secret(std::string("secret\0", 7)), hash), Verdict::wrong);
  EXPECT_EQ(verify_password(Secret(std::string("secret\0x", 8)), hash), Verdict::wrong);
  EXPECT_EQ(verify_password(Secret(std::string("\0", 1)), hash_of("", "$5$")), Verdict::wrong);
}

TEST(VerifyPassword, TheLongestAndTheEmptyOne) {
  const std::string longest(255, 'p');
  const std::string hash = hash_of(longest, "$y$");
  EXPECT_EQ(verify_password(Secret(longest), hash), Verdict::good);
  EXPECT_EQ(verify_password(Secret(longest.substr(1)), hash), Verdict::wrong);
  EXPECT_EQ(verify_password(Secret(""), hash_of("", "$y$")), Verdict::good);
}

TEST(VerifyPassword, AHashThatLibcryptCannotComputeMatchesNothing) {
  const std::string broken = "$y$zzzzzzzz$abc$01234567890123456789012345678901234567890ab";
  EXPECT_EQ(verify_password(Secret("secret"), broken), Verdict::broken);
  EXPECT_EQ(verify_password(Secret(""), "*0"), Verdict::broken);
}

}  // namespace
}  // namespace socks64::gateway::test
