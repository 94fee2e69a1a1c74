// One thread, one io_context, and the sessions that live and die there.
#ifndef SOCKS64_GATEWAYD_WORKER_HPP
#define SOCKS64_GATEWAYD_WORKER_HPP

#include <chrono>
#include <cstddef>
#include <memory>
#include <thread>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>

#include "accept/accepted.hpp"
#include "account/account.hpp"
#include "base/ticket.hpp"
#include "datagram/udp_batch.hpp"
#include "loop/deadline.hpp"
#include "relay/relay_pool.hpp"
#include "session/session.hpp"

namespace socks64::gateway {

/// The live sessions of a worker, linked through their controls.
class SessionList {
 public:
  void add(SessionControl& control) noexcept;
  void remove(SessionControl& control) noexcept;
  void stop_all(SessionControl::Stop reason);

 private:
  SessionControl* first_ = nullptr;
};

struct WorkerConfig {
  std::chrono::milliseconds handshake_timeout;
  RelayLimits relay_limits;
  RelayPoolConfig relay_pool;
};

class Worker {
 public:
  /// What is referred to outlives the worker.
  Worker(const WorkerConfig& config, std::shared_ptr<const Policy> policy,
         const SharedServices& shared);
  /// Ends the thread; see stop().
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void start();
  /// For what else is to run on this worker's thread.
  [[nodiscard]] Executor executor() noexcept { return context_.get_executor(); }

  /// The session runs on this worker from its first octet to its last. Any thread; on the worker's
  /// own it begins at once. Throws when there is no memory for it; the connection is closed and
  /// accounted for then.
  void take(Accepted accepted);
  /// Sessions here, those under way included. Any thread.
  [[nodiscard]] std::size_t load() const noexcept { return load_.count(); }
  /// From now on sessions begin with this policy. Any thread.
  void use(std::shared_ptr<const Policy> policy);
  /// Somebody waits for a session to end: the handshakes that have taken longest are ended, a few
  /// at a time. Any thread.
  void hurry_handshakes();
  /// Cancels every session, and those that arrive later. Any thread.
  void cancel_sessions();
  /// Leaves the event loop at once, and waits for the thread to end. Only when load() is 0: a
  /// suspended session refers to parts of the worker that are destroyed before the event loop is.
  void stop();

 private:
  class Member;

  void begin(Accepted accepted, Ticket<Counter> load);
  void write_stillborn(const Arrival& arrival) noexcept;

  asio::io_context context_{1};
  asio::executor_work_guard<Executor> work_;
  RelayPool relay_pool_;
  UdpPool udp_pool_;
  DeadlineQueue handshake_deadlines_;
  DeadlineQueue farewell_deadlines_;
  SessionServices services_;
  SessionList sessions_;
  bool cancelling_ = false;
  Counter load_;
  std::thread thread_;
};

}  // namespace socks64::gateway

#endif
