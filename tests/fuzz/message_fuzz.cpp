// Every parser of message.hpp. The first octet chooses the message, the rest is the stream. What
// parses is encoded and parsed again to the same value; every shorter prefix needs more, and never
// more than there is; an invalid message is invalid with the same error however much follows.
#include <algorithm>
#include <array>

#include "socks64/message.hpp"

#include "fuzz.hpp"

namespace {

using namespace socks64;
using fuzz::require;

bool same(const Greeting& a, const Greeting& b) {
  return a.count == b.count && a.methods == b.methods;
}
bool same(const MethodChoice& a, const MethodChoice& b) {
  return a.method == b.method;
}
bool same(const UserPass& a, const UserPass& b) {
  return a.user == b.user && a.password == b.password;
}
bool same(const UserPassStatus& a, const UserPassStatus& b) {
  return a.status == b.status;
}
bool same(const Request& a, const Request& b) {
  return a.command == b.command && a.target == b.target;
}
bool same(const Reply& a, const Reply& b) {
  return a.code == b.code && a.bound == b.bound;
}
bool same(const UdpHeader& a, const UdpHeader& b) {
  return a.fragment == b.fragment && a.target == b.target;
}

template <class T>
void check_round_trip(const T& value, Parsed<T> (*parse)(Bytes)) {
  std::array<std::uint8_t, max_userpass_size> buffer{};
  Writer out(buffer);
  encode(out, value);
  require(out.ok());
  const Parsed<T> again = parse(Bytes(buffer).first(out.size()));
  require(again.status == ParseStatus::complete && again.consumed == out.size());
  require(same(again.value, value));
  Writer small(MutableBytes(buffer).first(out.size() - 1));
  encode(small, value);
  require(!small.ok());
}

template <class T>
void check(Bytes in, Parsed<T> (*parse)(Bytes)) {
  const Parsed<T> whole = parse(in);
  if (whole.status == ParseStatus::complete) {
    require(whole.consumed > 0 && whole.consumed <= in.size());
    check_round_trip(whole.value, parse);
  }
  for (std::size_t size = 0; size < in.size(); ++size) {
    const Parsed<T> part = parse(in.first(size));
    switch (part.status) {
      case ParseStatus::complete:
        require(whole.status == ParseStatus::complete && part.consumed == whole.consumed);
        require(same(part.value, whole.value));
        break;
      case ParseStatus::need_more:
        require(part.missing > 0);
        if (whole.status == ParseStatus::complete) require(size + part.missing <= whole.consumed);
        break;
      case ParseStatus::invalid:
        require(whole.status == ParseStatus::invalid && whole.error == part.error);
        break;
    }
  }
}

/// A datagram is whole or nothing, so the properties of prefixes are not its.
void check_udp(Bytes in) {
  const Parsed<UdpHeader> header = parse_udp_header(in);
  require(header.status != ParseStatus::need_more);
  if (header.status == ParseStatus::invalid) return require(header.error != Errc::ok);
  require(header.consumed <= std::min(in.size(), max_udp_header_size));
  check_round_trip(header.value, parse_udp_header);
  const Parsed<UdpHeader> cut = parse_udp_header(in.first(header.consumed - 1));
  require(cut.status == ParseStatus::invalid && cut.error == Errc::truncated);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Bytes in = Bytes(data, size).subspan(1, std::min<std::size_t>(size - 1, 600));
  switch (data[0] % 7) {
    case 0:
      check(in, parse_greeting);
      break;
    case 1:
      check(in, parse_method_choice);
      break;
    case 2:
      check(in, parse_userpass);
      break;
    case 3:
      check(in, parse_userpass_status);
      break;
    case 4:
      check(in, parse_request);
      break;
    case 5:
      check(in, parse_reply);
      break;
    default:
      check_udp(in);
      break;
  }
  return 0;
}
