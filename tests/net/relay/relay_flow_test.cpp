// One direction's decisions, without a socket.
#include "relay/relay_flow.hpp"

#include <array>
#include <fcntl.h>
#include <map>
#include <unistd.h>

#include <gtest/gtest.h>

#include "relay/pipe_pool.hpp"
#include "relay/relay_pool.hpp"

namespace socks64::gateway {
namespace {

using Step = RelayFlow::Step;

constexpr std::size_t kRoom = std::size_t{256} << 10;

/// Lives as long as the flows that refer to it.
const FlowTuning& tuned(RelayPath path) {
  static std::map<RelayPath, FlowTuning> tunings;
  FlowTuning& tuning = tunings[path];
  tuning.path = path;
  return tuning;
}

TEST(RelayFlow, CopiesOneShortReadAndWaits) {
  RelayFlow flow(tuned(RelayPath::adaptive));
  flow.begin_turn();
  EXPECT_EQ(flow.next(), Step::receive);
  flow.received(100, kRoom);
  EXPECT_EQ(flow.next(), Step::send);
  EXPECT_EQ(flow.held(), 100u);
  flow.wrote(100);
  EXPECT_EQ(flow.next(), Step::await_readable);
  EXPECT_EQ(flow.written(), 100u);
  flow.begin_turn();
  EXPECT_EQ(flow.next(), Step::receive);
  flow.nothing_to_read();
  EXPECT_EQ(flow.next(), Step::await_readable);
}

TEST(RelayFlow, EarlyOctetsGoFirst) {
  RelayFlow flow(tuned(RelayPath::adaptive), 10);
  flow.begin_turn();
  EXPECT_EQ(flow.next(), Step::send);
  flow.wrote(4);
  EXPECT_EQ(flow.next(), Step::await_writable) << "they are in memory that stays";
  flow.begin_turn();
  flow.wrote(6);
  EXPECT_EQ(flow.next(), Step::receive);
  EXPECT_EQ(flow.written(), 10u);
}

TEST(RelayFlow, AFullSinkStopsTheReads) {
  RelayFlow flow(tuned(RelayPath::copy));
  flow.begin_turn();
  flow.received(kRoom, kRoom);
  flow.wrote(1000);
  ASSERT_EQ(flow.next(), Step::keep);
  flow.kept();
  EXPECT_EQ(flow.next(), Step::await_writable);
  flow.begin_turn();
  EXPECT_EQ(flow.next(), Step::send);
  flow.sink_full();
  EXPECT_EQ(flow.next(), Step::await_writable);
  flow.begin_turn();
  flow.wrote(kRoom - 1000);
  EXPECT_EQ(flow.next(), Step::receive);
}

TEST(RelayFlow, EndOfStreamWaitsForTheFlush) {
  RelayFlow flow(tuned(RelayPath::copy));
  flow.begin_turn();
  flow.received(kRoom, kRoom);
  flow.wrote(kRoom);
  flow.end_of_stream();
  EXPECT_EQ(flow.next(), Step::shut_down);
  EXPECT_TRUE(flow.source_ended());
  flow.shut();
  EXPECT_EQ(flow.next(), Step::finished);
}

TEST(RelayFlow, ATurnEnds) {
  FlowTuning tuning = tuned(RelayPath::copy);
  RelayFlow by_octets(tuning);
  by_octets.begin_turn();
  std::size_t moved = 0;
  while (by_octets.next() == Step::receive) {
    by_octets.received(kRoom, kRoom);
    by_octets.wrote(kRoom);
    moved += kRoom;
  }
  EXPECT_EQ(by_octets.next(), Step::await_readable);
  EXPECT_EQ(moved, tuning.octets_per_turn);

  RelayFlow by_reads(tuning);
  by_reads.begin_turn();
  unsigned reads = 0;
  while (by_reads.next() == Step::receive) {
    by_reads.received(1, 1);
    by_reads.wrote(1);
    ++reads;
  }
  EXPECT_EQ(reads, tuning.reads_per_turn);
}

RelayFlow splicing_flow() {
  RelayFlow flow(tuned(RelayPath::adaptive));
  for (unsigned i = 0; i < FlowTuning{}.large_reads_to_splice; ++i) {
    flow.begin_turn();
    EXPECT_EQ(flow.next(), Step::receive);
    flow.received(kRoom, kRoom);
    flow.wrote(kRoom);
  }
  flow.begin_turn();
  return flow;
}

TEST(RelayFlow, LargeReadsInARowSwitchToSplice) {
  RelayFlow flow = splicing_flow();
  ASSERT_EQ(flow.next(), Step::fill);
  flow.filled(kRoom);
  EXPECT_EQ(flow.next(), Step::drain);
  flow.wrote(kRoom / 2);
  EXPECT_EQ(flow.next(), Step::await_writable) << "the pipe keeps the rest";
  flow.begin_turn();
  EXPECT_EQ(flow.next(), Step::drain);
}

TEST(RelayFlow, ASmallReadBreaksTheRow) {
  RelayFlow flow(tuned(RelayPath::adaptive));
  for (int i = 0; i < 20; ++i) {
    flow.begin_turn();
    ASSERT_EQ(flow.next(), Step::receive);
    const std::size_t octets = i % 2 == 0 ? kRoom : 10;
    flow.received(octets, kRoom);
    flow.wrote(octets);
  }
}

TEST(RelayFlow, SmallFillsInARowSwitchBack) {
  RelayFlow flow = splicing_flow();
  for (unsigned i = 0; i < FlowTuning{}.small_fills_to_copy; ++i) {
    flow.begin_turn();
    ASSERT_EQ(flow.next(), Step::fill);
    flow.filled(100);
    flow.wrote(100);
    EXPECT_EQ(flow.next(), Step::await_readable) << "a small fill emptied the socket";
  }
  flow.begin_turn();
  EXPECT_EQ(flow.next(), Step::receive);
}

TEST(RelayFlow, WithoutAPipeItCopies) {
  RelayFlow flow = splicing_flow();
  flow.no_pipe();
  EXPECT_EQ(flow.next(), Step::receive);

  RelayFlow forced(tuned(RelayPath::splice));
  forced.begin_turn();
  forced.no_pipe();
  EXPECT_EQ(forced.next(), Step::receive);
  forced.received(1, kRoom);
  forced.wrote(1);
  forced.begin_turn();
  EXPECT_EQ(forced.next(), Step::fill) << "it asks again";
  forced.no_splice();
  EXPECT_EQ(forced.next(), Step::receive);
}

// splice(2) stops at urgent data as if there were none, or as if the stream had ended.
TEST(RelayFlow, SpliceIsNotBelievedWhenItFindsNothing) {
  RelayFlow flow(tuned(RelayPath::splice));
  flow.begin_turn();
  flow.nothing_to_read();
  ASSERT_EQ(flow.next(), Step::receive);
  flow.received(1, kRoom);
  flow.wrote(1);
  EXPECT_EQ(flow.next(), Step::await_readable);

  flow.begin_turn();
  EXPECT_EQ(flow.next(), Step::fill);
  flow.end_of_stream();
  ASSERT_EQ(flow.next(), Step::receive);
  EXPECT_FALSE(flow.source_ended());
  flow.end_of_stream();
  EXPECT_EQ(flow.next(), Step::shut_down);
}

TEST(RelayFlow, NothingTwiceIsNothing) {
  RelayFlow flow(tuned(RelayPath::splice));
  flow.begin_turn();
  flow.nothing_to_read();
  flow.nothing_to_read();
  EXPECT_EQ(flow.next(), Step::await_readable);
}

TEST(PipePool, LendsLargePipesUpToItsLimit) {
  PipePool pool(std::size_t{256} << 10, 2);
  Pipe first = pool.lend();
  Pipe second = pool.lend();
  ASSERT_TRUE(first);
  ASSERT_TRUE(second);
  EXPECT_GE(::fcntl(first.write_end(), F_GETPIPE_SZ), 256 << 10);
  EXPECT_FALSE(pool.lend());
  EXPECT_EQ(pool.lent(), 2u);

  const int number = first.read_end();
  pool.take_back(std::move(first), true);
  EXPECT_EQ(pool.idle(), 1u);
  Pipe again = pool.lend();
  ASSERT_TRUE(again);
  EXPECT_EQ(again.read_end(), number);

  pool.take_back(std::move(again), false);
  EXPECT_EQ(pool.idle(), 0u) << "a pipe with octets in it is closed";
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
  pool.take_back(std::move(second), true);
  EXPECT_EQ(pool.lent(), 0u);
}

TEST(PipePool, DoesNotAskAgainAtOnceAfterARefusal) {
  PipePool pool(std::size_t{1} << 31, 2);  // no system grants this
  for (int i = 0; i < 200; ++i) {
    EXPECT_FALSE(pool.lend());
  }
  EXPECT_EQ(pool.lent(), 0u);
}

TEST(RelayPool, KeepsAFewBlocks) {
  RelayPoolConfig config;
  config.spare_blocks = 1;
  RelayPool pool(config);
  RelayPool::Block first = pool.lend_block();
  RelayPool::Block second = pool.lend_block();
  const std::uint8_t* const address = first.get();
  EXPECT_EQ(pool.blocks_lent(), 2u);
  pool.take_back(std::move(first));
  pool.take_back(std::move(second));
  EXPECT_EQ(pool.blocks_lent(), 0u);
  EXPECT_EQ(pool.lend_block().get(), address);
}

}  // namespace
}  // namespace socks64::gateway
