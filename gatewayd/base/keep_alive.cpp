#include "base/keep_alive.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/socket_option.hpp"

namespace socks64::gateway {
namespace {

constexpr int idle = 300;  // seconds
constexpr int interval = 60;
constexpr int count = 5;

}  // namespace

bool keep_alive(int socket) noexcept {
  return set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, idle) &&
         set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, interval) &&
         set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, count) &&
         set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
}

}  // namespace socks64::gateway
