#include "host/hook_table.hpp"

#include <cerrno>
#include <dlfcn.h>

#include "host/elf_lookup.hpp"

namespace socks64::shim {
namespace {

// Stands in for a function this libc does not have (epoll_pwait2 before glibc 2.35, close_range
// before 2.34): a program that calls it found the symbol in us alone, and must hear what an old
// kernel would say.
long missing_entry() noexcept {
  errno = ENOSYS;
  return -1;
}

constexpr const char* hook_names[] = {
#define S64_HOOK(result, name, parameters, arguments) #name,
#define S64_HOOK_VARIADIC(result, name, parameters, arguments) #name,
#include "host/hooks.inc"
#undef S64_HOOK
#undef S64_HOOK_VARIADIC
};
static_assert(sizeof(hook_names) / sizeof(hook_names[0]) == static_cast<std::size_t>(Hook::count));

}  // namespace

std::atomic<void*> real_entries[static_cast<std::size_t>(Hook::count)];

const char* name_of(Hook hook) noexcept {
  return hook_names[static_cast<std::size_t>(hook)];
}

// Two threads may look up the same entry at once: both find the same address, and the second store
// changes nothing.
void* look_up(Hook hook) noexcept {
  const int saved = errno;
  const auto find = libc_dlsym();
  void* entry = find != nullptr ? find(RTLD_NEXT, name_of(hook)) : nullptr;
  if (entry == nullptr) {
    entry = reinterpret_cast<void*>(&missing_entry);
  }
  real_entries[static_cast<std::size_t>(hook)].store(entry, std::memory_order_relaxed);
  errno = saved;
  return entry;
}

bool is_missing(Hook hook) noexcept {
  return real_entry(hook) == reinterpret_cast<void*>(&missing_entry);
}

void look_up_all() noexcept {
  for (std::uint16_t hook = 0; hook < static_cast<std::uint16_t>(Hook::count); ++hook) {
    static_cast<void>(real_entry(static_cast<Hook>(hook)));
  }
}

}  // namespace socks64::shim
