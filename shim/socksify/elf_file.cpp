#include "socksify/elf_file.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <elf.h>

namespace socks64::socksify {
namespace {

struct Elf32 {
  using Header = Elf32_Ehdr;
  using Segment = Elf32_Phdr;
  using Section = Elf32_Shdr;
  using Dynamic = Elf32_Dyn;
  using Symbol = Elf32_Sym;
};
struct Elf64 {
  using Header = Elf64_Ehdr;
  using Segment = Elf64_Phdr;
  using Section = Elf64_Shdr;
  using Dynamic = Elf64_Dyn;
  using Symbol = Elf64_Sym;
};

/// A copy out of the file, or nothing where the file ends before. Offsets come from the file: any
/// number is possible.
template <class T>
std::optional<T> at(std::string_view file, std::uint64_t offset) {
  if (offset > file.size() || file.size() - offset < sizeof(T)) {
    return std::nullopt;
  }
  T value{};
  std::memcpy(&value, file.data() + offset, sizeof(T));
  return value;
}

std::string_view range(std::string_view file, std::uint64_t offset, std::uint64_t size) {
  return offset > file.size() ? std::string_view() : file.substr(offset, size);
}

std::string_view string_at(std::string_view file, std::uint64_t offset) {
  const std::string_view rest = range(file, offset, file.size());
  return rest.substr(0, rest.find('\0'));
}

template <class Elf>
struct Reader {
  std::string_view file;
  typename Elf::Header header;
  std::vector<typename Elf::Segment> segments;

  /// Where the octets of a virtual address lie in the file.
  [[nodiscard]] std::uint64_t offset_of(std::uint64_t address) const {
    for (const auto& segment : segments) {
      if (segment.p_type == PT_LOAD && address >= segment.p_vaddr &&
          address - segment.p_vaddr < segment.p_filesz) {
        return address - segment.p_vaddr + segment.p_offset;
      }
    }
    return file.size();
  }

  void read_dynamic(const typename Elf::Segment& segment, ElfFile& facts) const {
    std::uint64_t strings = file.size();
    std::uint64_t symbols = file.size();
    std::vector<std::uint64_t> needed;
    for (std::uint64_t i = 0; i < segment.p_filesz / sizeof(typename Elf::Dynamic); ++i) {
      const auto entry =
          at<typename Elf::Dynamic>(file, segment.p_offset + i * sizeof(typename Elf::Dynamic));
      if (!entry || entry->d_tag == DT_NULL) {
        break;
      }
      if (entry->d_tag == DT_NEEDED) {
        needed.push_back(entry->d_un.d_val);
      } else if (entry->d_tag == DT_STRTAB) {
        strings = offset_of(entry->d_un.d_ptr);
      } else if (entry->d_tag == DT_SYMTAB) {
        symbols = offset_of(entry->d_un.d_ptr);
      }
    }
    for (const std::uint64_t name : needed) {
      facts.needed.emplace_back(string_at(file, strings + name));
    }
    // Nothing says how many symbols there are; in all files that linkers make the strings follow.
    for (std::uint64_t i = 1; symbols + i * sizeof(typename Elf::Symbol) < strings; ++i) {
      const auto symbol =
          at<typename Elf::Symbol>(file, symbols + i * sizeof(typename Elf::Symbol));
      if (!symbol) {
        break;
      }
      if (symbol->st_shndx == SHN_UNDEF && symbol->st_name != 0) {
        facts.wanted.emplace_back(string_at(file, strings + symbol->st_name));
      }
    }
  }

  /// The build id of the Go tool chain is a note of the owner "Go", and its build information a
  /// section; a program whose section headers were stripped still has the note.
  [[nodiscard]] bool is_go() const {
    for (const auto& segment : segments) {
      if (segment.p_type == PT_NOTE) {
        const std::string_view notes = range(file, segment.p_offset, segment.p_filesz);
        const std::string_view owner("\x04\0\0\0Go\0\0", 8);
        // namesz = 4, descsz, type = 4, "Go\0\0"
        for (std::size_t i = 0; i + 16 <= notes.size(); i += 4) {
          if (notes.substr(i + 8, 8) == owner && notes.substr(i, 4) == owner.substr(0, 4)) {
            return true;
          }
        }
      }
    }
    const auto names_section = at<typename Elf::Section>(
        file, header.e_shoff + std::uint64_t{header.e_shstrndx} * sizeof(typename Elf::Section));
    for (std::uint64_t i = 0; names_section && header.e_shoff != 0 && i < header.e_shnum; ++i) {
      const auto section =
          at<typename Elf::Section>(file, header.e_shoff + i * sizeof(typename Elf::Section));
      if (section &&
          string_at(file, names_section->sh_offset + section->sh_name) == ".go.buildinfo") {
        return true;
      }
    }
    return false;
  }

  void read(ElfFile& facts) {
    for (unsigned i = 0; i < header.e_phnum; ++i) {
      if (const auto segment = at<typename Elf::Segment>(
              file, header.e_phoff + std::uint64_t{i} * sizeof(typename Elf::Segment))) {
        segments.push_back(*segment);
      }
    }
    for (const auto& segment : segments) {
      if (segment.p_type == PT_INTERP) {
        facts.interpreter = string_at(range(file, segment.p_offset, segment.p_filesz), 0);
      } else if (segment.p_type == PT_DYNAMIC) {
        read_dynamic(segment, facts);
      } else if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X) != 0) {
        facts.code.push_back(range(file, segment.p_offset, segment.p_filesz));
      }
    }
    facts.go = is_go();
  }
};

template <class Elf>
void read_as(std::string_view content, ElfFile& facts) {
  if (const auto header = at<typename Elf::Header>(content, 0)) {
    Reader<Elf> reader{content, *header, {}};
    reader.read(facts);
  }
}

}  // namespace

bool ElfFile::needs(std::string_view library) const {
  return std::any_of(needed.begin(), needed.end(), [&](const std::string& name) {
    return std::string_view(name).starts_with(library);
  });
}

bool ElfFile::makes_rings() const {
  using namespace std::string_view_literals;
  // The number, 425, into the register of the number, and the call.
  const auto call = machine == EM_X86_64    ? "\xb8\xa9\x01\x00\x00\x0f\x05"sv
                    : machine == EM_AARCH64 ? "\x28\x35\x80\xd2\x01\x00\x00\xd4"sv
                                            : ""sv;
  return !call.empty() && std::ranges::any_of(code, [call](std::string_view segment) {
    return segment.find(call) != std::string_view::npos;
  });
}

std::optional<ElfFile> read_elf(std::string_view content) {
  if (content.size() < EI_NIDENT || !content.starts_with(ELFMAG)) {
    return std::nullopt;
  }
  ElfFile facts;
  facts.elf_class = static_cast<unsigned char>(content[EI_CLASS]);
  facts.byte_order = static_cast<unsigned char>(content[EI_DATA]);
  constexpr std::size_t machine_at = offsetof(Elf64_Ehdr, e_machine);  // the same in both classes
  facts.machine = at<std::uint16_t>(content, machine_at).value_or(0);
  constexpr unsigned char native =
      std::endian::native == std::endian::little ? ELFDATA2LSB : ELFDATA2MSB;
  if (facts.byte_order != native) {
    facts.machine = static_cast<std::uint16_t>(facts.machine << 8 | facts.machine >> 8);
  } else if (facts.elf_class == ELFCLASS64) {
    read_as<Elf64>(content, facts);
  } else if (facts.elf_class == ELFCLASS32) {
    read_as<Elf32>(content, facts);
  }
  return facts;
}

}  // namespace socks64::socksify
