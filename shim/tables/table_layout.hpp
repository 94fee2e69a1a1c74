// How large a mapping table is, and where one lies.
#ifndef SOCKS64_SHIM_TABLE_LAYOUT_HPP
#define SOCKS64_SHIM_TABLE_LAYOUT_HPP

#include <cstddef>
#include <cstdint>

namespace socks64::shim {

/// How large a mapping table is. Everything follows from the number of slots.
struct TableLayout {
  std::uint32_t slots = 0;        ///< a power of two; 0 when no table fits
  std::uint32_t arena_units = 0;  ///< length of the arena, in units of 8 octets
  std::size_t size = 0;           ///< of the table, in octets
};

/// A table that is ready for FakeIpTable.
struct MappedTable {
  void* memory = nullptr;  ///< layout.size octets, aligned to pages; all zero is an empty table
  TableLayout layout;
  std::uint64_t seed = 0;
};

}  // namespace socks64::shim

#endif
