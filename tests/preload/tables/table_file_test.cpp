// A table in memory that others write to: whatever stands there, no look-up leaves it or hangs.
#include "tables/table_file.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "tables/fake_ip_table.hpp"

namespace socks64::shim {
namespace {

const Prefix ipv4 = *Prefix::parse("198.18.0.0/16");
const Prefix ipv6 = *Prefix::parse("100::/64");
constexpr std::size_t words_before_slots = 32;  // two cache lines: the counters

/// A table between two pages that nobody may touch.
class Guarded {
 public:
  Guarded() : layout_(FakeIpTable::layout_for(ipv4, ipv6, SIZE_MAX)) {
    rounded_ = (layout_.size + page - 1) / page * page;
    whole_ = static_cast<char*>(mmap(nullptr, rounded_ + 2 * page, PROT_NONE,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    mprotect(whole_ + page, rounded_, PROT_READ | PROT_WRITE);
    table_.configure(ipv4, ipv6, {whole_ + page, layout_, 42});
  }
  ~Guarded() { munmap(whole_, rounded_ + 2 * page); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  FakeIpTable& table() { return table_; }
  const TableLayout& layout() const { return layout_; }
  std::uint32_t* words() { return reinterpret_cast<std::uint32_t*>(whole_ + page); }
  std::uint32_t* slots() { return words() + words_before_slots; }
  std::size_t word_count() const { return layout_.size / 4; }

 private:
  static constexpr std::size_t page = 4096;
  TableLayout layout_;
  std::size_t rounded_;
  char* whole_;
  FakeIpTable table_;
};

std::string name(std::size_t i) {
  return "host" + std::to_string(i) + std::string(i % 200, 'x') + ".test";
}

/// Whatever it says, it says something and comes back.
void use(FakeIpTable& table, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto fake = table.fake_for(name(i), i % 2 == 0 ? Family::ipv4 : Family::ipv6);
    if (fake) {
      EXPECT_TRUE(table.covers(*fake));
    }
    const auto found = table.name_of(
        IpAddress::v4(ipv4.network().v4_value() + static_cast<std::uint32_t>(i * 127 % 65536)));
    if (found) {
      EXPECT_LE(found->view().size(), DomainName::max_size);
    }
  }
}

TEST(TableFile, AllZeroIsAnEmptyTable) {
  Guarded memory;
  const auto fake = memory.table().fake_for("a.test", Family::ipv4);
  ASSERT_TRUE(fake);
  EXPECT_EQ("a.test", memory.table().name_of(*fake)->view());
  EXPECT_EQ(1U, memory.words()[0]);  // the layout that the other tests write to
  const std::uint32_t* const slots = memory.slots();
  EXPECT_EQ(1, std::count_if(slots, slots + memory.layout().slots,
                             [](std::uint32_t slot) { return slot != 0; }));
}

TEST(TableFile, RandomOctets) {
  Guarded memory;
  std::mt19937 random(1);
  for (int round = 0; round < 4; ++round) {
    for (std::size_t i = 0; i < memory.word_count(); ++i) {
      memory.words()[i] = static_cast<std::uint32_t>(random());
    }
    use(memory.table(), 500);
  }
}

TEST(TableFile, CountersThatLie) {
  Guarded memory;
  std::mt19937 random(2);
  for (const std::uint32_t names : {0U, 1U, 0x7fffffffU, ~0U}) {
    for (const std::uint32_t next :
         {0U, 1U, memory.layout().arena_units - 32, memory.layout().arena_units - 31,
          memory.layout().arena_units, memory.layout().arena_units + 1, 1U << 25, 1U << 31, ~0U}) {
      std::memset(memory.words(), 0, memory.layout().size);
      memory.words()[0] = names;
      memory.words()[16] = next;
      use(memory.table(), 300);
    }
  }
}

TEST(TableFile, SlotsThatPointAnywhere) {
  Guarded memory;
  std::mt19937 random(3);
  const std::uint32_t units = memory.layout().arena_units;
  for (int round = 0; round < 6; ++round) {
    for (std::size_t i = 0; i < memory.layout().slots; ++i) {
      constexpr std::array<std::uint32_t, 4> near_the_end{33, 32, 31, 0};
      const auto pick = static_cast<std::uint32_t>(random());
      const std::uint32_t offset = round % 2 == 0 ? units - near_the_end[pick % 4] : pick;
      memory.slots()[i] = (static_cast<std::uint32_t>(random()) << 25) | (offset & 0x1ffffff);
    }
    // The longest records, at the very end.
    std::memset(memory.slots() + memory.layout().slots + (units - 40) * 2,
                round % 3 == 0 ? 0xff : 'a', std::size_t{40} * 8);
    use(memory.table(), 300);
  }
}

TEST(TableFile, ASearchInATableWithoutAFreeSlotEnds) {
  Guarded memory;
  std::memset(memory.slots(), 0xff, memory.layout().slots * 4U);
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < 50; ++i) {
    EXPECT_EQ(Errc::no_space, memory.table().fake_for(name(i), Family::ipv4).error());
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

// Somebody scribbles while others look up. Not for TSan: it would be right.
TEST(TableFile, ChangesBehindTheBack) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "NOT RUN: the races are the point";
#endif
  Guarded memory;
  std::atomic<bool> done{false};
  std::atomic<std::uint32_t> scribbled{0};
  std::thread scribbler([&] {
    std::mt19937 random(4);
    auto* const words = reinterpret_cast<volatile std::uint32_t*>(memory.words());
    while (!done.load()) {
      // The counters and slots, and what lies in the arena's beginning.
      words[random() % (words_before_slots + memory.layout().slots + 4096)] =
          static_cast<std::uint32_t>(random());
      scribbled.fetch_add(1);
    }
  });
  while (scribbled.load() < 2'000'000) {
    use(memory.table(), 100);
  }
  done.store(true);
  scribbler.join();
}

class File : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = std::filesystem::temp_directory_path() / "socks64-table-test-XXXXXX";
    fd_ = mkstemp(pattern.data());
    ASSERT_GE(fd_, 0);
    path_ = pattern;
    layout_ = FakeIpTable::layout_for(ipv4, ipv6, SIZE_MAX);
    ASSERT_EQ(0, write_table_file(fd_, ipv4, ipv6, layout_, 7));
  }
  void TearDown() override {
    close(fd_);
    std::filesystem::remove(path_);
  }
  TableFile map() {
    MappedTable table;
    const TableFile verdict = map_table_file(path_.c_str(), ipv4, ipv6, table, why_);
    unmap_table_file(table);
    return verdict;
  }

  int fd_ = -1;
  std::string path_;
  TableLayout layout_;
  std::string_view why_;
};

TEST_F(File, TwoMappingsAreOneTable) {
  std::array<MappedTable, 2> mapped;
  std::array<FakeIpTable, 2> tables;
  for (std::size_t i = 0; i < 2; ++i) {
    ASSERT_EQ(TableFile::mapped, map_table_file(path_.c_str(), ipv4, ipv6, mapped[i], why_));
    tables[i].configure(ipv4, ipv6, mapped[i]);
  }
  for (std::size_t i = 0; i < 5000; ++i) {
    const auto fake = tables[i % 2].fake_for(name(i), Family::ipv4);
    ASSERT_TRUE(fake);
    ASSERT_EQ(name(i), tables[(i + 1) % 2].name_of(*fake)->view());
    ASSERT_EQ(*fake, *tables[(i + 1) % 2].fake_for(name(i), Family::ipv4));
  }
  for (const MappedTable& each : mapped) {
    unmap_table_file(each);
  }
}

TEST_F(File, EveryOctetOfTheHeaderCounts) {
  std::array<unsigned char, 64> header{};
  ASSERT_EQ(64, pread(fd_, header.data(), header.size(), 0));
  for (std::size_t i = 0; i < header.size(); ++i) {
    const bool seed = i >= 24 && i < 32;  // any will do
    for (const int mask : {0x01, 0x80, 0xff}) {
      const auto octet = static_cast<unsigned char>(header[i] ^ mask);
      ASSERT_EQ(1, pwrite(fd_, &octet, 1, static_cast<off_t>(i)));
      EXPECT_EQ(seed ? TableFile::mapped : TableFile::wrong, map()) << i << " " << why_;
    }
    ASSERT_EQ(1, pwrite(fd_, &header[i], 1, static_cast<off_t>(i)));
  }
  EXPECT_EQ(TableFile::mapped, map());
}

TEST_F(File, ASmallerTableOfALimitedAddressSpaceIsTaken) {
  const TableLayout smaller = FakeIpTable::layout_of(layout_.slots / 8);
  ASSERT_EQ(0, ftruncate(fd_, 0));
  ASSERT_EQ(0, write_table_file(fd_, ipv4, ipv6, smaller, 7));
  EXPECT_EQ(TableFile::mapped, map()) << why_;
  const TableLayout larger = FakeIpTable::layout_of(layout_.slots * 2);
  ASSERT_EQ(0, write_table_file(fd_, ipv4, ipv6, larger, 7));
  EXPECT_EQ(TableFile::wrong, map());
}

TEST_F(File, LeavesNoDescriptorAndNoErrno) {
  const int lowest = dup(0);
  ASSERT_GE(lowest, 0);
  close(lowest);
  errno = EDOM;
  EXPECT_EQ(TableFile::mapped, map());
  ASSERT_EQ(0, fchmod(fd_, 0644));
  EXPECT_EQ(TableFile::wrong, map());
  EXPECT_EQ(EDOM, errno);
  const int again = dup(0);
  EXPECT_EQ(lowest, again);
  close(again);
}

TEST(FakeIpTable, ATableBesideASharedOneGivesOutOtherAddresses) {
  for (const char* range : {"0.0.0.0/8", "198.18.0.0/16"}) {
    const Prefix block = *Prefix::parse(range);
    auto* table = new FakeIpTable;
    static auto* const keep = new std::vector<FakeIpTable*>;  // reachable for the leak checker
    keep->push_back(table);
    table->configure(block, ipv6, true);
    const std::uint32_t slots = FakeIpTable::layout_for(block, ipv6, SIZE_MAX).slots;
    const bool has_room = block.length() == 8;
    std::set<std::uint32_t> given;
    for (std::size_t i = 0; i < 1000; ++i) {
      for (const Family family : {Family::ipv4, Family::ipv6}) {
        const auto fake = table->fake_for(name(i), family);
        ASSERT_TRUE(fake);
        EXPECT_EQ(name(i), table->name_of(*fake)->view());
      }
      const std::uint32_t value = table->fake_for(name(i), Family::ipv4)->v4_value();
      const std::uint32_t offset = value - block.network().v4_value();
      EXPECT_EQ(has_room, offset >= slots);
      given.insert(offset);
    }
    // In the small range any of these may be one that was given out: the seed decides.
    for (std::uint32_t offset = 1; offset < 65'536; ++offset) {
      const IpAddress address = IpAddress::v4(block.network().v4_value() + offset);
      ASSERT_EQ(given.contains(offset), table->name_of(address).has_value()) << offset;
    }
  }
}

}  // namespace
}  // namespace socks64::shim
