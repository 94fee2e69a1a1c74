#include "process/diag.hpp"

#include <charconv>
#include <csignal>
#include <ctime>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/host_guard.hpp"
#include "process/runtime.hpp"

namespace socks64::shim {

bool diagnoses(LogLevel level) noexcept {
  return config().log != LogLevel::off && level <= config().log;
}

namespace {

/// Standard error may be closed and its number a connection's by now.
bool is_connection(int fd) noexcept {
  int domain = 0;
  socklen_t length = sizeof(domain);
  return syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 &&
         (domain == AF_INET || domain == AF_INET6);
}

bool has_broken_pipe() noexcept {
  constexpr std::uint64_t broken_pipe = std::uint64_t{1} << (SIGPIPE - 1);
  std::uint64_t pending = 0;
  syscall(SYS_rt_sigpending, &pending, sizeof(pending));
  return (pending & broken_pipe) != 0;
}

/// By raw calls: write() is hooked, and standard error may be anything, a pipe that nobody reads
/// for one. The SIGPIPE of that, and no other, is taken back.
void write_line(std::string_view line) noexcept {
  if (is_connection(STDERR_FILENO)) {
    return;
  }
  const SignalBlock signals;
  const bool before = has_broken_pipe();
  const long written = syscall(SYS_write, STDERR_FILENO, line.data(), line.size());
  if (written < 0 && errno == EPIPE && !before) {
    const std::uint64_t broken_pipe = std::uint64_t{1} << (SIGPIPE - 1);
    const timespec at_once{};
    syscall(SYS_rt_sigtimedwait, &broken_pipe, nullptr, &at_once, sizeof(broken_pipe));
  }
}

}  // namespace

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
  write_line(whole.view());
}

TextBuffer<24> decimal(long long value) noexcept {
  char digits[24];
  const auto [end, error] = std::to_chars(digits, digits + sizeof(digits), value);
  TextBuffer<24> text;
  text.append({digits, static_cast<std::size_t>(end - digits)});
  return text;
}

}  // namespace socks64::shim
