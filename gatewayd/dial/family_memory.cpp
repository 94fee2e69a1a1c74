#include "dial/family_memory.hpp"

#include <sys/random.h>

namespace socks64::gateway {
namespace {

// A slot: the second in which it expires, 0 if it was never used; the family; and what of the key
// does not follow from the place.
constexpr unsigned seconds_bits = 32;
constexpr std::uint64_t seconds_mask = 0xffff'ffffU;
constexpr std::uint64_t ipv6_bit = std::uint64_t{1} << seconds_bits;
constexpr std::uint64_t tag_mask = ~(seconds_mask | ipv6_bit);

static_assert((FamilyMemory::capacity & (FamilyMemory::capacity - 1)) == 0);
static_assert(FamilyMemory::capacity <= seconds_mask,
              "place and tag would share no bit of the key");

std::uint64_t mixed(std::uint64_t x) noexcept {
  x = (x ^ (x >> 30U)) * 0xbf58'476d'1ce4'e5b9U;
  x = (x ^ (x >> 27U)) * 0x94d0'49bb'1331'11ebU;
  return x ^ (x >> 31U);
}

std::size_t place_of(FamilyMemory::Key key) noexcept {
  return static_cast<std::size_t>(key) & (FamilyMemory::capacity - 1);
}

}  // namespace

FamilyMemory::FamilyMemory(std::chrono::seconds lifetime) noexcept
    : seed_(0), began_(std::chrono::steady_clock::now()), lifetime_(lifetime) {
  // Without randomness, which the kernel always has by now, names could be chosen to collide: that
  // would cost others 250 ms.
  static_cast<void>(::getrandom(&seed_, sizeof seed_, GRND_NONBLOCK));
}

FamilyMemory::Key FamilyMemory::key(std::string_view canonical, Port port) const noexcept {
  std::uint64_t hash = mixed(seed_ ^ port);
  for (const char c : canonical) {
    hash = mixed(hash ^ static_cast<unsigned char>(c));
  }
  return hash;
}

std::uint32_t FamilyMemory::seconds(Time now) const noexcept {
  // 136 years are enough for a process.
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::seconds>(now - began_).count());
}

void FamilyMemory::learn(Key key, Family family, Time now) noexcept {
  if (lifetime_ <= std::chrono::seconds(0)) {
    return;
  }
  const std::uint64_t expires = seconds(now) + static_cast<std::uint64_t>(lifetime_.count());
  const std::uint64_t slot =
      (key & tag_mask) | (family == Family::ipv6 ? ipv6_bit : 0U) | (expires & seconds_mask);
  slots_[place_of(key)].store(slot, std::memory_order_relaxed);
}

std::optional<Family> FamilyMemory::recall(Key key, Time now) const noexcept {
  const std::uint64_t slot = slots_[place_of(key)].load(std::memory_order_relaxed);
  if ((slot & tag_mask) != (key & tag_mask)) {
    return std::nullopt;
  }
  if ((slot & seconds_mask) <= seconds(now)) {
    return std::nullopt;
  }
  return (slot & ipv6_bit) != 0 ? Family::ipv6 : Family::ipv4;
}

}  // namespace socks64::gateway
