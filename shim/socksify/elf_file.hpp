// What an executable says of itself: the few facts that decide whether a library can be put into
// it.
#ifndef SOCKS64_SHIM_SOCKSIFY_ELF_FILE_HPP
#define SOCKS64_SHIM_SOCKSIFY_ELF_FILE_HPP

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace socks64::socksify {

struct ElfFile {
  unsigned char elf_class = 0;         ///< ELFCLASS32 or ELFCLASS64
  unsigned char byte_order = 0;        ///< ELFDATA2LSB or ELFDATA2MSB
  std::uint16_t machine = 0;           ///< EM_*
  std::string interpreter;             ///< PT_INTERP, the loader; empty: statically linked
  std::vector<std::string> needed;     ///< DT_NEEDED
  std::vector<std::string> wanted;     ///< names of undefined dynamic symbols
  bool go = false;                     ///< built by the Go tool chain
  std::vector<std::string_view> code;  ///< the executable segments, in the content that was read

  /// Whether the code makes io_uring_setup's system call itself, as the library of liburing's that
  /// is linked statically does. Known of x86-64 and AArch64; reads all of the code.
  [[nodiscard]] bool makes_rings() const;
  [[nodiscard]] bool needs(std::string_view library) const;  ///< a name that begins so
};

/// `content` is a whole file. Nothing when it is no ELF file; a damaged one gives the facts that
/// can be read. Class, byte order and machine are all there is of an ELF file of another byte
/// order.
[[nodiscard]] std::optional<ElfFile> read_elf(std::string_view content);

}  // namespace socks64::socksify

#endif
