// Answers, positive and negative, for as long as they hold; bounded, the least recently used goes
// first.
#ifndef SOCKS64_GATEWAYD_ANSWER_CACHE_HPP
#define SOCKS64_GATEWAYD_ANSWER_CACHE_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "socks64/address.hpp"

#include "base/failure.hpp"
#include "dns/question.hpp"

namespace socks64::gateway {

struct QuestionHash {
  [[nodiscard]] std::size_t operator()(const Question& question) const noexcept {
    // Multiplying by an odd number is one to one, so no entropy is lost.
    const std::size_t hash = std::hash<std::string>{}(question.name);
    return hash * (2 * static_cast<std::size_t>(question.type) + 1);
  }
};

/// Not thread-safe: its owner locks.
class AnswerCache {
 public:
  using Time = std::chrono::steady_clock::time_point;

  struct Entry {
    Failure failure = Failure::name_not_found;  ///< none exactly when there is something below
    std::vector<IpAddress> addresses;
    Time expires;
    std::string name = {};  ///< the answer to ptr
  };

  explicit AnswerCache(std::size_t capacity) noexcept : capacity_(capacity) {}

  /// Null when there is no entry or it has expired. Valid until the next call.
  [[nodiscard]] const Entry* find(const Question& question, Time now);
  void insert(const Question& question, Entry entry);
  [[nodiscard]] std::size_t size() const noexcept { return index_.size(); }

 private:
  using Record = std::pair<Question, Entry>;
  using Records = std::list<Record>;

  std::size_t capacity_;
  Records records_;  ///< the most recently used first
  std::unordered_map<Question, Records::iterator, QuestionHash> index_;
};

}  // namespace socks64::gateway

#endif
