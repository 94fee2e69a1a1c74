// The mapping table in a file, for a tree of programs under socksify: A looks a name up, starts B,
// and B connects to the address. SOCKS64_TABLE names the file; see table_file.cpp.
#ifndef SOCKS64_SHIM_TABLE_FILE_HPP
#define SOCKS64_SHIM_TABLE_FILE_HPP

#include <cstdint>
#include <string_view>

#include "socks64/prefix.hpp"

#include "tables/table_layout.hpp"

namespace socks64::shim {

enum class TableFile : std::uint8_t {
  mapped,
  /// It could not be had, and nothing is wrong with it: its socksify has ended, this process is
  /// another user's, or short of descriptors or address space.
  unavailable,
  /// It is there, and not what it should be. To go on with another table could give a fake address
  /// of this tree another name.
  wrong,
};

/// Maps the table in the file at `path`, made for these ranges, and says why if it does not: a
/// sentence without its subject, of static storage. Leaves no descriptor; reads nothing but the
/// header, so a table whose content is damaged is FakeIpTable's to cope with.
[[nodiscard]] TableFile map_table_file(const char* path, const Prefix& ipv4, const Prefix& ipv6,
                                       MappedTable& table, std::string_view& why) noexcept;
void unmap_table_file(const MappedTable& table) noexcept;

/// Makes the new, empty file behind `fd` such a table. 0 or an errno.
[[nodiscard]] int write_table_file(int fd, const Prefix& ipv4, const Prefix& ipv6,
                                   const TableLayout& layout, std::uint64_t seed) noexcept;

}  // namespace socks64::shim

#endif
