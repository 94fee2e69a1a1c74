// The only table from a failure to a reply code: RFC 1928 section 6.
#include "handshake/reply.hpp"

#include <utility>

#include <gtest/gtest.h>

namespace socks64::gateway {
namespace {

TEST(ReplyTable, KnowsEveryFailure) {
  constexpr std::pair<Failure, int> table[] = {
      {Failure::none, 0},
      {Failure::name_invalid, 4},
      {Failure::name_not_found, 4},
      {Failure::name_timeout, 6},
      {Failure::name_failed, 4},
      {Failure::refused, 5},
      {Failure::network_unreachable, 3},
      {Failure::host_unreachable, 4},
      {Failure::timed_out, 6},
      {Failure::bad_port, 1},
      {Failure::denied, 2},
      {Failure::no_resources, 1},
      {Failure::shutting_down, 1},
      {Failure::internal, 1},
  };
  int next = 0;
  for (const auto& [failure, code] : table) {
    EXPECT_EQ(static_cast<int>(failure), next++) << "the table leaves out a failure";
    EXPECT_EQ(static_cast<int>(reply_code(failure)), code) << describe(failure);
  }
  EXPECT_EQ(static_cast<int>(Failure::internal), next - 1);
}

TEST(ReplyTable, OfALookUpKnowsFourAnswers) {
  for (int value = 0; value <= static_cast<int>(Failure::internal); ++value) {
    const auto failure = static_cast<Failure>(value);
    const bool nothing = failure == Failure::name_not_found || failure == Failure::name_invalid;
    EXPECT_EQ(static_cast<int>(look_up_reply_code(failure)), failure == Failure::none     ? 0
                                                             : failure == Failure::denied ? 2
                                                             : nothing                    ? 4
                                                                                          : 1)
        << describe(failure);
  }
}

}  // namespace
}  // namespace socks64::gateway
