#include "diag.hpp"

#include <charconv>
#include <sys/syscall.h>
#include <unistd.h>

#include "host_guard.hpp"
#include "lifecycle.hpp"

namespace socks64::shim {

bool diagnoses(LogLevel level) noexcept {
  return config().log != LogLevel::off && level <= config().log;
}

void diagnose(LogLevel level, std::initializer_list<std::string_view> parts) noexcept {
  if (!diagnoses(level)) {
    return;
  }
  const ErrnoGuard guard;
  TextBuffer<700> line;
  line.append("socks64[");
  line.append(decimal(getpid()));
  line.append("]: ");
  for (const std::string_view part : parts) {
    for (const char c : part) {
      const bool printable = static_cast<unsigned char>(c) >= 0x20 && c != 0x7f;
      line.append(printable ? std::string_view(&c, 1) : "?");
    }
  }
  TextBuffer<701> whole;
  whole.append(line);
  whole.append("\n");
  // The raw call: write() is hooked, and standard error may be anything. SIGPIPE cannot be
  // suppressed for a pipe, but whoever turned diagnostics on chose where standard error goes.
  static_cast<void>(syscall(SYS_write, STDERR_FILENO, whole.view().data(), whole.view().size()));
}

TextBuffer<24> decimal(long long value) noexcept {
  char digits[24];
  const auto [end, error] = std::to_chars(digits, digits + sizeof(digits), value);
  TextBuffer<24> text;
  text.append({digits, static_cast<std::size_t>(end - digits)});
  return text;
}

}  // namespace socks64::shim
