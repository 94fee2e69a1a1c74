#include "process/runtime.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <sys/mman.h>

#include "host/host_guard.hpp"

namespace socks64::shim {

namespace {

// Constant-initialised storage; filled by start-up.
alignas(Config) unsigned char config_storage[sizeof(Config)];

// One page that the kernel empties in the memory of a forked child (MADV_WIPEONFORK), and leaves
// alone where parent and child share theirs.
std::atomic<std::atomic<std::uint32_t>*> fork_mark{nullptr};

}  // namespace

const Config& config() noexcept {
  return *reinterpret_cast<const Config*>(config_storage);
}

Config& make_config() noexcept {
  return *new (config_storage) Config();
}

void make_fork_mark() noexcept {
  constexpr std::size_t page = 4096;
  void* memory = mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return;
  }
  if (madvise(memory, page, MADV_WIPEONFORK) != 0) {
    munmap(memory, page);
    return;
  }
  fork_mark.store(static_cast<std::atomic<std::uint32_t>*>(memory));
  set_fork_mark();
}

void set_fork_mark() noexcept {
  if (std::atomic<std::uint32_t>* mark = fork_mark.load()) {
    mark->store(1);
  }
}

bool take_unseen_fork() noexcept {
  std::atomic<std::uint32_t>* mark = fork_mark.load();
  std::uint32_t wiped = 0;
  if (mark == nullptr || !mark->compare_exchange_strong(wiped, 1)) {
    return false;
  }
  note_process_id();
  return true;
}

}  // namespace socks64::shim
