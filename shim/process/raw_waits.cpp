// A runtime may register sockets through libc's epoll_ctl and wait by a system call of its own
// (Bun, and what else is written with Zig's or a hand-made system call). No hook sees its waits, so
// nobody would advance its handshakes. Two things give it away:
//
// What it is: the program or library that calls epoll_ctl imports no function that could wait.
//
// What it does: the kernel tells of each thread in which system call it is, and where it was made
// (/proc/self/task/*/syscall, see proc(5)). One that is in an epoll wait outside libc waits raw.
//
// Neither is asked on a hot path: only for a set that no hooked wait has served, and only while a
// handshake is pending.
#include "process/raw_waits.hpp"

#include <atomic>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <link.h>
#include <string_view>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/hook_table.hpp"
#include "host/host_guard.hpp"

namespace socks64::shim {
namespace {

/// The program or library that is loaded around an address.
struct Module {
  std::uintptr_t address = 0;  ///< in
  std::uintptr_t base = 0;     ///< what is added to the addresses in its file
  const ElfW(Dyn) * dynamic = nullptr;
  bool found = false;
};

int match_module(dl_phdr_info* info, std::size_t, void* out) noexcept {
  Module& module = *static_cast<Module*>(out);
  const ElfW(Dyn)* dynamic = nullptr;
  bool inside = false;
  for (ElfW(Half) i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& part = info->dlpi_phdr[i];
    const std::uintptr_t begin = info->dlpi_addr + part.p_vaddr;
    if (part.p_type == PT_DYNAMIC) {
      // NOLINTNEXTLINE(performance-no-int-to-ptr): where it lies follows from the headers
      dynamic = reinterpret_cast<const ElfW(Dyn)*>(begin);
    } else if (part.p_type == PT_LOAD) {
      inside = inside || module.address - begin < part.p_memsz;
    }
  }
  if (!inside) {
    return 0;
  }
  module.base = info->dlpi_addr;
  module.dynamic = dynamic;
  module.found = true;
  return 1;
}

Module module_of(std::uintptr_t address) noexcept {
  Module module;
  module.address = address;
  dl_iterate_phdr(match_module, &module);
  return module;
}

/// glibc has relocated the pointers in the dynamic section, musl has not.
template <class T>
const T* at(const Module& module, ElfW(Addr) pointer) noexcept {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): as above
  return reinterpret_cast<const T*>(pointer < module.base ? pointer + module.base : pointer);
}

bool is_wait(std::string_view name) noexcept {
  return name == "epoll_wait" || name == "epoll_pwait" || name == "epoll_pwait2" ||
         name == "__epoll_pwait2_time64" || name == "syscall";
}

constexpr std::size_t text_size = 256;

/// Reads a file of /proc as far as it fits.
std::string_view read_text(const char* path, char (&text)[text_size]) noexcept {
  const auto file = static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0));
  if (file < 0) {
    return {};
  }
  const long size = syscall(SYS_read, file, text, sizeof(text));
  syscall(SYS_close, file);
  return {text, size < 0 ? 0 : static_cast<std::size_t>(size)};
}

bool is_epoll_wait(long number) noexcept {
  return number == SYS_epoll_pwait
#ifdef SYS_epoll_wait
         || number == SYS_epoll_wait
#endif
#ifdef SYS_epoll_pwait2
         || number == SYS_epoll_pwait2
#endif
      ;
}

/// A line such as "281 0x5 0x7f.. 0x8 0xffffffff 0x0 0x8 0x7ffd.. 0x7f..": the last is where.
bool is_raw_wait(std::string_view line) noexcept {
  while (!line.empty() && line.back() == '\n') {
    line.remove_suffix(1);
  }
  long number = -1;
  if (std::from_chars(line.data(), line.data() + line.size(), number).ec != std::errc{} ||
      !is_epoll_wait(number)) {
    return false;
  }
  const std::size_t last = line.rfind("0x");
  std::uintptr_t where = 0;
  if (last == std::string_view::npos ||
      std::from_chars(line.data() + last + 2, line.data() + line.size(), where, 16).ec !=
          std::errc{}) {
    return false;
  }
  const auto libc_wait = reinterpret_cast<std::uintptr_t>(real_entry(Hook::epoll_wait));
  const Module module = module_of(where);
  // A sanitizer's or another tool's function may stand before libc's own: that is no sign either.
  const Module waits = module_of(libc_wait);
  const Module hooks = module_of(reinterpret_cast<std::uintptr_t>(&is_raw_wait));
  const Module other = module_of(reinterpret_cast<std::uintptr_t>(&dl_iterate_phdr));
  const auto same = [&](const Module& one) {
    return one.found && one.base == module.base && one.dynamic == module.dynamic;
  };
  return !module.found || !(same(waits) || same(hooks) || same(other));
}

struct Entry {  // of getdents64(2)
  std::uint64_t inode;
  std::int64_t next;
  std::uint16_t size;
  std::uint8_t type;
};

}  // namespace

bool imports_epoll_wait(const void* caller) noexcept {
  const SignalBlock signals;  // the loader has a lock that a handler must not leave behind
  const Module module = module_of(reinterpret_cast<std::uintptr_t>(caller));
  const Module hooks = module_of(reinterpret_cast<std::uintptr_t>(&imports_epoll_wait));
  // From syscall(), which is a hook of ours: with that the program can wait as well.
  if (!module.found || module.dynamic == nullptr || module.dynamic == hooks.dynamic) {
    return true;
  }
  const ElfW(Sym)* symbols = nullptr;
  const char* names = nullptr;
  const std::uint32_t* gnu_hash = nullptr;
  const std::uint32_t* hash = nullptr;
  for (const ElfW(Dyn)* each = module.dynamic; each->d_tag != DT_NULL; ++each) {
    switch (each->d_tag) {
      case DT_SYMTAB:
        symbols = at<ElfW(Sym)>(module, each->d_un.d_ptr);
        break;
      case DT_STRTAB:
        names = at<char>(module, each->d_un.d_ptr);
        break;
      case DT_GNU_HASH:
        gnu_hash = at<std::uint32_t>(module, each->d_un.d_ptr);
        break;
      case DT_HASH:
        hash = at<std::uint32_t>(module, each->d_un.d_ptr);
        break;
      default:
        break;
    }
  }
  if (symbols == nullptr || names == nullptr || (gnu_hash == nullptr && hash == nullptr)) {
    return true;
  }
  // What is imported stands before the first symbol that the GNU hash knows.
  const std::uint32_t count = gnu_hash != nullptr ? gnu_hash[1] : hash[1];
  for (std::uint32_t i = 0; i < count; ++i) {
    if (symbols[i].st_shndx == SHN_UNDEF && is_wait(names + symbols[i].st_name)) {
      return true;
    }
  }
  return false;
}

bool some_thread_waits_raw() noexcept {
  static constinit std::atomic<bool> known{false};
  if (known.load(std::memory_order_relaxed)) {
    return true;
  }
  constexpr std::string_view folder = "/proc/self/task/";
  const ErrnoGuard guard;
  const SignalBlock signals;  // as above, and nobody would close the files
  const auto list = static_cast<int>(
      syscall(SYS_openat, AT_FDCWD, folder.data(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0));
  if (list < 0) {
    return false;
  }
  const long self = syscall(SYS_gettid);
  bool found = false;
  alignas(Entry) char entries[1024];
  for (long got; !found && (got = syscall(SYS_getdents64, list, entries, sizeof(entries))) > 0;) {
    for (long at = 0; at < got && !found;) {
      Entry entry{};
      std::memcpy(&entry, entries + at, sizeof(entry));
      const char* name = entries + at + offsetof(Entry, type) + sizeof(entry.type);
      at += entry.size;
      long thread = 0;
      const auto end = std::from_chars(name, name + std::strlen(name), thread);
      if (end.ec != std::errc{} || thread == self) {
        continue;
      }
      char path[64]{};
      std::memcpy(path, folder.data(), folder.size());
      char* behind = std::to_chars(path + folder.size(), path + 48, thread).ptr;
      std::memcpy(behind, "/syscall", sizeof("/syscall"));
      char text[text_size];
      found = is_raw_wait(read_text(path, text));
    }
  }
  syscall(SYS_close, list);
  if (found) {
    known.store(true, std::memory_order_relaxed);
  }
  return found;
}

}  // namespace socks64::shim
