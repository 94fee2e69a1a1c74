// The ways by which a program gets at functions itself. A library that is opened with RTLD_DEEPBIND
// looks into libc before it looks into us, and a handle of libc leads past us altogether: PHP opens
// its extensions so, and Python's ctypes, JNA and LuaJIT call what they find behind a handle.
//
// libc looks at the address that it is called from, to know whose search path counts and behind
// which library RTLD_NEXT begins. So where that matters libc is not called but jumped to. This unit
// is compiled for that, and without sanitizers: their runtimes call dlsym() before they are ready.
#include <dlfcn.h>

#include "hooks/io_uring_gate.hpp"
#include "host/elf_lookup.hpp"
#include "host/hook_table.hpp"

using namespace socks64::shim;

namespace {

// RTLD_DEFAULT finds us first as it is, and RTLD_NEXT means what lies behind the caller.
bool is_no_handle(void* handle) noexcept {
  return handle == RTLD_NEXT || handle == RTLD_DEFAULT;
}

/// What stands for `found`, which a handle has under `name`: ours if it is libc's. What a library
/// has of its own under the name stays what it is.
void* in_place_of(void* found, const char* name) noexcept {
  void* const own = found == nullptr ? nullptr : own_export(name);
  if (own == nullptr || own == found) {
    return found;
  }
  return is_in_libc(found) || is_refused_ring_call(name) ? own : found;
}

}  // namespace

S64_EXPORT void* dlsym(void* handle, const char* name) {
  const auto real = libc_dlsym();
  if (real == nullptr) {
    return nullptr;
  }
  if (is_no_handle(handle)) {
    return real(handle, name);  // a jump
  }
  return in_place_of(real(handle, name), name);
}

#ifdef __GLIBC__
S64_EXPORT void* dlvsym(void* handle, const char* name, const char* version) {
  const auto real = libc_dlvsym();
  if (real == nullptr) {
    return nullptr;
  }
  if (is_no_handle(handle)) {
    return real(handle, name, version);  // a jump
  }
  return in_place_of(real(handle, name, version), name);
}

S64_EXPORT void* dlopen(const char* file, int mode) {
  const auto real = reinterpret_cast<void* (*)(const char*, int)>(real_entry(Hook::dlopen));
  return real(file, mode & ~RTLD_DEEPBIND);  // a jump
}
#endif
