// What each system call, and each habit, of serving a SOCKS connection costs: connect, greeting,
// request, 64 octets there and back, close; 32 at once. The server is alone on its core.
#include <cerrno>
#include <cstring>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "path_load.hpp"
#include "path_server.hpp"
#include "rig.hpp"

namespace tried {
namespace {

constexpr int sessions = 1500;

std::vector<double> once(const Ways& ways, bool pipelined) {
  PathServer server(ways);
  const long segments = segments_sent();
  std::thread serving = on_core(server_core, [&] { server.serve(); });
  const double took = path_load({server.port()}, sessions, pipelined);
  server.stop();
  serving.join();
  const double n = sessions;
  return {server.cpu() / n * 1e6, n / took, static_cast<double>(server.calls()) / n,
          static_cast<double>(server.waits()) / n,
          static_cast<double>(segments_sent() - segments) / n};
}

Row row(std::string name, const Ways& ways, bool pipelined = false) {
  return {std::move(name), [ways, pipelined] { return once(ways, pipelined); }};
}

}  // namespace

void connection_path(const Options& options) {
  const Ways plain;
  std::vector<Row> rows;
  const auto add = [&](const char* name, auto change) {
    Ways ways = plain;
    change(ways);
    rows.push_back(row(name, ways));
  };
  rows.push_back(row("plain", plain));
  rows.push_back(row("plain, again: the noise", plain));
  add("one accept an event", [](Ways& w) { w.accept_to_the_end = false; });
  add("TCP_DEFER_ACCEPT", [](Ways& w) { w.defer_accept = true; });
  add("TCP_DEFER_ACCEPT, read at once", [](Ways& w) { w.defer_accept = w.read_at_once = true; });
  add("read at once after accept and reply", [](Ways& w) { w.read_at_once = true; });
  add("... and register when nothing was there",
      [](Ways& w) { w.read_at_once = w.client_add_late = true; });
  add("DEFER_ACCEPT, read, register late",
      [](Ways& w) { w.defer_accept = w.read_at_once = w.client_add_late = true; });
  add("options on each socket, not inherited", [](Ways& w) { w.options_each = true; });
  add("connect's result by poll(0)", [](Ways& w) { w.connected = Ways::Connected::poll; });
  add("connect's result by connect()", [](Ways& w) { w.connected = Ways::Connected::again; });
  add("ADD, connect, MOD", [](Ways& w) { w.dest_add_first = true; });
  add("no SO_ERROR when EPOLLERR is not set", [](Ways& w) { w.ask_error = false; });
  add("poll() before SO_ERROR", [](Ways& w) { w.poll_error = true; });
  add("no getsockname()", [](Ways& w) { w.ask_name = false; });
  add("no TCP_NODELAY to the destination", [](Ways& w) { w.no_delay = false; });
  add("keep-alive on the destination: 4 calls", [](Ways& w) { w.keep_alive = true; });
  add("recycled destination sockets", [](Ways& w) { w.recycle = true; });
  add("TCP_QUICKACK 0 on both", [](Ways& w) { w.quick_ack = 0; });
  add("TCP_QUICKACK 1 on both", [](Ways& w) { w.quick_ack = 1; });
  add("TCP_QUICKACK 0 on the listener", [](Ways& w) { w.quick_listener = true; });
  add("4 needless ioctl(FIONBIO)", [](Ways& w) { w.fionbio = 4; });
  add("SO_OOBINLINE on both", [](Ways& w) { w.oob_inline = true; });
  add("MOD for each wait", [](Ways& w) { w.rearm = true; });
  add("epoll_wait(0) after each batch", [](Ways& w) { w.poll_between = true; });
  add("read until EAGAIN", [](Ways& w) { w.read_to_the_end = true; });
  add("DEL before close", [](Ways& w) { w.delete_first = true; });
  add("shutdown before close", [](Ways& w) { w.end = Ways::End::shutdown_first; });
  add("close both at the client's end", [](Ways& w) { w.end = Ways::End::reset; });
  add("... with SO_LINGER 0: RST", [](Ways& w) { w.end = Ways::End::abort; });
  const auto best = [](Ways& w) {
    w.read_at_once = w.client_add_late = w.recycle = true;
    w.ask_error = w.no_delay = false;
  };
  const auto reactor = [](Ways& w) {
    w.fionbio = 4;
    w.keep_alive = w.oob_inline = w.dest_add_first = w.poll_error = w.rearm = true;
    w.poll_between = w.delete_first = w.read_at_once = true;
    w.end = Ways::End::shutdown_first;
  };
  add("what pays, together", best);
  add("a general reactor's habits, together", reactor);
  Ways ways = plain;
  rows.push_back(row("plain, pipelining client", ways, true));
  best(ways);
  rows.push_back(row("what pays, pipelining client", ways, true));
  measure(options, "Connection path, one thread",
          {"CPU µs*", "connections/s", "calls", "epoll_wait", "segments"}, rows);
}

}  // namespace tried
