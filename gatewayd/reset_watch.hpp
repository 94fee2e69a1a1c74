// Notices a client that is gone while nothing is read from it.
//
// While a target is dialled nothing is read from the client, so what happens to its connection has
// to be noticed otherwise. Two things can happen.
//
// A FIN says nothing: a client may send its request, its data and a FIN in one go and wait for the
// answer (`echo | nc` through SOCKS does), and one that has called close() looks the same until we
// send something. So a FIN is left for the relay, and a client that has truly gone costs at most
// one dial, which the connect timeout bounds.
//
// An RST is unmistakable, and cancels the dial. The kernel reports it as EPOLLERR and EPOLLHUP, for
// which Asio's wait_error stands; urgent data wakes that too (EPOLLPRI), so poll(2) decides. Urgent
// data that nobody reads would wake us for ever, so behind it we only look again every now and
// then.
//
// A UNIX socket has no RST, and does not need one: while we have not shut down anything, POLLHUP
// says that the client has closed its socket, and one that only said FIN shows none.
#ifndef SOCKS64_GATEWAYD_RESET_WATCH_HPP
#define SOCKS64_GATEWAYD_RESET_WATCH_HPP

#include <memory>

#include "net.hpp"
#include "session.hpp"

namespace socks64::gateway {

/// Watches from construction to destruction; a client that is gone stops its session
/// (SessionControl::Stop::client_gone), which cancels whatever it waits for. Nothing else may be
/// under way on the socket meanwhile: the end of the watch cancels its operations.
class ResetWatch {
 public:
  ResetWatch(Socket& client, SessionControl& control);
  ~ResetWatch();
  ResetWatch(const ResetWatch&) = delete;
  ResetWatch& operator=(const ResetWatch&) = delete;

 private:
  class Watch;
  Socket& client_;
  std::shared_ptr<Watch> watch_;
};

}  // namespace socks64::gateway

#endif
