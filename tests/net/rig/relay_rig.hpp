// A relay under test: one worker thread with an io_context that runs relay(), and peers that are
// plain blocking sockets of the calling thread, so that what they see is what the kernel says.
#ifndef SOCKS64_TESTS_NET_RELAY_RIG_HPP
#define SOCKS64_TESTS_NET_RELAY_RIG_HPP

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fcntl.h>
#include <future>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <ostream>
#include <poll.h>
#include <span>
#include <string>
#include <sys/socket.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>

#include "relay/relay.hpp"
#include "relay/relay_pool.hpp"
#include "relay/sockmap.hpp"

namespace socks64::gateway::rig {

/// Every way that octets may take. `kernel`: handed to it as early and as often as can be.
enum class Way { adaptive, copy, splice, kernel };

inline RelayPoolConfig by(Way way) {
  RelayPoolConfig config;
  config.tuning.path = way == Way::copy     ? RelayPath::copy
                       : way == Way::splice ? RelayPath::splice
                                            : RelayPath::adaptive;
  config.sockmap = way == Way::kernel;
  config.small_turns_to_kernel = 0;
  return config;
}

inline const char* name_of(Way way) {
  constexpr const char* names[] = {"adaptive", "copy", "splice", "kernel"};
  return names[static_cast<std::size_t>(way)];
}

inline void PrintTo(Way way, std::ostream* out) {
  *out << name_of(way);
}

/// Why a test of that way cannot run here; empty if it can.
inline std::string missing_for(Way way) {
  std::string problem;
  if (way == Way::kernel && !Sockmap::open(problem)) {
    return "NOT RUN: no kernel relay: " + problem;
  }
  return {};
}

class Fd {
 public:
  explicit Fd(int fd = -1) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() { close(); }
  [[nodiscard]] int get() const noexcept { return fd_; }
  int take() noexcept { return std::exchange(fd_, -1); }
  void close() noexcept {
    if (fd_ >= 0) {
      ::close(std::exchange(fd_, -1));
    }
  }
  /// close() that sends RST.
  void reset() noexcept {
    const linger abort{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
    close();
  }

 private:
  int fd_;
};

inline void must(bool ok, const char* what) {
  if (!ok) {
    throw std::system_error(errno, std::system_category(), what);
  }
}

/// Two ends of a TCP connection over loopback. `buffers` > 0 fixes the kernel's buffers of both.
inline std::pair<Fd, Fd> connection(int buffers = 0) {
  Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  Fd near(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  must(listener.get() >= 0 && near.get() >= 0, "socket");
  if (buffers > 0) {
    for (const Fd* fd : {&listener, &near}) {
      ::setsockopt(fd->get(), SOL_SOCKET, SO_RCVBUF, &buffers, sizeof buffers);
      ::setsockopt(fd->get(), SOL_SOCKET, SO_SNDBUF, &buffers, sizeof buffers);
    }
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const name = reinterpret_cast<sockaddr*>(&address);
  must(::bind(listener.get(), name, size) == 0, "bind");
  must(::listen(listener.get(), 1) == 0, "listen");
  must(::getsockname(listener.get(), name, &size) == 0, "getsockname");
  must(::connect(near.get(), name, size) == 0, "connect");
  Fd far(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  must(far.get() >= 0, "accept");
  const int on = 1;
  for (const Fd* fd : {&far, &near}) {
    ::setsockopt(fd->get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  return {std::move(near), std::move(far)};
}

class Worker {
 public:
  explicit Worker(const RelayPoolConfig& config = {}) : pool_(config) {
    thread_ = std::thread([this] { context_.run(); });
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() { stop(); }

  /// Ends the thread, also in the middle of relays: their coroutines are destroyed with the
  /// context.
  void stop() {
    context_.stop();
    if (thread_.joinable()) {
      thread_.join();
    }
  }

  asio::io_context& context() { return context_; }
  RelayPool& pool() { return pool_; }

  /// The result of `question` as asked on the worker's thread.
  template <class Question>
  auto ask(Question question) {
    std::promise<decltype(question())> answer;
    auto future = answer.get_future();
    asio::post(context_, [&] { answer.set_value(question()); });
    return future.get();
  }

 private:
  RelayPool pool_;
  asio::io_context context_{1};
  asio::executor_work_guard<Executor> work_{context_.get_executor()};
  std::thread thread_;
};

/// A relay and its two peers.
class Relayed {
 public:
  explicit Relayed(Worker& worker, RelayLimits limits = {}, std::vector<std::uint8_t> early = {},
                   int buffers = 0, BandwidthPair bandwidth = {})
      : worker_(worker) {
    auto [client_peer, client_side] = connection(buffers);
    auto [destination_side, destination_peer] = connection(buffers);
    client = std::move(client_peer);
    destination = std::move(destination_peer);
    for (const Fd* fd : {&client, &destination}) {
      const timeval patience{60, 0};
      ::setsockopt(fd->get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
      ::setsockopt(fd->get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    }
    report_ = state_->report.get_future();
    asio::post(worker.context(), [this, a = client_side.take(), b = destination_side.take(), limits,
                                  bandwidth, data = std::move(early)]() mutable {
      const int on = 1;
      ::setsockopt(a, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);  // as the listener's clients
      for (const int fd : {a, b}) {
        ::fcntl(fd, F_SETFL, O_NONBLOCK);
      }
      Socket left(worker_.context().get_executor(), Descriptor(a));
      Socket right(worker_.context().get_executor(), Descriptor(b));
      Relay& made =
          make_relay({std::move(left), std::move(right), std::move(data), limits, bandwidth},
                     worker_.pool(), std::make_unique<Owner>(state_));
      state_->relay = &made;
      made.start();
    });
  }

  void cancel() {
    asio::post(worker_.context(), [state = state_] {
      if (state->relay != nullptr) {
        state->relay->cancel();
      }
    });
  }

  /// How it ended; fails loudly when it does not.
  RelayReport report() {
    if (report_.wait_for(std::chrono::seconds(60)) != std::future_status::ready) {
      throw std::runtime_error("the relay did not end");
    }
    return report_.get();
  }
  [[nodiscard]] bool ended() const {
    return report_.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }

  Fd client;
  Fd destination;

 private:
  struct State {
    std::promise<RelayReport> report;
    Relay* relay = nullptr;  ///< of the worker's thread; null when it has ended
  };
  class Owner final : public RelayOwner {
   public:
    explicit Owner(std::shared_ptr<State> state) : state_(std::move(state)) {}
    void ended(const RelayReport& report) noexcept override {
      state_->relay = nullptr;
      state_->report.set_value(report);
    }

   private:
    std::shared_ptr<State> state_;
  };

  Worker& worker_;
  std::shared_ptr<State> state_ = std::make_shared<State>();
  std::future<RelayReport> report_;
};

}  // namespace socks64::gateway::rig

#endif
