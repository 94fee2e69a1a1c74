#include "dns/dns_message.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <utility>

namespace socks64::gateway {
namespace {

constexpr std::uint16_t type_a = 1;
constexpr std::uint16_t type_cname = 5;
constexpr std::uint16_t type_soa = 6;
constexpr std::uint16_t type_ptr = 12;
constexpr std::uint16_t type_aaaa = 28;

/// RFC 2181 section 8: with the highest bit it counts as 0.
std::chrono::seconds read_ttl(Reader& reader) noexcept {
  const std::uint32_t high = reader.u16();
  const std::uint32_t low = reader.u16();
  return std::chrono::seconds(high > 0x7fff ? 0 : high << 16U | low);
}

struct Record {
  WireName owner;
  std::uint16_t type = 0;
  std::uint16_t record_class = 0;
  std::chrono::seconds ttl{};
  Bytes data;
  std::size_t data_at = 0;
};

bool read_record(Reader& reader, Bytes message, Record& record) noexcept {
  if (!WireName::read(reader, message, record.owner)) {
    return false;
  }
  record.type = reader.u16();
  record.record_class = reader.u16();
  record.ttl = read_ttl(reader);
  const std::size_t size = reader.u16();
  record.data_at = reader.consumed();
  record.data = reader.take(size);
  return reader.ok();
}

/// The name that is all of the record's data.
bool read_name_in(const Record& record, Bytes message, WireName& name) noexcept {
  Reader data(message.first(record.data_at + record.data.size()));
  static_cast<void>(data.take(record.data_at));
  return WireName::read(data, message, name) && data.remaining() == 0;
}

std::optional<std::chrono::seconds> negative_ttl_of(Bytes message) noexcept {
  Reader reader(message);
  const std::optional<dns::Opening> opening = dns::read_opening(reader, message);
  if (!opening) {
    return std::nullopt;
  }
  // CNAMEs may stand in the answer section of a negative answer (RFC 2308 section 2).
  const unsigned answers = opening->header.answers;
  const unsigned records = answers + opening->header.authorities;
  Record record;
  for (unsigned i = 0; i < records && read_record(reader, message, record); ++i) {
    if (i < answers || record.type != type_soa || record.data.size() < 4) {
      continue;
    }
    // MINIMUM is the last field, whatever the two names before it look like.
    Reader tail(record.data.last(4));
    return std::min(record.ttl, read_ttl(tail));
  }
  return std::nullopt;
}

/// Walks down the answer section.
class Answers {
 public:
  Answers(Bytes message, const Question& question)
      : message_(message), type_(wire_type(question.type)), wanted_(question.name) {}

  /// False: nothing of all this is to be believed.
  [[nodiscard]] bool take(const Record& record) {
    if (record.record_class != dns::class_in || !(record.owner == wanted_)) {
      return true;
    }
    if (record.type == type_cname) {
      holds_for(record.ttl);
      aliased_ = true;
      return read_name_in(record, message_, wanted_) && wanted_.is_host_name();
    }
    return record.type != type_ || (type_ == type_ptr ? take_name(record) : take_address(record));
  }

  [[nodiscard]] bool is_empty() const noexcept {
    return reply_.addresses.empty() && reply_.name.empty();
  }
  void begin_walk() noexcept { aliased_ = false; }
  /// Whether this walk found an alias.
  [[nodiscard]] bool went_on() const noexcept { return aliased_; }
  /// The name at the end of the chain so far.
  [[nodiscard]] const WireName& wanted() const noexcept { return wanted_; }

  [[nodiscard]] DnsReply reply() && {
    reply_.failure = is_empty() ? Failure::name_not_found : Failure::none;
    return std::move(reply_);
  }

 private:
  bool take_address(const Record& record) {
    if (reply_.addresses.size() == max_reply_addresses) {
      return true;
    }
    IpAddress::V4Bytes v4{};
    IpAddress::V6Bytes v6{};
    if (type_ == type_a && record.data.size() == v4.size()) {
      std::ranges::copy(record.data, v4.begin());
      reply_.addresses.push_back(IpAddress::v4(v4));
    } else if (type_ == type_aaaa && record.data.size() == v6.size()) {
      std::ranges::copy(record.data, v6.begin());
      reply_.addresses.push_back(IpAddress::v6(v6));
    } else {
      return true;
    }
    holds_for(record.ttl);
    return true;
  }

  /// The first one counts. The root is no name of a host.
  bool take_name(const Record& record) {
    WireName name;
    if (!read_name_in(record, message_, name) || !name.is_host_name() ||
        IpAddress::parse(name.text())) {
      return false;
    }
    if (!std::exchange(named_, true)) {
      reply_.name = name.text();
    }
    holds_for(record.ttl);
    return true;
  }

  void holds_for(std::chrono::seconds ttl) noexcept {
    reply_.ttl = reply_.ttl ? std::min(*reply_.ttl, ttl) : ttl;
  }

  Bytes message_;
  std::uint16_t type_;
  WireName wanted_;
  bool named_ = false;
  bool aliased_ = false;
  DnsReply reply_;
};

/// Of a chain that does not stand in its order each walk finds one link at least.
constexpr unsigned max_walks = 8;

/// `first`: at the first record.
DnsReply read_answers(const Reader& first, Bytes message, unsigned count,
                      const Question& question) {
  Answers answers(message, question);
  Record record;
  for (unsigned walk = 0; walk < max_walks; ++walk) {
    const WireName begin = answers.wanted();
    Reader reader = first;
    answers.begin_walk();
    for (unsigned i = 0; i < count; ++i) {
      if (!read_record(reader, message, record) || !answers.take(record)) {
        return {};
      }
    }
    if (!answers.is_empty() || !answers.went_on()) {
      return std::move(answers).reply();
    }
    if (answers.wanted() == begin) {
      break;  // a ring of aliases
    }
  }
  return {};
}

}  // namespace

std::uint16_t wire_type(RecordType type) noexcept {
  switch (type) {
    case RecordType::a:
      return type_a;
    case RecordType::aaaa:
      return type_aaaa;
    case RecordType::ptr:
      break;
  }
  return type_ptr;
}

std::optional<dns::Opening> dns::read_opening(Reader& reader, Bytes message) noexcept {
  Opening opening;
  Header& header = opening.header;
  header.id = reader.u16();
  header.flags = reader.u16();
  header.questions = reader.u16();
  header.answers = reader.u16();
  header.authorities = reader.u16();
  header.additional = reader.u16();
  if ((header.flags & Header::response) == 0 || header.opcode() != 0 || header.questions != 1 ||
      !WireName::read(reader, message, opening.name)) {
    return std::nullopt;
  }
  opening.type = reader.u16();
  if (reader.u16() != class_in || !reader.ok()) {
    return std::nullopt;
  }
  return opening;
}

DnsReply reply_in(Bytes message, const Question& question) {
  Reader reader(message);
  const std::optional<dns::Opening> opening = dns::read_opening(reader, message);
  DnsReply reply;
  if (!opening || opening->type != wire_type(question.type) ||
      !(opening->name == WireName(question.name)) ||
      (opening->header.flags & dns::Header::truncated) != 0) {
    return reply;
  }
  const unsigned rcode = opening->header.rcode();
  if (rcode == 0 || rcode == dns::Header::nxdomain) {
    reply = read_answers(reader, message, opening->header.answers, question);
  }
  // It is about the end of the chain (RFC 6604 section 2).
  if (rcode == dns::Header::nxdomain && reply.failure == Failure::none) {
    reply = {};
    reply.failure = Failure::name_not_found;
  }
  if (reply.failure == Failure::name_not_found) {
    reply.ttl = negative_ttl_of(message);
  }
  return reply;
}

}  // namespace socks64::gateway
