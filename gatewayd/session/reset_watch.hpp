// An RST is unmistakable, and cancels the dial. The kernel reports it as EPOLLERR and EPOLLHUP.
//
// A UNIX socket has no RST, and does not need one: while we have not shut down anything, EPOLLHUP
// says that the client has closed its socket, and one that only said FIN shows none.
#ifndef SOCKS64_GATEWAYD_RESET_WATCH_HPP
#define SOCKS64_GATEWAYD_RESET_WATCH_HPP

#include "loop/net.hpp"
#include "session/session.hpp"

namespace socks64::gateway {

/// Watches from construction to destruction; a client that is gone stops its session
/// (SessionControl::Stop::client_gone), which cancels whatever it waits for.
class ResetWatch final : private WaitOp {
 public:
  ResetWatch(Socket& client, SessionControl& control) : client_(client), control_(control) {
    client_.wait(Ready::error, *this);
  }
  ~ResetWatch() { client_.withdraw(Ready::error, *this); }

 private:
  void ready(const asio::error_code& error) override {
    if (!error) {
      control_.stop(SessionControl::Stop::client_gone);
    }
  }
  void discard() noexcept override {}

  Socket& client_;
  SessionControl& control_;
};

}  // namespace socks64::gateway

#endif
