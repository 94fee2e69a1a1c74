// What the peers of a relay send and expect: a stream whose every octet is known from its position.
#ifndef SOCKS64_TESTS_NET_RELAY_PEER_HPP
#define SOCKS64_TESTS_NET_RELAY_PEER_HPP

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "rig/relay_rig.hpp"

namespace socks64::gateway::rig {

/// An endless stream: a block of random octets of prime length, over and over.
class Stream {
 public:
  explicit Stream(unsigned seed) {
    std::mt19937 random(seed);
    for (std::size_t i = 0; i < kPeriod; ++i) {
      block_[i] = block_[i + kPeriod] = static_cast<std::uint8_t>(random());
    }
  }
  /// At least kPeriod octets from `position` on.
  [[nodiscard]] const std::uint8_t* at(std::size_t position) const {
    return block_.data() + position % kPeriod;
  }
  static constexpr std::size_t kPeriod = 1'048'583;

 private:
  std::vector<std::uint8_t> block_ = std::vector<std::uint8_t>(2 * kPeriod);
};

inline std::vector<std::uint8_t> piece(const Stream& stream, std::size_t from, std::size_t size) {
  std::vector<std::uint8_t> octets;
  octets.reserve(size);
  for (std::size_t i = 0; i < size; ++i) {
    octets.push_back(*stream.at(from + i));
  }
  return octets;
}

/// Sends [from, to) of the stream in chunks of random size up to `most`.
inline ::testing::AssertionResult send_stream(const Fd& fd, const Stream& stream, std::size_t from,
                                              std::size_t to, std::size_t most = 300'000) {
  std::mt19937 random(static_cast<unsigned>(to));
  std::uniform_int_distribution<std::size_t> chunk(1, std::min(most, Stream::kPeriod));
  for (std::size_t sent = from; sent < to;) {
    const ssize_t n =
        ::send(fd.get(), stream.at(sent), std::min(chunk(random), to - sent), MSG_NOSIGNAL);
    if (n <= 0) {
      return ::testing::AssertionFailure() << "send at " << sent << ": " << std::strerror(errno);
    }
    sent += static_cast<std::size_t>(n);
  }
  return ::testing::AssertionSuccess();
}

/// Expects exactly [from, to) of the stream.
inline ::testing::AssertionResult expect_stream(const Fd& fd, const Stream& stream,
                                                std::size_t from, std::size_t to) {
  std::vector<std::uint8_t> room(200'000);
  for (std::size_t got = from; got < to;) {
    const ssize_t n = ::recv(fd.get(), room.data(), std::min(room.size(), to - got), 0);
    if (n <= 0) {
      return ::testing::AssertionFailure()
             << "recv at " << got << ": " << (n == 0 ? "EOF" : std::strerror(errno));
    }
    if (std::memcmp(room.data(), stream.at(got), static_cast<std::size_t>(n)) != 0) {
      return ::testing::AssertionFailure() << "wrong octets after " << got;
    }
    got += static_cast<std::size_t>(n);
  }
  return ::testing::AssertionSuccess();
}

/// What the next recv() says: 0 for EOF, an errno, or -1 for octets.
inline int ending(const Fd& fd) {
  std::uint8_t octet = 0;
  const ssize_t n = ::recv(fd.get(), &octet, 1, 0);
  return n > 0 ? -1 : n == 0 ? 0 : errno;
}

/// Reads whatever is there until the end, and says how it ended.
inline int ending_after_octets(const Fd& fd, std::size_t& octets) {
  std::vector<std::uint8_t> room(200'000);
  for (octets = 0;;) {
    const ssize_t n = ::recv(fd.get(), room.data(), room.size(), 0);
    if (n <= 0) {
      return n == 0 ? 0 : errno;
    }
    octets += static_cast<std::size_t>(n);
  }
}

/// Sends until nothing has been taken for `quiet`, and returns how much was.
inline std::size_t send_until_stuck(const Fd& fd, const Stream& stream, std::size_t from = 0,
                                    std::chrono::milliseconds quiet = std::chrono::milliseconds{
                                        400}) {
  std::size_t sent = from;
  for (;;) {
    pollfd writable{fd.get(), POLLOUT, 0};
    if (::poll(&writable, 1, static_cast<int>(quiet.count())) <= 0) {
      return sent - from;
    }
    const ssize_t n =
        ::send(fd.get(), stream.at(sent), std::size_t{1} << 20, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
      return sent - from;
    }
    if (n > 0) {
      sent += static_cast<std::size_t>(n);
    }
  }
}

}  // namespace socks64::gateway::rig

#endif
