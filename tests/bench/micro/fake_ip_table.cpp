// The shim's mapping table.
#include "tables/fake_ip_table.hpp"

#include <benchmark/benchmark.h>
#include <memory>
#include <string>
#include <vector>

namespace socks64::shim {
namespace {

std::string name(std::size_t i) {
  return "host" + std::to_string(i) + ".some-service.example.com";
}

/// As in the shim, where it lives as long as the process: its mappings are never given back.
FakeIpTable& new_table() {
  auto* const table = new FakeIpTable;
  static auto* const kept = new std::vector<FakeIpTable*>;
  kept->push_back(table);
  table->configure(Prefix::parse("0.0.0.0/8").value_or(Prefix()),
                   Prefix::parse("100::/64").value_or(Prefix()));
  return *table;
}

struct Filled {
  explicit Filled(std::size_t count) : table(new_table()) {
    for (std::size_t i = 0; i < count; ++i) {
      names.push_back(name(i));
      addresses.push_back(
          table.fake_for(names.back(), Family::ipv4).value_or(IpAddress()).mapped());
    }
  }
  FakeIpTable& table;
  std::vector<std::string> names;
  std::vector<IpAddress> addresses;
};

void by_name(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const Filled filled(count);
  std::size_t i = 0;
  for (auto _ : state) {
    auto address = filled.table.fake_for(filled.names[i], Family::ipv4);
    benchmark::DoNotOptimize(address);
    i = (i + 7919) % count;
  }
}

void by_address(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const Filled filled(count);
  std::size_t i = 0;
  for (auto _ : state) {
    auto found = filled.table.name_of(filled.addresses[i]);
    benchmark::DoNotOptimize(found);
    i = (i + 7919) % count;
  }
}

/// The whole of a new table, from empty to that many names; the pages it touches included.
void insertion(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) {
    names.push_back(name(i));
  }
  for (auto _ : state) {
    state.PauseTiming();
    FakeIpTable& table = new_table();
    state.ResumeTiming();
    for (const std::string& each : names) {
      auto address = table.fake_for(each, Family::ipv4);
      benchmark::DoNotOptimize(address);
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

// NOLINTBEGIN(cert-err58-cpp): registration
BENCHMARK(by_name)->Name("fake_ips/by_name")->Arg(1'000)->Arg(60'000);
BENCHMARK(by_address)->Name("fake_ips/by_address")->Arg(1'000)->Arg(60'000);
BENCHMARK(insertion)
    ->Name("fake_ips/insert_all")
    ->Arg(1'000)
    ->Arg(60'000)
    ->Iterations(20)
    ->Unit(benchmark::kMicrosecond);
// NOLINTEND(cert-err58-cpp)

}  // namespace
}  // namespace socks64::shim
