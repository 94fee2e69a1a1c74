#include "handshake/reply.hpp"

namespace socks64::gateway {

ReplyCode reply_code(Failure failure) noexcept {
  switch (failure) {
    case Failure::none:
      return ReplyCode::succeeded;
    // RFC 1928 has no code for names. What the client learns of a name that has no address is that
    // there is no such host to reach.
    case Failure::name_invalid:
    case Failure::name_not_found:
    case Failure::name_failed:
      return ReplyCode::host_unreachable;
    // "TTL expired" is the table's only word for "it took too long"; clients map it to ETIMEDOUT.
    case Failure::name_timeout:
    case Failure::timed_out:
      return ReplyCode::ttl_expired;
    case Failure::refused:
      return ReplyCode::connection_refused;
    case Failure::network_unreachable:
      return ReplyCode::network_unreachable;
    case Failure::host_unreachable:
      return ReplyCode::host_unreachable;
    case Failure::denied:
      return ReplyCode::not_allowed;
    // Neither the network's fault nor a rule's.
    case Failure::bad_port:
    case Failure::no_resources:
    case Failure::shutting_down:
    case Failure::internal:
      break;
  }
  return ReplyCode::general_failure;
}

ReplyCode look_up_reply_code(Failure failure) noexcept {
  switch (failure) {
    case Failure::none:
      return ReplyCode::succeeded;
    case Failure::name_invalid:
    case Failure::name_not_found:
      return ReplyCode::host_unreachable;
    case Failure::denied:
      return ReplyCode::not_allowed;
    default:
      return ReplyCode::general_failure;
  }
}

}  // namespace socks64::gateway
