// Waiting for a socket without allocating and without a coroutine: a slot is the wait itself. The
// steady state of a relay is "wait, move octets, wait", so this is where an allocation per chunk
// would otherwise hide.
#ifndef SOCKS64_GATEWAYD_WAIT_SLOT_HPP
#define SOCKS64_GATEWAYD_WAIT_SLOT_HPP

#include <cstddef>
#include <utility>

#include "loop/socket.hpp"

namespace socks64::gateway {

class WaitSlot;

/// Owns slots, and outlives the waits in them: each holds a reference. So an owner may end while
/// waits are still on their way back from the event loop, and when an io_context is destroyed under
/// it. The count is not atomic: an owner never leaves its worker.
class WaitOwner {
 public:
  WaitOwner(const WaitOwner&) = delete;
  WaitOwner& operator=(const WaitOwner&) = delete;

  void acquire() noexcept { ++references_; }
  void release() noexcept {
    if (--references_ == 0) {
      delete this;
    }
  }

  virtual void woken(WaitSlot& slot, const asio::error_code& error) noexcept = 0;

 protected:
  WaitOwner() = default;
  virtual ~WaitOwner() = default;

 private:
  std::size_t references_ = 0;
};

class WaitSlot final : private WaitOp {
 public:
  [[nodiscard]] bool armed() const noexcept { return owner_ != nullptr; }

  /// Calls owner.woken(*this, error) once the socket is ready, unless the slot waits already.
  /// `drained`: see Socket::wait().
  void arm(WaitOwner& owner, Socket& socket, Ready what, bool drained = false) noexcept {
    if (armed()) {
      return;
    }
    owner.acquire();
    owner_ = &owner;
    socket.wait(what, *this, drained);
  }

 private:
  void ready(const asio::error_code& error) override {
    WaitOwner& owner = *std::exchange(owner_, nullptr);
    owner.woken(*this, error);
    owner.release();
  }
  void discard() noexcept override { std::exchange(owner_, nullptr)->release(); }

  WaitOwner* owner_ = nullptr;
};

}  // namespace socks64::gateway

#endif
