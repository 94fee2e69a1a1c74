#include "base/siphash.hpp"

#include <bit>
#include <cerrno>
#include <sys/random.h>
#include <system_error>

namespace socks64::gateway {

SipKey SipKey::random() {
  SipKey key;
  // Up to 256 octets come whole or not at all (getrandom(2)).
  while (::getrandom(&key, sizeof key, 0) != static_cast<ssize_t>(sizeof key)) {
    if (errno != EINTR) {
      throw std::system_error(errno, std::generic_category(), "getrandom");
    }
  }
  return key;
}

SipHasher::SipHasher(const SipKey& key) noexcept
    : state_{key.low ^ 0x736f6d6570736575U, key.high ^ 0x646f72616e646f6dU,
             key.low ^ 0x6c7967656e657261U, key.high ^ 0x7465646279746573U} {}

void SipHasher::round() noexcept {
  auto& [a, b, c, d] = state_;
  a += b;
  c += d;
  b = std::rotl(b, 13) ^ a;
  d = std::rotl(d, 16) ^ c;
  a = std::rotl(a, 32);
  c += b;
  a += d;
  b = std::rotl(b, 17) ^ c;
  d = std::rotl(d, 21) ^ a;
  c = std::rotl(c, 32);
}

void SipHasher::octet(std::uint8_t value) noexcept {
  word_ |= std::uint64_t{value} << (size_ % 8 * 8);
  if (++size_ % 8 != 0) {
    return;
  }
  state_[3] ^= word_;
  round();
  round();
  state_[0] ^= word_;
  word_ = 0;
}

void SipHasher::octets(std::string_view text) noexcept {
  for (const char value : text) {
    octet(static_cast<std::uint8_t>(value));
  }
}

void SipHasher::add(std::string_view text) noexcept {
  const std::uint64_t size = text.size();
  for (unsigned shift = 0; shift < 64; shift += 8) {
    octet(static_cast<std::uint8_t>(size >> shift));
  }
  octets(text);
}

std::uint64_t SipHasher::finish() noexcept {
  // The last word: what is left of the text, and its size modulo 256 on top.
  const std::uint64_t last = word_ | size_ << 56U;
  state_[3] ^= last;
  round();
  round();
  state_[0] ^= last;
  state_[2] ^= 0xffU;
  for (int i = 0; i < 4; ++i) {
    round();
  }
  const std::uint64_t value = state_[0] ^ state_[1] ^ state_[2] ^ state_[3];
  word_ = 0;
  return value;
}

std::uint64_t siphash(const SipKey& key, std::string_view text) noexcept {
  SipHasher hasher(key);
  hasher.octets(text);
  return hasher.finish();
}

}  // namespace socks64::gateway
