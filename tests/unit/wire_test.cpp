#include "socks64/wire.hpp"

#include "octets.hpp"

namespace socks64 {
namespace {

TEST(Reader, ReadsInNetworkByteOrderAndCounts) {
  const test::Octets data{1, 2, 3, 4, 5};
  Reader reader(data);
  EXPECT_EQ(reader.u8(), 1);
  EXPECT_EQ(reader.u16(), 0x0203);
  EXPECT_EQ(reader.consumed(), 3U);
  EXPECT_EQ(reader.remaining(), 2U);
  const Bytes rest = reader.take(2);
  ASSERT_EQ(rest.size(), 2U);
  EXPECT_EQ(rest[1], 5);
  EXPECT_TRUE(reader.take(0).empty());
  EXPECT_TRUE(reader.ok());
}

TEST(Reader, FailureIsSticky) {
  const test::Octets data{1, 2, 3};
  Reader reader(data);
  EXPECT_EQ(reader.u16(), 0x0102);
  EXPECT_EQ(reader.u16(), 0);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.u8(), 0);  // one octet is left, but the reader has failed
  EXPECT_TRUE(reader.take(1).empty());
  EXPECT_EQ(reader.consumed(), 2U);
  Reader huge(data);
  EXPECT_TRUE(huge.take(static_cast<std::size_t>(-1)).empty());
  EXPECT_FALSE(huge.ok());
}

TEST(Writer, WritesInNetworkByteOrderAndIsSticky) {
  std::array<std::uint8_t, 4> buffer{9, 9, 9, 9};
  Writer out(buffer);
  out.u8(1);
  out.u16(0x0203);
  EXPECT_EQ(out.size(), 3U);
  out.u16(0x0405);  // one octet too many: nothing of it is written
  EXPECT_FALSE(out.ok());
  out.u8(6);
  EXPECT_EQ(out.size(), 3U);
  EXPECT_EQ(buffer, (std::array<std::uint8_t, 4>{1, 2, 3, 9}));
}

TEST(Writer, FailIsForValuesThatCannotTravel) {
  std::array<std::uint8_t, 4> buffer{};
  Writer out(buffer);
  out.fail();
  out.u8(1);
  EXPECT_FALSE(out.ok());
  EXPECT_EQ(out.size(), 0U);
}

}  // namespace
}  // namespace socks64
