// The destination: see `usage`. It outlives runs; a connection's failure ends that connection.
#ifndef SOCKS64_BENCH_SERVE_HPP
#define SOCKS64_BENCH_SERVE_HPP

#include <memory>
#include <vector>

#include "loop.hpp"
#include "options.hpp"

namespace load {

/// All services on all of options.listen, for as long as the loop turns.
class Destination {
 public:
  Destination(Loop& loop, const Options& options);

 private:
  std::vector<std::unique_ptr<Handler>> parts_;
};

[[noreturn]] void serve(const Options& options);

}  // namespace load

#endif
