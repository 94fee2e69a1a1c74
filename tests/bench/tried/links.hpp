// Relays to compare: what moves octets between pairs of sockets, and peers that keep it busy.
#pragma once

#include <functional>
#include <vector>

#include "rig.hpp"

namespace tried {

/// The relay's two sockets of one session; blocking, so a call that must not wait says so.
struct Link {
  int one;
  int other;
};
/// Relays all links, half-closes passed on, until all have ended both ways; closes nothing.
using Engine = std::function<void(const std::vector<Link>&)>;

struct EpollTuning {
  std::size_t buffer = 256 << 10;
  std::size_t pipe = 256 << 10;
  std::size_t turn = 512 << 10;  ///< octets that one direction may move before the others
  int send_flags = 0;            ///< beside MSG_DONTWAIT
  unsigned splice_flags = 0;     ///< beside SPLICE_F_MOVE and SPLICE_F_NONBLOCK
  bool spin = false;             ///< epoll_wait(0) for ever
};
Engine epoll_copy(EpollTuning tuning);
Engine epoll_splice(EpollTuning tuning);

/// How the connections of a link's two sides are made: over loopback, or otherwise.
using MakePair = std::function<Pair()>;

/// Streams one way. Returns CPU s/GB of the relay (with threads that the kernel runs for it) and
/// GB/s.
std::vector<double> bulk(const Engine& engine, int streams, std::size_t octets,
                         const MakePair& pair = tcp_pair);
/// One message in flight a link, echoed. Returns CPU µs a message of the relay (one way), messages
/// a second, and the median and the 99th percentile of the round trip in µs. `pause`: seconds
/// between an answer and the next message.
std::vector<double> ping(const Engine& engine, int streams, std::size_t message, int count,
                         double pause = 0, const MakePair& pair = tcp_pair);

}  // namespace tried
