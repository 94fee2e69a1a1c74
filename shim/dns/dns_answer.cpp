#include "dns/dns_answer.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "host/file_text.hpp"

namespace socks64::shim {
namespace {

// RFC 1035 section 4.1.1, RFC 6895 section 2.
constexpr std::uint16_t flag_response = 0x8000;
constexpr std::uint16_t mask_opcode = 0x7800;
constexpr std::uint16_t flag_truncated = 0x0200;
constexpr std::uint16_t flag_recursion_desired = 0x0100;
constexpr std::uint16_t flag_recursion_available = 0x0080;
constexpr std::uint16_t flag_checking_disabled = 0x0010;

enum Code : std::uint16_t {
  no_error = 0,
  format_error = 1,
  server_failure = 2,
  name_error = 3,
  not_implemented = 4,
  bad_version = 16,  // RFC 6891 section 9; its upper bits travel in OPT
};

enum Type : std::uint16_t {
  type_a = 1,
  type_ptr = 12,
  type_aaaa = 28,
  type_opt = 41,
  type_any = 255
};
constexpr std::uint16_t class_in = 1;
constexpr std::uint16_t class_any = 255;

/// What we say we can take (RFC 6891 section 6.2.5): as much as passes any link without fragments.
constexpr std::uint16_t own_datagram_size = 1232;
constexpr std::size_t opt_size = 11;
/// Everything of a resource record but its data, with a compressed owner.
constexpr std::size_t record_size = 12;

struct Question {
  Bytes wire;  ///< as it stands in the query
  TextBuffer<dns_max_wire_name> name;
  bool plausible = true;  ///< the labels survive being joined with dots
  std::uint16_t type = 0;
  std::uint16_t klass = 0;
};

struct Edns {
  std::uint16_t datagram_size = dns_max_datagram;
  std::uint8_t version = 0;
  bool dnssec_ok = false;
};

struct Query {
  std::uint16_t id = 0;
  std::uint16_t flags = 0;
  std::optional<Question> question;
  std::optional<Edns> edns;
  Code code = no_error;
};

constexpr std::uint8_t label_kind = 0xc0;
constexpr std::uint8_t label_pointer = 0xc0;

/// A name that begins the message's body, so that a pointer in it could point at nothing sensible.
bool read_question_name(Reader& reader, Question& question) noexcept {
  std::size_t size = 0;
  for (;;) {
    const std::uint8_t length = reader.u8();
    size += std::size_t{1} + length;
    if (!reader.ok() || (length & label_kind) != 0 || size > dns_max_wire_name) {
      return false;
    }
    if (length == 0) {
      return true;
    }
    const Bytes label = reader.take(length);
    if (!reader.ok()) {
      return false;
    }
    const std::string_view text{reinterpret_cast<const char*>(label.data()), label.size()};
    question.plausible = question.plausible && text.find('.') == std::string_view::npos &&
                         text.find('\0') == std::string_view::npos;
    if (!question.name.view().empty()) {
      question.name.append(".");
    }
    question.name.append(text);
  }
}

/// The owner of a record that we only pass over. Returns whether it is the root.
bool skip_name(Reader& reader) noexcept {
  std::size_t size = 0;
  while (reader.ok()) {
    const std::uint8_t length = reader.u8();
    if ((length & label_kind) == label_pointer) {
      static_cast<void>(reader.u8());
      return false;
    }
    size += std::size_t{1} + length;
    if ((length & label_kind) != 0 || size > dns_max_wire_name) {
      static_cast<void>(reader.take(reader.remaining() + 1));  // fails, and stays failed
      return false;
    }
    if (length == 0) {
      return size == 1;
    }
    static_cast<void>(reader.take(length));
  }
  return false;
}

/// The records behind the question; of them only OPT means something to us (RFC 6891 section 6.1).
bool read_records(Reader& reader, unsigned records, Query& query) noexcept {
  for (unsigned i = 0; i < records; ++i) {
    const bool root = skip_name(reader);
    const std::uint16_t type = reader.u16();
    const std::uint16_t klass = reader.u16();
    const std::uint16_t high = reader.u16();
    const std::uint16_t low = reader.u16();
    static_cast<void>(reader.take(reader.u16()));
    if (!reader.ok()) {
      return false;
    }
    if (type == type_opt) {
      if (!root || query.edns) {
        return false;
      }
      query.edns = Edns{.datagram_size = klass,
                        .version = static_cast<std::uint8_t>(high & 0xffU),
                        .dnssec_ok = (low & 0x8000U) != 0};
    }
  }
  return true;
}

Query read_query(Bytes message) noexcept {
  Query query;
  Reader reader(message);
  query.id = reader.u16();
  query.flags = reader.u16();
  const std::uint16_t questions = reader.u16();
  const unsigned records = unsigned{reader.u16()} + reader.u16() + reader.u16();
  if ((query.flags & mask_opcode) != 0) {
    query.code = not_implemented;
    return query;
  }
  query.code = format_error;
  if (questions != 1) {
    return query;
  }
  Question question;
  if (!read_question_name(reader, question)) {
    return query;
  }
  question.type = reader.u16();
  question.klass = reader.u16();
  if (!reader.ok()) {
    return query;
  }
  question.wire = message.subspan(dns_header_size, reader.consumed() - dns_header_size);
  if (!read_records(reader, records, query) || reader.remaining() != 0) {
    query.edns.reset();
    return query;
  }
  query.question = question;
  query.code = no_error;
  if (query.edns && query.edns->version != 0) {
    query.code = bad_version;
  } else if (question.klass != class_in && question.klass != class_any) {
    query.code = not_implemented;
  }
  return query;
}

/// The label in front of the first dot, and the rest behind it.
std::string_view take_label(std::string_view& name) noexcept {
  const std::size_t dot = name.find('.');
  const std::string_view label = part(name, 0, dot);
  name = dot == std::string_view::npos ? std::string_view() : part(name, dot + 1);
  return label;
}

bool read_number(std::string_view text, int base, std::size_t digits, std::uint8_t& out) noexcept {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, out, base);
  return text.size() <= digits && error == std::errc{} && stop == end &&
         (text.size() == 1 || base == 16 || text[0] != '0');
}

/// RFC 1035 section 3.5, RFC 3596 section 2.5: the address whose name is asked for.
std::optional<IpAddress> reverse_address(std::string_view name) noexcept {
  IpAddress::V6Bytes bytes{};
  std::string_view rest = name;
  for (std::size_t i = 4; i-- > 0;) {
    if (!read_number(take_label(rest), 10, 3, bytes[i])) {
      break;
    }
    if (i == 0 && equal_ignoring_case(rest, "in-addr.arpa")) {
      return IpAddress::v4(IpAddress::V4Bytes{bytes[0], bytes[1], bytes[2], bytes[3]});
    }
  }
  rest = name;
  for (std::size_t i = 16; i-- > 0;) {
    std::uint8_t low = 0;
    std::uint8_t high = 0;
    if (!read_number(take_label(rest), 16, 1, low) || !read_number(take_label(rest), 16, 1, high)) {
      return std::nullopt;
    }
    bytes[i] = static_cast<std::uint8_t>(high << 4U | low);
  }
  return equal_ignoring_case(rest, "ip6.arpa") ? std::optional(IpAddress::v6(bytes)) : std::nullopt;
}

void write_record(Writer& writer, std::uint16_t type, std::size_t size) noexcept {
  constexpr std::uint16_t owner_is_the_question = 0xc000U | dns_header_size;
  writer.u16(owner_is_the_question);
  writer.u16(type);
  writer.u16(class_in);
  writer.u16(static_cast<std::uint16_t>(dns_ttl >> 16U));
  writer.u16(static_cast<std::uint16_t>(dns_ttl & 0xffffU));
  writer.u16(static_cast<std::uint16_t>(size));
}

/// A name as labels; 0 when it has no such form.
std::size_t to_wire(std::string_view name,
                    std::array<std::uint8_t, dns_max_wire_name>& out) noexcept {
  Writer writer(out);
  while (!name.empty()) {
    const std::string_view label = take_label(name);
    if (label.empty() || label.size() > 63) {
      return 0;
    }
    writer.u8(static_cast<std::uint8_t>(label.size()));
    writer.bytes({reinterpret_cast<const std::uint8_t*>(label.data()), label.size()});
  }
  writer.u8(0);
  return writer.ok() ? writer.size() : 0;
}

/// What the answer says, apart from its form.
struct Answer {
  Code code = no_error;
  bool truncated = false;
  HostAddresses addresses;
  std::array<std::uint8_t, dns_max_wire_name> name{};
  std::size_t name_size = 0;

  [[nodiscard]] std::size_t records() const noexcept {
    return addresses.count + (name_size != 0 ? 1 : 0);
  }
  [[nodiscard]] std::size_t size() const noexcept {
    std::size_t octets = name_size != 0 ? record_size + name_size : 0;
    for (std::size_t i = 0; i < addresses.count; ++i) {
      octets += record_size + addresses.list[i].bytes().size();
    }
    return octets;
  }
};

void answer_other(DnsOthers others, Answer& answer) noexcept {
  answer.truncated = others == DnsOthers::truncated;
  answer.code = others == DnsOthers::failure ? server_failure : no_error;
}

void answer_addresses(const Question& question, const DnsNames& names, Answer& answer) noexcept {
  if (question.name.view().empty()) {
    return;  // the root has no address, but it exists
  }
  const Families families{.ipv4 = question.type != type_aaaa, .ipv6 = question.type != type_a};
  const Verdict verdict = question.plausible ? names.addresses(names.known, question.name.view(),
                                                               families, answer.addresses)
                                             : Verdict::no_such_name;
  if (verdict != Verdict::found) {
    answer.addresses.count = 0;
    answer.code = verdict == Verdict::no_room ? server_failure : name_error;
  }
}

void answer_name(const Question& question, DnsOthers others, const DnsNames& names,
                 Answer& answer) noexcept {
  const std::optional<IpAddress> address =
      question.plausible ? reverse_address(question.name.view()) : std::nullopt;
  if (!address) {
    answer_other(others, answer);  // service discovery asks for PTR too
    return;
  }
  DomainName name;
  switch (names.name(*address, name)) {
    case DnsReverse::named:
      answer.name_size = to_wire(name.view(), answer.name);
      answer.code = answer.name_size != 0 ? no_error : name_error;
      break;
    case DnsReverse::nobody:
      answer.code = name_error;
      break;
    case DnsReverse::elsewhere:
      answer_other(others, answer);
      answer.code = others == DnsOthers::empty ? name_error : answer.code;
      break;
  }
}

Answer find_answer(const Query& query, DnsOthers others, const DnsNames& names) noexcept {
  Answer answer;
  answer.code = query.code;
  if (query.code != no_error) {
    return answer;
  }
  switch (query.question->type) {
    case type_a:
    case type_aaaa:
    case type_any:
      answer_addresses(*query.question, names, answer);
      break;
    case type_ptr:
      answer_name(*query.question, others, names, answer);
      break;
    default:
      answer_other(others, answer);
  }
  return answer;
}

void write_records(Writer& writer, const Answer& answer) noexcept {
  for (std::size_t i = 0; i < answer.addresses.count; ++i) {
    const IpAddress& address = answer.addresses.list[i];
    write_record(writer, address.is_v4() ? type_a : type_aaaa, address.bytes().size());
    writer.bytes(address.bytes());
  }
  if (answer.name_size != 0) {
    write_record(writer, type_ptr, answer.name_size);
    writer.bytes(Bytes(answer.name).first(answer.name_size));
  }
}

std::size_t answer_limit(const Query& query, DnsTransport transport) noexcept {
  return transport == DnsTransport::stream
             ? dns_max_answer
             : std::clamp<std::size_t>(query.edns ? query.edns->datagram_size : 0, dns_max_datagram,
                                       dns_max_answer);
}

/// RFC 6891 section 6.1.2. Options are not answered: none has to be (a server without cookies does
/// as if it had not seen one, RFC 7873 section 5.2).
void write_opt(Writer& writer, const Edns& edns, Code code) noexcept {
  writer.u8(0);
  writer.u16(type_opt);
  writer.u16(own_datagram_size);
  writer.u8(static_cast<std::uint8_t>(static_cast<unsigned>(code) >> 4U));
  writer.u8(0);
  writer.u16(edns.dnssec_ok ? 0x8000 : 0);  // RFC 3225 section 3: copied
  writer.u16(0);
}

}  // namespace

std::optional<DnsQuestion> read_dns_question(Bytes message, DnsTransport transport) noexcept {
  if (!is_dns_query(message)) {
    return std::nullopt;
  }
  const Query query = read_query(message);
  if (query.code != no_error || !query.question->plausible) {
    return std::nullopt;
  }
  const Question& asked = *query.question;
  return DnsQuestion{.name = asked.name,
                     .families = {.ipv4 = asked.type == type_a || asked.type == type_any,
                                  .ipv6 = asked.type == type_aaaa || asked.type == type_any},
                     .answer_limit = answer_limit(query, transport),
                     .end = dns_header_size + asked.wire.size()};
}

DnsAddresses::DnsAddresses(Bytes message) noexcept : reader_(message) {
  static_cast<void>(reader_.take(4));
  const std::uint16_t questions = reader_.u16();
  left_ = reader_.u16();
  static_cast<void>(reader_.take(4));
  for (unsigned i = 0; i < questions && reader_.ok(); ++i) {
    skip_name(reader_);
    static_cast<void>(reader_.take(4));
  }
}

bool DnsAddresses::next(IpAddress& out) noexcept {
  while (reader_.ok() && left_ != 0) {
    --left_;
    skip_name(reader_);
    const std::uint16_t type = reader_.u16();
    const std::uint16_t klass = reader_.u16();
    static_cast<void>(reader_.take(4));  // TTL
    const Bytes data = reader_.take(reader_.u16());
    IpAddress::V4Bytes v4{};
    IpAddress::V6Bytes v6{};
    if (klass == class_in && type == type_a && data.size() == v4.size()) {
      std::copy(data.begin(), data.end(), v4.begin());
      out = IpAddress::v4(v4);
      return true;
    }
    if (klass == class_in && type == type_aaaa && data.size() == v6.size()) {
      std::copy(data.begin(), data.end(), v6.begin());
      out = IpAddress::v6(v6);
      return true;
    }
  }
  return false;
}

bool is_dns_query(Bytes message) noexcept {
  return message.size() >= dns_header_size && (message[2] & (flag_response >> 8U)) == 0;
}

std::size_t answer_dns(Bytes query_message, DnsTransport transport, DnsOthers others,
                       const DnsNames& names,
                       std::span<std::uint8_t, dns_max_answer> out) noexcept {
  if (!is_dns_query(query_message)) {
    return 0;
  }
  const Query query = read_query(query_message);
  const Answer answer = find_answer(query, others, names);

  const std::size_t question_size = query.question ? query.question->wire.size() : 0;
  const std::size_t frame = dns_header_size + question_size + (query.edns ? opt_size : 0);
  const bool fits = frame + answer.size() <= answer_limit(query, transport);

  unsigned flags = flag_response | flag_recursion_available;
  flags |= query.flags & (mask_opcode | flag_recursion_desired | flag_checking_disabled);
  flags |= answer.truncated || !fits ? flag_truncated : 0U;
  flags |= static_cast<unsigned>(answer.code) & 0xfU;

  Writer writer(out);
  writer.u16(query.id);
  writer.u16(static_cast<std::uint16_t>(flags));
  writer.u16(query.question ? 1 : 0);
  writer.u16(fits ? static_cast<std::uint16_t>(answer.records()) : 0);
  writer.u16(0);
  writer.u16(query.edns ? 1 : 0);
  if (query.question) {
    writer.bytes(query.question->wire);
  }
  if (fits) {
    write_records(writer, answer);
  }
  if (query.edns) {
    write_opt(writer, *query.edns, answer.code);
  }
  return writer.ok() ? writer.size() : 0;
}

}  // namespace socks64::shim
