#include "host/elf_lookup.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <elf.h>
#include <link.h>

// Of this library and of the loader; what is missing here glibc's headers have.
#ifdef __GLIBC__
// NOLINTNEXTLINE(readability-redundant-declaration): weak, or it would need the loader by name
extern __attribute__((weak)) r_debug _r_debug;
#else
extern "C" __attribute__((visibility("hidden"))) const ElfW(Dyn) _DYNAMIC[];
#endif
extern "C" __attribute__((visibility("hidden"))) const char __ehdr_start[];

namespace socks64::shim {
namespace {

using Word = ElfW(Word);
using Symbol = ElfW(Sym);

bool same_text(const char* one, const char* other) noexcept {
  while (*one != '\0' && *one == *other) {
    ++one;
    ++other;
  }
  return *one == *other;
}

bool begins_with(const char* text, const char* beginning) noexcept {
  while (*beginning != '\0' && *text == *beginning) {
    ++text;
    ++beginning;
  }
  return *beginning == '\0';
}

/// What the dynamic section of a loaded object says.
struct Object {
  std::uintptr_t base = 0;
  const char* strings = nullptr;
  const Symbol* symbols = nullptr;
  const Word* gnu_hash = nullptr;
  const Word* hash = nullptr;
  std::size_t name = 0;  ///< DT_SONAME, an offset in `strings`; 0: none
};

template <class T>
const T* at(std::uintptr_t base, ElfW(Addr) value) noexcept {
  // glibc has relocated these in place on most machines, and musl never does.
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  return reinterpret_cast<const T*>(value < base ? base + value : value);
}

Object read_object(std::uintptr_t base, const ElfW(Dyn) * entry) noexcept {
  Object object;
  object.base = base;
  for (; entry->d_tag != DT_NULL; ++entry) {
    switch (entry->d_tag) {
      case DT_STRTAB:
        object.strings = at<char>(base, entry->d_un.d_ptr);
        break;
      case DT_SYMTAB:
        object.symbols = at<Symbol>(base, entry->d_un.d_ptr);
        break;
      case DT_GNU_HASH:
        object.gnu_hash = at<Word>(base, entry->d_un.d_ptr);
        break;
      case DT_HASH:
        object.hash = at<Word>(base, entry->d_un.d_ptr);
        break;
      case DT_SONAME:
        object.name = entry->d_un.d_val;
        break;
      default:
        break;
    }
  }
  return object;
}

Object read_object(const dl_phdr_info& info) noexcept {
  for (std::size_t i = 0; i < info.dlpi_phnum; ++i) {
    if (info.dlpi_phdr[i].p_type == PT_DYNAMIC) {
      // NOLINTNEXTLINE(performance-no-int-to-ptr)
      return read_object(info.dlpi_addr, reinterpret_cast<const ElfW(Dyn)*>(
                                             info.dlpi_addr + info.dlpi_phdr[i].p_vaddr));
    }
  }
  return {};
}

/// The address of a function that the object itself has under this name.
void* function_at(const Object& object, std::size_t index, const char* name) noexcept {
  const Symbol& symbol = object.symbols[index];
  const unsigned type = symbol.st_info & 0xfU;
  if (symbol.st_shndx == SHN_UNDEF || type != STT_FUNC ||
      !same_text(object.strings + symbol.st_name, name)) {
    return nullptr;
  }
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  return reinterpret_cast<void*>(object.base + symbol.st_value);
}

void* find_by_gnu_hash(const Object& object, const char* name) noexcept {
  Word wanted = 5381;
  for (const char* c = name; *c != '\0'; ++c) {
    wanted = wanted * 33 + static_cast<unsigned char>(*c);
  }
  const Word* table = object.gnu_hash;
  const Word buckets = table[0];
  const Word first = table[1];
  const Word* bucket = table + 4 + table[2] * (sizeof(ElfW(Addr)) / sizeof(Word));
  const Word* chain = bucket + buckets;
  Word index = buckets == 0 ? 0 : bucket[wanted % buckets];
  if (index < first) {
    return nullptr;
  }
  for (;; ++index) {
    const Word hash = chain[index - first];
    if ((hash | 1U) == (wanted | 1U)) {
      if (void* found = function_at(object, index, name)) {
        return found;
      }
    }
    if ((hash & 1U) != 0) {
      return nullptr;
    }
  }
}

void* find_by_hash(const Object& object, const char* name) noexcept {
  const Word symbols = object.hash[1];
  for (Word index = 0; index < symbols; ++index) {
    if (void* found = function_at(object, index, name)) {
      return found;
    }
  }
  return nullptr;
}

void* find_in(const Object& object, const char* name) noexcept {
  if (object.strings == nullptr || object.symbols == nullptr) {
    return nullptr;
  }
  if (object.gnu_hash != nullptr) {
    return find_by_gnu_hash(object, name);
  }
  return object.hash != nullptr ? find_by_hash(object, name) : nullptr;
}

/// Of glibc, some of whose libraries are empty since 2.34, or of musl, which is one and may have no
/// DT_SONAME.
bool is_libc(const Object& object, const char* path) noexcept {
  const char* name = path;
  if (object.name != 0 && object.strings != nullptr) {
    name = object.strings + object.name;
  } else {
    for (const char* c = path; c != nullptr && *c != '\0'; ++c) {
      name = *c == '/' ? c + 1 : name;
    }
  }
  if (name == nullptr) {
    return false;
  }
  constexpr const char* names[] = {"libc.so.6",      "libdl.so.2",  "libpthread.so.0", "librt.so.1",
                                   "libresolv.so.2", "libanl.so.1", "libc.so"};
  for (const char* known : names) {
    if (same_text(name, known)) {
      return true;
    }
  }
  return begins_with(name, "ld-musl-") || begins_with(name, "libc.musl-");
}

#ifdef __GLIBC__
/// Not by dl_iterate_phdr(): a sanitizer has one of its own, and asks for its functions before that
/// can be called. The loader's list is complete by then, and libc is never unloaded.
void* find_in_libc(const char* name) noexcept {
  const link_map* object = &_r_debug != nullptr ? _r_debug.r_map : nullptr;
  void* found = nullptr;
  for (; object != nullptr && found == nullptr; object = object->l_next) {
    const Object facts =
        object->l_ld != nullptr ? read_object(object->l_addr, object->l_ld) : Object();
    if (is_libc(facts, object->l_name)) {
      found = find_in(facts, name);
    }
  }
  return found;
}
#else
struct Search {
  const char* name = nullptr;
  void* found = nullptr;
};

int look_in(dl_phdr_info* info, std::size_t /*size*/, void* argument) noexcept {
  auto& search = *static_cast<Search*>(argument);
  const Object object = read_object(*info);
  if (is_libc(object, info->dlpi_name)) {
    search.found = find_in(object, search.name);
  }
  return search.found != nullptr ? 1 : 0;
}

void* find_in_libc(const char* name) noexcept {
  Search search{name};
  dl_iterate_phdr(look_in, &search);
  return search.found;
}
#endif

struct Whose {
  std::uintptr_t address = 0;
  bool libcs = false;
};

int look_whether_in(dl_phdr_info* info, std::size_t /*size*/, void* argument) noexcept {
  auto& whose = *static_cast<Whose*>(argument);
  for (std::size_t i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& part = info->dlpi_phdr[i];
    if (part.p_type == PT_LOAD && whose.address - (info->dlpi_addr + part.p_vaddr) < part.p_memsz) {
      whose.libcs = is_libc(read_object(*info), info->dlpi_name);
      return 1;
    }
  }
  return 0;
}

template <class Function>
Function* find(std::atomic<void*>& known, const char* name) noexcept {
  void* entry = known.load(std::memory_order_relaxed);
  if (entry == nullptr) {
    entry = find_in_libc(name);
    known.store(entry, std::memory_order_relaxed);
  }
  return reinterpret_cast<Function*>(entry);
}

std::atomic<void*> known_dlsym{nullptr};
std::atomic<void*> known_dlvsym{nullptr};

}  // namespace

void* (*libc_dlsym() noexcept)(void*, const char*) {
  return find<void*(void*, const char*)>(known_dlsym, "dlsym");
}

void* (*libc_dlvsym() noexcept)(void*, const char*, const char*) {
  return find<void*(void*, const char*, const char*)>(known_dlvsym, "dlvsym");
}

void* own_export(const char* name) noexcept {
  const auto base = reinterpret_cast<std::uintptr_t>(&__ehdr_start[0]);
  return find_in(read_object(base, _DYNAMIC), name);
}

bool is_in_libc(const void* address) noexcept {
  Whose whose{reinterpret_cast<std::uintptr_t>(address)};
  dl_iterate_phdr(look_whether_in, &whose);
  return whose.libcs;
}

}  // namespace socks64::shim
