// The mapping table of RFC 3089 section 3: name <-> fake IP. See fake_ip_table.cpp.
#ifndef SOCKS64_SHIM_FAKE_IP_TABLE_HPP
#define SOCKS64_SHIM_FAKE_IP_TABLE_HPP

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "socks64/address.hpp"
#include "socks64/prefix.hpp"

#include "tables/table_layout.hpp"

namespace socks64::shim {

class FakeIpTable {
 public:
  static constexpr std::uint32_t max_names = 1U << 20;

  /// Covers nothing and holds nothing until configure().
  constexpr FakeIpTable() noexcept = default;
  FakeIpTable(const FakeIpTable&) = delete;
  FakeIpTable& operator=(const FakeIpTable&) = delete;

  /// Takes the ranges (config.cpp keeps them between /8 and /24, /32 and /112) and maps the memory,
  /// which every fork made from now on shares. Once, before other threads use the table. The first
  /// address of each range (0.0.0.0, 100::) is never given out.
  /// A table `beside` a shared one gives out other addresses than that one does, where the ranges
  /// have room for it: an address from there is unknown here, and not another name's.
  void configure(const Prefix& ipv4, const Prefix& ipv6, bool beside = false) noexcept;

  /// Takes a table that lies in a file; map_table_file() found it to be for these ranges.
  void configure(const Prefix& ipv4, const Prefix& ipv6, const MappedTable& table) noexcept;

  /// The layout with that many slots; of zero slots when there is no such table.
  [[nodiscard]] static TableLayout layout_of(std::uint32_t slots) noexcept;
  /// The largest layout for these ranges within `budget` octets.
  [[nodiscard]] static TableLayout layout_for(const Prefix& ipv4, const Prefix& ipv6,
                                              std::size_t budget) noexcept;

  /// In one of the ranges, mapped form included, known or not; not 0.0.0.0 and not ::.
  [[nodiscard]] bool covers(const IpAddress& address) const noexcept;

  /// The fake address of a name, the same for every spelling of case and trailing dot, made when it
  /// is new. Both families share one entry. Errors: bad_name; no_space when the table (or its
  /// range) is full. Lock-free; safe from any thread, in a signal handler, and over fork.
  [[nodiscard]] Result<IpAddress> fake_for(std::string_view name, Family family) noexcept;

  /// The name behind a fake address (mapped form included), lower case, without trailing dot.
  /// Lock-free; safe in a signal handler. Errors: bad_address when it is not covered or was never
  /// given out.
  [[nodiscard]] Result<DomainName> name_of(const IpAddress& address) const noexcept;

  /// How many names fit, for diagnostics and tests; 0 when no memory could be had.
  [[nodiscard]] std::uint32_t capacity() const noexcept { return limit_; }

 private:
  struct Shared;
  struct Record;

  [[nodiscard]] const Record* record_at(std::uint32_t entry) const noexcept;
  [[nodiscard]] std::uint32_t add_record(std::string_view name) noexcept;
  void give_back(std::uint32_t record, std::size_t size) noexcept;
  [[nodiscard]] IpAddress address_of(std::uint32_t slot, Family family) const noexcept;

  void use(void* memory, const TableLayout& layout, std::uint64_t seed) noexcept;
  [[nodiscard]] bool present(const void* from, std::size_t size) const noexcept;

  /// Of the largest table, in pages of the smallest size.
  static constexpr std::size_t max_pages = (std::size_t{176} << 20) / 4096;

  Shared* shared_ = nullptr;
  std::uint64_t seed_ = 0;
  std::uint32_t scatter_ = 1;      ///< what mixes the number of a slot into its address
  std::uint32_t gather_ = 1;       ///< and what takes that back
  std::uint32_t slots_ = 0;        ///< a power of two, at most the size of the smaller range
  std::uint32_t base_ = 0;         ///< what of the address comes before the slot's number
  std::uint32_t limit_ = 0;        ///< names that fit
  std::uint32_t arena_units_ = 0;  ///< length of the arena
  bool configured_ = false;
  bool in_file_ = false;
  unsigned page_shift_ = 12;
  mutable std::array<std::atomic<std::uint32_t>, max_pages / 32> present_{};  ///< a bit a page
  Prefix ipv4_;
  Prefix ipv6_;
};

/// What our mappings may take of the address space: all of it where there is no limit, else a
/// sixteenth, because the limit was set for the program and not for us.
[[nodiscard]] std::size_t address_space_budget() noexcept;
/// Octets from the kernel, for the hash.
[[nodiscard]] std::uint64_t fresh_seed() noexcept;

/// The table of this process, its forks, and the tree of programs that shares it.
[[nodiscard]] FakeIpTable& fake_ips() noexcept;

}  // namespace socks64::shim

#endif
