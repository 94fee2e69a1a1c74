#include "socks64/result.hpp"

namespace socks64 {

std::string_view describe(Errc error) noexcept {
  // No default: the compiler names the enumerator that was forgotten.
  switch (error) {
    case Errc::ok:
      return "no error";
    case Errc::bad_address:
      return "not an IP address";
    case Errc::bad_port:
      return "not a port number";
    case Errc::bad_prefix:
      return "not an address prefix";
    case Errc::bad_name:
      return "not a usable name";
    case Errc::no_space:
      return "buffer too small";
    case Errc::bad_version:
      return "wrong protocol version";
    case Errc::bad_method_count:
      return "no authentication methods listed";
    case Errc::no_acceptable_method:
      return "no acceptable authentication method";
    case Errc::unexpected_method:
      return "authentication method was not offered";
    case Errc::auth_failed:
      return "authentication failed";
    case Errc::bad_credentials:
      return "malformed user name or password";
    case Errc::bad_command:
      return "unknown command";
    case Errc::bad_address_type:
      return "unknown address type";
    case Errc::bad_reserved:
      return "reserved field is not zero";
    case Errc::bad_fragment:
      return "fragmented datagram";
    case Errc::request_failed:
      return "request was refused";
    case Errc::truncated:
      return "peer closed in the middle of a message";
    case Errc::wrong_state:
      return "call out of order";
  }
  return "unknown error";
}

}  // namespace socks64
