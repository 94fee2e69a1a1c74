// Memory for the length of a call.
#ifndef SOCKS64_SHIM_SCRATCH_HPP
#define SOCKS64_SHIM_SCRATCH_HPP

#include <array>
#include <cstddef>
#include <sys/mman.h>

#include "host/host_guard.hpp"

namespace socks64::shim {

/// An array for the length of a call: on the stack, or in a mapping when it is long. Null data when
/// there is no memory.
template <class T, std::size_t Small>
class Scratch {
 public:
  explicit Scratch(std::size_t count) noexcept : bytes_(count * sizeof(T)) {
    if (count <= Small) {
      data_ = small_.data();
      return;
    }
    void* memory =
        mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    data_ = memory == MAP_FAILED ? nullptr : static_cast<T*>(memory);
  }
  ~Scratch() {
    if (data_ != nullptr && data_ != small_.data()) {
      const ErrnoGuard guard;
      munmap(data_, bytes_);
    }
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] T* data() const noexcept { return data_; }

 private:
  std::array<T, Small> small_;
  std::size_t bytes_;
  T* data_ = nullptr;
};

}  // namespace socks64::shim

#endif
