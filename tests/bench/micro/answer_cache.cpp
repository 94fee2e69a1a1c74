// The cache of the gateway's resolver.
#include "resolve/answer_cache.hpp"

#include <benchmark/benchmark.h>
#include <string>
#include <vector>

namespace socks64::gateway {
namespace {

std::string name(std::size_t i) {
  return "host" + std::to_string(i) + ".some-service.example.com";
}

AnswerCache::Entry answer() {
  AnswerCache::Entry entry;
  entry.failure = Failure::none;
  entry.addresses = {IpAddress::v4(0xc0000207), IpAddress::v4(0xc0000208)};
  entry.expires = AnswerCache::Time::max();
  return entry;
}

std::vector<Question> questions(std::size_t first, std::size_t count) {
  std::vector<Question> all;
  for (std::size_t i = 0; i < count; ++i) {
    all.push_back({name(first + i), RecordType::a});
  }
  return all;
}

void find(benchmark::State& state, std::size_t first_asked) {
  const auto count = static_cast<std::size_t>(state.range(0));
  AnswerCache cache(count);
  for (const Question& question : questions(0, count)) {
    cache.insert(question, answer());
  }
  const std::vector<Question> asked = questions(first_asked, count);
  std::size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(cache.find(asked[i], {}));
    i = (i + 7919) % count;  // not in the order of memory
  }
}

/// The cache is full: every insertion drops the entry that was used longest ago.
void insert(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  AnswerCache cache(count);
  const std::vector<Question> asked = questions(0, 2 * count);
  for (std::size_t i = 0; i < count; ++i) {
    cache.insert(asked[i], answer());
  }
  std::size_t i = count;
  for (auto _ : state) {
    cache.insert(asked[i], answer());
    i = (i + 1) % asked.size();
  }
}

void find_known(benchmark::State& state) {
  find(state, 0);
}
void find_unknown(benchmark::State& state) {
  find(state, 1'000'000);
}

// NOLINTBEGIN(cert-err58-cpp): registration
BENCHMARK(find_known)->Name("answer_cache/known")->Arg(1'000)->Arg(10'000);
BENCHMARK(find_unknown)->Name("answer_cache/unknown")->Arg(10'000);
BENCHMARK(insert)->Name("answer_cache/insert_into_full")->Arg(10'000);
// NOLINTEND(cert-err58-cpp)

}  // namespace
}  // namespace socks64::gateway
