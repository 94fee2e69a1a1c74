// What the fuzz targets share. Each target is one LLVMFuzzerTestOneInput; libFuzzer drives it under
// clang, and replay.cpp runs the committed corpus through the same function under any compiler.
#ifndef SOCKS64_TESTS_FUZZ_HPP
#define SOCKS64_TESTS_FUZZ_HPP

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "socks64/wire.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace socks64::fuzz {

/// A property of the library; assert() would vanish from release builds. The builtins are what
/// std::source_location is made of; clang 14 cannot use libstdc++'s.
inline void require(bool holds, const char* file = __builtin_FILE(),
                    int line = __builtin_LINE()) noexcept {
  if (holds) {
    return;
  }
  std::fprintf(stderr, "%s:%d: property violated\n", file, line);
  std::abort();
}

inline std::string_view as_text(Bytes octets) noexcept {
  return {reinterpret_cast<const char*>(octets.data()), octets.size()};
}

/// Chunk sizes drawn from one octet of the input, so that a finding can be replayed.
class Chunks {
 public:
  explicit Chunks(std::uint8_t seed) noexcept : state_(seed) {}
  /// From 1 to `limit`. Seed 0: always 1. Seed 255: always `limit`.
  std::size_t next(std::size_t limit) noexcept {
    if (state_ == 0 || limit == 0) {
      return limit < 1 ? limit : 1;
    }
    if (state_ == 255) {
      return limit;
    }
    sequence_ = sequence_ * 1103515245U + 12345U + state_;
    return 1 + (sequence_ >> 16U) % limit;
  }

 private:
  std::uint32_t state_;
  std::uint32_t sequence_ = 1;
};

}  // namespace socks64::fuzz

#endif
