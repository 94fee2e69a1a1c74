// RFC 8305 against a clock of our own.
#include "dial/race.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <variant>

#include <gtest/gtest.h>

#include "rig/peers.hpp"

namespace socks64::gateway::testing {
namespace {

using namespace std::chrono_literals;

const Race::Time start{};

class RaceTest : public ::testing::Test {
 protected:
  static Race race(FamilyPreference prefer = FamilyPreference::system,
                   std::optional<Family> start_with = std::nullopt) {
    Race made({10s, 50ms, 250ms}, prefer, start, start_with);
    made.asked(Family::ipv6);
    made.asked(Family::ipv4);
    return made;
  }
  static std::vector<Destination> v6(int count = 1) {
    std::vector<Destination> list;
    for (int i = 1; i <= count; ++i) {
      list.push_back({ip("2001:db8::" + std::to_string(i)), ip("2001:db8::99")});
    }
    return list;
  }
  static std::vector<Destination> v4(int count = 1) {
    std::vector<Destination> list;
    for (int i = 1; i <= count; ++i) {
      list.push_back({ip("192.0.2." + std::to_string(i)), ip("192.0.2.99")});
    }
    return list;
  }
  /// "start ADDRESS", "wait MILLISECONDS" since the beginning, or the failure.
  static std::string step(Race& race, std::chrono::milliseconds at) {
    const Race::Step step = race.next(start + at);
    if (const auto* begin = std::get_if<Race::Start>(&step)) {
      return "start " + std::string(begin->address.text().view());
    }
    if (std::holds_alternative<Race::Abandon>(step)) {
      return "abandon";
    }
    if (const auto* wait = std::get_if<Race::Wait>(&step)) {
      return "wait " + std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(
                                          wait->until - start)
                                          .count());
    }
    return std::string(describe(std::get<Race::GiveUp>(step).failure));
  }
};

TEST_F(RaceTest, AaaaStartsAtOnce) {
  Race r = race();
  EXPECT_EQ(step(r, 0ms), "wait 10000");
  r.answered(Family::ipv6, Failure::none, v6(), start + 5ms);
  EXPECT_EQ(step(r, 5ms), "start 2001:db8::1");
}

TEST_F(RaceTest, AWaitsFiftyMillisecondsForAaaa) {
  Race r = race();
  r.answered(Family::ipv4, Failure::none, v4(), start + 5ms);
  EXPECT_EQ(step(r, 5ms), "wait 55");
  EXPECT_EQ(step(r, 54ms), "wait 55");
  EXPECT_EQ(step(r, 55ms), "start 192.0.2.1");
}

TEST_F(RaceTest, AaaaWithinTheDelayGoesFirst) {
  Race r = race();
  r.answered(Family::ipv4, Failure::none, v4(), start);
  r.answered(Family::ipv6, Failure::none, v6(), start + 30ms);
  EXPECT_EQ(step(r, 30ms), "start 2001:db8::1");
  EXPECT_EQ(step(r, 30ms), "wait 280");
  EXPECT_EQ(step(r, 280ms), "start 192.0.2.1");
}

TEST_F(RaceTest, ANegativeAaaaEndsTheWait) {
  Race r = race();
  r.answered(Family::ipv4, Failure::none, v4(), start);
  r.answered(Family::ipv6, Failure::name_not_found, {}, start + 10ms);
  EXPECT_EQ(step(r, 10ms), "start 192.0.2.1");
}

TEST_F(RaceTest, PreferringIpv4SwapsTheRoles) {
  Race r = race(FamilyPreference::ipv4);
  r.answered(Family::ipv6, Failure::none, v6(), start);
  EXPECT_EQ(step(r, 0ms), "wait 50");
  r.answered(Family::ipv4, Failure::none, v4(), start + 10ms);
  EXPECT_EQ(step(r, 10ms), "start 192.0.2.1");
}

TEST_F(RaceTest, AFailureStartsTheNextAtOnce) {
  Race r = race();
  r.answered(Family::ipv6, Failure::none, v6(2), start);
  r.answered(Family::ipv4, Failure::none, v4(1), start);
  EXPECT_EQ(step(r, 0ms), "start 2001:db8::1");
  r.attempt_failed(Failure::refused, start + 3ms);
  EXPECT_EQ(step(r, 3ms), "start 192.0.2.1");
  EXPECT_EQ(step(r, 3ms), "wait 253");
  r.attempt_failed(Failure::timed_out, start + 4ms);
  EXPECT_EQ(step(r, 4ms), "start 2001:db8::2");
  r.attempt_failed(Failure::timed_out, start + 5ms);
  EXPECT_EQ(step(r, 5ms), "refused");
}

TEST_F(RaceTest, LateAnswersJoinAndTheFamiliesKeepAlternating) {
  Race r = race();
  r.answered(Family::ipv4, Failure::none, v4(3), start);
  EXPECT_EQ(step(r, 50ms), "start 192.0.2.1");
  EXPECT_EQ(step(r, 60ms), "wait 300");
  r.answered(Family::ipv6, Failure::none, v6(), start + 100ms);
  EXPECT_EQ(step(r, 100ms), "wait 300");
  EXPECT_EQ(step(r, 300ms), "start 2001:db8::1");
  EXPECT_EQ(step(r, 550ms), "start 192.0.2.2");
}

TEST_F(RaceTest, WaitsForTheOtherFamilyWhenAllHaveFailed) {
  Race r = race();
  r.answered(Family::ipv4, Failure::none, v4(), start);
  EXPECT_EQ(step(r, 50ms), "start 192.0.2.1");
  r.attempt_failed(Failure::refused, start + 51ms);
  EXPECT_EQ(step(r, 51ms), "wait 10000");
  r.answered(Family::ipv6, Failure::none, v6(), start + 3s);
  EXPECT_EQ(step(r, 3s), "start 2001:db8::1");
}

TEST_F(RaceTest, TheBudgetEndsIt) {
  Race silent_name = race();
  EXPECT_EQ(step(silent_name, 10s), "name-timeout");
  Race half_a_name = race();
  half_a_name.answered(Family::ipv6, Failure::name_not_found, {}, start);
  EXPECT_EQ(step(half_a_name, 10s), "name-timeout");
  Race silent_host = race();
  silent_host.answered(Family::ipv6, Failure::none, v6(), start);
  EXPECT_EQ(step(silent_host, 0ms), "start 2001:db8::1");
  EXPECT_EQ(step(silent_host, 10s), "timed-out");
  Race mixed = race();
  mixed.answered(Family::ipv6, Failure::none, v6(2), start);
  EXPECT_EQ(step(mixed, 0ms), "start 2001:db8::1");
  mixed.attempt_failed(Failure::refused, start + 1ms);
  EXPECT_EQ(step(mixed, 1ms), "start 2001:db8::2");
  EXPECT_EQ(step(mixed, 10s), "refused");
}

TEST_F(RaceTest, TheOldestOfSixAttemptsMakesRoom) {
  Race r = race();
  r.answered(Family::ipv6, Failure::none, v6(8), start);
  r.answered(Family::ipv4, Failure::name_not_found, {}, start);
  for (unsigned i = 0; i < Race::max_under_way; ++i) {
    EXPECT_EQ(step(r, i * 250ms), "start 2001:db8::" + std::to_string(i + 1));
  }
  EXPECT_EQ(step(r, 1400ms), "wait 1500");
  EXPECT_EQ(step(r, 1500ms), "abandon");
  r.attempt_failed(Failure::timed_out, start + 1500ms);
  EXPECT_EQ(step(r, 1500ms), "start 2001:db8::7");
  EXPECT_EQ(step(r, 1500ms), "wait 1750");
  // A place that is free needs nobody to go.
  r.attempt_failed(Failure::refused, start + 1600ms);
  EXPECT_EQ(step(r, 1600ms), "start 2001:db8::8");
  EXPECT_EQ(step(r, 1600ms), "wait 10000");
}

TEST_F(RaceTest, SixteenAddressesOfBothFamiliesAndNoMore) {
  Race r = race();
  r.answered(Family::ipv6, Failure::none, v6(64), start);
  r.answered(Family::ipv4, Failure::none, v4(64), start);
  for (unsigned i = 0; i < Race::max_addresses; ++i) {
    const std::string number = std::to_string(i / 2 + 1);
    EXPECT_EQ(step(r, 0ms), i % 2 == 0 ? "start 2001:db8::" + number : "start 192.0.2." + number);
    if (i + 1 < Race::max_addresses) {
      r.attempt_failed(Failure::refused, start);
    }
  }
  EXPECT_EQ(step(r, 0ms), "wait 10000");
  r.attempt_failed(Failure::timed_out, start);
  EXPECT_EQ(step(r, 0ms), "refused");
}

TEST_F(RaceTest, AfterSixteenAddressesNoAnswerIsWaitedFor) {
  Race r = race();
  r.answered(Family::ipv4, Failure::none, v4(17), start);
  for (unsigned i = 0; i < Race::max_addresses; ++i) {
    EXPECT_EQ(step(r, 50ms), "start 192.0.2." + std::to_string(i + 1));
    r.attempt_failed(Failure::refused, start + 50ms);
  }
  EXPECT_EQ(step(r, 50ms), "refused");
}

TEST_F(RaceTest, NamesFailWithTheMostTelling) {
  const auto both = [](Failure a, Failure b) {
    Race r = race();
    r.answered(Family::ipv6, a, {}, start);
    r.answered(Family::ipv4, b, {}, start);
    return step(r, 0ms);
  };
  EXPECT_EQ(both(Failure::name_not_found, Failure::name_not_found), "name-not-found");
  EXPECT_EQ(both(Failure::name_not_found, Failure::name_failed), "name-failed");
  EXPECT_EQ(both(Failure::name_timeout, Failure::name_not_found), "name-timeout");
  EXPECT_EQ(both(Failure::denied, Failure::name_not_found), "denied");
}

TEST(MoreTelling, RanksWhatIsKnownAboveSilenceAboveOurOwnLimits) {
  const std::array ranked{Failure::refused,        Failure::host_unreachable,
                          Failure::timed_out,      Failure::network_unreachable,
                          Failure::no_resources,   Failure::denied,
                          Failure::name_failed,    Failure::name_timeout,
                          Failure::name_not_found, Failure::none};
  for (std::size_t i = 0; i < ranked.size(); ++i) {
    for (std::size_t j = i; j < ranked.size(); ++j) {
      EXPECT_EQ(more_telling(ranked[i], ranked[j]), ranked[i]);
      EXPECT_EQ(more_telling(ranked[j], ranked[i]), ranked[i]);
    }
  }
}

TEST_F(RaceTest, StartsWithTheRememberedFamilyAndKeepsTheOrderOtherwise) {
  Race r = race(FamilyPreference::system, Family::ipv4);
  r.answered(Family::ipv6, Failure::none, v6(2), start);
  EXPECT_EQ(step(r, 0ms), "wait 50") << "the family that worked is waited for";
  r.answered(Family::ipv4, Failure::none, v4(2), start + 10ms);
  EXPECT_EQ(step(r, 10ms), "start 192.0.2.1");
  EXPECT_EQ(step(r, 260ms), "start 2001:db8::1");
  EXPECT_EQ(step(r, 510ms), "start 192.0.2.2");
  EXPECT_EQ(step(r, 760ms), "start 2001:db8::2");
}

TEST_F(RaceTest, TheRememberedFamilyMayHaveNoAddressesAnyMore) {
  Race r = race(FamilyPreference::system, Family::ipv4);
  r.answered(Family::ipv6, Failure::none, v6(), start);
  r.answered(Family::ipv4, Failure::name_not_found, {}, start + 10ms);
  EXPECT_EQ(step(r, 10ms), "start 2001:db8::1");
}

TEST_F(RaceTest, ARememberedFamilyWithoutARouteGoesLast) {
  Race r = race(FamilyPreference::system, Family::ipv4);
  r.answered(Family::ipv6, Failure::none, v6(), start);
  r.answered(Family::ipv4, Failure::none, {{ip("192.0.2.1"), std::nullopt}}, start);
  EXPECT_EQ(step(r, 0ms), "start 2001:db8::1");
}

}  // namespace
}  // namespace socks64::gateway::testing
