// The answer to a DNS query (RFC 1035 section 4), made in the process that asks: addresses are
// those that getaddrinfo would give. Pure: octets in, octets out; the names come from the caller.
#ifndef SOCKS64_SHIM_DNS_ANSWER_HPP
#define SOCKS64_SHIM_DNS_ANSWER_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "socks64/address.hpp"
#include "socks64/wire.hpp"

#include "descriptors/dns_record.hpp"
#include "host/file_text.hpp"
#include "names/classify.hpp"
#include "names/local_names.hpp"
#include "names/name_query.hpp"

namespace socks64::shim {

enum class DnsTransport : std::uint8_t { datagram, stream };

/// What becomes of the record types that a fake address says nothing about (SRV, TXT, HTTPS, ...).
enum class DnsOthers : std::uint8_t {
  empty,      ///< the name exists and has no such record
  truncated,  ///< TC: the client is to ask again by TCP (RFC 7766 section 5)
  failure,    ///< SERVFAIL
};

/// What is known of an address.
enum class DnsReverse : std::uint8_t {
  named,
  nobody,     ///< an address of ours that no name has
  elsewhere,  ///< the address of another host: nothing is known of it here
};

/// What is known already of the name in the question.
struct DnsName {
  ClassifiedName kind = NoName{};
  HostAddresses local;  ///< its addresses, if it is local
};

/// Where the answers come from.
struct DnsNames {
  /// `known`: null if the name has not been classified yet.
  Verdict (*addresses)(const DnsName* known, std::string_view name, Families families,
                       HostAddresses& out) noexcept = nullptr;
  DnsReverse (*name)(const IpAddress& address, DomainName& name) noexcept = nullptr;
  const DnsName* known = nullptr;
};

/// In seconds. A fake address is valid in this process family alone, so nobody should keep one for
/// long, least of all on a disk; to ask again costs no packet. Not 0: clients exist that take a
/// record of no lifetime for one that has expired already.
inline constexpr std::uint32_t dns_ttl = 1;

inline constexpr std::size_t dns_header_size = 12;
/// RFC 1035 section 2.3.4
inline constexpr std::size_t dns_max_wire_name = 255;
inline constexpr std::size_t dns_max_datagram = 512;
/// Longer than any answer of ours, with header, question, every address of a name and OPT.
static_assert(dns_max_answer >= dns_header_size + dns_max_wire_name + 4 +
                                    std::tuple_size_v<decltype(HostAddresses::list)> * 28 + 11);

/// Whether the octets can be a query: a whole header that says so.
[[nodiscard]] bool is_dns_query(Bytes message) noexcept;

/// Writes the answer and returns its length; 0 when there is nothing to answer to, because
/// is_dns_query() says no.
///
/// A and AAAA (and both for ANY) get addresses, PTR the name of an address. Response codes: FORMERR
/// for a message that cannot be read to its end or does not have one question, NOTIMP for other
/// operations than QUERY and other classes than IN, NXDOMAIN for what cannot be a host's name,
/// SERVFAIL when the table of fake addresses is full, BADVERS for EDNS versions other than 0.
[[nodiscard]] std::size_t answer_dns(Bytes query, DnsTransport transport, DnsOthers others,
                                     const DnsNames& names,
                                     std::span<std::uint8_t, dns_max_answer> out) noexcept;

/// What a well-formed query asks for.
struct DnsQuestion {
  TextBuffer<dns_max_wire_name> name;  ///< without a dot behind it; empty for the root
  Families families{};                 ///< of addresses; neither for other types
  std::size_t answer_limit = 0;        ///< the longest answer that this client takes, in octets
  std::size_t end = 0;                 ///< where in the message the question ends
};

/// No value: not a query of class IN with one question, or its name has no text form.
[[nodiscard]] std::optional<DnsQuestion> read_dns_question(Bytes query,
                                                           DnsTransport transport) noexcept;

/// The addresses in the answer section of a message, as far as it can be read.
class DnsAddresses {
 public:
  explicit DnsAddresses(Bytes message) noexcept;
  [[nodiscard]] bool next(IpAddress& out) noexcept;

 private:
  Reader reader_;
  unsigned left_ = 0;
};

}  // namespace socks64::shim

#endif
