// Time in which a thread could run and no processor was free: what a busy machine adds to any time
// that a test measures.
#ifndef SOCKS64_TESTS_NET_IN_LINE_HPP
#define SOCKS64_TESTS_NET_IN_LINE_HPP

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fcntl.h>
#include <string>
#include <unistd.h>

#include "base/descriptor.hpp"

namespace socks64::gateway::testing {

/// How long a thread of this process has stood in line for a processor since it began, as
/// /proc/PID/task/TID/schedstat has it; nothing where the kernel does not count that.
class InLine {
 public:
  explicit InLine(pid_t thread = ::gettid())
      : file_(::open(("/proc/self/task/" + std::to_string(thread) + "/schedstat").c_str(),
                     O_RDONLY | O_CLOEXEC)) {}
  [[nodiscard]] std::chrono::nanoseconds time() const {
    char text[100] = {};
    unsigned long long ran = 0;
    unsigned long long waited = 0;
    if (::pread(file_.get(), text, sizeof text - 1, 0) <= 0 ||
        std::sscanf(text, "%llu %llu", &ran, &waited) != 2) {
      return {};
    }
    return std::chrono::nanoseconds(waited);
  }

 private:
  Descriptor file_;
};

/// Runs `action`: how long it took, without the time that this thread stood in line.
template <class Action>
std::chrono::microseconds time_of(const InLine& line, Action action) {
  using Clock = std::chrono::steady_clock;
  const std::chrono::nanoseconds in_line = line.time();
  const Clock::time_point begin = Clock::now();
  action();
  const std::chrono::nanoseconds took = Clock::now() - begin - (line.time() - in_line);
  return std::chrono::duration_cast<std::chrono::microseconds>(
      std::max(std::chrono::nanoseconds(0), took));
}

}  // namespace socks64::gateway::testing

#endif
