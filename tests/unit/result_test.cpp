#include "socks64/result.hpp"

#include <set>
#include <string>

#include "octets.hpp"

namespace socks64 {
namespace {

TEST(Result, HoldsAValueOrAnError) {
  const Result<int> good = 7;
  EXPECT_TRUE(good.has_value());
  EXPECT_TRUE(good);
  EXPECT_EQ(*good, 7);
  EXPECT_EQ(good.error(), Errc::ok);
  EXPECT_EQ(good.value_or(1), 7);

  const Result<int> bad = Errc::bad_port;
  EXPECT_FALSE(bad);
  EXPECT_EQ(bad.error(), Errc::bad_port);
  EXPECT_EQ(bad.value_or(1), 1);
}

TEST(Describe, EveryErrorHasItsOwnWords) {
  std::set<std::string_view> seen;
  for (unsigned value = 0; value <= static_cast<unsigned>(Errc::wrong_state); ++value) {
    const std::string_view words = describe(static_cast<Errc>(value));
    EXPECT_FALSE(words.empty()) << value;
    EXPECT_NE(words, "unknown error") << value;
    EXPECT_TRUE(seen.insert(words).second) << words;
  }
  EXPECT_EQ(describe(static_cast<Errc>(255)), "unknown error");
}

TEST(Describe, EveryReplyCodeHasItsOwnWordsOrIsUnassigned) {
  std::set<std::string_view> seen;
  for (unsigned value = 0; value < 256; ++value) {
    const std::string_view words = describe(static_cast<ReplyCode>(value));
    EXPECT_FALSE(words.empty()) << value;
    if (value <= 8) {
      EXPECT_TRUE(seen.insert(words).second) << words;
      EXPECT_NE(words, "unassigned reply code");
    } else {
      EXPECT_EQ(words, "unassigned reply code");
    }
  }
}

}  // namespace
}  // namespace socks64
