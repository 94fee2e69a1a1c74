#include <functional>
#include <utility>

#include "authorise/judged_filter.hpp"
#include "handshake/reply.hpp"
#include "session/exchange.hpp"
#include "session/reset_watch.hpp"

namespace socks64::gateway {
Task<> serve_connect(Exchange& exchange) {
  // Stages 6 and 7: resolve and dial. Every address is judged right before it is dialled.
  JudgedFilter judged(*exchange.policy, exchange.requester, exchange.request);
  const AddressFilter permit = std::ref(judged);
  const SourceChoice source = std::bind_front(&JudgedFilter::source, &judged);
  DialWishes wishes;
  wishes.prefer = judged.preference();
  wishes.source_for = &source;
  DialResult reached;
  {
    const ResetWatch watch(exchange.client, exchange.control);
    reached = co_await exchange.services.dialer.dial(exchange.request.target, permit, wishes);
  }
  OpenRecord& record = exchange.record();
  record->attempts = reached.attempts;
  record->resolve_time = reached.resolve_time;
  record->connect_time = reached.connect_time;
  if (exchange.stopped()) {
    co_return;
  }
  if (reached.failure != Failure::none) {
    const std::string_view reason =
        reached.failure == Failure::denied ? judged.reason() : describe(reached.failure);
    co_return co_await refuse(exchange, reply_code(reached.failure), reason);
  }

  // ---- From here on the destination is connected: only now may the client hear of success. ----

  record->address = reached.remote;
  if (!exchange.reply(ReplyCode::succeeded, reached.local)) {
    co_return;
  }
  exchange.peer = std::move(reached.socket);
}

}  // namespace socks64::gateway
