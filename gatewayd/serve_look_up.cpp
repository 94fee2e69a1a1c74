#include <variant>

#include "exchange.hpp"
#include "farewell.hpp"
#include "look_up.hpp"
#include "reply.hpp"
#include "reset_watch.hpp"

namespace socks64::gateway {

Task<> serve_look_up(Exchange& exchange) {
  const bool wants_address = exchange.request.command == Command::resolve;
  const LookUp& look_up = *exchange.services.look_up;
  LookUpResult found;
  {
    const ResetWatch watch(exchange.client, exchange.control);
    if (wants_address) {
      found = co_await look_up.address_of(exchange.request.target);
    } else {
      found = co_await look_up.name_of(exchange.request.target);
    }
  }
  OpenRecord& record = exchange.record();
  record->resolve_time = found.time;
  if (exchange.stopped()) co_return;
  if (found.failure != Failure::none) {
    // BND.ADDR can be a name, DST.ADDR of RESOLVE_PTR cannot.
    const ReplyCode code = !wants_address && found.failure == Failure::name_invalid
                               ? ReplyCode::address_type_not_supported
                               : look_up_reply_code(found.failure);
    co_return co_await refuse(exchange, code, describe(found.failure));
  }
  // Done with its reply: nothing is connected, and the connection ends as after a failing one.
  if (const auto* address = std::get_if<Endpoint>(&found.found)) record->address = *address;
  record->end = SessionEnd::answered;
  record.stop_clock();
  if (exchange.reply(ReplyCode::succeeded, found.found)) {
    co_await farewell(exchange.client, exchange.services.farewell_deadlines);
  }
}

}  // namespace socks64::gateway
