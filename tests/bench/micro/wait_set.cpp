// The shim's record of epoll registrations. The kernel's part is in the figures: kernel_alone is
// the same call without the record.
#include "descriptors/wait_set.hpp"

#include <array>
#include <benchmark/benchmark.h>
#include <cstdlib>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace socks64::shim {
namespace {

/// A set that holds sockets, all of them followed, as those that a program has just made are.
class Sockets {
 public:
  explicit Sockets(std::size_t count) : set_(epoll_create1(EPOLL_CLOEXEC)) {
    fd_table().note(set_, FdKind::epoll);
    for (std::size_t i = 0; i < count; ++i) {
      const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (fd < 0) {
        std::abort();
      }
      fd_table().note(fd, FdKind::fresh_stream);
      fds_.push_back(fd);
      epoll_event event = event_of(fd);
      if (wait_set().control(set_, EPOLL_CTL_ADD, fd, &event) != 0) {
        std::abort();
      }
    }
  }
  Sockets(const Sockets&) = delete;
  Sockets& operator=(const Sockets&) = delete;
  ~Sockets() {
    for (const int fd : fds_) {
      fd_table().release(fd);
      close(fd);
    }
    fd_table().release(set_);
    close(set_);
  }

  [[nodiscard]] static epoll_event event_of(int fd) noexcept {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    return event;
  }
  [[nodiscard]] int set() const noexcept { return set_; }
  [[nodiscard]] int some() const noexcept { return fds_[fds_.size() / 2]; }

 private:
  int set_;
  std::vector<int> fds_;
};

void modify(benchmark::State& state, bool recorded) {
  const Sockets sockets(static_cast<std::size_t>(state.range(0)));
  const int fd = sockets.some();
  for (auto _ : state) {
    epoll_event event = Sockets::event_of(fd);
    const int result = recorded ? wait_set().control(sockets.set(), EPOLL_CTL_MOD, fd, &event)
                                : epoll_ctl(sockets.set(), EPOLL_CTL_MOD, fd, &event);
    if (result != 0) {
      state.SkipWithError("epoll_ctl failed");
    }
  }
}

void modify_in_kernel(benchmark::State& state) {
  modify(state, false);
}
void modify_recorded(benchmark::State& state) {
  modify(state, true);
}

/// What begins and ends each connect: a mark, and the program's own registration again.
void mark_and_restore(benchmark::State& state) {
  const Sockets sockets(static_cast<std::size_t>(state.range(0)));
  FdEntry* const entry = fd_table().find(sockets.some());
  for (auto _ : state) {
    const TableGuard guard(fd_table().lock());
    wait_set().mark(*entry);
    wait_set().restore(*entry);
  }
}

/// What every epoll_wait of a program pays: 64 events, none of them ours.
void filter(benchmark::State& state) {
  const Sockets sockets(static_cast<std::size_t>(state.range(0)));
  std::array<epoll_event, 64> events{};
  for (std::size_t i = 0; i < events.size(); ++i) {
    events[i] = Sockets::event_of(static_cast<int>(i));
  }
  for (auto _ : state) {
    benchmark::DoNotOptimize(wait_set().filter(sockets.set(), events.data(), 64));
    benchmark::ClobberMemory();
  }
}

/// A short-lived set in a program that has had many registrations: what its close costs.
void close_another_set(benchmark::State& state) {
  const Sockets sockets(static_cast<std::size_t>(state.range(0)));
  constexpr int number = 1 << 15;  // never opened
  for (auto _ : state) {
    const TableGuard guard(fd_table().lock());
    wait_set().epoll_closed(number, -1);
  }
}

// NOLINTBEGIN(cert-err58-cpp): registration
BENCHMARK(modify_in_kernel)->Name("wait_set/kernel_alone")->Arg(1)->Arg(10'000);
BENCHMARK(modify_recorded)->Name("wait_set/recorded")->Arg(1)->Arg(10'000);
BENCHMARK(mark_and_restore)->Name("wait_set/mark_and_restore")->Arg(1)->Arg(10'000);
BENCHMARK(filter)->Name("wait_set/filter_64")->Arg(1)->Arg(10'000);
BENCHMARK(close_another_set)->Name("wait_set/close_another_set")->Arg(10'000);
// NOLINTEND(cert-err58-cpp)

}  // namespace
}  // namespace socks64::shim
