// What a run found, and how it is printed.
#ifndef SOCKS64_BENCH_FIGURES_HPP
#define SOCKS64_BENCH_FIGURES_HPP

#include <cstdint>
#include <string>
#include <vector>

#include "loop.hpp"

namespace load {

/// Every single one is kept, so percentiles are exact.
class Latencies {
 public:
  void add(Clock::duration time) {
    us_.push_back(std::chrono::duration<float, std::micro>(time).count());
  }
  void clear() { us_.clear(); }
  std::size_t size() const { return us_.size(); }
  /// {"p50": ..., "p90": ..., "p99": ..., "max": ...}, in µs; null without any.
  std::string json();

 private:
  std::vector<float> us_;
};

/// One JSON object, in the order in which its members were added.
class Figures {
 public:
  void add(const std::string& name, double value);
  void add(const std::string& name, std::uint64_t value);
  void add(const std::string& name, Latencies& latencies);
  void add_text(const std::string& name, const std::string& plain);
  std::string json() const { return "{" + members_ + "}"; }

 private:
  void add_json(const std::string& name, const std::string& json);
  std::string members_;
};

}  // namespace load

#endif
