// One thread, one io_context, and the sessions that live and die there.
#ifndef SOCKS64_GATEWAYD_WORKER_HPP
#define SOCKS64_GATEWAYD_WORKER_HPP

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <utility>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>

#include "accept/limits.hpp"
#include "account/account.hpp"
#include "base/descriptor.hpp"
#include "loop/deadline.hpp"
#include "relay/relay_pool.hpp"
#include "session/session.hpp"
#include "udp/udp_batch.hpp"

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

/// A connection on its way from the listener to a worker.
struct Accepted {
  Descriptor socket;
  Client client;
  std::size_t listener;  ///< index into Config::listeners
  std::uint64_t id;
  SessionLimit::Ticket ticket;
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
  [[nodiscard]] std::size_t load() const noexcept { return load_.load(std::memory_order_relaxed); }
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
  /// One in load(), for as long as it exists.
  class Load {
   public:
    explicit Load(std::atomic<std::size_t>& load) noexcept : load_(&load) {
      load_->fetch_add(1, std::memory_order_relaxed);
    }
    Load(Load&& other) noexcept : load_(std::exchange(other.load_, nullptr)) {}
    Load& operator=(Load&&) = delete;
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;
    ~Load() {
      if (load_ != nullptr) {
        load_->fetch_sub(1, std::memory_order_relaxed);
      }
    }

   private:
    std::atomic<std::size_t>* load_;
  };
  class Member;

  void begin(Accepted accepted, Load load);
  void write_stillborn(std::uint64_t id, const Client& client) noexcept;

  asio::io_context context_{1};
  asio::executor_work_guard<Executor> work_;
  RelayPool relay_pool_;
  UdpPool udp_pool_;
  DeadlineQueue handshake_deadlines_;
  DeadlineQueue farewell_deadlines_;
  SessionServices services_;
  SessionList sessions_;
  bool cancelling_ = false;
  std::atomic<std::size_t> load_{0};
  std::thread thread_;
};

}  // namespace socks64::gateway

#endif
