#include "daemon/ask_password.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/descriptor.hpp"
#include "base/escape.hpp"

namespace socks64::gateway {
namespace {

volatile std::sig_atomic_t caught = 0;

void note(int number) {
  caught = number;
}

/// No echo, and no signal that ends us before it is back: signals are held, but for the waits of
/// read_line(), which they end, and what came is raised when all is as before.
class Quiet {
 public:
  explicit Quiet(int terminal) noexcept : terminal_(terminal) {
    caught = 0;
    struct sigaction action {};
    action.sa_handler = note;
    sigset_t held;
    ::sigemptyset(&held);
    for (std::size_t i = 0; i < signals.size(); ++i) {
      ::sigaction(signals[i], &action, &before_[i]);
      ::sigaddset(&held, signals[i]);
    }
    ::sigprocmask(SIG_BLOCK, &held, &mask_);
    good_ = ::tcgetattr(terminal_, &settings_) == 0;
    termios silent = settings_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    good_ = good_ && ::tcsetattr(terminal_, TCSAFLUSH, &silent) == 0;
  }
  ~Quiet() {
    if (good_) {
      ::tcsetattr(terminal_, TCSAFLUSH, &settings_);
    }
    ::sigprocmask(SIG_SETMASK, &mask_, nullptr);  // what waits is noted now
    for (std::size_t i = 0; i < signals.size(); ++i) {
      ::sigaction(signals[i], &before_[i], nullptr);
    }
    if (caught != 0) {
      std::raise(caught);
    }
  }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;

  [[nodiscard]] bool good() const noexcept { return good_; }
  [[nodiscard]] const sigset_t* waiting_mask() const noexcept { return &mask_; }

 private:
  static constexpr std::array signals{SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};

  int terminal_;
  bool good_ = false;
  termios settings_{};
  sigset_t mask_{};
  std::array<struct sigaction, 5> before_{};
};

struct Line {
  std::array<char, 1024> octets{};
  std::size_t size = 0;

  Line() = default;
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;
  ~Line() { explicit_bzero(octets.data(), octets.size()); }
  [[nodiscard]] std::string_view view() const noexcept { return {octets.data(), size}; }
};

/// Up to a newline, which is taken and dropped, or the end. False: an error, or a signal, which
/// with a `mask` to wait with is never missed.
bool read_line(int file, Line& line, const sigset_t* mask = nullptr) noexcept {
  while (line.size < line.octets.size()) {
    pollfd ready{file, POLLIN, 0};
    if (mask != nullptr && ::ppoll(&ready, 1, nullptr, mask) < 0) {
      return false;
    }
    const ssize_t got = ::read(file, line.octets.data() + line.size, 1);
    if (got < 0) {
      return false;
    }
    if (got == 0 || line.octets[line.size] == '\n') {
      return true;
    }
    ++line.size;
  }
  return true;  // far too long for a password, which is for the caller to say
}

std::string_view problem_of(std::string_view password) noexcept {
  if (password.empty()) {
    return "the password is empty";
  }
  if (!Secret::fits(password)) {
    return "the password is longer than 255 octets (RFC 1929)";
  }
  if (password.find('\0') != std::string_view::npos) {
    return "the password holds a NUL";
  }
  return {};
}

void print(int terminal, std::string_view text) noexcept {
  [[maybe_unused]] const ssize_t written = ::write(terminal, text.data(), text.size());
}

}  // namespace

std::optional<Secret> ask_password(std::string_view user, std::string& problem) {
  const Descriptor terminal(::open("/dev/tty", O_RDWR | O_CLOEXEC));
  if (!terminal) {
    problem = "there is no terminal to ask for the password: use --stdin";
    return std::nullopt;
  }
  Line first;
  Line second;
  bool read = false;
  {
    const Quiet quiet(terminal.get());
    if (!quiet.good()) {
      problem =
          "the terminal would show the password: its echo cannot be switched off. Use --stdin";
      return std::nullopt;
    }
    print(terminal.get(), fmt::format("New password for {}: ", escaped(user)));
    read = read_line(terminal.get(), first, quiet.waiting_mask());
    print(terminal.get(), "\n");
    if (read && problem_of(first.view()).empty()) {
      print(terminal.get(), "Repeat the password: ");
      read = read_line(terminal.get(), second, quiet.waiting_mask());
      print(terminal.get(), "\n");
    }
  }
  problem = problem_of(first.view());
  if (!read) {
    problem = "interrupted";
  }
  if (problem.empty() && first.view() != second.view()) {
    problem = "the two passwords differ";
  }
  if (!problem.empty()) {
    return std::nullopt;
  }
  return Secret(first.view());
}

std::optional<Secret> read_password(std::string& problem) {
  Line line;
  if (!read_line(STDIN_FILENO, line)) {
    problem = fmt::format("cannot read standard input: {}", std::strerror(errno));
  } else {
    problem = problem_of(line.view());
  }
  if (!problem.empty()) {
    return std::nullopt;
  }
  return Secret(line.view());
}

}  // namespace socks64::gateway
