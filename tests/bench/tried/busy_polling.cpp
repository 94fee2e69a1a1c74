// Spinning instead of sleeping: what a round trip gains, and what the spinning costs.
#include "links.hpp"

namespace tried {
namespace {

/// Loopback has no device queue: the option is taken, and has nothing to poll.
Pair busy_pair() {
  Pair pair = tcp_pair();
  set(pair.near, SOL_SOCKET, SO_BUSY_POLL, 50);
  return pair;
}

Row row(std::string name, EpollTuning tuning, int streams, int count, double pause,
        MakePair pair = tcp_pair) {
  return {std::move(name),
          [=] { return ping(epoll_copy(tuning), streams, 64, count, pause, pair); }};
}

}  // namespace

void busy_polling(const Options& options) {
  const EpollTuning sleeping;
  const EpollTuning spinning{.spin = true};
  std::vector<Row> rows;
  rows.push_back(row("1 relay, epoll sleeps", sleeping, 1, 4000, 0));
  rows.push_back(row("1 relay, epoll spins", spinning, 1, 4000, 0));
  rows.push_back(row("1 relay, SO_BUSY_POLL 50 µs", sleeping, 1, 4000, 0, busy_pair));
  rows.push_back(row("1 relay, a message each ms, sleeps", sleeping, 1, 200, 0.001));
  rows.push_back(row("1 relay, a message each ms, spins", spinning, 1, 200, 0.001));
  rows.push_back(row("64 relays, epoll sleeps", sleeping, 64, 15000, 0));
  rows.push_back(row("64 relays, epoll spins", spinning, 64, 15000, 0));
  measure(options, "Busy polling, messages of 64 octets",
          {"CPU µs a message*", "messages/s*", "round trip µs, median*", "p99"}, rows);
}

}  // namespace tried
