// A socket of a session: its descriptor, and its place among those that the event loop watches.
//
// Reading, writing and connecting are the caller's own system calls, which never wait; what this
// knows is how to wait for them to be worth trying (readiness.hpp). Until it waits for the first
// time, a socket has cost the event loop nothing.
#ifndef SOCKS64_GATEWAYD_SOCKET_HPP
#define SOCKS64_GATEWAYD_SOCKET_HPP

#include <cerrno>
#include <memory>
#include <utility>

#include <asio/associated_allocator.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/async_result.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/io_context.hpp>

#include "base/descriptor.hpp"
#include "loop/readiness.hpp"

namespace socks64::gateway {

class Socket {
 public:
  using executor_type = asio::io_context::executor_type;

  /// Not open.
  explicit Socket(const executor_type& executor)
      : context_(&executor.context()), readiness_(&Readiness::of(*context_)) {}
  /// `from` is non-blocking. Throws when there is no memory; `from` is closed then.
  Socket(const executor_type& executor, Descriptor from) : Socket(executor) {
    place_ = readiness_->enter();
    fd_ = std::move(from);
  }
  Socket(Socket&& other) noexcept
      : context_(other.context_),
        readiness_(other.readiness_),
        fd_(std::move(other.fd_)),
        place_(other.place_) {}
  Socket& operator=(Socket&& other) noexcept {
    if (this != &other) {
      close();
      context_ = other.context_;
      readiness_ = other.readiness_;
      fd_ = std::move(other.fd_);
      place_ = other.place_;
    }
    return *this;
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() { close(); }

  [[nodiscard]] executor_type get_executor() const noexcept { return context_->get_executor(); }
  [[nodiscard]] bool is_open() const noexcept { return static_cast<bool>(fd_); }
  /// -1 when it is not open.
  [[nodiscard]] int native_handle() const noexcept { return fd_.get(); }

  /// Whoever waits is told that it was cancelled.
  void close() noexcept {
    if (!fd_) {
      return;
    }
    readiness_->leave(place_, fd_.get(), false);
    fd_.close();
  }
  /// The same, but the socket stays open.
  [[nodiscard]] Descriptor release() noexcept {
    if (fd_) {
      readiness_->leave(place_, fd_.get(), true);
    }
    return std::move(fd_);
  }
  void cancel() noexcept {
    if (fd_) {
      readiness_->cancel(place_);
    }
  }

  /// Calls op.ready(); see Readiness::wait(). Without a system call when `drained`, unless it is
  /// the first wait of its kind.
  void wait(Ready what, WaitOp& op, bool drained = false) noexcept {
    if (!fd_) {
      return readiness_->refuse(op, EBADF);
    }
    readiness_->wait(place_, fd_.get(), what, op, drained);
  }
  /// As if this wait had never begun, also when it is over and ready() is still to come. Not after
  /// close().
  void withdraw(Ready what, WaitOp& op) noexcept { readiness_->withdraw(place_, what, op); }

  /// The same for completion handlers, coroutines among them: void(asio::error_code). Heeds the
  /// handler's cancellation slot.
  template <class Token>
  auto async_wait(Ready what, Token&& token, bool drained = false) {
    return asio::async_initiate<Token, void(asio::error_code)>(
        [this](auto handler, Ready kind, bool is_drained) {
          using Op = HandlerOp<decltype(handler)>;
          Op& op = Op::make(std::move(handler));
          op.heed_cancellation(*readiness_, place_, kind);
          wait(kind, op, is_drained);
        },
        token, what, drained);
  }

 private:
  template <class Handler>
  class HandlerOp final : public WaitOp {
   public:
    static HandlerOp& make(Handler handler) {
      auto allocator = allocator_of(handler);
      auto* const memory = Traits::allocate(allocator, 1);
      return *::new (static_cast<void*>(memory)) HandlerOp(std::move(handler));
    }

    void heed_cancellation(Readiness& readiness, Readiness::Place place, Ready what) {
      auto slot = asio::get_associated_cancellation_slot(handler_);
      if (!slot.is_connected()) {
        return;
      }
      slot.assign([this, &readiness, place, what](asio::cancellation_type) {
        readiness.cancel(place, what, *this);
      });
    }

    void ready(const asio::error_code& error) override {
      asio::get_associated_cancellation_slot(handler_).clear();
      Handler handler = take();
      handler(error);
    }
    /// Not by way of the cancellation slot: its signal may be gone already.
    void discard() noexcept override { const Handler unused = take(); }

   private:
    using Allocator = typename std::allocator_traits<
        asio::associated_allocator_t<Handler>>::template rebind_alloc<HandlerOp>;
    using Traits = std::allocator_traits<Allocator>;

    explicit HandlerOp(Handler handler) : handler_(std::move(handler)) {}

    static Allocator allocator_of(const Handler& handler) {
      return Allocator(asio::get_associated_allocator(handler));
    }

    /// Gives the memory back before the handler runs: it may well wait again.
    Handler take() {
      Handler handler = std::move(handler_);
      auto allocator = allocator_of(handler);
      this->~HandlerOp();
      Traits::deallocate(allocator, this, 1);
      return handler;
    }

    Handler handler_;
  };

  asio::io_context* context_;
  Readiness* readiness_;
  Descriptor fd_;
  Readiness::Place place_ = 0;
};

}  // namespace socks64::gateway

#endif
