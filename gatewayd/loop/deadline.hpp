// Deadlines of one length, for all sessions of one worker.
//
// Every handshake is given the same time, so deadlines expire in the order in which they were set:
// a list and one timer do for any number of sessions what a timer for each would do with a heap
// operation and an allocation apiece. Setting and lifting a deadline is linking and unlinking a
// node that lives in the coroutine's own frame; nothing can fire after the frame is gone.
#ifndef SOCKS64_GATEWAYD_DEADLINE_HPP
#define SOCKS64_GATEWAYD_DEADLINE_HPP

#include <chrono>
#include <cstddef>

#include "loop/net.hpp"

namespace socks64::gateway {

class DeadlineQueue {
 public:
  /// The time runs from construction; when it is up, the operations under way on `socket` are
  /// cancelled and expired() is true. Look at expired() before starting the next operation.
  class Entry {
   public:
    Entry(DeadlineQueue& queue, Socket& socket);
    ~Entry();
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

    [[nodiscard]] bool expired() const noexcept { return expired_; }

   private:
    friend class DeadlineQueue;

    DeadlineQueue& queue_;
    Socket& socket_;
    Timer* timer_ = nullptr;
    Clock::time_point when_;
    Entry* previous_ = nullptr;
    Entry* next_ = nullptr;
    bool expired_ = false;
  };

  /// As long as it exists, the end of an entry's time cancels waits for `timer`, too.
  class Alarm {
   public:
    Alarm(Entry& entry, Timer& timer) noexcept : entry_(entry) { entry_.timer_ = &timer; }
    ~Alarm() { entry_.timer_ = nullptr; }
    Alarm(const Alarm&) = delete;
    Alarm& operator=(const Alarm&) = delete;

   private:
    Entry& entry_;
  };

  /// `executor` is the worker's: entries are made and destroyed on its thread only.
  DeadlineQueue(const Executor& executor, std::chrono::milliseconds length);

  /// Ends up to `most` entries before their time, the oldest first, if they have had `least`.
  void hurry(std::chrono::milliseconds least, std::size_t most);

  DeadlineQueue(const DeadlineQueue&) = delete;
  DeadlineQueue& operator=(const DeadlineQueue&) = delete;

 private:
  void link(Entry& entry) noexcept;
  void unlink(Entry& entry) noexcept;
  void arm(Clock::time_point when);
  void expire();
  void expire_first();

  std::chrono::milliseconds length_;
  Timer timer_;
  bool armed_ = false;
  Entry* first_ = nullptr;
  Entry* last_ = nullptr;
};

}  // namespace socks64::gateway

#endif
