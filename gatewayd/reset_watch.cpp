#include "reset_watch.hpp"

#include <chrono>
#include <poll.h>

namespace socks64::gateway {

class ResetWatch::Watch : public std::enable_shared_from_this<Watch> {
 public:
  Watch(Socket& client, SessionControl& control)
      : client_(client), control_(control), look_again_(client.get_executor()) {}

  void start() {
    // A callback may come when the dial is over, and all that is referred to gone.
    client_.async_wait(Socket::wait_error,
                       [watch = weak_from_this()](const asio::error_code& error) {
                         const std::shared_ptr<Watch> alive = watch.lock();
                         if (!error && alive) alive->look();
                       });
  }

 private:
  void look() {
    pollfd state{client_.native_handle(), 0, 0};
    if (::poll(&state, 1, 0) > 0 && (state.revents & (POLLERR | POLLHUP)) != 0) {
      return control_.stop(SessionControl::Stop::client_gone);
    }
    look_again_.expires_after(urgent_recheck);
    look_again_.async_wait([watch = weak_from_this()](const asio::error_code& error) {
      const std::shared_ptr<Watch> alive = watch.lock();
      if (!error && alive) alive->start();
    });
  }

  static constexpr std::chrono::seconds urgent_recheck{1};

  Socket& client_;
  SessionControl& control_;
  Timer look_again_;
};

ResetWatch::ResetWatch(Socket& client, SessionControl& control)
    : client_(client), watch_(std::make_shared<Watch>(client, control)) {
  watch_->start();
}

ResetWatch::~ResetWatch() {
  watch_.reset();
  asio::error_code ignored;
  client_.cancel(ignored);
}

}  // namespace socks64::gateway
