// Fixed-size objects in a reserved mapping: no malloc of the host's, and addresses that stay valid
// for good, so that a late reader of a freed object sees stale data but never unmapped memory.
#ifndef SOCKS64_SHIM_MAPPED_POOL_HPP
#define SOCKS64_SHIM_MAPPED_POOL_HPP

#include <cstddef>
#include <cstdint>
#include <new>
#include <sys/mman.h>

namespace socks64::shim {

enum class Sharing : std::uint8_t { private_to_process, shared_over_fork };

/// At most `Capacity` objects of `T`; only the pages in use cost memory. Not thread-safe: the owner
/// locks. All-zero memory must be a valid `T`: that is what a slot holds before its first use. A
/// reused slot is handed out as it was left.
template <class T, std::size_t Capacity, Sharing sharing = Sharing::private_to_process>
class MappedPool {
 public:
  /// Null when the pool is exhausted or the mapping cannot be made.
  [[nodiscard]] T* allocate() noexcept {
    if (slots_ == nullptr && !reserve()) {
      return nullptr;
    }
    std::uint32_t index = free_;
    if (index != 0) {
      free_ = slots_[index - 1].next;
    } else if (used_ < capacity_) {
      index = ++used_;
    } else {
      return nullptr;
    }
    return at(index - 1);
  }

  void release(T* object) noexcept {
    const std::uint32_t index = index_of(object) + 1;
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): the object is one of this mapping's
    slots_[index - 1].next = free_;
    free_ = index;
  }

  /// Starts over with a mapping of its own; objects given out before stay where they are, but
  /// cannot be released to this pool.
  void abandon() noexcept {
    slots_ = nullptr;
    used_ = 0;
    free_ = 0;
  }

  [[nodiscard]] std::uint32_t index_of(const T* object) const noexcept {
    return static_cast<std::uint32_t>(reinterpret_cast<const Slot*>(object) - slots_);
  }
  /// Slots below high_water() have held an object at least once.
  [[nodiscard]] std::uint32_t high_water() const noexcept { return used_; }
  [[nodiscard]] T* at(std::uint32_t index) const noexcept {
    return std::launder(reinterpret_cast<T*>(slots_[index].object));
  }

 private:
  struct Slot {
    alignas(T) unsigned char object[sizeof(T)];
    std::uint32_t next;
  };

  bool reserve() noexcept {
    constexpr int visibility = sharing == Sharing::shared_over_fork ? MAP_SHARED : MAP_PRIVATE;
    constexpr std::size_t smallest = 64;
    // A process with a limited address space gets a smaller pool.
    for (std::size_t capacity = Capacity; capacity >= smallest; capacity /= 2) {
      void* memory = mmap(nullptr, capacity * sizeof(Slot), PROT_READ | PROT_WRITE,
                          visibility | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (memory != MAP_FAILED) {
        slots_ = static_cast<Slot*>(memory);
        capacity_ = capacity;
        return true;
      }
    }
    return false;
  }

  Slot* slots_ = nullptr;
  std::size_t capacity_ = 0;
  std::uint32_t used_ = 0;
  std::uint32_t free_ = 0;  ///< index + 1
};

}  // namespace socks64::shim

#endif
