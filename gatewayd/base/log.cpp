#include "base/log.hpp"

#include <array>
#include <mutex>

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>

#include "base/line_writer.hpp"

namespace socks64::gateway {
namespace {

constexpr std::array<std::string_view, 5> level_names{"trace", "debug", "info", "warning", "error"};

spdlog::level::level_enum to_spdlog(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::trace:
      return spdlog::level::trace;
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      break;
  }
  return spdlog::level::err;
}

}  // namespace

std::optional<LogLevel> parse_log_level(std::string_view text) noexcept {
  for (std::size_t i = 0; i < level_names.size(); ++i) {
    if (text == level_names[i]) {
      return static_cast<LogLevel>(i);
    }
  }
  return std::nullopt;
}

std::string_view describe(LogLevel level) noexcept {
  return level_names[static_cast<std::size_t>(level)];
}

/// spdlog formats, LineWriter writes: no level of ours waits for a disk.
class Log::Sink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit Sink(LineWriter& out) : out_(out) {
    // UTC, as in the access records; the end of line is LineWriter's.
    set_formatter_(std::make_unique<spdlog::pattern_formatter>("%Y-%m-%dT%H:%M:%S.%eZ %l %v",
                                                               spdlog::pattern_time_type::utc, ""));
  }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    out_.write({line.data(), line.size()});
  }
  void flush_() override {}

  LineWriter& out_;
};

Log::Log(LineWriter& out, LogLevel level)
    : level_(level),
      logger_(std::make_unique<spdlog::logger>("gatewayd", std::make_shared<Sink>(out))) {
  logger_->set_level(spdlog::level::trace);  // enabled() is the only judge
}

Log::~Log() = default;

void Log::write(LogLevel level, std::string_view text) {
  if (enabled(level)) {
    logger_->log(to_spdlog(level), spdlog::string_view_t(text.data(), text.size()));
  }
}

}  // namespace socks64::gateway
