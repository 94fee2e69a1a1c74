// pings: a message goes there and back, then the next one.
#include <cerrno>
#include <cstring>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "pattern.hpp"
#include "scenario.hpp"

namespace load {
namespace {

class Ping final : public Client {
 public:
  Ping(Scenario& scenario, Loop& loop, const Options& options, Targets& targets,
       Latencies& latencies)
      : Client(loop, options, targets, Service::echo),
        scenario_(scenario),
        latencies_(latencies),
        back_(options.size_or(64)) {}

 private:
  void opened() override {
    scenario_.opened_one();
    next();
  }

  void next() {
    sent_ = received_ = 0;
    start_ = Clock::now();
    send();
  }

  void send() {
    const ssize_t count =
        ::send(fd(), pattern_at(offset_ + sent_), back_.size() - sent_, MSG_NOSIGNAL);
    if (count < 0 && errno != EAGAIN) {
      fail_with_errno("send");
    }
    if (count > 0) {
      sent_ += static_cast<std::size_t>(count);
    }
    if (waits_ != (sent_ < back_.size())) {
      waits_ = !waits_;
      want(waits_ ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
  }

  void io(std::uint32_t events) override {
    if (waits_ && (events & EPOLLOUT) != 0) {
      send();
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) {
      return;
    }
    const ssize_t count = ::recv(fd(), back_.data() + received_, back_.size() - received_, 0);
    if (count < 0 && errno == EAGAIN) {
      return;
    }
    if (count < 0) {
      fail_with_errno("ping");
    }
    if (count == 0) {
      fail("early end");
    }
    received_ += static_cast<std::size_t>(count);
    if (received_ > sent_ || std::memcmp(back_.data(), pattern_at(offset_), received_) != 0) {
      fail("wrong octets came back");
    }
    if (received_ < back_.size()) {
      return;
    }
    latencies_.add(Clock::now() - start_);
    offset_ += back_.size();
    next();
  }

  Scenario& scenario_;
  Latencies& latencies_;
  std::vector<char> back_;
  std::uint64_t offset_ = 0;
  std::size_t sent_ = 0, received_ = 0;
  bool waits_ = false;
  Clock::time_point start_;
};

class Pings final : public Scenario {
 public:
  Pings(Loop& loop, const Options& options) : Scenario(loop, options) {
    for (int i = 0; i < options.connections; ++i) {
      clients_.push_back(std::make_unique<Ping>(*this, loop, options, targets_, latencies_));
    }
  }

  void begin() override { latencies_.clear(); }

  void end(double seconds, Figures& figures) override {
    if (latencies_.size() == 0) {
      throw Failed("no message came back in " + std::to_string(seconds) + " s");
    }
    const double messages = static_cast<double>(latencies_.size());
    figures.add("messages", static_cast<std::uint64_t>(latencies_.size()));
    figures.add("messages_per_second", messages / seconds);
    figures.add("gb_per_second",
                2 * messages * static_cast<double>(options_.size_or(64)) / seconds / 1e9);
    figures.add("latency_us", latencies_);
  }

 private:
  Latencies latencies_;
};

}  // namespace

std::unique_ptr<Scenario> make_pings(Loop& loop, const Options& options) {
  return std::make_unique<Pings>(loop, options);
}

}  // namespace load
