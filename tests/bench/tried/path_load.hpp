// The other end of the connection path: clients and the destination they ask for, in one thread.
#pragma once

#include <vector>

namespace tried {

/// Runs `sessions` sessions, 32 at once, through the servers at `ports` in turn; all on the core of
/// the load. `pipelined`: greeting and request in one segment. Returns the seconds it took.
double path_load(const std::vector<int>& ports, int sessions, bool pipelined);

}  // namespace tried
