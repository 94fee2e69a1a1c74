// glibc learns of the environment in its own constructor. Who calls a hook before that - a
// program's .preinit_array, a malloc that is asked for memory while libraries are still being
// linked - starts us, and we read our configuration once and for all: without its environment it
// would be another gateway's. The kernel has a copy in /proc/self/environ; without /proc there is
// none to be had.
#include "host/early_environment.hpp"

#include <cstddef>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace socks64::shim {
namespace {

constexpr std::size_t most_octets = std::size_t{4} << 20U;  // untouched pages cost nothing
constexpr std::size_t most_variables = 16384;

std::size_t read_all(char* out, std::size_t size) noexcept {
  const auto file = static_cast<int>(
      syscall(SYS_openat, AT_FDCWD, "/proc/self/environ", O_RDONLY | O_CLOEXEC, 0));
  std::size_t have = 0;
  for (long got = 1; file >= 0 && got > 0 && have < size;) {
    got = syscall(SYS_read, file, out + have, size - have);
    have += got > 0 ? static_cast<std::size_t>(got) : 0;
  }
  if (file >= 0) {
    syscall(SYS_close, file);
  }
  return have;
}

}  // namespace

EarlyEnvironment::EarlyEnvironment() noexcept {
  if (environ != nullptr) {
    return;
  }
  constexpr std::size_t table = (most_variables + 1) * sizeof(char*);
  void* memory = mmap(nullptr, table + most_octets, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return;
  }
  auto** variables = static_cast<char**>(memory);
  char* text = static_cast<char*>(memory) + table;
  const std::size_t size = read_all(text, most_octets - 1);
  std::size_t count = 0;
  for (std::size_t begin = 0; begin < size && count < most_variables;) {
    variables[count++] = text + begin;
    while (begin < size && text[begin] != '\0') {
      ++begin;
    }
    ++begin;
  }
  environ = variables;
  borrowed_ = true;
}

EarlyEnvironment::~EarlyEnvironment() {
  if (borrowed_) {
    environ = nullptr;
  }
}

}  // namespace socks64::shim
