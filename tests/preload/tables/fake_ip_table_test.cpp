#include "tables/fake_ip_table.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <set>
#include <string>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

namespace socks64::shim {
namespace {

Prefix prefix(std::string_view text) {
  return *Prefix::parse(text);
}

/// The table has no destructor: in the shim it lives as long as the process. Neither have these.
FakeIpTable& table_of(std::string_view ipv4 = "0.0.0.0/8", std::string_view ipv6 = "100::/64") {
  auto* table = new FakeIpTable;
  static auto* const keep = new std::vector<FakeIpTable*>;  // reachable for the leak checker
  keep->push_back(table);
  table->configure(prefix(ipv4), prefix(ipv6));
  return *table;
}

std::string name(std::size_t i) {
  return "host" + std::to_string(i) + ".some-domain.example";
}

std::string text_of(const Result<DomainName>& result) {
  return result ? std::string(result->view()) : "error: " + std::string(describe(result.error()));
}

long resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word == "VmRSS:") {
      long kib = 0;
      status >> kib;
      return kib;
    }
  }
  return -1;
}

bool instrumented() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return true;
#else
  return false;
#endif
}

TEST(FakeIpTable, OneEntryServesBothFamiliesAndEverySpelling) {
  FakeIpTable& table = table_of();
  const auto four = table.fake_for("WWW.Example.test.", Family::ipv4);
  const auto six = table.fake_for("www.example.test", Family::ipv6);
  ASSERT_TRUE(four && six);
  EXPECT_TRUE(prefix("0.0.0.0/8").contains(*four));
  EXPECT_TRUE(prefix("100::/64").contains(*six));
  EXPECT_EQ(*four, *table.fake_for("wWw.eXample.tEst", Family::ipv4));
  EXPECT_TRUE(std::equal(four->bytes().begin() + 1, four->bytes().end(), six->bytes().end() - 3));
  for (const IpAddress& address : {*four, *six, four->mapped()}) {
    EXPECT_EQ("www.example.test", text_of(table.name_of(address)));
    EXPECT_TRUE(table.covers(address));
  }
}

TEST(FakeIpTable, CoversTheWholeRangeButNotTheUnspecifiedAddresses) {
  FakeIpTable& table = table_of();
  const auto address = [](std::string_view text) { return *IpAddress::parse(text); };
  for (const char* text : {"0.0.0.1", "0.255.255.255", "100::", "100::1",
                           "100::ffff:ffff:ffff:ffff", "::ffff:0.0.0.1"}) {
    EXPECT_TRUE(table.covers(address(text))) << text;
    EXPECT_EQ(Errc::bad_address, table.name_of(address(text)).error()) << text;
  }
  for (const char* text : {"0.0.0.0", "::", "::ffff:0.0.0.0", "1.0.0.0", "100:0:0:1::", "::1",
                           "127.0.0.1", "2001:db8::1"}) {
    EXPECT_FALSE(table.covers(address(text))) << text;
    EXPECT_EQ(Errc::bad_address, table.name_of(address(text)).error()) << text;
  }
}

TEST(FakeIpTable, CoversNothingBeforeItIsConfigured) {
  FakeIpTable table;
  EXPECT_FALSE(table.covers(*IpAddress::parse("0.0.0.1")));
  EXPECT_EQ(Errc::no_space, table.fake_for("a.test", Family::ipv4).error());
  EXPECT_EQ(Errc::bad_address, table.name_of(*IpAddress::parse("0.0.0.1")).error());
}

TEST(FakeIpTable, RefusesWhatIsNoName) {
  FakeIpTable& table = table_of();
  using namespace std::string_view_literals;
  const std::string longest(255, 'a');
  const std::string too_long = longest + "a";
  for (const std::string_view bad : {""sv, "."sv, "a\0b"sv, std::string_view(too_long)}) {
    EXPECT_EQ(Errc::bad_name, table.fake_for(bad, Family::ipv4).error());
  }
  const auto fake = table.fake_for(longest + ".", Family::ipv4);
  ASSERT_TRUE(fake);
  EXPECT_EQ(longest, text_of(table.name_of(*fake)));
}

TEST(FakeIpTable, NamesAreDistinctAndStay) {
  FakeIpTable& table = table_of();
  std::vector<IpAddress> given;
  for (std::size_t i = 0; i < 20000; ++i) {
    const auto fake = table.fake_for(name(i), Family::ipv4);
    ASSERT_TRUE(fake);
    given.push_back(*fake);
  }
  EXPECT_EQ(given.size(), std::set<IpAddress>(given.begin(), given.end()).size());
  for (std::size_t i = 0; i < given.size(); ++i) {
    ASSERT_EQ(name(i), text_of(table.name_of(given[i])));
    ASSERT_EQ(given[i], *table.fake_for(name(i), Family::ipv4));
  }
}

TEST(FakeIpTable, ASmallRangeFillsToSevenEighthsAndKeepsWhatItHas) {
  for (const auto& [ipv4, ipv6, room] : {std::tuple{"198.18.5.0/24", "100::/64", 224U},
                                         {"0.0.0.0/8", "fd00::/112", 57344U},
                                         {"198.18.0.0/16", "100::/64", 57344U}}) {
    FakeIpTable& table = table_of(ipv4, ipv6);
    ASSERT_EQ(room, table.capacity());
    std::set<IpAddress> given;
    std::size_t i = 0;
    for (Result<IpAddress> fake = Errc::ok; (fake = table.fake_for(name(i), Family::ipv4)); ++i) {
      EXPECT_TRUE(prefix(ipv4).contains(*fake));
      EXPECT_NE(prefix(ipv4).network(), *fake);
      given.insert(*fake);
    }
    EXPECT_EQ(room, i);
    EXPECT_EQ(room, given.size());
    EXPECT_EQ(Errc::no_space, table.fake_for("one.more", Family::ipv6).error());
    ASSERT_TRUE(table.fake_for(name(0), Family::ipv6));
    EXPECT_EQ(name(0), text_of(table.name_of(*table.fake_for(name(0), Family::ipv6))));
  }
}

TEST(FakeIpTable, FewNamesTouchFewPages) {
  if (instrumented()) {
    GTEST_SKIP() << "a sanitizer's own memory is in the figure";
  }
  FakeIpTable& table = table_of();
  ASSERT_TRUE(table.fake_for(name(0), Family::ipv4));
  const long before = resident_kib();
  for (std::size_t i = 1; i < 2000; ++i) {
    ASSERT_TRUE(table.fake_for(name(i), Family::ipv4));
  }
  // Their texts are 64 KiB, their slots 36.
  EXPECT_LT(resident_kib() - before, 512);
}

TEST(FakeIpTable, AddressesOfOneTableAreUnknownToAnother) {
  FakeIpTable& one = table_of();
  FakeIpTable& other = table_of();
  std::size_t known = 0;
  for (std::size_t i = 0; i < 1000; ++i) {
    ASSERT_TRUE(other.fake_for("other" + name(i), Family::ipv4));
  }
  for (std::size_t i = 0; i < 1000; ++i) {
    known += other.name_of(*one.fake_for(name(i), Family::ipv4)) ? 1U : 0U;
  }
  EXPECT_LT(known, 20U);  // by chance: one in two thousand
}

TEST(FakeIpTable, AMillionNamesFitInTwoHundredMegabytes) {
  FakeIpTable& table = table_of();
  const long before = resident_kib();
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < 1'000'000; ++i) {
    ASSERT_TRUE(table.fake_for(name(i), Family::ipv6)) << i;
  }
  const auto spent = std::chrono::duration<double>(std::chrono::steady_clock::now() - start);
  const long used = (resident_kib() - before) / 1024;
  RecordProperty("mebibytes", std::to_string(used));
  RecordProperty("seconds", std::to_string(spent.count()));
  std::printf("a million names: %ld MiB, %.2f s\n", used, spent.count());
  if (!instrumented()) {
    EXPECT_LT(used, 200);
  }
  EXPECT_EQ(name(765432), text_of(table.name_of(*table.fake_for(name(765432), Family::ipv4))));
}

TEST(FakeIpTable, SixtyFourThreadsAgree) {
  FakeIpTable& table = table_of();
  constexpr std::size_t threads = 64;
  constexpr std::size_t names = 500;
  std::vector<std::vector<IpAddress>> seen(threads);
  std::atomic<bool> go{false};
  std::vector<std::thread> running;
  for (std::size_t t = 0; t < threads; ++t) {
    running.emplace_back([&, t] {
      while (!go.load()) {
        std::this_thread::yield();
      }
      for (std::size_t i = 0; i < names; ++i) {
        const auto fake = table.fake_for(name(i), Family::ipv4);
        seen[t].push_back(fake.value_or({}));
        if (text_of(table.name_of(seen[t].back())) != name(i)) {
          seen[t].back() = {};
        }
      }
    });
  }
  go.store(true);
  for (std::thread& thread : running) {
    thread.join();
  }
  for (std::size_t t = 1; t < threads; ++t) {
    EXPECT_EQ(seen[0], seen[t]);
  }
  EXPECT_EQ(names, std::set<IpAddress>(seen[0].begin(), seen[0].end()).size());
  EXPECT_EQ(0U, std::set<IpAddress>(seen[0].begin(), seen[0].end()).count(IpAddress()));
}

// Fork tests leave the child by _exit: sanitizers and gtest must not run their ends there.
TEST(FakeIpTable, AForkFamilyShares) {
  FakeIpTable& table = table_of();
  int pipes[2];
  ASSERT_EQ(0, pipe(pipes));
  const pid_t child = fork();
  if (child == 0) {
    const auto fake = table.fake_for("from-the-child.test", Family::ipv4);
    const std::uint32_t value = fake ? fake->v4_value() : 0;
    _exit(write(pipes[1], &value, sizeof(value)) == sizeof(value) ? 0 : 1);
  }
  std::uint32_t value = 0;
  ASSERT_EQ(static_cast<ssize_t>(sizeof(value)), read(pipes[0], &value, sizeof(value)));
  EXPECT_EQ("from-the-child.test", text_of(table.name_of(IpAddress::v4(value))));
  int status = -1;
  ASSERT_EQ(child, waitpid(child, &status, 0));
  EXPECT_EQ(0, status);

  const pid_t second = fork();
  if (second == 0) {
    const auto back = table.fake_for("from-the-child.test", Family::ipv4);
    if (!back || back->v4_value() != value) {
      _exit(1);
    }
    // The parent's name comes into being while this child lives: the other direction.
    std::uint32_t parents = 0;
    if (read(pipes[0], &parents, sizeof(parents)) != sizeof(parents)) {
      _exit(2);
    }
    const auto found = table.name_of(IpAddress::v4(parents));
    _exit(found && found->view() == "from-the-parent.test" ? 0 : 3);
  }
  const std::uint32_t ours = table.fake_for("from-the-parent.test", Family::ipv4)->v4_value();
  ASSERT_EQ(static_cast<ssize_t>(sizeof(ours)), write(pipes[1], &ours, sizeof(ours)));
  ASSERT_EQ(second, waitpid(second, &status, 0));
  EXPECT_EQ(0, status);
  close(pipes[0]);
  close(pipes[1]);
}

// A process killed anywhere inside an insertion leaves a table in which everything works.
TEST(FakeIpTable, AKilledWriterLeavesNothingBehind) {
  FakeIpTable& table = table_of();
  void* shared = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(MAP_FAILED, shared);
  auto* done = new (shared) std::atomic<std::uint32_t>(0);
  std::uint32_t number = 0;
  for (int round = 0; round < 60; ++round) {
    const std::uint32_t start = done->load();
    const pid_t child = fork();
    if (child == 0) {
      for (std::uint32_t i = start;; ++i) {
        static_cast<void>(table.fake_for(name(i), Family::ipv4));
        done->store(i + 1);
      }
    }
    while (done->load() < start + 50 + static_cast<std::uint32_t>(round)) {
      // The parent inserts the same names at the same time.
      static_cast<void>(table.fake_for(name(number++ % 5000), Family::ipv6));
    }
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(child, waitpid(child, &status, 0));
    ASSERT_TRUE(WIFSIGNALED(status));
  }
  std::set<IpAddress> given;
  const std::uint32_t count = done->load();
  for (std::uint32_t i = 0; i < count + 100; ++i) {
    const auto fake = table.fake_for(name(i), Family::ipv4);
    ASSERT_TRUE(fake);
    ASSERT_EQ(name(i), text_of(table.name_of(*fake)));
    given.insert(*fake);
  }
  EXPECT_EQ(count + 100, given.size());
  munmap(shared, 4096);
}

TEST(FakeIpTable, TakesASmallPartOfALimitedAddressSpace) {
  if (instrumented()) {
    GTEST_SKIP() << "NOT RUN: sanitizers need their own address space";
  }
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  if (pages * static_cast<std::size_t>(getpagesize()) > (std::size_t{200} << 20U)) {
    GTEST_SKIP() << "NOT RUN: the tests before it hold memory; ctest gives it a process of its own";
  }
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit{512U << 20, 512U << 20};
    FakeIpTable table;
    if (setrlimit(RLIMIT_AS, &limit) != 0) {
      _exit(2);
    }
    table.configure(prefix("0.0.0.0/8"), prefix("100::/64"));
    const bool smaller = table.capacity() > 1000 && table.capacity() < FakeIpTable::max_names;
    _exit(smaller && table.fake_for("a.test", Family::ipv4) ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(child, waitpid(child, &status, 0));
  EXPECT_EQ(0, status);
}

}  // namespace
}  // namespace socks64::shim
