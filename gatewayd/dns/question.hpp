// What can be asked of DNS here.
#ifndef SOCKS64_GATEWAYD_QUESTION_HPP
#define SOCKS64_GATEWAYD_QUESTION_HPP

#include <cstdint>
#include <string>

#include "socks64/address.hpp"

namespace socks64::gateway {

enum class RecordType : std::uint8_t { a, aaaa, ptr };

[[nodiscard]] constexpr RecordType record_type(Family family) noexcept {
  return family == Family::ipv4 ? RecordType::a : RecordType::aaaa;
}

/// One question: a canonical name (dns_name.hpp) and what is to be known of it.
struct Question {
  std::string name;
  RecordType type = RecordType::a;

  friend bool operator==(const Question&, const Question&) = default;
};

}  // namespace socks64::gateway

#endif
