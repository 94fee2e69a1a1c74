// The destination: see `usage`. It outlives runs; a connection's failure ends that connection.
#ifndef SOCKS64_BENCH_SERVE_HPP
#define SOCKS64_BENCH_SERVE_HPP

#include "options.hpp"

namespace load {

[[noreturn]] void serve(const Options& options);

}  // namespace load

#endif
