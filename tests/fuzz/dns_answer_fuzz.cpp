// A DNS message from a program: whatever it is, the answer is a message of the same identifier that
// libc's own reader takes, within the size that was asked for.
#include <algorithm>
#include <arpa/nameser.h>
#include <array>

#include "dns/dns_answer.hpp"
#include "fuzz.hpp"

namespace socks64::shim {

// local_names.cpp reads the system's files; of it only this is needed here.
void HostAddresses::add(const IpAddress& address) noexcept {
  if (count < list.size()) {
    list[count++] = address;
  }
}

}  // namespace socks64::shim

namespace {

using namespace socks64;
using namespace socks64::shim;
using fuzz::require;

Verdict find(const DnsName*, std::string_view name, Families families,
             HostAddresses& out) noexcept {
  require(!name.empty() && name.size() <= dns_max_wire_name);
  if (name[0] == 'x') {
    return Verdict::no_such_name;
  }
  // As many as there can be for a name that begins with m.
  for (std::uint32_t i = 0; i < (name[0] == 'm' ? 40U : 1U); ++i) {
    if (families.ipv4) {
      out.add(IpAddress::v4(i));
    }
    if (families.ipv6) {
      out.add(IpAddress::v6({static_cast<std::uint8_t>(i)}));
    }
  }
  return Verdict::found;
}

DnsReverse find_name(const IpAddress& address, DomainName& name) noexcept {
  const std::uint8_t kind = address.bytes()[0];
  name = DomainName::from(fuzz::as_text(address.bytes())).value_or({});
  return kind == 0 ? DnsReverse::nobody : kind == 1 ? DnsReverse::elsewhere : DnsReverse::named;
}

void check(Bytes message, DnsTransport transport, DnsOthers others) {
  static constexpr DnsNames names{find, find_name};
  std::array<std::uint8_t, dns_max_answer> out{};
  const std::size_t size = answer_dns(message, transport, others, names, out);
  require((size != 0) == is_dns_query(message));
  if (size == 0) {
    return;
  }
  require(size >= dns_header_size && size <= out.size());
  require(std::equal(out.begin(), out.begin() + 2, message.begin()));
  ns_msg parsed;
  require(ns_initparse(out.data(), static_cast<int>(size), &parsed) == 0);
  require(ns_msg_getflag(parsed, ns_f_qr) == 1);
  const auto opt = static_cast<unsigned>(ns_msg_count(parsed, ns_s_ar));
  require(opt <= 1);
  require(transport == DnsTransport::stream || opt == 1 || size <= dns_max_datagram);
  for (int i = 0; i < ns_msg_count(parsed, ns_s_an); ++i) {
    ns_rr record;
    require(ns_parserr(&parsed, ns_s_an, i, &record) == 0);
    require(ns_rr_ttl(record) == dns_ttl);
  }
  if (opt == 1) {
    ns_rr record;
    require(ns_parserr(&parsed, ns_s_ar, 0, &record) == 0 && ns_rr_type(record) == ns_t_opt);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes message(data, size);
  check(message, DnsTransport::datagram, DnsOthers::empty);
  check(message, DnsTransport::datagram, DnsOthers::truncated);
  check(message, DnsTransport::stream, DnsOthers::failure);
  return 0;
}
