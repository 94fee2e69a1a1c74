#!/bin/sh
# Builds the relay's bench optimised and prints its table; arguments go to relay_bench (--help).
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
build=${SOCKS64_BENCH_BUILD:-$root/build/bench}
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DSOCKS64_BUILD_SHIM=OFF >/dev/null
cmake --build "$build" --target relay_bench >/dev/null
exec "$(find "$build" -name relay_bench -type f -perm -u+x | head -n 1)" "$@"
