// Pipes, buffers, turns and flags for octets in bulk, four streams.
#include <fcntl.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "links.hpp"

namespace tried {
namespace {

constexpr std::size_t octets = 400'000'000;

Pair with_option(int level, int option, int value) {
  Pair pair = tcp_pair();
  set(pair.near, level, option, value);
  return pair;
}

}  // namespace

void bulk_options(const Options& options) {
  std::vector<Row> rows;
  const auto copy = [&](std::string name, EpollTuning tuning, MakePair pair = tcp_pair) {
    rows.push_back(
        {"copy, " + name, [tuning, pair] { return bulk(epoll_copy(tuning), 4, octets, pair); }});
  };
  const auto splice = [&](std::string name, EpollTuning tuning, MakePair pair = tcp_pair) {
    rows.push_back({"splice, " + name,
                    [tuning, pair] { return bulk(epoll_splice(tuning), 4, octets, pair); }});
  };
  copy("buffer 256 KiB", {});
  copy("buffer 64 KiB", {.buffer = 64 << 10});
  copy("buffer 1 MiB", {.buffer = 1 << 20});
  copy("turn 2 MiB", {.turn = 2 << 20});
  copy("turn 128 KiB", {.turn = 128 << 10});
  copy("SO_RCVLOWAT 64 KiB", {}, [] { return with_option(SOL_SOCKET, SO_RCVLOWAT, 64 << 10); });
  copy("SO_RCVBUF 4 MiB", {}, [] { return with_option(SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20); });
  copy("MSG_MORE", {.send_flags = MSG_MORE});
  splice("pipe 256 KiB", {});
  splice("pipe 256 KiB, again: the noise", {});
  splice("pipe 64 KiB", {.pipe = 64 << 10});
  splice("pipe 512 KiB", {.pipe = 512 << 10});
  splice("pipe 1 MiB", {.pipe = 1 << 20});
  splice("SPLICE_F_MORE", {.splice_flags = SPLICE_F_MORE});
  splice("turn 2 MiB", {.turn = 2 << 20});
  splice("turn 128 KiB", {.turn = 128 << 10});
  splice("SO_RCVLOWAT 64 KiB", {}, [] { return with_option(SOL_SOCKET, SO_RCVLOWAT, 64 << 10); });
  splice("SO_RCVBUF 4 MiB", {}, [] { return with_option(SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20); });
  measure(options, "Bulk, four streams", {"CPU s/GB*", "GB/s*"}, rows);
}

}  // namespace tried
