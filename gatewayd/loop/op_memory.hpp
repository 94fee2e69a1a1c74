// The memory of an operation that is started over and over again, so that the steady state of an
// event loop allocates nothing: Asio keeps two blocks a thread for all operations, and that is soon
// one too few.
#ifndef SOCKS64_GATEWAYD_OP_MEMORY_HPP
#define SOCKS64_GATEWAYD_OP_MEMORY_HPP

#include <array>
#include <cstddef>
#include <new>
#include <utility>

#include <asio/bind_allocator.hpp>

namespace socks64::gateway {

/// Holds one operation. A second one at the same time, as between a cancellation and its handler,
/// comes from the heap.
class OpMemory {
 public:
  OpMemory() = default;
  OpMemory(const OpMemory&) = delete;
  OpMemory& operator=(const OpMemory&) = delete;

  [[nodiscard]] void* take(std::size_t size) {
    if (taken_ || size > block_.size()) {
      return ::operator new(size);
    }
    taken_ = true;
    return block_.data();
  }
  void give_back(void* block) noexcept {
    if (block != block_.data()) {
      return ::operator delete(block);
    }
    taken_ = false;
  }

 private:
  bool taken_ = false;
  alignas(std::max_align_t) std::array<std::byte, 192> block_;
};

template <class T>
class OpAllocator {
 public:
  using value_type = T;

  explicit OpAllocator(OpMemory& memory) noexcept : memory_(&memory) {}
  template <class U>
  // NOLINTNEXTLINE(google-explicit-constructor): as allocators are
  OpAllocator(const OpAllocator<U>& other) noexcept : memory_(other.memory_) {}

  [[nodiscard]] T* allocate(std::size_t count) {
    return static_cast<T*>(memory_->take(count * sizeof(T)));
  }
  void deallocate(T* block, std::size_t) noexcept { memory_->give_back(block); }
  bool operator==(const OpAllocator&) const noexcept = default;

 private:
  template <class U>
  friend class OpAllocator;

  OpMemory* memory_;
};

/// `handler`, whose operation lives in `memory`.
template <class Handler>
auto in_memory(OpMemory& memory, Handler handler) {
  return asio::bind_allocator(OpAllocator<std::byte>(memory), std::move(handler));
}

}  // namespace socks64::gateway

#endif
