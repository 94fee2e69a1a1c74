// connects: connect, handshake, 64 octets there and back, orderly close: FIN, and wait for the
// other side's.
#include <array>
#include <cerrno>
#include <cstring>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "pattern.hpp"
#include "scenario.hpp"

namespace load {
namespace {

constexpr std::size_t message = 64;

struct Times {
  Latencies whole, handshake;
};

class Visit final : public Client {
 public:
  Visit(Scenario& scenario, Loop& loop, const Options& options, Targets& targets, Times& times)
      : Client(loop, options, targets, Service::echo), scenario_(scenario), times_(times) {}

 private:
  void opened() override {
    if (first_) {
      scenario_.opened_one();
    }
    first_ = false;
    handshake_ = Clock::now() - began_;
    received_ = 0;
    if (::send(fd(), pattern_at(0), message, MSG_NOSIGNAL) != message) {
      fail_with_errno("send");
    }
  }

  void io(std::uint32_t) override {
    const ssize_t count = ::recv(fd(), octets_.data() + received_, octets_.size() - received_, 0);
    if (count < 0 && errno == EAGAIN) {
      return;
    }
    if (count < 0) {
      fail_with_errno(received_ < message ? "echo" : "instead of the end");
    }
    if (count == 0) {
      if (received_ < message) {
        fail("early end after " + std::to_string(received_) + " octets");
      }
      close();
      times_.whole.add(Clock::now() - began_);
      times_.handshake.add(handshake_);
      return open();
    }
    received_ += static_cast<std::size_t>(count);
    if (received_ > message || std::memcmp(octets_.data(), pattern_at(0), received_) != 0) {
      fail("wrong octets came back");
    }
    if (received_ == message && ::shutdown(fd(), SHUT_WR) != 0) {
      fail_with_errno("shutdown");
    }
  }

  Scenario& scenario_;
  Times& times_;
  bool first_ = true;
  Clock::duration handshake_{};
  std::array<char, message + 1> octets_{};
  std::size_t received_ = 0;
};

class Connects final : public Scenario {
 public:
  Connects(Loop& loop, const Options& options) : Scenario(loop, options) {
    for (int i = 0; i < options.connections; ++i) {
      clients_.push_back(std::make_unique<Visit>(*this, loop, options, targets_, times_));
    }
  }

  void begin() override {
    times_.whole.clear();
    times_.handshake.clear();
  }

  void end(double seconds, Figures& figures) override {
    if (times_.whole.size() == 0) {
      throw Failed("no connection in " + std::to_string(seconds) + " s");
    }
    figures.add("connections", static_cast<std::uint64_t>(times_.whole.size()));
    figures.add("connections_per_second", static_cast<double>(times_.whole.size()) / seconds);
    figures.add("latency_us", times_.whole);
    figures.add("handshake_us", times_.handshake);
  }

 private:
  Times times_;
};

}  // namespace

std::unique_ptr<Scenario> make_connects(Loop& loop, const Options& options) {
  return std::make_unique<Connects>(loop, options);
}

}  // namespace load
