#include "serve.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "loop.hpp"
#include "names.hpp"
#include "pattern.hpp"
#include "udp_echo.hpp"

namespace load {
namespace {

/// A connection that is served. Deletes itself at its end.
class Served : public Handler {
 public:
  Served(Descriptor fd) : fd_(std::move(fd)) {}
  void ready(std::uint32_t events) final {
    try {
      if (serve(events)) {
        return;
      }
    } catch (const Failed& failure) {
      // The client learns of it by the reset, and counts it as a failure.
      std::fprintf(stderr, "bench_load serve: %s\n", failure.what());
      const linger reset{1, 0};
      ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    delete this;
  }

 protected:
  /// False: it has ended.
  virtual bool serve(std::uint32_t events) = 0;
  int fd() const { return fd_.get(); }

 private:
  Descriptor fd_;
};

class Echo final : public Served {
 public:
  Echo(Loop& loop, Descriptor fd) : Served(std::move(fd)), loop_(loop) {
    loop_.add(this->fd(), EPOLLIN, *this);
  }

 private:
  bool serve(std::uint32_t) override {
    if (!pending_.empty()) {
      return send_pending();
    }
    static std::array<char, 64 * 1024> buffer;
    const ssize_t count = ::recv(fd(), buffer.data(), buffer.size(), 0);
    if (count < 0) {
      return errno == EAGAIN;
    }
    if (count == 0) {
      return false;
    }
    pending_.assign(buffer.data(), static_cast<std::size_t>(count));
    return send_pending();
  }

  bool send_pending() {
    const ssize_t count = ::send(fd(), pending_.data(), pending_.size(), MSG_NOSIGNAL);
    if (count < 0 && errno != EAGAIN) {
      return false;
    }
    if (count > 0) {
      pending_.erase(0, static_cast<std::size_t>(count));
    }
    if (waits_ != !pending_.empty()) {
      waits_ = !waits_;
      loop_.change(fd(), waits_ ? EPOLLOUT : EPOLLIN, *this);
    }
    return true;
  }

  Loop& loop_;
  std::string pending_;
  bool waits_ = false;
};

/// Source, sink or both.
class Stream final : public Served {
 public:
  Stream(Loop& loop, Descriptor fd, Service service)
      : Served(std::move(fd)), sends_(service != Service::sink) {
    loop.add(this->fd(), sends_ ? EPOLLIN | EPOLLOUT : EPOLLIN, *this);
  }

 private:
  bool serve(std::uint32_t events) override {
    if (sends_ && (events & EPOLLOUT) != 0 && !source_.write(fd(), 2)) {
      return false;
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) {
      return true;
    }
    const auto result = discard_.read(fd());
    return result == Discard::Result::got || result == Discard::Result::nothing;
  }

  bool sends_;
  Source source_{longest_piece};
  Discard discard_;
};

class Listener final : public Handler {
 public:
  Listener(Loop& loop, const std::string& host, std::uint16_t port, Service service)
      : loop_(loop), service_(service) {
    const std::string name = host + " port " + std::to_string(port);
    const Address address = address_of(host, port);
    fd_ = Descriptor(
        ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int on = 1;
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    // Inherited by what is accepted.
    ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.length) !=
            0 ||
        ::listen(fd_.get(), 4096) != 0) {
      fail_errno(name);
    }
    loop_.add(fd_.get(), EPOLLIN, *this);
  }

  void ready(std::uint32_t) override {
    for (int i = 0; i < 64; ++i) {
      Descriptor fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (fd.get() < 0) {
        if (errno == EAGAIN || errno == ECONNABORTED) {
          return;
        }
        fail_errno("accept");
      }
      // NOLINTNEXTLINE: it deletes itself
      service_ == Service::echo ? static_cast<void>(new Echo(loop_, std::move(fd)))
                                : static_cast<void>(new Stream(loop_, std::move(fd), service_));
    }
  }

 private:
  Loop& loop_;
  Service service_;
  Descriptor fd_;
};

}  // namespace

Destination::Destination(Loop& loop, const Options& options) {
  for (const auto& host : options.listen) {
    for (int i = 0; i < services; ++i) {
      parts_.push_back(std::make_unique<Listener>(
          loop, host, static_cast<std::uint16_t>(options.port + i), static_cast<Service>(i)));
    }
    parts_.push_back(std::make_unique<UdpEcho>(loop, host, options.port));
  }
  if (options.names) {
    parts_.push_back(std::make_unique<Names>(loop, options.listen.front()));
  }
}

void serve(const Options& options) {
  Loop loop;
  const Destination destination(loop, options);
  std::puts("ready");
  std::fflush(stdout);
  for (;;) {
    loop.turn(-1);
  }
}

}  // namespace load
