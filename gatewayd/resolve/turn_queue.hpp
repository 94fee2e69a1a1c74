// Questions that wait for their turn, in the order in which they came. Who asked may be gone by
// then; such a question is passed over, and the queue never holds more of them than others.
#ifndef SOCKS64_GATEWAYD_TURN_QUEUE_HPP
#define SOCKS64_GATEWAYD_TURN_QUEUE_HPP

#include <algorithm>
#include <cstddef>
#include <deque>
#include <functional>
#include <optional>
#include <utility>

namespace socks64::gateway {

template <class T>
class TurnQueue {
 public:
  using IsWanted = std::function<bool(const T&)>;

  /// Asked when a turn comes, and now and then before.
  explicit TurnQueue(IsWanted is_wanted) : is_wanted_(std::move(is_wanted)) {}

  void push(T item) {
    if (items_.size() >= look_at_) {
      std::erase_if(items_, [this](const T& waiting) { return !is_wanted_(waiting); });
      // Twice as many as are wanted: so each is looked at a bounded number of times.
      look_at_ = std::max(first_look, 2 * items_.size());
    }
    items_.push_back(std::move(item));
  }

  /// Whose turn it is; nothing when nobody waits.
  [[nodiscard]] std::optional<T> next() {
    while (!items_.empty()) {
      T item = std::move(items_.front());
      items_.pop_front();
      if (is_wanted_(item)) {
        return item;
      }
    }
    return std::nullopt;
  }

  [[nodiscard]] bool empty() const noexcept { return items_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return items_.size(); }

 private:
  static constexpr std::size_t first_look = 64;

  IsWanted is_wanted_;
  std::deque<T> items_;
  std::size_t look_at_ = first_look;
};

}  // namespace socks64::gateway

#endif
