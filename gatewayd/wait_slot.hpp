// Waiting for a socket without allocating: a slot is the memory of the one operation that waits in
// it. The steady state of a relay is "wait, move octets, wait", so this is where an allocation per
// chunk would otherwise hide.
#ifndef SOCKS64_GATEWAYD_WAIT_SLOT_HPP
#define SOCKS64_GATEWAYD_WAIT_SLOT_HPP

#include <array>
#include <cstddef>
#include <new>

#include "net.hpp"

namespace socks64::gateway {

class WaitSlot;

/// Owns slots, and outlives the operations in them: each holds a reference. So an owner may end
/// while waits are still on their way back from the reactor, and when an io_context is destroyed
/// under it. The count is not atomic: an owner never leaves its worker.
class WaitOwner {
 public:
  WaitOwner(const WaitOwner&) = delete;
  WaitOwner& operator=(const WaitOwner&) = delete;

  void acquire() noexcept { ++references_; }
  void release() noexcept {
    if (--references_ == 0) delete this;
  }

  virtual void woken(WaitSlot& slot, const asio::error_code& error) noexcept = 0;

 protected:
  WaitOwner() = default;
  virtual ~WaitOwner() = default;

 private:
  std::size_t references_ = 0;
};

class WaitSlot {
 public:
  WaitSlot() = default;
  WaitSlot(const WaitSlot&) = delete;
  WaitSlot& operator=(const WaitSlot&) = delete;

  [[nodiscard]] bool armed() const noexcept { return armed_; }

  /// Calls owner.woken(*this, error) once the socket is ready, unless the slot waits already.
  /// Readiness is level-triggered: what was ready before counts.
  template <class AnySocket>
  void arm(WaitOwner& owner, AnySocket& socket, asio::socket_base::wait_type what) {
    if (armed_) return;
    armed_ = true;
    socket.async_wait(what, Handler(owner, *this));
  }

 private:
  template <class T>
  struct Allocator {
    using value_type = T;

    explicit Allocator(WaitSlot* of) noexcept : slot(of) {}
    template <class U>
    Allocator(const Allocator<U>& other) noexcept  // NOLINT(google-explicit-constructor)
        : slot(other.slot) {}

    T* allocate(std::size_t count) {
      static_assert(sizeof(T) <= sizeof(slot->memory_) && alignof(T) <= alignof(std::max_align_t));
      if (count != 1) throw std::bad_alloc();
      return static_cast<T*>(static_cast<void*>(slot->memory_.data()));
    }
    void deallocate(T*, std::size_t) noexcept {}
    bool operator==(const Allocator&) const noexcept = default;

    WaitSlot* slot;
  };

  class Handler {
   public:
    using allocator_type = Allocator<std::byte>;

    Handler(WaitOwner& owner, WaitSlot& slot) noexcept : owner_(&owner), slot_(&slot) {
      owner_->acquire();
    }
    Handler(const Handler& other) noexcept : Handler(*other.owner_, *other.slot_) {}
    Handler& operator=(const Handler&) = delete;
    ~Handler() { owner_->release(); }

    [[nodiscard]] allocator_type get_allocator() const noexcept { return allocator_type(slot_); }

    void operator()(const asio::error_code& error) const noexcept {
      slot_->armed_ = false;
      owner_->woken(*slot_, error);
    }

   private:
    WaitOwner* owner_;
    WaitSlot* slot_;
  };

  bool armed_ = false;
  alignas(std::max_align_t) std::array<std::byte, 192> memory_;
};

}  // namespace socks64::gateway

#endif
