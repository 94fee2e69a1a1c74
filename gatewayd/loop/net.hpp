// Asio as the gateway uses it: concrete executors, one completion token, and the only two ways to
// start a coroutine.
//
// Every session runs on one worker's io_context (concurrency hint 1) and never leaves it, so
// nothing here needs a strand. Asio 1.22's resolver and `detached` are not used: the first cannot
// be cancelled, the second swallows exceptions.
#ifndef SOCKS64_GATEWAYD_NET_HPP
#define SOCKS64_GATEWAYD_NET_HPP

#include <chrono>
#include <exception>
#include <string_view>
#include <utility>

#include <asio/awaitable.hpp>
#include <asio/basic_waitable_timer.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/use_awaitable.hpp>
#if __has_include(<asio/as_tuple.hpp>)
#include <asio/as_tuple.hpp>
#else
#include <asio/experimental/as_tuple.hpp>  // where it was before Asio 1.24
#endif

#include "loop/escape_report.hpp"
#include "loop/socket.hpp"

namespace socks64::gateway {

using Clock = std::chrono::steady_clock;
using Executor = asio::io_context::executor_type;
using Timer = asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, Executor>;

/// What every coroutine of the gateway returns. It stays on the executor it was spawned on.
template <class T = void>
using Task = asio::awaitable<T, Executor>;

#if __has_include(<asio/as_tuple.hpp>)
template <class Token>
using AsTuple = asio::as_tuple_t<Token>;
#else
template <class Token>
using AsTuple = asio::experimental::as_tuple_t<Token>;
#endif

/// The completion token of every asynchronous operation: errors come back as values, `auto [ec, n]
/// = co_await ...`. Out of memory is not a value, and at the start of an operation not
/// even an exception that could be caught: Asio 1.22 starts it in an await_suspend() that is
/// noexcept, so std::bad_alloc there ends the process.
inline constexpr AsTuple<asio::use_awaitable_t<Executor>> as_result{};

/// Starts a coroutine nobody waits for. An exception that escapes is reported under `where` and
/// goes no further.
template <class Coroutine>
void spawn_logged(const Executor& executor, std::string_view where, Coroutine&& coroutine) {
  asio::co_spawn(executor, std::forward<Coroutine>(coroutine), [where](std::exception_ptr escaped) {
    if (escaped) {
      report_escape(where, escaped);
    }
  });
}

/// The same, for a coroutine that `slot` can cancel (terminal cancellation). What the coroutine
/// needs for all its life, the owner of the signal first, goes into `keep`, which dies after it.
template <class Coroutine, class Keep>
void spawn_logged(const Executor& executor, std::string_view where, asio::cancellation_slot slot,
                  Keep keep, Coroutine&& coroutine) {
  asio::co_spawn(executor, std::forward<Coroutine>(coroutine),
                 asio::bind_cancellation_slot(
                     slot, [where, keep = std::move(keep)](std::exception_ptr escaped) {
                       if (escaped) {
                         report_escape(where, escaped);
                       }
                     }));
}

}  // namespace socks64::gateway

#endif
