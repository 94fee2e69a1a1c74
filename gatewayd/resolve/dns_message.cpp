#include "resolve/dns_message.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace socks64::gateway {
namespace {

constexpr std::uint16_t type_soa = 6;

/// Steps over a name without following it: a compression pointer ends it (RFC 1035 section 4.1.4).
void skip_name(Reader& message) noexcept {
  while (message.ok()) {
    const std::uint8_t octet = message.u8();
    if (octet == 0) {
      return;
    }
    if ((octet & 0xc0U) == 0xc0U) {
      static_cast<void>(message.u8());
      return;
    }
    static_cast<void>(message.take(octet));
  }
}

std::uint32_t u32(Reader& message) noexcept {
  const std::uint32_t high = message.u16();
  return high << 16U | message.u16();
}

struct Sections {
  unsigned answers;
  unsigned authorities;
};

/// Over the header and the questions.
Sections skip_to_answers(Reader& message) noexcept {
  static_cast<void>(message.take(4));  // ID and flags
  const unsigned questions = message.u16();
  const Sections sections{message.u16(), message.u16()};
  static_cast<void>(message.u16());  // ARCOUNT
  for (unsigned i = 0; i < questions && message.ok(); ++i) {
    skip_name(message);
    static_cast<void>(message.take(4));
  }
  return sections;
}

struct Record {
  std::uint16_t type;
  std::uint32_t ttl;
  Bytes data;
};

Record next_record(Reader& message) noexcept {
  skip_name(message);
  Record record{};
  record.type = message.u16();
  static_cast<void>(message.u16());  // CLASS
  record.ttl = u32(message);
  record.data = message.take(message.u16());
  return record;
}

}  // namespace

std::optional<std::chrono::seconds> negative_ttl_of(Bytes message) noexcept {
  Reader reader(message);
  const auto [answers, authorities] = skip_to_answers(reader);
  // CNAMEs may stand in the answer section of a negative answer (RFC 2308 section 2).
  for (unsigned i = 0; i < answers + authorities && reader.ok(); ++i) {
    const Record record = next_record(reader);
    if (!reader.ok()) {
      break;
    }
    if (i < answers || record.type != type_soa || record.data.size() < 4) {
      continue;
    }
    // MINIMUM is the last field, whatever the two names before it look like.
    Reader tail(record.data.last(4));
    const std::uint32_t minimum = u32(tail);
    return std::chrono::seconds(std::min(record.ttl, minimum));
  }
  return std::nullopt;
}

std::optional<std::chrono::seconds> answer_ttl_of(Bytes message) noexcept {
  Reader reader(message);
  const unsigned answers = skip_to_answers(reader).answers;
  std::optional<std::chrono::seconds> least;
  for (unsigned i = 0; i < answers; ++i) {
    const Record record = next_record(reader);
    if (!reader.ok()) {
      return std::nullopt;
    }
    const std::chrono::seconds ttl(record.ttl);
    least = least ? std::min(*least, ttl) : ttl;
  }
  return least;
}

}  // namespace socks64::gateway
