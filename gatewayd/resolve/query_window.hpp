// How many questions may be sent to DNS servers in one go. A server's socket holds some 270 small
// datagrams (net.core.rmem_default is 208 KiB); what comes on top is lost without a word, and costs
// its asker the query timeout. A question counts until it is answered, or until it is old: by then
// the server has taken it from its socket, and names that it is stuck with must not hold up others.
#ifndef SOCKS64_GATEWAYD_QUERY_WINDOW_HPP
#define SOCKS64_GATEWAYD_QUERY_WINDOW_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <unordered_set>

namespace socks64::gateway {

class QueryWindow {
 public:
  using Time = std::chrono::steady_clock::time_point;

  static constexpr std::size_t size = 200;
  static constexpr std::chrono::milliseconds old_after{100};

  [[nodiscard]] bool is_open(Time now) {
    while (!sent_.empty() && now >= sent_.front().when + old_after) {
      unanswered_.erase(sent_.front().number);
      sent_.pop_front();
    }
    return unanswered_.size() < size;
  }
  /// When to ask again if it is closed and nothing is answered.
  [[nodiscard]] Time opens_at() const noexcept { return sent_.front().when + old_after; }

  /// Each number once.
  void sent(std::uint64_t number, Time now) {
    unanswered_.insert(number);
    sent_.push_back({number, now});
  }
  void answered(std::uint64_t number) noexcept { unanswered_.erase(number); }

 private:
  struct Sent {
    std::uint64_t number;
    Time when;
  };

  std::deque<Sent> sent_;  ///< of the last moment, the oldest first
  std::unordered_set<std::uint64_t> unanswered_;
};

}  // namespace socks64::gateway

#endif
