// Every parser of message.hpp and socks4.hpp. The first octet chooses the message, the rest is the
// stream. What parses is encoded and parsed again to the same value; every shorter prefix needs
// more, and never more than there is; an invalid message is invalid with the same error however
// much follows. Each prefix ends where its memory ends, so that AddressSanitizer sees one octet too
// many.
#include <algorithm>
#include <array>
#include <vector>

#include "socks64/message.hpp"
#include "socks64/socks4.hpp"

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
bool same(const Socks4Request& a, const Socks4Request& b) {
  return same(a.request, b.request) && a.user == b.user;
}
bool same(const Socks4Reply& a, const Socks4Reply& b) {
  return a.code == b.code && a.address == b.address && a.port == b.port;
}

constexpr std::size_t longest_input = 600;

/// Memory that ends with the octets last put into it.
class EndOfMemory {
 public:
  Bytes put(Bytes octets) {
    const auto to = memory_.end() - static_cast<std::ptrdiff_t>(octets.size());
    std::copy(octets.begin(), octets.end(), to);
    return Bytes(memory_).last(octets.size());
  }

 private:
  std::vector<std::uint8_t> memory_ = std::vector<std::uint8_t>(longest_input);
};

template <class T>
void check_round_trip(const T& value, Parsed<T> (*parse)(Bytes)) {
  std::array<std::uint8_t, std::max(max_userpass_size, max_socks4_request_size)> buffer{};
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
  EndOfMemory memory;
  for (std::size_t size = 0; size < in.size(); ++size) {
    const Parsed<T> part = parse(memory.put(in.first(size)));
    switch (part.status) {
      case ParseStatus::complete:
        require(whole.status == ParseStatus::complete && part.consumed == whole.consumed);
        require(same(part.value, whole.value));
        break;
      case ParseStatus::need_more:
        require(part.missing > 0);
        if (whole.status == ParseStatus::complete) {
          require(size + part.missing <= whole.consumed);
        }
        break;
      case ParseStatus::invalid:
        require(whole.status == ParseStatus::invalid && whole.error == part.error);
        break;
    }
  }
}

/// A datagram is whole or nothing: too short is invalid, and what follows the header is data.
void check_udp(Bytes in) {
  const Parsed<UdpHeader> header = parse_udp_header(in);
  require(header.status != ParseStatus::need_more);
  const bool good = header.status == ParseStatus::complete;
  if (good) {
    require(header.consumed <= std::min(in.size(), max_udp_header_size));
    check_round_trip(header.value, parse_udp_header);
  } else {
    require(header.error != Errc::ok);
  }
  EndOfMemory memory;
  for (std::size_t size = 0; size < in.size(); ++size) {
    const Parsed<UdpHeader> part = parse_udp_header(memory.put(in.first(size)));
    if (good && size >= header.consumed) {
      require(part.status == ParseStatus::complete && part.consumed == header.consumed);
      require(same(part.value, header.value));
    } else {
      require(part.status == ParseStatus::invalid);
      if (part.error != Errc::truncated) {
        require(!good && part.error == header.error);
      }
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const Bytes in = Bytes(data, size).subspan(1, std::min<std::size_t>(size - 1, longest_input));
  switch (data[0] % 9) {
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
    case 6:
      check_udp(in);
      break;
    case 7:
      check(in, parse_socks4_request);
      break;
    default:
      check(in, parse_socks4_reply);
      break;
  }
  return 0;
}
