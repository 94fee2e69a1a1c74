#include "loop/deadline.hpp"

namespace socks64::gateway {

DeadlineQueue::DeadlineQueue(const Executor& executor, std::chrono::milliseconds length)
    : length_(length), timer_(executor) {}

DeadlineQueue::Entry::Entry(DeadlineQueue& queue, Socket& socket)
    : queue_(queue), socket_(socket), when_(Clock::now() + queue.length_) {
  // The only step that may throw (out of memory) comes first: a constructor that throws must leave
  // no node behind. Entries may be waiting without a timer, when it could not be set for them.
  if (!queue_.armed_) {
    queue_.arm(queue_.first_ != nullptr ? queue_.first_->when_ : when_);
  }
  queue_.link(*this);
}

DeadlineQueue::Entry::~Entry() {
  if (!expired_) {
    queue_.unlink(*this);
  }
}

void DeadlineQueue::link(Entry& entry) noexcept {
  entry.previous_ = last_;
  (last_ != nullptr ? last_->next_ : first_) = &entry;
  last_ = &entry;
}

void DeadlineQueue::unlink(Entry& entry) noexcept {
  (entry.previous_ != nullptr ? entry.previous_->next_ : first_) = entry.next_;
  (entry.next_ != nullptr ? entry.next_->previous_ : last_) = entry.previous_;
}

// The timer is never moved or cancelled: when the deadline that it was set for has been lifted, it
// fires in vain once and is set for the deadline that is first by then. So it runs at most once in
// `length_`, however many sessions come and go.
void DeadlineQueue::arm(Clock::time_point when) {
  timer_.expires_at(when);
  timer_.async_wait([this](const asio::error_code& error) {
    if (!error) {
      expire();
    }
  });
  armed_ = true;  // not before: what throws has set nothing
}

void DeadlineQueue::expire() {
  armed_ = false;
  const Clock::time_point now = Clock::now();
  while (first_ != nullptr && first_->when_ <= now) {
    expire_first();
  }
  if (first_ != nullptr) {
    arm(first_->when_);
  }
}

void DeadlineQueue::expire_first() {
  Entry& entry = *first_;
  unlink(entry);
  entry.expired_ = true;
  entry.socket_.cancel();
  if (entry.timer_ != nullptr) {
    entry.timer_->cancel();
  }
}

void DeadlineQueue::hurry(std::chrono::milliseconds least, std::size_t most) {
  const Clock::time_point limit = Clock::now() + length_ - least;
  for (; most > 0 && first_ != nullptr && first_->when_ <= limit; --most) {
    expire_first();
  }
}

}  // namespace socks64::gateway
