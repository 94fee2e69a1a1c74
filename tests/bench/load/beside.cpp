// idle, trickle, stuck: what is there beside, until stdin ends.
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

/// A relay that has carried 64 octets each way, and rests.
class Resting final : public Client {
 public:
  Resting(Scenario& scenario, Loop& loop, const Options& options, Targets& targets)
      : Client(loop, options, targets, Service::echo), scenario_(scenario) {}

 private:
  void opened() override {
    if (::send(fd(), pattern_at(0), message, MSG_NOSIGNAL) != message) {
      fail_with_errno("send");
    }
  }

  void io(std::uint32_t) override {
    std::array<char, message> octets;
    const ssize_t count = ::recv(fd(), octets.data(), octets.size(), 0);
    if (count < 0 && errno == EAGAIN) {
      return;
    }
    if (count < 0) {
      fail_with_errno("resting relay");
    }
    if (count == 0) {
      fail("a resting relay was ended");
    }
    if (received_ + static_cast<std::size_t>(count) > message ||
        std::memcmp(octets.data(), pattern_at(received_), static_cast<std::size_t>(count)) != 0) {
      fail("wrong octets came back");
    }
    received_ += static_cast<std::size_t>(count);
    if (received_ == message) {
      scenario_.opened_one();
    }
  }

  Scenario& scenario_;
  std::size_t received_ = 0;
};

/// Reads 4 KiB of an endless download and sends an octet, ten times a second.
class Trickle final : public Client {
 public:
  Trickle(Scenario& scenario, Loop& loop, const Options& options, Targets& targets)
      : Client(loop, options, targets, Service::both), scenario_(scenario) {}

  void now_and_then() {
    if (!is_open()) {
      return;
    }
    std::array<char, 4096> octets;
    const ssize_t count = ::recv(fd(), octets.data(), octets.size(), 0);
    if (count < 0 && errno != EAGAIN) {
      fail_with_errno("slow client");
    }
    if (count == 0) {
      fail("a slow client's relay was ended");
    }
    if (count > 0) {
      if (std::memcmp(octets.data(), pattern_at(received_), static_cast<std::size_t>(count)) != 0) {
        fail("wrong octets");
      }
      received_ += static_cast<std::uint64_t>(count);
    }
    if (!source_.write(fd(), 1)) {
      fail_with_errno("slow client");
    }
  }

 private:
  void opened() override {
    want(0);
    scenario_.opened_one();
  }
  void io(std::uint32_t events) override {
    if ((events & EPOLLERR) != 0) {
      fail("a slow client's relay was reset");
    }
  }

  Scenario& scenario_;
  std::uint64_t received_ = 0;
  Source source_{1};
};

/// Asks for what is never answered, and again when the server gives up.
class Stuck final : public Client {
 public:
  Stuck(Scenario& scenario, Loop& loop, const Options& options, Targets& targets)
      : Client(loop, options, targets, Service::echo), scenario_(scenario) {}

 private:
  void asked() override {
    if (first_) {
      scenario_.opened_one();
    }
    first_ = false;
  }
  void opened() override { fail("this was not to be answered"); }
  void io(std::uint32_t) override {}
  void refused(int) override { again(); }
  void broken(const std::string&) override { again(); }
  void again() {
    close();
    open();
  }

  Scenario& scenario_;
  bool first_ = true;
};

class Beside final : public Scenario {
 public:
  Beside(Loop& loop, const Options& options) : Scenario(loop, options) {
    for (int i = 0; i < options.connections; ++i) {
      clients_.push_back(make());
    }
  }

  bool rests() const override { return true; }

  void tick(Clock::time_point now) override {
    if (options_.scenario != "trickle" || now < next_tick_) {
      return;
    }
    next_tick_ = now + std::chrono::milliseconds(10);
    turn_ = (turn_ + 1) % 10;
    for (std::size_t i = turn_; i < clients_.size(); i += 10) {
      static_cast<Trickle*>(clients_[i].get())->now_and_then();
    }
  }

  void end(double, Figures& figures) override {
    figures.add("connections", static_cast<std::uint64_t>(open()));
  }

 private:
  std::unique_ptr<Client> make() {
    if (options_.scenario == "idle") {
      return std::make_unique<Resting>(*this, loop_, options_, targets_);
    }
    if (options_.scenario == "trickle") {
      return std::make_unique<Trickle>(*this, loop_, options_, targets_);
    }
    return std::make_unique<Stuck>(*this, loop_, options_, targets_);
  }

  Clock::time_point next_tick_{};
  std::size_t turn_ = 0;
};

}  // namespace

std::unique_ptr<Scenario> make_beside(Loop& loop, const Options& options) {
  return std::make_unique<Beside>(loop, options);
}

}  // namespace load
