// What a dialler can meet on loopback, and a thread of execution to meet it on.
#ifndef SOCKS64_TESTS_NET_DIAL_PEERS_HPP
#define SOCKS64_TESTS_NET_DIAL_PEERS_HPP

#include <algorithm>
#include <chrono>
#include <exception>
#include <filesystem>
#include <fstream>
#include <optional>
#include <poll.h>
#include <stdexcept>
#include <stdlib.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>

#include "socks64/address.hpp"
#include "socks64/sockaddr.hpp"

#include "loop/net.hpp"

namespace socks64::gateway::testing {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr int slowdown = 10;  ///< instrumented code proves correctness, not speed
#else
inline constexpr int slowdown = 1;
#endif

inline IpAddress ip(std::string_view text) {
  return *IpAddress::parse(text);
}

inline DomainName named(std::string_view text) {
  return *DomainName::from(text);
}

inline Target target(std::string_view name, Port port) {
  return NamedEndpoint{named(name), port};
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) {
      ::close(fd_);
    }
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

/// Bound and listening; nobody accepts, which connect(2) does not notice until the queue is full.
class Listener {
 public:
  explicit Listener(const Endpoint& at, int backlog = 4096)
      : fd_(::socket(at.address.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const int one = 1;
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    sockaddr_storage storage{};
    socklen_t length = to_sockaddr(at, storage);
    auto* const address = reinterpret_cast<sockaddr*>(&storage);
    if (::bind(fd_.get(), address, length) != 0 || ::listen(fd_.get(), backlog) != 0) {
      throw std::runtime_error("cannot listen");
    }
    length = sizeof storage;
    ::getsockname(fd_.get(), address, &length);
    endpoint_ = *from_sockaddr(address, length);
  }
  [[nodiscard]] const Endpoint& endpoint() const { return endpoint_; }
  [[nodiscard]] Port port() const { return endpoint_.port; }
  [[nodiscard]] int get() const { return fd_.get(); }
  /// Takes what waits in the queue, and hangs up: for tests with more connections than it holds.
  void clear_queue() const {
    pollfd waiting{fd_.get(), POLLIN, 0};
    while (::poll(&waiting, 1, 0) > 0) {
      ::close(::accept(fd_.get(), nullptr, nullptr));
    }
  }

 private:
  Descriptor fd_;
  Endpoint endpoint_;
};

/// A listener whose queue is full: the kernel drops every further SYN without a word.
class BlackHole {
 public:
  explicit BlackHole(const Endpoint& at) : listener_(at, 0) {
    sockaddr_storage storage{};
    const socklen_t length = to_sockaddr(listener_.endpoint(), storage);
    for (int i = 0; i < 4; ++i) {
      fillers_.emplace_back(::socket(at.address.is_v4() ? AF_INET : AF_INET6,
                                     SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      ::connect(fillers_.back().get(), reinterpret_cast<sockaddr*>(&storage), length);
    }
  }
  [[nodiscard]] Port port() const { return listener_.port(); }

 private:
  Listener listener_;
  std::vector<Descriptor> fillers_;
};

/// A file in a directory of its own; both are gone afterwards.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& text) {
    std::string pattern = (std::filesystem::temp_directory_path() / "socks64-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) {
      throw std::runtime_error("mkdtemp");
    }
    directory_ = pattern;
    write(text);
  }
  ~TemporaryFile() { std::filesystem::remove_all(directory_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  /// Replaced by rename(2), as every careful editor does.
  void write(const std::string& text) const {
    const std::filesystem::path next = directory_ / "next";
    std::ofstream(next) << text;
    std::filesystem::rename(next, path());
  }
  [[nodiscard]] std::string path() const { return (directory_ / "file").string(); }

 private:
  std::filesystem::path directory_;
};

inline std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
}

/// Runs one coroutine to its end on `context` and returns what it returned.
template <class T>
T run(asio::io_context& context, Task<T> task) {
  std::optional<T> result;
  std::exception_ptr escaped;
  asio::co_spawn(context.get_executor(), std::move(task), [&](std::exception_ptr error, T value) {
    escaped = error;
    if (!error) {
      result.emplace(std::move(value));
    }
  });
  context.restart();
  context.run();
  if (escaped) {
    std::rethrow_exception(escaped);
  }
  return std::move(result.value());
}

/// A neighbour on this machine can only add to a time: the best of a few is what the code needs.
/// Stops as soon as one is under `bound`.
template <class Measure>
auto best_of(int rounds, std::chrono::milliseconds bound, Measure measure) {
  auto best = measure();
  for (int i = 1; i < rounds && best >= bound; ++i) {
    best = std::min(best, measure());
  }
  return best;
}

inline std::chrono::milliseconds elapsed_since(Clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start);
}

}  // namespace socks64::gateway::testing

#endif
