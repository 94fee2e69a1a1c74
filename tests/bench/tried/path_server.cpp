#include "path_server.hpp"

#include <cerrno>
#include <cstring>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rig.hpp"

namespace tried {

PathServer::PathServer(const Ways& ways) : PathServer(ways, -1, 0) {
  listener_ = listen_on_loopback(port_);
  if (!ways.options_each) {
    set(listener_, IPPROTO_TCP, TCP_NODELAY, 1);
    set(listener_, SOL_SOCKET, SO_KEEPALIVE, 1);
  }
  if (ways.defer_accept) {
    set(listener_, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
  }
  if (ways.quick_listener) {
    set(listener_, IPPROTO_TCP, TCP_QUICKACK, 0);
  }
  accepting_.fd = listener_;
  control(EPOLL_CTL_ADD, accepting_, EPOLLIN);
}

PathServer::PathServer(const Ways& ways, int listener, unsigned flags)
    : ways_(ways), epoll_(check(::epoll_create1(0), "epoll_create")) {
  accepting_.fd = listener;
  bell_.fd = check(::eventfd(0, EFD_NONBLOCK), "eventfd");
  control(EPOLL_CTL_ADD, bell_, EPOLLIN);
  if (listener >= 0) {
    control(EPOLL_CTL_ADD, accepting_, EPOLLIN | flags);
  }
}

PathServer::~PathServer() {
  for (const int fd : spare_) {
    ::close(fd);
  }
  if (listener_ >= 0) {
    ::close(listener_);
  }
  ::close(bell_.fd);
  ::close(epoll_);
}

void PathServer::give(int fd) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    given_.push_back(fd);
    wake = !told_;
    told_ = true;
  }
  if (wake) {
    check(::eventfd_write(bell_.fd, 1), "eventfd");
  }
}

void PathServer::stop() {
  give(-1);
}

void PathServer::called() {
  eventfd_t count = 0;
  did(::eventfd_read(bell_.fd, &count));
  std::vector<int> given;
  {
    const std::lock_guard lock(mutex_);
    given.swap(given_);
    told_ = false;
  }
  for (const int fd : given) {
    if (fd < 0) {
      stopping_ = true;
    } else {
      begin(fd);
    }
  }
}

void PathServer::option(int fd, int level, int name, int value) noexcept {
  did(::setsockopt(fd, level, name, &value, sizeof value));
}

void PathServer::control(int how, Side& side, unsigned events) noexcept {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &side;
  did(::epoll_ctl(epoll_, how, side.fd, &event));
  side.watched = true;
}

void PathServer::watch(Side& side, unsigned events) noexcept {
  if (!side.watched) {
    control(EPOLL_CTL_ADD, side, events);
  } else if (ways_.rearm) {
    control(EPOLL_CTL_MOD, side, events);
  }
}

void PathServer::serve() {
  calls_ = waits_ = 0;
  const double before = thread_cpu();
  epoll_event events[128];
  bool look = false;  // without waiting
  while (!stopping_) {
    const int count = did(::epoll_wait(epoll_, events, 128, look ? 0 : -1));
    ++waits_;
    look = ways_.poll_between && !look;
    for (int i = 0; i < count; ++i) {
      Side& side = *static_cast<Side*>(events[i].data.ptr);
      if (&side == &accepting_) {
        accept_some();
      } else if (&side == &bell_) {
        called();
      } else if (!side.session->over) {
        woken(side, events[i].events);
      }
    }
    over_.clear();  // not before: a later event of the batch may have been theirs
  }
  cpu_ = thread_cpu() - before;
}

void PathServer::accept_some() {
  for (;;) {
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    const int fd = did(::accept4(accepting_.fd, reinterpret_cast<sockaddr*>(&from), &size,
                                 SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd < 0) {
      return;
    }
    begin(fd);
    if (!ways_.accept_to_the_end) {
      return;
    }
  }
}

void PathServer::begin(int fd) {
  auto* session = new Session;
  session->client.session = session->destination.session = session;
  session->client.fd = fd;
  if (ways_.options_each) {
    option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 300);
    option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 60);
    option(fd, IPPROTO_TCP, TCP_KEEPCNT, 5);
    option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  }
  if (ways_.quick_ack >= 0) {
    option(fd, IPPROTO_TCP, TCP_QUICKACK, ways_.quick_ack);
  }
  int on = 1;
  for (int i = 0; i < ways_.fionbio; ++i) {
    did(::ioctl(fd, FIONBIO, &on));
  }
  if (ways_.oob_inline) {
    option(fd, SOL_SOCKET, SO_OOBINLINE, 1);
  }
  if (!ways_.client_add_late) {
    watch(session->client, EPOLLIN | EPOLLRDHUP | EPOLLET);
  }
  if (ways_.read_at_once) {
    read_client(*session);
  }
}

void PathServer::woken(Side& side, unsigned events) {
  Session& session = *side.session;
  if (&side == &session.client) {
    if (session.stage != Stage::connecting) {
      read_client(session);
    }
    return;
  }
  if (session.stage == Stage::connecting) {
    if ((events & EPOLLOUT) == 0) {
      return;
    }
    if (ways_.poll_error) {
      pollfd ask{side.fd, POLLOUT, 0};
      did(::poll(&ask, 1, 0));
    }
    if (ways_.ask_error) {
      int error = 0;
      socklen_t size = sizeof error;
      did(::getsockopt(side.fd, SOL_SOCKET, SO_ERROR, &error, &size));
    }
    connected(session);
  } else {
    relay(side, session.client);
  }
}

void PathServer::read_client(Session& session) {
  while (!session.over && session.stage != Stage::connecting && step(session)) {
  }
}

/// One read of the client. False: there was nothing to read, or there will be an event.
bool PathServer::step(Session& session) {
  if (session.stage == Stage::relaying) {
    relay(session.client, session.destination);
    return false;
  }
  unsigned char data[512];
  const int fd = session.client.fd;
  const ssize_t got = did(::recv(fd, data, sizeof data, 0));
  if (got <= 0) {
    if (got == 0 || errno != EAGAIN) {
      end(session);
    } else {
      watch(session.client, EPOLLIN | EPOLLRDHUP | EPOLLET);
    }
    return false;
  }
  if (session.stage == Stage::greeting) {
    did(::send(fd, "\5\0", 2, MSG_NOSIGNAL));
    session.stage = Stage::request;
    if (got == 13) {  // pipelined: 3 octets of greeting, 10 of request
      dial(session, data + 3);
      return true;
    }
  } else {
    dial(session, data);
    return true;
  }
  if (ways_.read_at_once) {
    return true;
  }
  watch(session.client, EPOLLIN | EPOLLRDHUP | EPOLLET);
  return false;
}

void PathServer::dial(Session& session, const unsigned char* request) {
  session.stage = Stage::connecting;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  std::memcpy(&address.sin_addr, request + 4, 4);
  std::memcpy(&address.sin_port, request + 8, 2);
  Side& side = session.destination;
  if (!spare_.empty()) {
    side.fd = spare_.back();
    side.watched = false;
    spare_.pop_back();
  } else {
    side.fd = did(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
    if (ways_.no_delay) {
      option(side.fd, IPPROTO_TCP, TCP_NODELAY, 1);
    }
    if (ways_.keep_alive) {
      option(side.fd, IPPROTO_TCP, TCP_KEEPIDLE, 300);
      option(side.fd, IPPROTO_TCP, TCP_KEEPINTVL, 60);
      option(side.fd, IPPROTO_TCP, TCP_KEEPCNT, 5);
      option(side.fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    }
    if (ways_.oob_inline) {
      option(side.fd, SOL_SOCKET, SO_OOBINLINE, 1);
    }
  }
  constexpr unsigned all = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  if (ways_.dest_add_first) {
    control(EPOLL_CTL_ADD, side, EPOLLIN | EPOLLRDHUP | EPOLLET);
  }
  const auto* name = reinterpret_cast<const sockaddr*>(&address);
  int result = did(::connect(side.fd, name, sizeof address));
  if (result != 0 && errno != EINPROGRESS) {
    give_up("connect to the destination");
  }
  if (ways_.quick_ack >= 0) {
    option(side.fd, IPPROTO_TCP, TCP_QUICKACK, ways_.quick_ack);
  }
  if (result != 0 && ways_.connected == Ways::Connected::poll) {
    pollfd ask{side.fd, POLLOUT, 0};
    if (did(::poll(&ask, 1, 0)) == 1 && (ask.revents & (POLLERR | POLLHUP)) == 0) {
      result = 0;
    }
  } else if (result != 0 && ways_.connected == Ways::Connected::again) {
    result = did(::connect(side.fd, name, sizeof address));  // 0, or EALREADY, or why not
  }
  // Known to be connected: room to write is no news, an event for it would be one too many.
  const unsigned events = result == 0 ? EPOLLIN | EPOLLRDHUP | EPOLLET : all;
  control(ways_.dest_add_first ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, side, events);
  if (result == 0) {
    connected(session);
  }
}

void PathServer::connected(Session& session) {
  sockaddr_in name{};
  socklen_t size = sizeof name;
  if (ways_.ask_name) {
    did(::getsockname(session.destination.fd, reinterpret_cast<sockaddr*>(&name), &size));
  }
  char reply[10] = {5, 0, 0, 1};
  std::memcpy(reply + 4, &name.sin_addr, 4);
  std::memcpy(reply + 8, &name.sin_port, 2);
  did(::send(session.client.fd, reply, sizeof reply, MSG_NOSIGNAL));
  session.stage = Stage::relaying;
  if (!session.client.watched) {
    watch(session.client, EPOLLIN | EPOLLRDHUP | EPOLLET);  // sees what has come by now
  } else {
    watch(session.client, EPOLLIN | EPOLLRDHUP | EPOLLET);
    if (ways_.read_at_once) {
      relay(session.client, session.destination);
    }
  }
}

void PathServer::relay(Side& from, Side& to) {
  static thread_local char data[1 << 18];
  for (;;) {
    if (from.ended) {
      return;
    }
    const ssize_t got = did(::recv(from.fd, data, sizeof data, 0));
    if (got > 0) {
      did(::send(to.fd, data, static_cast<std::size_t>(got), MSG_NOSIGNAL));
      // A short read has emptied the socket; what comes later makes an event.
      if (!ways_.read_to_the_end) {
        break;
      }
      continue;
    }
    if (got < 0 && errno == EAGAIN) {
      break;
    }
    if (ways_.end == Ways::End::reset || ways_.end == Ways::End::abort) {
      end(*from.session);
      return;
    }
    from.ended = true;
    if (!to.ended || ways_.end == Ways::End::shutdown_first) {
      did(::shutdown(to.fd, SHUT_WR));
    }
    if (to.ended) {
      end(*from.session);
      return;
    }
    return;
  }
  watch(from, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

void PathServer::end(Session& session) {
  for (Side* side : {&session.client, &session.destination}) {
    if (side->fd < 0) {
      continue;
    }
    if (ways_.end == Ways::End::abort) {
      const linger abort{1, 0};
      did(::setsockopt(side->fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort));
    }
    if (ways_.recycle && side == &session.destination) {
      // Stays in no epoll set: the registration would report the disconnected socket.
      sockaddr none{};
      none.sa_family = AF_UNSPEC;
      control(EPOLL_CTL_DEL, *side, 0);
      did(::connect(side->fd, &none, sizeof none));
      spare_.push_back(side->fd);
      continue;
    }
    if (ways_.delete_first) {
      control(EPOLL_CTL_DEL, *side, 0);
    }
    did(::close(side->fd));
  }
  session.over = true;
  over_.emplace_back(&session);
  ++ended_;
  if (at_end) {
    at_end();
  }
}

}  // namespace tried
