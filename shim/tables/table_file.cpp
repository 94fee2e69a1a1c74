// The file of a shared mapping table: a header in the first page, then the table as it lies in
// memory, sparse until names arrive.
//
// socksify makes it, and has it removed when its program has ended. A program takes it when it is a
// regular file of its own user that nobody else may touch, of exactly the size that its header
// tells, for exactly the ranges that it was configured with. Whoever may write to it may write to
// our memory as well: the same user could as well trace us, so the content is checked only as far
// as keeps us from crashing. What cannot be survived is that the same user makes the file shorter.
#include "tables/table_file.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/file_status.hpp"
#include "host/host_guard.hpp"
#include "tables/fake_ip_table.hpp"

namespace socks64::shim {
namespace {

/// Where the table begins: a page of the largest size that any Linux has.
constexpr std::size_t table_offset = std::size_t{64} << 10;

/// Without padding, so that it can be compared as octets.
struct Header {
  std::array<char, 8> magic;
  std::uint32_t version;
  std::uint32_t slots;
  std::uint64_t size;  ///< of the whole file
  std::uint64_t seed;
  std::uint32_t arena_units;
  std::array<std::uint8_t, 4> ipv4;
  std::array<std::uint8_t, 16> ipv6;
  std::uint32_t ipv4_length;
  std::uint32_t ipv6_length;
};
static_assert(sizeof(Header) == 64);

constexpr std::array<char, 8> magic{'S', '6', '4', 'T', 'A', 'B', 'L', 'E'};
constexpr std::uint32_t version = 2;

Header header_for(const Prefix& ipv4, const Prefix& ipv6, const TableLayout& layout,
                  std::uint64_t seed) noexcept {
  Header header{};
  header.magic = magic;
  header.version = version;
  header.slots = layout.slots;
  header.size = table_offset + layout.size;
  header.seed = seed;
  header.arena_units = layout.arena_units;
  std::memcpy(header.ipv4.data(), ipv4.network().bytes().data(), header.ipv4.size());
  std::memcpy(header.ipv6.data(), ipv6.network().bytes().data(), header.ipv6.size());
  header.ipv4_length = ipv4.length();
  header.ipv6_length = ipv6.length();
  return header;
}

TableFile because(TableFile verdict, std::string_view& why, std::string_view text) noexcept {
  why = text;
  return verdict;
}

TableFile not_opened(int error, std::string_view& why) noexcept {
  switch (error) {
    case ENOENT:
      return because(TableFile::unavailable, why,
                     "does not exist: the socksify that made it has ended");
    case EACCES:
    case EPERM:
      return because(TableFile::unavailable, why, "may not be opened: it is another user's");
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return because(TableFile::unavailable, why,
                     "cannot be opened: descriptors or memory ran out");
    case ELOOP:
      return because(TableFile::wrong, why, "is a symbolic link");
    default:
      return because(TableFile::wrong, why, "is not a regular file");
  }
}

TableFile judge(int fd, const Prefix& ipv4, const Prefix& ipv6, TableLayout& layout,
                std::uint64_t& seed, std::string_view& why) noexcept {
  FileStatus status{};
  Header header{};
  if (status_of(fd, status) != 0 || !S_ISREG(status.st_mode)) {
    return because(TableFile::wrong, why, "is not a regular file");
  }
  if (status.st_uid != geteuid()) {
    return because(TableFile::wrong, why, "belongs to another user");
  }
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return because(TableFile::wrong, why, "may be opened by other users: expected mode 0600");
  }
  // Two words for the offset: so a 32-bit system call takes it.
  if (syscall(SYS_pread64, fd, &header, sizeof(header), 0L, 0L) !=
          static_cast<long>(sizeof(header)) ||
      header.magic != magic) {
    return because(TableFile::wrong, why, "is not a table of names");
  }
  if (header.version != version) {
    return because(TableFile::wrong, why, "was made by another version of socksify");
  }
  layout = FakeIpTable::layout_of(header.slots);
  seed = header.seed;
  const Header expected = header_for(ipv4, ipv6, layout, seed);
  if (header.ipv4 != expected.ipv4 || header.ipv6 != expected.ipv6 ||
      header.ipv4_length != expected.ipv4_length || header.ipv6_length != expected.ipv6_length) {
    return because(TableFile::wrong, why,
                   "was made for other fake addresses (fake_ipv4, fake_ipv6) than are set here");
  }
  if (layout.slots == 0 || layout.slots > FakeIpTable::layout_for(ipv4, ipv6, SIZE_MAX).slots ||
      std::memcmp(&header, &expected, sizeof(header)) != 0 ||
      static_cast<std::uint64_t>(status.st_size) != header.size) {
    return because(TableFile::wrong, why, "is damaged");
  }
  return TableFile::mapped;
}

}  // namespace

TableFile map_table_file(const char* path, const Prefix& ipv4, const Prefix& ipv6,
                         MappedTable& table, std::string_view& why) noexcept {
  const ErrnoGuard guard;
  if (*path != '/') {
    return because(TableFile::wrong, why, "is not an absolute path");
  }
  // The raw calls: open() and close() may be anybody's, or our own.
  const auto fd = static_cast<int>(
      syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (fd < 0) {
    return not_opened(errno, why);
  }
  TableFile verdict = judge(fd, ipv4, ipv6, table.layout, table.seed, why);
  if (verdict == TableFile::mapped) {
    void* memory = MAP_FAILED;
    // The limit was set for the program and not for us.
    if (table.layout.size <= address_space_budget()) {
      memory = mmap(nullptr, table.layout.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                    fd, table_offset);
    }
    if (memory == MAP_FAILED) {
      verdict = because(TableFile::unavailable, why, "does not fit into this program's memory");
    } else {
      madvise(memory, table.layout.size, MADV_DONTDUMP);
      table.memory = memory;
    }
  }
  syscall(SYS_close, fd);
  return verdict;
}

void unmap_table_file(const MappedTable& table) noexcept {
  const ErrnoGuard guard;
  if (table.memory != nullptr) {
    munmap(table.memory, table.layout.size);
  }
}

int write_table_file(int fd, const Prefix& ipv4, const Prefix& ipv6, const TableLayout& layout,
                     std::uint64_t seed) noexcept {
  const Header header = header_for(ipv4, ipv6, layout, seed);
  const ssize_t written = pwrite(fd, &header, sizeof(header), 0);
  if (written != static_cast<ssize_t>(sizeof(header))) {
    return written < 0 ? errno : ENOSPC;
  }
  return ftruncate(fd, static_cast<off_t>(header.size)) == 0 ? 0 : errno;
}

}  // namespace socks64::shim
