// io_uring against epoll: the same relay, by completions.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <fcntl.h>
#include <unistd.h>

#include "links.hpp"
#include "uring_ring.hpp"

namespace tried {
namespace {

constexpr unsigned entries = 256;

struct Direction {
  int from;
  int to;
  struct Piece {
    unsigned buffer;
    unsigned size;
  };
  std::deque<Piece> pieces = {};  ///< received, and not sent; the first is on its way
  bool receiving = false;
  bool source_ended = false;
  bool over = false;
  int pipe[2] = {-1, -1};
};

/// What a completion belongs to: the direction's number and which of its operations.
enum class Op : std::uint64_t { receive, send, fill, drain };
std::uint64_t tag(std::size_t direction, Op op) {
  return direction * 4 + static_cast<std::uint64_t>(op);
}

std::vector<Direction> directions_of(const std::vector<Link>& links) {
  std::vector<Direction> directions;
  for (const Link& link : links) {
    directions.push_back({link.one, link.other});
    directions.push_back({link.other, link.one});
  }
  return directions;
}

/// Multishot receives into buffers that all directions share, and one send at a time for each.
void relay_by_messages(const std::vector<Link>& links, unsigned buffers, std::size_t size) {
  const std::unique_ptr<Ring> ring = Ring::open(entries);
  if (!ring) {
    give_up("io_uring");
  }
  ring->provide(buffers, size);
  std::vector<Direction> directions = directions_of(links);
  std::vector<std::size_t> starved;  // received nothing more: no buffer was left
  std::size_t open = directions.size();
  unsigned lent = 0;
  const auto receive = [&](std::size_t i) {
    io_uring_sqe& entry = ring->next();
    entry.opcode = IORING_OP_RECV;
    entry.fd = directions[i].from;
    entry.ioprio = IORING_RECV_MULTISHOT;
    entry.flags = IOSQE_BUFFER_SELECT;
    entry.user_data = tag(i, Op::receive);
    directions[i].receiving = true;
  };
  const auto send = [&](std::size_t i) {
    const Direction::Piece& piece = directions[i].pieces.front();
    io_uring_sqe& entry = ring->next();
    entry.opcode = IORING_OP_SEND;
    entry.fd = directions[i].to;
    entry.addr = reinterpret_cast<std::uint64_t>(ring->buffer(piece.buffer));
    entry.len = piece.size;
    entry.msg_flags = MSG_WAITALL | MSG_NOSIGNAL;  // the kernel goes on after a partial send
    entry.user_data = tag(i, Op::send);
  };
  const auto end_if_done = [&](std::size_t i) {
    Direction& direction = directions[i];
    if (!direction.source_ended || !direction.pieces.empty() || direction.over) {
      return;
    }
    direction.over = true;
    ::shutdown(direction.to, SHUT_WR);
    --open;
  };
  for (std::size_t i = 0; i < directions.size(); ++i) {
    receive(i);
  }
  while (open > 0) {
    ring->wait();
    io_uring_cqe done{};
    while (ring->take(done)) {
      const std::size_t i = done.user_data / 4;
      Direction& direction = directions[i];
      if (static_cast<Op>(done.user_data % 4) == Op::receive) {
        direction.receiving = (done.flags & IORING_CQE_F_MORE) != 0;
        if (done.res > 0) {
          ++lent;
          direction.pieces.push_back(
              {done.flags >> IORING_CQE_BUFFER_SHIFT, static_cast<unsigned>(done.res)});
          if (direction.pieces.size() == 1) {
            send(i);
          }
          if (!direction.receiving) {
            receive(i);
          }
        } else if (done.res == -ENOBUFS) {
          starved.push_back(i);
        } else {
          direction.source_ended = true;
          end_if_done(i);
        }
        continue;
      }
      ring->give_back(direction.pieces.front().buffer);
      --lent;
      direction.pieces.pop_front();
      if (!direction.pieces.empty()) {
        send(i);
      }
      end_if_done(i);
    }
    // Not as a buffer comes back: the last may have come back before the kernel said it had none.
    if (lent == buffers) {
      continue;
    }
    for (const std::size_t i : starved) {
      receive(i);
    }
    starved.clear();
  }
}

/// Splices through a pipe for each direction: fill, then drain, in turn.
void relay_by_splices(const std::vector<Link>& links, unsigned pipe_size) {
  const std::unique_ptr<Ring> ring = Ring::open(entries);
  if (!ring) {
    give_up("io_uring");
  }
  ring->run_workers_on(server_core);
  std::vector<Direction> directions = directions_of(links);
  std::size_t open = directions.size();
  const auto splice = [&](std::size_t i, Op op, unsigned size) {
    const Direction& direction = directions[i];
    io_uring_sqe& entry = ring->next();
    entry.opcode = IORING_OP_SPLICE;
    entry.splice_fd_in = op == Op::fill ? direction.from : direction.pipe[0];
    entry.fd = op == Op::fill ? direction.pipe[1] : direction.to;
    entry.splice_off_in = entry.off = ~0ULL;
    entry.len = size;
    entry.splice_flags = SPLICE_F_MOVE;
    entry.user_data = tag(i, op);
  };
  std::vector<unsigned> piped(directions.size());
  for (std::size_t i = 0; i < directions.size(); ++i) {
    check(::pipe2(directions[i].pipe, O_CLOEXEC), "pipe");
    check(::fcntl(directions[i].pipe[0], F_SETPIPE_SZ, pipe_size), "pipe size");
    splice(i, Op::fill, pipe_size);
  }
  while (open > 0) {
    ring->wait();
    io_uring_cqe done{};
    while (ring->take(done)) {
      const std::size_t i = done.user_data / 4;
      if (static_cast<Op>(done.user_data % 4) == Op::fill) {
        if (done.res > 0) {
          piped[i] = static_cast<unsigned>(done.res);
          splice(i, Op::drain, piped[i]);
        } else {
          ::shutdown(directions[i].to, SHUT_WR);
          --open;
        }
        continue;
      }
      if (done.res <= 0) {
        give_up("splice by io_uring");
      }
      piped[i] -= static_cast<unsigned>(done.res);
      splice(i, piped[i] > 0 ? Op::drain : Op::fill, piped[i] > 0 ? piped[i] : pipe_size);
    }
  }
  for (Direction& direction : directions) {
    ::close(direction.pipe[0]);
    ::close(direction.pipe[1]);
  }
}

}  // namespace

void uring(const Options& options) {
  if (!Ring::open(8)) {
    std::printf("\nio_uring: not permitted on this machine, or too old (%s)\n",
                std::strerror(errno));
    return;
  }
  const std::vector<std::pair<std::string, Engine>> engines = {
      {"epoll, recv and send", epoll_copy({})},
      {"epoll, splice", epoll_splice({})},
      {"io_uring, 64 buffers of 64 KiB", [](const auto& l) { relay_by_messages(l, 64, 64 << 10); }},
      {"io_uring, 16 buffers of 256 KiB",
       [](const auto& l) { relay_by_messages(l, 16, 256 << 10); }},
      {"io_uring, splice", [](const auto& l) { relay_by_splices(l, 256 << 10); }},
  };
  std::vector<Row> streams, small, large;
  for (const auto& [name, engine] : engines) {
    streams.push_back({name, [engine = engine] { return bulk(engine, 4, 400'000'000); }});
    small.push_back({name, [engine = engine] { return ping(engine, 64, 64, 15000); }});
    large.push_back({name, [engine = engine] { return ping(engine, 16, 16 << 10, 8000); }});
  }
  measure(options, "io_uring, bulk, 4 streams", {"CPU s/GB*", "GB/s*"}, streams);
  const std::vector<std::string> columns = {"CPU µs a message*", "messages/s*",
                                            "round trip µs, median", "p99"};
  measure(options, "io_uring, 64 octets, 64 relays", columns, small);
  measure(options, "io_uring, 16 KiB, 16 relays", columns, large);
}

}  // namespace tried
