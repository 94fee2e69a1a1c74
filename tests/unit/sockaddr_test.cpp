#include "socks64/sockaddr.hpp"

#include <array>
#include <cstring>
#include <netinet/in.h>
#include <sys/un.h>

#include "octets.hpp"

namespace socks64 {
namespace {

const sockaddr* generic(const void* address) {
  return static_cast<const sockaddr*>(address);
}

TEST(Sockaddr, BothFamiliesBothWays) {
  for (const char* const text : {"192.0.2.1:80", "0.0.0.0:0", "[2001:db8::1]:443",
                                 "[fe80::1%7]:65535", "[::ffff:192.0.2.1]:1"}) {
    const Endpoint endpoint = *Endpoint::parse(text);
    sockaddr_storage storage;
    std::memset(&storage, 0xff, sizeof storage);
    const socklen_t length = to_sockaddr(endpoint, storage);
    EXPECT_EQ(length, endpoint.address.is_v4() ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    const Result<Endpoint> back = from_sockaddr(generic(&storage), length);
    ASSERT_TRUE(back) << text;
    EXPECT_EQ(*back, endpoint);
    const auto* const octets = reinterpret_cast<const unsigned char*>(&storage);
    for (std::size_t i = length; i < sizeof storage; ++i) {
      ASSERT_EQ(octets[i], 0);
    }
  }
}

TEST(Sockaddr, FieldsAreInNetworkByteOrder) {
  sockaddr_storage storage;
  to_sockaddr(*Endpoint::parse("192.0.2.1:80"), storage);
  sockaddr_in v4{};
  std::memcpy(&v4, &storage, sizeof v4);
  EXPECT_EQ(v4.sin_family, AF_INET);
  EXPECT_EQ(v4.sin_port, htons(80));
  EXPECT_EQ(v4.sin_addr.s_addr, htonl(0xc0000201));
}

TEST(Sockaddr, RefusesOtherFamiliesAndShortStructures) {
  sockaddr_un local{};
  local.sun_family = AF_UNIX;
  EXPECT_EQ(from_sockaddr(generic(&local), sizeof local).error(), Errc::bad_address);
  EXPECT_EQ(from_sockaddr(nullptr, 0).error(), Errc::bad_address);
  EXPECT_EQ(from_sockaddr(nullptr, sizeof(sockaddr_in)).error(), Errc::bad_address);
  sockaddr_storage storage;
  to_sockaddr(*Endpoint::parse("192.0.2.1:80"), storage);
  for (socklen_t length = 0; length < sizeof(sockaddr_in); ++length) {
    EXPECT_EQ(from_sockaddr(generic(&storage), length).error(), Errc::bad_address);
  }
  to_sockaddr(*Endpoint::parse("[fe80::1%7]:80"), storage);
  for (socklen_t length = 0; length < 24; ++length) {
    EXPECT_EQ(from_sockaddr(generic(&storage), length).error(), Errc::bad_address);
  }
  // The kernel takes 24 octets, so must we; the zone is then none.
  const Result<Endpoint> old = from_sockaddr(generic(&storage), 24);
  ASSERT_TRUE(old);
  EXPECT_EQ(old->text().view(), "[fe80::1]:80");
}

TEST(Sockaddr, NeedNotBeAligned) {
  sockaddr_storage storage;
  const Endpoint endpoint = *Endpoint::parse("[2001:db8::1]:443");
  const socklen_t length = to_sockaddr(endpoint, storage);
  std::array<unsigned char, sizeof(sockaddr_in6) + 1> shifted{};
  std::memcpy(shifted.data() + 1, &storage, length);
  EXPECT_EQ(*from_sockaddr(generic(shifted.data() + 1), length), endpoint);
}

}  // namespace
}  // namespace socks64
