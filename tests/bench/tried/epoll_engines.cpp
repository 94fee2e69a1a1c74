// The plain ways: epoll, edge-triggered, and recv/send through one buffer or splice through a pipe
// for each direction.
#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <memory>
#include <sys/epoll.h>
#include <unistd.h>

#include "links.hpp"

namespace tried {
namespace {

struct Direction {
  int from;
  int to;
  std::vector<char> rest = {};  ///< read, and not taken by the sink
  std::size_t rest_at = 0;
  int pipe[2] = {-1, -1};
  std::size_t piped = 0;
  bool ended = false;
  bool readable = true;  ///< as far as we know
};

/// A read below this has emptied the socket, and what comes later makes an event.
constexpr ssize_t short_read = 16 << 10;

enum class Turn { blocked, more, ended };

class Copy {
 public:
  explicit Copy(const EpollTuning& tuning) : tuning_(tuning), buffer_(tuning.buffer) {}
  void open(Direction&) {}
  void close(Direction&) {}

  Turn turn(Direction& direction) {
    const int flags = MSG_DONTWAIT | MSG_NOSIGNAL | tuning_.send_flags;
    if (!direction.rest.empty()) {
      const ssize_t sent = ::send(direction.to, direction.rest.data() + direction.rest_at,
                                  direction.rest.size() - direction.rest_at, flags);
      if (sent < 0) {
        return Turn::blocked;
      }
      direction.rest_at += static_cast<std::size_t>(sent);
      if (direction.rest_at < direction.rest.size()) {
        return Turn::blocked;
      }
      direction.rest.clear();
      direction.rest_at = 0;
    }
    for (std::size_t moved = 0; moved < tuning_.turn;) {
      const ssize_t got = ::recv(direction.from, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
      if (got == 0) {
        return Turn::ended;
      }
      if (got < 0) {
        return Turn::blocked;
      }
      const auto size = static_cast<std::size_t>(got);
      const ssize_t sent = std::max<ssize_t>(0, ::send(direction.to, buffer_.data(), size, flags));
      moved += size;
      if (sent < got) {
        direction.rest.assign(buffer_.begin() + sent, buffer_.begin() + got);
        return Turn::blocked;
      }
      if (got < short_read) {
        return Turn::blocked;
      }
    }
    return Turn::more;
  }

 private:
  EpollTuning tuning_;
  std::vector<char> buffer_;
};

class Splice {
 public:
  explicit Splice(const EpollTuning& tuning) : tuning_(tuning) {}
  void open(Direction& direction) {
    check(::pipe2(direction.pipe, O_NONBLOCK | O_CLOEXEC), "pipe");
    check(::fcntl(direction.pipe[0], F_SETPIPE_SZ, static_cast<int>(tuning_.pipe)), "pipe size");
  }
  void close(Direction& direction) {
    ::close(direction.pipe[0]);
    ::close(direction.pipe[1]);
  }

  Turn turn(Direction& direction) {
    constexpr unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;
    for (std::size_t moved = 0; moved < tuning_.turn;) {
      if (direction.piped == 0) {
        const ssize_t got =
            ::splice(direction.from, nullptr, direction.pipe[1], nullptr, tuning_.pipe, flags);
        if (got == 0) {
          return Turn::ended;
        }
        if (got < 0) {
          return Turn::blocked;
        }
        direction.piped = static_cast<std::size_t>(got);
      }
      const ssize_t sent = ::splice(direction.pipe[0], nullptr, direction.to, nullptr,
                                    direction.piped, flags | tuning_.splice_flags);
      if (sent <= 0) {
        return Turn::blocked;
      }
      moved += static_cast<std::size_t>(sent);
      direction.piped -= static_cast<std::size_t>(sent);
      if (direction.piped == 0 && sent < short_read) {
        return Turn::blocked;
      }
    }
    return Turn::more;
  }

 private:
  EpollTuning tuning_;
};

template <class Mover>
void relay(const std::vector<Link>& links, const EpollTuning& tuning) {
  Mover mover(tuning);
  std::vector<Direction> directions;  // of link i: 2 i and 2 i + 1
  for (const Link& link : links) {
    directions.push_back({link.one, link.other});
    directions.push_back({link.other, link.one});
  }
  const int epoll = check(::epoll_create1(0), "epoll_create");
  for (std::size_t i = 0; i < directions.size(); ++i) {
    mover.open(directions[i]);
    // Reading, splice(2) heeds the socket's own flag alone.
    check(::fcntl(directions[i].from, F_SETFL, O_NONBLOCK), "O_NONBLOCK");
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.u64 = i;  // the direction that reads this socket
    check(::epoll_ctl(epoll, EPOLL_CTL_ADD, directions[i].from, &event), "epoll_ctl");
  }
  std::size_t open = directions.size();
  std::vector<std::size_t> again;
  const auto run = [&](std::size_t index) {
    Direction& direction = directions[index];
    if (direction.ended) {
      return;
    }
    const Turn turn = mover.turn(direction);
    if (turn == Turn::more) {
      again.push_back(index);
    }
    if (turn != Turn::ended) {
      return;
    }
    direction.ended = true;
    ::shutdown(direction.to, SHUT_WR);
    --open;
  };
  epoll_event events[128];
  while (open > 0) {
    const int count = ::epoll_wait(epoll, events, 128, again.empty() && !tuning.spin ? -1 : 0);
    std::vector<std::size_t> rest;
    rest.swap(again);
    for (const std::size_t index : rest) {
      run(index);
    }
    for (int i = 0; i < count; ++i) {
      const auto index = static_cast<std::size_t>(events[i].data.u64);
      if ((events[i].events & ~static_cast<unsigned>(EPOLLOUT)) != 0) {
        run(index);
      }
      Direction& other = directions[index ^ 1];
      const bool held = !other.rest.empty() || other.piped > 0;
      if ((events[i].events & EPOLLOUT) != 0 && held) {
        run(index ^ 1);
      }
    }
  }
  for (Direction& direction : directions) {
    mover.close(direction);
  }
  ::close(epoll);
}

}  // namespace

Engine epoll_copy(EpollTuning tuning) {
  return [tuning](const std::vector<Link>& links) { relay<Copy>(links, tuning); };
}

Engine epoll_splice(EpollTuning tuning) {
  return [tuning](const std::vector<Link>& links) { relay<Splice>(links, tuning); };
}

}  // namespace tried
