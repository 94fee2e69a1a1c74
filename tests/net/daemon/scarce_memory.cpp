#include "scarce_memory.hpp"

#include <cstddef>

namespace {

thread_local bool scarce = false;

}  // namespace

extern "C" {
void* __real_aligned_alloc(std::size_t alignment, std::size_t size);
void* __wrap_aligned_alloc(std::size_t alignment, std::size_t size);

void* __wrap_aligned_alloc(std::size_t alignment, std::size_t size) {
  return scarce ? nullptr : __real_aligned_alloc(alignment, size);
}
}

namespace socks64::gateway::test {

ScarceMemory::ScarceMemory() noexcept {
  scarce = true;
}
ScarceMemory::~ScarceMemory() {
  scarce = false;
}

}  // namespace socks64::gateway::test
