// Functions by name and by object, without dlsym and dlvsym, which the library hooks and so cannot
// ask itself: out of the tables of dynamic symbols (System V ABI, "Dynamic Linking"; DT_GNU_HASH is
// the GNU tool chain's).
//
// Called before everything else, by sanitizers' runtimes too, so this unit is compiled without
// sanitizers and calls nothing of libc, but that is_in_libc() calls dl_iterate_phdr().
#ifndef SOCKS64_SHIM_ELF_LOOKUP_HPP
#define SOCKS64_SHIM_ELF_LOOKUP_HPP

namespace socks64::shim {

/// Null: this libc has no such function.
[[nodiscard]] void* (*libc_dlsym() noexcept)(void* handle, const char* name);
[[nodiscard]] void* (*libc_dlvsym() noexcept)(void* handle, const char* name, const char* version);

/// The function that this library exports under the name; null: none.
[[nodiscard]] void* own_export(const char* name) noexcept;

/// Whether the address lies in libc, or in one of the libraries that belong to it and that have
/// functions of ours.
[[nodiscard]] bool is_in_libc(const void* address) noexcept;

}  // namespace socks64::shim

#endif
