// The mapping table: append-only, without a lock, shared by a whole fork family.
//
// Who uses it. links and lynx resolve in a child and connect in the parent; other programs resolve
// in the parent and connect in a child. So the table is one MAP_SHARED mapping, made at start-up:
// made on first use it would belong to the process that happened to resolve first. The mapping is
// anonymous, therefore it ends with the family and an exec'd program starts with an empty one, as
// RFC 3089 section 3 wants the table: local, independent of other applications. It costs no memory
// until names arrive (MAP_NORESERVE; pages appear when touched), and is left out of core dumps.
// Under socksify the same memory is a file's (table_file.cpp), and a tree of programs shares it; to
// touch a page of a file on a full filesystem raises SIGBUS, so each is asked for first
// (present()).
//
// Why no lock. A process of the family may be killed at any instruction, and a signal handler may
// interrupt any other. A lock in shared memory would need an owner, a way to find out that the
// owner died, and a repair of what it left half done. Here one compare-and-swap publishes an entry
// and nothing is ever taken back:
//
//   slots   2^n words, open addressing searched in a fixed order. A word is 0 (free) or
//           tag (7 bits of the hash) | offset of the record in the arena (25 bits, units of 8).
//   arena   records {length, text}, handed out by advancing one word.
//
// The number of the slot IS the identity of the name: fake address = network + scattered(slot), in
// both families. So there is no second index to keep in step, name_of() is one load, and a name
// whose publication was interrupted simply does not exist: its record's bytes in the arena are
// lost, nothing else. Entries never move and never go, hence a live fake address is never
// re-pointed, however old the socket or cache that still holds it; when the table is full, new
// names fail (EAI_AGAIN) and old ones go on working. Two threads that add the same name meet in the
// same run of slots: the second finds the first's entry when its compare-and-swap fails.
//
// Where a name is looked for. A table of 8 MiB in which each name has a page of its own costs a
// page fault a name. So the slots are levels, each seven times as large as all before it. A name
// has four slots in each but the last, where it is searched for from its place on, and stands in
// the first slot that was free. The few names of most programs lie in the first page, 20,000 in
// less than a hundred. Since nothing ever goes, the order in which a name's slots are searched is
// all that the argument above needs.
//
// Why addresses are scattered. Dense slots must not make dense addresses: one that comes from
// another table (a cache on a disk, a program of another tree) has to be unknown here, and not some
// other name's. So the number of a slot is mixed, by the seed, into any number of the range.
//
// Bounds. 2^20 names, or seven eighths of the smaller range, so that probing for a name that is
// not there stays short. Memory: 4 octets a slot (2^21 slots, 8 MiB) and at most 160 MiB of text.
//
// The hash is seeded by the kernel: otherwise a web page could name hosts that all fall into the
// same run of slots and make every look-up slow.
//
// The mapping is writable by every process of the family, also by one that dropped privileges: the
// offsets found in it are checked before they are followed, and a search gives up after max_probes,
// so that a process which scribbles there can spoil names, but cannot make another one read outside
// of the mapping, or search for long. All zero is an empty table.
#include "tables/fake_ip_table.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <ctime>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/host_guard.hpp"

namespace socks64::shim {
namespace {

constexpr std::uint32_t max_slots = 2 * FakeIpTable::max_names;
constexpr std::size_t max_arena = std::size_t{160} << 20;
constexpr std::size_t unit = 8;
constexpr std::size_t max_record = 1 + DomainName::max_size;
constexpr unsigned offset_bits = 25;
constexpr std::uint32_t offset_mask = (1U << offset_bits) - 1;
static_assert(max_arena / unit <= offset_mask);

// Runs of used slots stay below two thousand in the largest table that is full to seven eighths,
// and a range of 2^16 can be searched whole.
constexpr std::uint32_t max_probes = 1U << 16;

using Word = std::atomic<std::uint32_t>;
static_assert(Word::is_always_lock_free, "the words are shared between processes");

constexpr std::uint32_t units_of(std::size_t octets) noexcept {
  return static_cast<std::uint32_t>((octets + unit - 1) / unit);
}

/// The canonical spelling: lower case (ASCII only; RFC 4343), no trailing dot.
struct Spelling {
  std::array<char, DomainName::max_size + 8> text;
  std::size_t size;
  [[nodiscard]] std::string_view view() const noexcept { return {text.data(), size}; }
};

bool canonical(std::string_view name, Spelling& out) noexcept {
  if (name.ends_with('.')) {
    name.remove_suffix(1);
  }
  if (name.empty() || name.size() > DomainName::max_size) {
    return false;
  }
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if (c == '\0') {
      return false;
    }
    out.text[i] = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  }
  out.size = name.size();
  // Padding for the hash, which reads whole words.
  std::memset(out.text.data() + out.size, 0, 8);
  return true;
}

std::uint64_t hash_of(const Spelling& name, std::uint64_t seed) noexcept {
  std::uint64_t hash = seed ^ (name.size * 0x9e3779b97f4a7c15U);
  for (std::size_t i = 0; i < name.size; i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, name.text.data() + i, 8);
    hash = (hash ^ word) * 0xd6e8feb86659fd93U;
    hash ^= hash >> 32;
  }
  hash *= 0xff51afd7ed558ccdU ^ (seed | 1);
  return hash ^ (hash >> 29);
}

/// The slots in which a name may stand, in the order in which they are searched.
class Places {
 public:
  Places(std::uint64_t hash, std::uint32_t slots) noexcept : hash_(hash), slots_(slots) {
    begin_level(0);
  }
  [[nodiscard]] std::uint32_t slot() const noexcept { return from_ + at_; }
  /// False when there are no more.
  [[nodiscard]] bool next() noexcept {
    if (--left_ == 0) {
      if (is_last_) {
        return false;
      }
      hash_ >>= 5;  // another place than in the level before; the tag's bits are far away
      begin_level(from_ + size_);
      return true;
    }
    at_ = at_ + 1 == size_ ? 0 : at_ + 1;
    return true;
  }

 private:
  static constexpr std::uint32_t first_level = 1024;
  static constexpr std::uint32_t growth = 8;
  static constexpr std::uint32_t group = 4;

  void begin_level(std::uint32_t from) noexcept {
    const std::uint32_t end = from == 0 ? first_level : from * growth;
    is_last_ = end >= slots_;
    from_ = from;
    size_ = (is_last_ ? slots_ : end) - from;
    at_ = is_last_ ? place_among(size_) : place_among(size_ / group) * group;
    left_ = is_last_ ? std::min(size_, max_probes) : group;
  }
  [[nodiscard]] std::uint32_t place_among(std::uint32_t count) const noexcept {
    return static_cast<std::uint32_t>((hash_ & 0xffffffffU) * count >> 32);
  }

  std::uint64_t hash_;
  std::uint32_t slots_;
  std::uint32_t from_ = 0;
  std::uint32_t size_ = 0;
  std::uint32_t at_ = 0;
  std::uint32_t left_ = 0;
  bool is_last_ = false;
};

/// The odd number that takes a multiplication by `odd` back, modulo 2^32 (Newton; each step doubles
/// the bits that are right).
constexpr std::uint32_t inverse_of(std::uint32_t odd) noexcept {
  std::uint32_t inverse = odd;
  for (int step = 0; step < 4; ++step) {
    inverse *= 2 - odd * inverse;
  }
  return inverse;
}
static_assert(inverse_of(0x9e3779b9U) * 0x9e3779b9U == 1);

/// One-to-one among `slots` numbers, a power of two; 0 stays 0. Mixing with the inverse of a factor
/// takes mixing with the factor back.
std::uint32_t mixed(std::uint32_t number, std::uint32_t factor, std::uint32_t slots) noexcept {
  const std::uint32_t mask = slots - 1;
  number = number * factor & mask;
  number ^= number >> (static_cast<unsigned>(std::bit_width(mask)) + 1) / 2;
  return number * factor & mask;
}

std::size_t range_size(const Prefix& prefix) noexcept {
  const unsigned bits = (prefix.network().is_v4() ? 32U : 128U) - prefix.length();
  return bits >= 24 ? std::size_t{1} << 24 : std::size_t{1} << bits;
}

}  // namespace

std::uint64_t fresh_seed() noexcept {
  const ErrnoGuard guard;
  std::uint64_t seed = 0;
  constexpr unsigned non_blocking = 1;  // GRND_NONBLOCK; early at boot the clock has to do
  if (syscall(SYS_getrandom, &seed, sizeof(seed), non_blocking) != sizeof(seed)) {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    seed = static_cast<std::uint64_t>(now.tv_nsec) * 0x9e3779b97f4a7c15U ^
           static_cast<std::uint64_t>(getpid());
  }
  return seed;
}

/// What our mapping may take of the address space: all of it where there is no limit, else a
/// sixteenth, because the limit was set for the program and not for us.
std::size_t address_space_budget() noexcept {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return SIZE_MAX;
  }
  return static_cast<std::size_t>(limit.rlim_cur / 16);
}

struct FakeIpTable::Record {
  std::uint8_t size;
  char text[1];  ///< `size` octets; the record goes on past the end of this struct
};

// Words that are written often have a cache line of their own.
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
struct alignas(64) FakeIpTable::Shared {
  Word names;                  ///< entries published
  alignas(64) Word next_unit;  ///< where the next record goes; 0 is read as 1
  alignas(64) Word slots[1];   ///< `slots_` words, then the arena

  [[nodiscard]] char* arena(std::uint32_t slot_count) noexcept {
    return reinterpret_cast<char*>(slots + slot_count);
  }
};

FakeIpTable& fake_ips() noexcept {
  static constinit FakeIpTable table;
  return table;
}

TableLayout FakeIpTable::layout_of(std::uint32_t slots) noexcept {
  if (slots < 16 || slots > max_slots || (slots & (slots - 1)) != 0) {
    return {};
  }
  const std::size_t arena =
      std::min(max_arena, (std::size_t{slots} + 1) * units_of(max_record) * unit);
  return {slots, static_cast<std::uint32_t>(arena / unit),
          sizeof(Shared) + slots * sizeof(Word) + arena};
}

TableLayout FakeIpTable::layout_for(const Prefix& ipv4, const Prefix& ipv6,
                                    std::size_t budget) noexcept {
  auto slots = static_cast<std::uint32_t>(
      std::min({std::size_t{max_slots}, range_size(ipv4), range_size(ipv6)}));
  for (; slots >= 16; slots /= 2) {
    const TableLayout layout = layout_of(slots);
    if (layout.size <= budget) {
      return layout;
    }
  }
  return {};
}

void FakeIpTable::use(void* memory, const TableLayout& layout, std::uint64_t seed) noexcept {
  shared_ = static_cast<Shared*>(memory);
  seed_ = seed;
  scatter_ = static_cast<std::uint32_t>(seed * 0x9e3779b97f4a7c15U >> 32) | 1;
  gather_ = inverse_of(scatter_);
  slots_ = layout.slots;
  limit_ = std::min(max_names, layout.slots - layout.slots / 8);
  arena_units_ = layout.arena_units;
}

void FakeIpTable::configure(const Prefix& ipv4, const Prefix& ipv6, bool beside) noexcept {
  const ErrnoGuard guard;
  ipv4_ = ipv4;
  ipv6_ = ipv6;
  configured_ = true;

  const TableLayout largest = layout_for(ipv4, ipv6, SIZE_MAX);
  if (beside && std::min(range_size(ipv4), range_size(ipv6)) >= std::size_t{2} * largest.slots) {
    base_ = largest.slots;
  }
  // A 32-bit program has three or four gigabytes for everything. (One table for many programs is
  // worth more of it: see table_file.cpp.)
  constexpr std::size_t modest = sizeof(void*) == 4 ? std::size_t{48} << 20 : SIZE_MAX;
  TableLayout layout = layout_for(ipv4, ipv6, std::min(modest, address_space_budget()));
  for (; layout.slots != 0; layout = layout_of(layout.slots / 2)) {
    void* memory = mmap(nullptr, layout.size, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory != MAP_FAILED) {
      madvise(memory, layout.size, MADV_DONTDUMP);
      use(memory, layout, fresh_seed());
      return;
    }
  }
}

void FakeIpTable::configure(const Prefix& ipv4, const Prefix& ipv6,
                            const MappedTable& table) noexcept {
  ipv4_ = ipv4;
  ipv6_ = ipv6;
  configured_ = true;
  in_file_ = true;
  const long page = sysconf(_SC_PAGESIZE);
  while ((1L << page_shift_) < page) {
    ++page_shift_;
  }
  use(table.memory, table.layout, table.seed);
}

// Whether the pages of [from, from + size) can be touched. Once there, a page of a file stays.
bool FakeIpTable::present(const void* from, std::size_t size) const noexcept {
  if (!in_file_) [[likely]] {
    return true;
  }
  constexpr int populate_write = 23;  // MADV_POPULATE_WRITE, Linux 5.14
  auto* const start = reinterpret_cast<char*>(shared_);
  const auto offset = static_cast<std::size_t>(static_cast<const char*>(from) - start);
  const std::size_t last = (offset + size - 1) >> page_shift_;
  for (std::size_t page = offset >> page_shift_; page <= last; ++page) {
    std::atomic<std::uint32_t>& bits = present_[page / 32];
    const std::uint32_t bit = 1U << (page % 32);
    if ((bits.load(std::memory_order_relaxed) & bit) != 0) {
      continue;
    }
    const ErrnoGuard guard;
    // A kernel that does not know the question leaves us to find out.
    if (madvise(start + (page << page_shift_), std::size_t{1} << page_shift_, populate_write) !=
            0 &&
        (errno == EFAULT || errno == ENOMEM)) {
      return false;
    }
    bits.fetch_or(bit, std::memory_order_relaxed);
  }
  return true;
}

bool FakeIpTable::covers(const IpAddress& address) const noexcept {
  const IpAddress plain = address.unmapped();
  return configured_ && !plain.is_unspecified() && (plain.is_v4() ? ipv4_ : ipv6_).contains(plain);
}

const FakeIpTable::Record* FakeIpTable::record_at(std::uint32_t entry) const noexcept {
  const std::uint32_t offset = entry & offset_mask;
  if (offset == 0 || offset + units_of(max_record) > arena_units_) {
    return nullptr;
  }
  const char* const record = shared_->arena(slots_) + offset * unit;
  return present(record, max_record) ? reinterpret_cast<const Record*>(record) : nullptr;
}

// The bytes are plain memory: nobody else knows of them until the slot is published, with release.
// Some may have been written by a process that gave them back: acquire orders its writes before
// ours.
std::uint32_t FakeIpTable::add_record(std::string_view name) noexcept {
  const std::uint32_t size = units_of(1 + name.size());
  std::uint32_t next = shared_->next_unit.load(std::memory_order_relaxed);
  std::uint32_t start = 0;
  do {
    start = next == 0 ? 1 : next;  // offset 0 would read as "free"
    // Every record could have the longest name: readers rely on it for their check of bounds.
    if (start > arena_units_ - units_of(max_record)) {
      return 0;
    }
  } while (!shared_->next_unit.compare_exchange_weak(next, start + size, std::memory_order_acquire,
                                                     std::memory_order_relaxed));
  char* record = shared_->arena(slots_) + start * unit;
  if (!present(record, max_record)) {
    give_back(start, name.size());
    return 0;
  }
  record[0] = static_cast<char>(name.size());
  std::memcpy(record + 1, name.data(), name.size());
  return start;
}

// Works when nobody has added a record since; otherwise a few octets stay unused.
void FakeIpTable::give_back(std::uint32_t record, std::size_t size) noexcept {
  std::uint32_t end = record + units_of(1 + size);
  shared_->next_unit.compare_exchange_strong(end, record, std::memory_order_release,
                                             std::memory_order_relaxed);
}

IpAddress FakeIpTable::address_of(std::uint32_t slot, Family family) const noexcept {
  const std::uint32_t place = base_ + mixed(slot, scatter_, slots_);
  if (family == Family::ipv4) {
    return IpAddress::v4(ipv4_.network().v4_value() + place);
  }
  IpAddress::V6Bytes bytes{};
  const auto network = ipv6_.network().bytes();
  std::memcpy(bytes.data(), network.data(), bytes.size());
  for (std::size_t i = 0; i < 4; ++i) {
    bytes[15 - i] |= static_cast<std::uint8_t>(place >> (8 * i));
  }
  return IpAddress::v6(bytes);
}

Result<IpAddress> FakeIpTable::fake_for(std::string_view name, Family family) noexcept {
  Spelling spelling;  // NOLINT(cppcoreguidelines-pro-type-member-init): canonical() fills it
  if (!canonical(name, spelling)) {
    return Errc::bad_name;
  }
  if (shared_ == nullptr || !present(shared_, sizeof(Shared))) {
    return Errc::no_space;
  }
  const std::string_view wanted = spelling.view();
  const std::uint64_t hash = hash_of(spelling, seed_);
  const std::uint32_t tag = static_cast<std::uint32_t>(hash >> 57) << offset_bits;
  std::uint32_t record = 0;
  Places places(hash, slots_);
  do {
    const std::uint32_t slot = places.slot();
    if (slot == 0) {
      continue;  // the network's own address
    }
    if (!present(&shared_->slots[slot], sizeof(Word))) {
      return Errc::no_space;
    }
    std::uint32_t entry = shared_->slots[slot].load(std::memory_order_acquire);
    if (entry == 0) {
      if (record == 0) {
        if (shared_->names.load(std::memory_order_relaxed) >= limit_) {
          return Errc::no_space;
        }
        record = add_record(wanted);
        if (record == 0) {
          return Errc::no_space;
        }
      }
      if (shared_->slots[slot].compare_exchange_strong(
              entry, tag | record, std::memory_order_release, std::memory_order_acquire)) {
        shared_->names.fetch_add(1, std::memory_order_relaxed);
        return address_of(slot, family);
      }
      // Somebody else took the slot; `entry` is theirs now, and may be this very name.
    }
    if ((entry & ~offset_mask) == tag) {
      const Record* found = record_at(entry);
      if (found != nullptr && std::string_view(found->text, found->size) == wanted) {
        if (record != 0) {
          give_back(record, wanted.size());
        }
        return address_of(slot, family);
      }
    }
  } while (places.next());
  return Errc::no_space;
}

Result<DomainName> FakeIpTable::name_of(const IpAddress& address) const noexcept {
  const IpAddress plain = address.unmapped();
  if (shared_ == nullptr || !covers(plain)) {
    return Errc::bad_address;
  }
  // What is left of the address without the network must be a place of ours and nothing else.
  const auto octets = plain.bytes();
  const auto network = (plain.is_v4() ? ipv4_ : ipv6_).network().bytes();
  std::uint64_t place = 0;
  for (std::size_t i = 0; i < octets.size(); ++i) {
    place = place << 8 | static_cast<std::uint8_t>(octets[i] ^ network[i]);
    if (place >= std::uint64_t{base_} + slots_) {
      return Errc::bad_address;
    }
  }
  if (place < base_) {
    return Errc::bad_address;
  }
  const std::uint32_t slot = mixed(static_cast<std::uint32_t>(place) - base_, gather_, slots_);
  if (!present(&shared_->slots[slot], sizeof(Word))) {
    return Errc::bad_address;
  }
  const Record* record = record_at(shared_->slots[slot].load(std::memory_order_acquire));
  if (record == nullptr) {
    return Errc::bad_address;
  }
  Result<DomainName> name = DomainName::from({record->text, record->size});
  return name ? name : Result<DomainName>(Errc::bad_address);
}

}  // namespace socks64::shim
