#include <functional>
#include <variant>

#include "authorise/judged_filter.hpp"
#include "dial/look_up.hpp"
#include "handshake/farewell.hpp"
#include "handshake/reply.hpp"
#include "session/exchange.hpp"
#include "session/reset_watch.hpp"

namespace socks64::gateway {

Task<> serve_look_up(Exchange& exchange) {
  const bool wants_address = exchange.request.command == Command::resolve;
  const LookUp& look_up = *exchange.services.look_up;
  // Nothing is reached by what is told, so the protection has no part in it; the rules do.
  JudgedFilter judged(*exchange.policy, exchange.requester, exchange.request);
  const AddressFilter permit = std::ref(judged);
  DialWishes wishes;
  wishes.prefer = judged.preference();
  LookUpResult found;
  {
    const ResetWatch watch(exchange.client, exchange.control);
    if (wants_address) {
      found = co_await look_up.address_of(exchange.request.target, permit, wishes);
    } else {
      found = co_await look_up.name_of(exchange.request.target);
    }
  }
  OpenRecord& record = exchange.record();
  record->resolve_time = found.time;
  if (exchange.stopped()) {
    co_return;
  }
  if (found.failure != Failure::none) {
    // BND.ADDR can be a name, DST.ADDR of RESOLVE_PTR cannot.
    const ReplyCode code = !wants_address && found.failure == Failure::name_invalid
                               ? ReplyCode::address_type_not_supported
                               : look_up_reply_code(found.failure);
    const std::string_view reason =
        found.failure == Failure::denied ? judged.reason() : describe(found.failure);
    co_return co_await refuse(exchange, code, reason);
  }
  // Done with its reply: nothing is connected, and the connection ends as after a failing one.
  if (const auto* address = std::get_if<Endpoint>(&found.found)) {
    record->address = *address;
  }
  record->end = SessionEnd::answered;
  record.stop_clock();
  if (exchange.reply(ReplyCode::succeeded, found.found)) {
    co_await farewell(exchange.client, exchange.services.farewell_deadlines);
  }
}

}  // namespace socks64::gateway
