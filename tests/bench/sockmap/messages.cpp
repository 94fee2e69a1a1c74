// What a small message costs, there and back, by each way: round trips a second, CPU of the
// relaying thread, and CPU of the whole machine, because the kernel's part is worked off in
// softirqs and kworkers that belong to nobody. The relaying thread is on processor 0, the peers'
// on 1.
//
//   ninja relay_messages && build/.../relay_messages [RELAYS] [OCTETS] [SECONDS] [ROUNDS]
//
// Rounds go round the ways; medians are printed. The machine has to be idle otherwise.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <sched.h>
#include <sys/epoll.h>
#include <time.h>

#include "rig/relay_rig.hpp"

namespace {

using namespace socks64::gateway;
using Wall = std::chrono::steady_clock;

void pin_to(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(processor), &set);
  ::sched_setaffinity(0, sizeof set, &set);
}

double worker_seconds(rig::Worker& worker) {
  return worker.ask([] {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
  });
}

/// Of all processors, but for idleness.
double machine_seconds() {
  std::array<unsigned long, 8> ticks{};
  if (std::FILE* const file = std::fopen("/proc/stat", "r"); file != nullptr) {
    if (std::fscanf(file, "cpu %lu %lu %lu %lu %lu %lu %lu %lu", &ticks[0], &ticks[1], &ticks[2],
                    &ticks[3], &ticks[4], &ticks[5], &ticks[6], &ticks[7]) != 8) {
      std::abort();
    }
    std::fclose(file);
  }
  const unsigned long busy = ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6];
  return static_cast<double>(busy) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

struct Figures {
  double rate = 0;     ///< messages a second, each way counted
  double worker = 0;   ///< microseconds a message
  double machine = 0;  ///< likewise
};

Figures measure(rig::Way way, std::size_t relays, std::size_t size, double seconds) {
  RelayPoolConfig config = rig::by(way);
  config.small_turns_to_kernel = RelayPoolConfig{}.small_turns_to_kernel;
  rig::Worker worker(config);
  worker.ask([] {
    pin_to(0);
    return 0;
  });
  pin_to(1);
  std::vector<std::unique_ptr<rig::Relayed>> relayed;
  const int set = ::epoll_create1(EPOLL_CLOEXEC);
  std::vector<int> ends;
  for (std::size_t i = 0; i < relays; ++i) {
    relayed.push_back(std::make_unique<rig::Relayed>(worker));
    for (const rig::Fd* end : {&relayed.back()->client, &relayed.back()->destination}) {
      ::fcntl(end->get(), F_SETFL, O_NONBLOCK);
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.u64 = ends.size();
      ::epoll_ctl(set, EPOLL_CTL_ADD, end->get(), &event);
      ends.push_back(end->get());
    }
  }
  std::vector<char> room(size, 'x');
  std::vector<std::size_t> got(ends.size());
  for (std::size_t i = 0; i < ends.size(); i += 2) {
    if (::send(ends[i], room.data(), size, 0) != static_cast<ssize_t>(size)) {
      std::abort();
    }
  }
  std::uint64_t messages = 0;
  Figures before;
  Wall::time_point begin;
  // The first tenth is for the relays to show what they are.
  const Wall::time_point start = Wall::now();
  const auto span =
      std::chrono::duration_cast<Wall::duration>(std::chrono::duration<double>(seconds));
  bool counting = false;
  std::array<epoll_event, 256> events{};
  for (Wall::time_point now = start; now < start + span; now = Wall::now()) {
    if (!counting && now > start + span / 10) {
      counting = true;
      messages = 0;
      before = {0, worker_seconds(worker), machine_seconds()};
      begin = Wall::now();
    }
    const int ready = ::epoll_wait(set, events.data(), static_cast<int>(events.size()), 10);
    for (int i = 0; i < ready; ++i) {
      const std::size_t end = events[static_cast<std::size_t>(i)].data.u64;
      const ssize_t n = ::recv(ends[end], room.data(), size - got[end], 0);
      if (n <= 0) {
        std::abort();
      }
      got[end] += static_cast<std::size_t>(n);
      if (got[end] < size) {
        continue;
      }
      got[end] = 0;
      ++messages;
      if (::send(ends[end], room.data(), size, 0) != static_cast<ssize_t>(size)) {
        std::abort();
      }
    }
  }
  const std::chrono::duration<double> took = Wall::now() - begin;
  const double machine = machine_seconds() - before.machine;
  const double own = worker_seconds(worker) - before.worker;
  ::close(set);
  const auto count = static_cast<double>(messages);
  return {count / took.count(), own * 1e6 / count, machine * 1e6 / count};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const auto argument = [&](int index, double otherwise) {
    return index < argc ? std::atof(argv[index]) : otherwise;
  };
  const auto relays = static_cast<std::size_t>(argument(1, 1));
  const auto size = static_cast<std::size_t>(argument(2, 64));
  const double seconds = argument(3, 1);
  const int rounds = static_cast<int>(argument(4, 3));
  if (const std::string missing = rig::missing_for(rig::Way::kernel); !missing.empty()) {
    std::puts(missing.c_str());
    return 77;
  }
  constexpr std::array ways{rig::Way::copy, rig::Way::adaptive, rig::Way::kernel};
  std::array<std::array<std::vector<double>, 3>, ways.size()> figures;
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < ways.size(); ++i) {
      const Figures now = measure(ways[i], relays, size, seconds);
      figures[i][0].push_back(now.rate);
      figures[i][1].push_back(now.worker);
      figures[i][2].push_back(now.machine);
    }
  }
  for (std::size_t i = 0; i < ways.size(); ++i) {
    std::printf(
        "%4zu relays, %6zu octets, %-8s %8.0f messages/s, %6.2f us worker, %6.2f us machine\n",
        relays, size, rig::name_of(ways[i]), median(figures[i][0]), median(figures[i][1]),
        median(figures[i][2]));
  }
}
