#include "host/host_guard.hpp"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace socks64::shim {
namespace {

// Asked for once per thread. A copy made by fork must not believe it is its parent, so the process
// id is kept beside it; initial-exec, because a thread-local reached through __tls_get_addr may
// allocate.
struct ThreadIdentity {
  pid_t process;
  pid_t thread;
};
__attribute__((tls_model("initial-exec"))) thread_local ThreadIdentity identity{0, 0};
std::atomic<pid_t> process_id{0};

}  // namespace

// Called at start-up and in the child of every fork.
void note_process_id() noexcept {
  process_id.store(getpid(), std::memory_order_relaxed);
}

pid_t noted_process_id() noexcept {
  return process_id.load(std::memory_order_relaxed);
}

namespace {

std::uint32_t thread_id() noexcept {
  const pid_t process = process_id.load(std::memory_order_relaxed);
  if (identity.thread == 0 || identity.process != process) {
    identity.thread = static_cast<pid_t>(syscall(SYS_gettid));
    identity.process = process;
  }
  return static_cast<std::uint32_t>(identity.thread);
}

bool is_alive(std::uint32_t thread) noexcept {
  const ErrnoGuard guard;
  return syscall(SYS_tkill, thread, 0) == 0 || errno != ESRCH;
}

}  // namespace

bool is_readable(const void* memory, std::size_t size) noexcept {
  // sigprocmask(2) copies its eight octets in before it looks at what to do with them; there is no
  // such thing to do, so it fails with EINVAL where it could read and with EFAULT where not.
  const ErrnoGuard guard;
  const auto readable = [](const char* octets) {
    errno = 0;
    syscall(SYS_rt_sigprocmask, -1, octets, nullptr, sizeof(std::uint64_t));
    return errno == EINVAL;
  };
  constexpr std::uintptr_t page = 4096;  // the smallest there is
  const char* first = static_cast<const char*>(memory);
  const char* last = first + size - sizeof(std::uint64_t);
  const bool one_page = reinterpret_cast<std::uintptr_t>(first) / page ==
                        (reinterpret_cast<std::uintptr_t>(first) + size - 1) / page;
  return readable(first) && (one_page || readable(last));
}

// Asked again and again of the same few places: the pages that were found readable last are
// remembered, so that a program pays for them once. One that is unmapped since is not noticed.
bool can_read(const void* memory, std::size_t size) noexcept {
  constexpr std::uintptr_t frames = 0x10000;
  constexpr std::uintptr_t page = 4096;  // the smallest there is
  constexpr std::size_t remembered = 16;
  __attribute__((tls_model("initial-exec"))) static thread_local std::uintptr_t pages[remembered];
  const auto at = reinterpret_cast<std::uintptr_t>(memory);
  const std::uintptr_t above =
      at - reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));  // huge when it is below
  if (size == 0 || (above < frames && size < frames)) {
    return true;
  }
  const auto readable = [](std::uintptr_t octet) {
    const std::uintptr_t number = octet / page;
    std::uintptr_t& place = pages[number % remembered];
    if (place == number && number != 0) {
      return true;
    }
    // NOLINTNEXTLINE(performance-no-int-to-ptr): where a page begins follows from its number alone
    if (!is_readable(reinterpret_cast<const void*>(number * page), sizeof(std::uint64_t))) {
      return false;
    }
    place = number;
    return true;
  };
  return readable(at) && (at / page == (at + size - 1) / page || readable(at + size - 1));
}

bool WordLock::lock() noexcept {
  const std::uint32_t self = thread_id();
  for (unsigned spins = 1;; ++spins) {
    std::uint32_t owner = 0;
    if (word_.compare_exchange_weak(owner, self, std::memory_order_acquire,
                                    std::memory_order_relaxed)) {
      return true;
    }
    if (owner == self) {
      return false;
    }
    if (spins % 64 == 0) {
      const ErrnoGuard guard;
      sched_yield();
      // A process of the fork family may have been killed while it held a shared lock.
      if (spins % 4096 == 0 && owner != 0 && !is_alive(owner)) {
        word_.compare_exchange_strong(owner, 0, std::memory_order_relaxed);
      }
    }
  }
}

void WordLock::unlock() noexcept {
  word_.store(0, std::memory_order_release);
}

// The raw system call: pthread_sigmask would keep back the signals that libc uses for cancellation
// and setuid, which do not run the program's code, so blocking all 64 for some microseconds is both
// simpler and enough.
std::uint64_t block_signals() noexcept {
  const std::uint64_t all = ~std::uint64_t{0};
  std::uint64_t saved = 0;
  const ErrnoGuard guard;
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &saved, sizeof(all));
  return saved;
}

void restore_signals(std::uint64_t mask) noexcept {
  const ErrnoGuard guard;
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, nullptr, sizeof(mask));
}

}  // namespace socks64::shim
