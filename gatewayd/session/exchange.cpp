#include "session/exchange.hpp"

#include <array>

#include "socks64/socks4.hpp"

#include "handshake/farewell.hpp"
#include "handshake/handshake.hpp"
#include "handshake/reply.hpp"

namespace socks64::gateway {

bool Exchange::reply(ReplyCode code, const Target& bound) const noexcept {
  std::array<std::uint8_t, max_reply_size> octets{};
  Writer out(octets);
  if (socks4) {
    encode(out, to_socks4({code, bound}));
  } else {
    encode(out, Reply{code, bound});
  }
  OpenRecord& open = record();
  if (!send_now(client, Bytes(octets).first(out.size()))) {
    open->end = SessionEnd::client_gone;
    return false;
  }
  open->reply = code;
  return true;
}

bool Exchange::stopped() const noexcept {
  OpenRecord& open = record();
  switch (control.stopped()) {
    case SessionControl::Stop::none:
      return false;
    case SessionControl::Stop::client_gone:
      open->end = SessionEnd::client_gone;
      open->reason = {};
      return true;
    case SessionControl::Stop::shutdown:
      break;
  }
  open->end = SessionEnd::request_failed;
  open->reason = describe(Failure::shutting_down);
  open.stop_clock();
  (void)reply(reply_code(Failure::shutting_down), Endpoint{});
  return true;
}

Task<> refuse(const Exchange& exchange, ReplyCode code, std::string_view reason) {
  OpenRecord& record = exchange.record();
  record->end = SessionEnd::request_failed;
  record->reason = reason;
  record.stop_clock();
  // RFC 1928 section 6 gives BND.* no meaning in a failure: all zero, IPv4.
  if (exchange.reply(code, Endpoint{})) {
    co_await farewell(exchange.client, exchange.services.farewell_deadlines);
  }
}

}  // namespace socks64::gateway
