#include "loop/escape_report.hpp"

#include <atomic>
#include <utility>

namespace socks64::gateway {
namespace {

std::atomic<EscapeHandler> escape_handler{nullptr};

}  // namespace

void set_escape_handler(EscapeHandler handler) noexcept {
  escape_handler.store(handler);
}

void report_escape(std::string_view where, std::exception_ptr escaped) noexcept {
  const EscapeHandler handler = escape_handler.load();
  if (handler == nullptr) {
    return;
  }
  try {
    std::rethrow_exception(std::move(escaped));
  } catch (const std::exception& error) {
    handler(where, error.what());
  } catch (...) {
    handler(where, "unknown exception");
  }
}

}  // namespace socks64::gateway
