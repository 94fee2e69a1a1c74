// One mutex guards the line, the cache and who waits for what. It is held for look-ups and for the
// callbacks, which only post; a hash is computed without it. A callback is called while the mutex
// is held, so an Inquiry that has withdrawn under the same mutex is never called afterwards.
#include "auth/password_pool.hpp"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <crypt.h>
#include <cstring>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <pthread.h>
#include <sys/resource.h>
#include <thread>
#include <utility>
#include <vector>

#include "auth/users.hpp"

namespace socks64::gateway {
namespace {

using Clock = std::chrono::steady_clock;

/// Stands for a user, a password and a stored hash: equal for equal ones, 128 bits of keyed hash,
/// and nothing that could be traced back.
using Name = std::pair<std::uint64_t, std::uint64_t>;

/// What crypt(3) works in: 32 KiB, wiped after each use.
class Scratch {
 public:
  Scratch() : data_(std::make_unique<crypt_data>()) {}
  ~Scratch() { wipe(); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  /// Null when the setting is bad.
  const char* compute(const Secret& password, const std::string& setting) noexcept {
    return ::crypt_rn(password.c_str(), setting.c_str(), data_.get(), sizeof(crypt_data));
  }
  void wipe() noexcept { explicit_bzero(data_.get(), sizeof(crypt_data)); }

 private:
  std::unique_ptr<crypt_data> data_;
};

/// Every octet of both is looked at, whichever is the first that differs.
bool equal(std::string_view computed, std::string_view stored) noexcept {
  unsigned difference = computed.size() == stored.size() ? 0U : 1U;
  for (std::size_t i = 0; i < std::min(computed.size(), stored.size()); ++i) {
    difference |= static_cast<unsigned char>(computed[i] ^ stored[i]);
  }
  return difference == 0;
}

}  // namespace

PasswordVerdict verify_password(const Secret& password, std::string_view hash) {
  thread_local Scratch scratch;
  PasswordVerdict verdict = PasswordVerdict::broken;
  errno = 0;
  if (const char* const computed = scratch.compute(password, std::string(hash))) {
    // For crypt(3) a password ends at its first NUL; for RFC 1929 it does not.
    const bool good = equal(computed, hash) && !password.has_nul();
    verdict = good ? PasswordVerdict::good : PasswordVerdict::wrong;
  } else if (errno == ENOMEM) {
    verdict = PasswordVerdict::busy;  // yescrypt takes 16 MiB
  } else {
    (void)scratch.compute(password, std::string(nobodys_hash));  // at once would tell, too
  }
  scratch.wipe();
  return verdict;
}

struct PasswordPool::Waiter {
  OnVerdict on_verdict;
  Job* job = nullptr;  ///< null: withdrawn, or told
};

struct PasswordPool::Job {
  Job(const Question& question, const Name& named)
      : password(question.password),
        hash(question.hash),
        source(question.source),
        cache_time(question.cache_time),
        may_match(question.may_match),
        name(named) {}

  const Secret password;
  const std::string hash;
  const std::string source;
  const std::chrono::seconds cache_time;
  const bool may_match;
  const Name name;
  bool running = false;
  std::vector<std::shared_ptr<Waiter>> waiters;
};

class PasswordPool::State : public std::enable_shared_from_this<State> {
 public:
  explicit State(Config config) : config_(std::move(config)) {
    config_.threads = std::max(config_.threads, 2U);
    running_.reserve(config_.threads);  // run() has nobody to tell that memory ran out
  }

  std::optional<PasswordVerdict> ask(const Question& question, OnVerdict on_verdict,
                                     Inquiry& inquiry) {
    const Name name = name_of(question);
    const std::lock_guard lock(mutex_);
    if (question.may_match && knows(name)) {
      return PasswordVerdict::good;
    }
    if (!start_threads()) {
      return PasswordVerdict::busy;
    }
    const auto waiter = std::make_shared<Waiter>();
    waiter->on_verdict = std::move(on_verdict);
    Job* job = nullptr;
    if (const auto same = jobs_.find(name); same != jobs_.end()) {
      job = same->second.get();
    } else {
      if (waiting_ >= config_.queue && !make_room(question.source)) {
        return PasswordVerdict::busy;
      }
      job = add(question, name);
    }
    job->waiters.push_back(waiter);
    waiter->job = job;
    inquiry.pool_ = shared_from_this();
    inquiry.waiter_ = waiter;
    work_.notify_one();
    return std::nullopt;
  }

  void withdraw(Waiter& waiter) noexcept {
    const std::lock_guard lock(mutex_);
    if (waiter.job == nullptr) {
      return;
    }
    Job& job = *waiter.job;
    waiter.job = nullptr;
    std::erase_if(job.waiters, [&waiter](const auto& other) { return other.get() == &waiter; });
    // Nobody wants to know any more: no thread has to find out. What runs already goes on.
    if (job.waiters.empty() && !job.running) {
      remove(job);
    }
  }

  void stop() noexcept {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (auto& [name, job] : jobs_) {
      for (const std::shared_ptr<Waiter>& waiter : job->waiters) {
        waiter->job = nullptr;
      }
      job->waiters.clear();
    }
    work_.notify_all();
  }

  [[nodiscard]] const SipKey& key() const noexcept { return key_; }

 private:
  /// The jobs of one source that no thread has taken yet, the oldest first.
  struct Line {
    std::string source;
    std::deque<Job*> jobs;
  };
  using Lines = std::list<Line>;  ///< none is empty; the front one is served next
  struct Success {
    Clock::time_point until;
    std::list<Name>::iterator place;
  };

  Name name_of(const Question& question) const noexcept {
    const auto half = [&question](const SipKey& key) {
      SipHasher hasher(key);
      hasher.add(question.may_match ? "match" : "never");
      hasher.add(question.user);
      hasher.add(question.hash);
      hasher.add(question.password.view());
      return hasher.finish();
    };
    return {half(key_), half(other_key_)};
  }

  bool knows(const Name& name) {
    const auto success = successes_.find(name);
    if (success == successes_.end()) {
      return false;
    }
    if (Clock::now() < success->second.until) {
      return true;
    }
    forget(success);
    return false;
  }

  void forget(std::map<Name, Success>::iterator success) {
    oldest_first_.erase(success->second.place);
    successes_.erase(success);
  }

  void remember(const Name& name, std::chrono::seconds cache_time) {
    if (cache_time.count() == 0 || config_.cache_entries == 0) {
      return;
    }
    if (const auto known = successes_.find(name); known != successes_.end()) {
      forget(known);
    }
    if (successes_.size() >= config_.cache_entries) {
      forget(successes_.find(oldest_first_.front()));
    }
    oldest_first_.push_back(name);
    successes_.emplace(name, Success{Clock::now() + cache_time, std::prev(oldest_first_.end())});
  }

  Job* add(const Question& question, const Name& name) {
    auto line = std::find_if(lines_.begin(), lines_.end(), [&question](const Line& other) {
      return other.source == question.source;
    });
    if (line == lines_.end()) {
      line = lines_.insert(lines_.end(), Line{std::string(question.source), {}});
    }
    Job* const job = jobs_.emplace(name, std::make_unique<Job>(question, name)).first->second.get();
    line->jobs.push_back(job);
    ++waiting_;
    return job;
  }

  /// The source with the longest line gives up its last; false when that is the one who asks.
  bool make_room(std::string_view source) noexcept {
    const auto longest = std::max_element(
        lines_.begin(), lines_.end(),
        [](const Line& one, const Line& other) { return one.jobs.size() < other.jobs.size(); });
    if (longest == lines_.end() || longest->source == source || longest->jobs.size() < 2) {
      return false;
    }
    Job& victim = *longest->jobs.back();
    tell(victim, PasswordVerdict::busy);
    remove(victim);
    return true;
  }

  void tell(Job& job, PasswordVerdict verdict) noexcept {
    for (const std::shared_ptr<Waiter>& waiter : job.waiters) {
      waiter->job = nullptr;
      try {
        waiter->on_verdict(verdict);
      } catch (...) {
        continue;  // no memory to post: the handshake's deadline ends the wait
      }
    }
    job.waiters.clear();
  }

  /// Takes a job out of its line.
  void unqueue(const Job& job) noexcept {
    const auto line = std::find_if(lines_.begin(), lines_.end(), [&job](const Line& other) {
      return other.source == job.source;
    });
    std::erase(line->jobs, &job);
    if (line->jobs.empty()) {
      lines_.erase(line);
    }
    --waiting_;
  }

  void remove(const Job& job) noexcept {
    if (!job.running) {
      unqueue(job);
    }
    jobs_.erase(jobs_.find(job.name));
  }

  /// The next job: clients in turn, and of each the oldest whose hash does not keep all other
  /// threads already. Null: there is none.
  Job* take() {
    for (auto line = lines_.begin(); line != lines_.end(); ++line) {
      for (Job* const job : line->jobs) {
        if (count_running(job->hash) + 1 >= config_.threads) {
          continue;
        }
        lines_.splice(lines_.end(), lines_, line);
        unqueue(*job);
        job->running = true;
        running_.push_back(job);
        return job;
      }
    }
    return nullptr;
  }

  [[nodiscard]] std::size_t count_running(const std::string& hash) const noexcept {
    return static_cast<std::size_t>(std::count_if(
        running_.begin(), running_.end(), [&hash](const Job* job) { return job->hash == hash; }));
  }

  bool start_threads() noexcept {
    while (threads_ < config_.threads) {
      try {
        std::thread thread([state = shared_from_this()] { state->run(); });
        pthread_setname_np(thread.native_handle(), "password");
        thread.detach();
        ++threads_;
      } catch (...) {
        return threads_ != 0;
      }
    }
    return true;
  }

  void run() noexcept {
    // Relays and handshakes first. Of threads that may not lower themselves nothing is lost.
    (void)::setpriority(PRIO_PROCESS, 0, 5);
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      Job* const job = take();
      if (job == nullptr) {
        work_.wait(lock);
        continue;
      }
      lock.unlock();
      PasswordVerdict verdict = verify(*job);
      lock.lock();
      finish(*job, verdict);
    }
  }

  PasswordVerdict verify(const Job& job) const noexcept {
    try {
      const PasswordVerdict verdict = config_.verify(job.password, job.hash);
      return job.may_match || verdict != PasswordVerdict::good ? verdict : PasswordVerdict::wrong;
    } catch (...) {
      return PasswordVerdict::busy;  // no memory for a hash
    }
  }

  void finish(Job& job, PasswordVerdict verdict) noexcept {
    std::erase(running_, &job);
    if (verdict == PasswordVerdict::good) {
      try {
        remember(job.name, job.cache_time);
      } catch (...) {
        successes_.clear();  // half done: better nothing
        oldest_first_.clear();
      }
    }
    tell(job, verdict);
    jobs_.erase(jobs_.find(job.name));
    work_.notify_one();  // a job that this one's hash has kept waiting
  }

  Config config_;
  const SipKey key_ = SipKey::random();
  const SipKey other_key_ = SipKey::random();

  std::mutex mutex_;  ///< guards what follows
  std::condition_variable work_;
  std::map<Name, std::unique_ptr<Job>> jobs_;  ///< waiting and running, by name
  Lines lines_;
  std::size_t waiting_ = 0;
  std::vector<const Job*> running_;
  std::map<Name, Success> successes_;
  std::list<Name> oldest_first_;
  unsigned threads_ = 0;
  bool stopping_ = false;
};

PasswordPool::Inquiry::~Inquiry() {
  if (pool_) {
    pool_->withdraw(*waiter_);
  }
}

PasswordPool::PasswordPool(Config config) : state_(std::make_shared<State>(std::move(config))) {}

PasswordPool::~PasswordPool() {
  state_->stop();
}

std::optional<PasswordVerdict> PasswordPool::ask(const Question& question, OnVerdict on_verdict,
                                                 Inquiry& inquiry) {
  return state_->ask(question, std::move(on_verdict), inquiry);
}

const SipKey& PasswordPool::key() const noexcept {
  return state_->key();
}

}  // namespace socks64::gateway
