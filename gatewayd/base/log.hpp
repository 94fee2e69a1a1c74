// What the gateway says about itself (not about sessions: those are account.hpp's). The only part
// that knows spdlog.
#ifndef SOCKS64_GATEWAYD_LOG_HPP
#define SOCKS64_GATEWAYD_LOG_HPP

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/escape.hpp"

namespace spdlog {
class logger;
}

namespace socks64::gateway {

class LineWriter;

enum class LogLevel : std::uint8_t { trace, debug, info, warning, error };

/// "trace", "debug", "info", "warning", "error".
[[nodiscard]] std::optional<LogLevel> parse_log_level(std::string_view text) noexcept;
[[nodiscard]] std::string_view describe(LogLevel level) noexcept;

/// Any thread.
class Log {
 public:
  Log(LineWriter& out, LogLevel level);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  [[nodiscard]] bool enabled(LogLevel level) const noexcept { return level >= level_; }
  void write(LogLevel level, std::string_view text);

  template <class... Args>
  void debug(fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(LogLevel::debug)) {
      write(LogLevel::debug, fmt::format(format, std::forward<Args>(args)...));
    }
  }
  template <class... Args>
  void info(fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(LogLevel::info)) {
      write(LogLevel::info, fmt::format(format, std::forward<Args>(args)...));
    }
  }
  template <class... Args>
  void warning(fmt::format_string<Args...> format, Args&&... args) {
    write(LogLevel::warning, fmt::format(format, std::forward<Args>(args)...));
  }
  template <class... Args>
  void error(fmt::format_string<Args...> format, Args&&... args) {
    write(LogLevel::error, fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  class Sink;

  const LogLevel level_;
  std::unique_ptr<spdlog::logger> logger_;
};

}  // namespace socks64::gateway

#endif
