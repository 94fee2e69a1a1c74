#include "pattern.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <sys/socket.h>
#include <vector>

#include "loop.hpp"

namespace load {
namespace {

constexpr std::size_t period = 262139;  // a prime: no buffer's size divides it
constexpr std::uint64_t between_looks = 4 << 20;
constexpr std::size_t look = 4096;

std::vector<char> make_pattern() {
  std::vector<char> octets(period + longest_piece);
  std::uint64_t state = 0x9e3779b97f4a7c15;
  for (std::size_t i = 0; i < octets.size(); ++i) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    octets[i] = i < period ? static_cast<char>(state >> 32) : octets[i - period];
  }
  return octets;
}

}  // namespace

const char* pattern_at(std::uint64_t offset) {
  static const std::vector<char> octets = make_pattern();
  return octets.data() + offset % period;
}

Discard::Result Discard::read(int fd) {
  std::array<char, look> octets;
  const bool looks = offset_ >= next_look_;
  const ssize_t count =
      looks ? ::recv(fd, octets.data(), octets.size(), 0)
            : ::recv(fd, nullptr, static_cast<std::size_t>(next_look_ - offset_), MSG_TRUNC);
  if (count < 0) {
    return errno == EAGAIN || errno == EINTR ? Result::nothing : Result::error;
  }
  if (count == 0) {
    return Result::end;
  }
  if (looks) {
    if (std::memcmp(octets.data(), pattern_at(offset_), static_cast<std::size_t>(count)) != 0) {
      throw Failed("wrong octets behind octet " + std::to_string(offset_) + " of a stream");
    }
    next_look_ = offset_ + between_looks;
  }
  offset_ += static_cast<std::uint64_t>(count);
  return Result::got;
}

bool Source::write(int fd, int turns) {
  for (int i = 0; i < turns; ++i) {
    const ssize_t count = ::send(fd, pattern_at(offset_), piece_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0) {
      return errno == EAGAIN || errno == EINTR;
    }
    offset_ += static_cast<std::uint64_t>(count);
  }
  return true;
}

}  // namespace load
