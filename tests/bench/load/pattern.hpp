// The octets of every stream: octet number n is a function of n alone, so both ends know what is
// right.
#ifndef SOCKS64_BENCH_PATTERN_HPP
#define SOCKS64_BENCH_PATTERN_HPP

#include <cstddef>
#include <cstdint>

namespace load {

/// Of octets that pattern_at() hands out in one piece at least.
inline constexpr std::size_t longest_piece = 256 * 1024;

/// The octets from number `offset` on; `longest_piece` of them can be read.
const char* pattern_at(std::uint64_t offset);

/// Discards what a bulk stream brings, and looks at some of it. The octets are dropped by the
/// kernel (MSG_TRUNC) so that the load is not the bottleneck of what it measures; a piece of 4 KiB
/// of each 4 MiB, wherever that falls, is read and compared, so a stream that loses, repeats or
/// reorders anything does not stay unnoticed.
class Discard {
 public:
  enum class Result { got, nothing, end, error };
  /// One read. Throws Failed for a wrong octet.
  Result read(int fd);
  std::uint64_t octets() const { return offset_; }

 private:
  std::uint64_t offset_ = 0;
  std::uint64_t next_look_ = 0;
};

/// Sends the pattern, in pieces of `piece` octets at most (up to longest_piece), until the socket
/// is full or `turns` were sent. False: errno says why, and it is not that the socket is full.
class Source {
 public:
  explicit Source(std::size_t piece) : piece_(piece) {}
  bool write(int fd, int turns);
  std::uint64_t octets() const { return offset_; }

 private:
  std::size_t piece_;
  std::uint64_t offset_ = 0;
};

}  // namespace load

#endif
