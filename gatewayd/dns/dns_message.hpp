// What the answer of a DNS server says to one question. It is read here, and not by c-ares, because
// its versions differ in what they take and in what they refuse.
#ifndef SOCKS64_GATEWAYD_DNS_MESSAGE_HPP
#define SOCKS64_GATEWAYD_DNS_MESSAGE_HPP

#include <cstdint>
#include <optional>

#include "socks64/wire.hpp"

#include "dns/dns_reply.hpp"
#include "dns/question.hpp"
#include "dns/wire_name.hpp"

namespace socks64::gateway {

namespace dns {

inline constexpr std::size_t header_size = 12;
inline constexpr std::uint16_t class_in = 1;

/// RFC 1035 section 4.1.1.
struct Header {
  static constexpr unsigned response = 0x8000;
  static constexpr unsigned truncated = 0x0200;
  static constexpr unsigned recursion_desired = 0x0100;
  static constexpr unsigned nxdomain = 3;

  std::uint16_t id = 0;
  std::uint16_t flags = 0;
  std::uint16_t questions = 0;
  std::uint16_t answers = 0;
  std::uint16_t authorities = 0;
  std::uint16_t additional = 0;

  [[nodiscard]] unsigned opcode() const noexcept { return flags >> 11U & 0xfU; }
  [[nodiscard]] unsigned rcode() const noexcept { return flags & 0xfU; }
};

/// The header of an answer and its one question, of class IN; `reader` is then at the first record.
struct Opening {
  Header header;
  WireName name;
  std::uint16_t type = 0;
};

/// Nothing: no such answer. `reader` reads `message` from its beginning.
[[nodiscard]] std::optional<Opening> read_opening(Reader& reader, Bytes message) noexcept;

}  // namespace dns

[[nodiscard]] std::uint16_t wire_type(RecordType type) noexcept;

/// Only records of the name that was asked for, or of the chain of CNAMEs that begins there, are
/// taken (RFC 5452 section 6). The chain may stand in any order, as some servers send it; one that
/// has no end within the answer's bounds fails. The TTL is the smallest of what was taken and of
/// the chain.
///
/// Of an answer that names nothing it is the smaller of the TTL of the SOA record in the authority
/// section and of its MINIMUM field (RFC 2308 section 5); nothing if there is none to be read.
///
/// Fails: what is malformed up to the end of the answer section, what answers another question,
/// what is truncated, and aliases and names of hosts that no host can have.
[[nodiscard]] DnsReply reply_in(Bytes message, const Question& question);

}  // namespace socks64::gateway

#endif
