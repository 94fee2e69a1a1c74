// /proc/self/fdinfo/EPFD has a line for each registration, see proc(5):
//
//   tfd:        5 events: 40000000 data:                7  pos:0 ino:1a2b sdev:8
//
// epoll_ctl(2) adds EPOLLERR and EPOLLHUP to whatever a program asks for. A oneshot that has fired
// keeps its mode bits alone: that is how the two are told apart.
#include "epoll_info.hpp"

#include <charconv>
#include <fcntl.h>
#include <string_view>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host_guard.hpp"

namespace socks64::shim {
namespace {

/// The number behind `key` in a line, any blanks between. Nothing found: `fallback`.
std::uint64_t number_behind(std::string_view line, std::string_view key, int base,
                            std::uint64_t fallback) noexcept {
  std::size_t at = line.find(key);
  if (at == std::string_view::npos) {
    return fallback;
  }
  at += key.size();
  while (at < line.size() && line[at] == ' ') {
    ++at;
  }
  std::uint64_t number = fallback;
  std::from_chars(line.data() + at, line.data() + line.size(), number, base);
  return number;
}

bool is_spent(std::string_view line, int fd, std::uint64_t data) noexcept {
  constexpr std::uint64_t always_asked = EPOLLERR | EPOLLHUP;
  return number_behind(line, "tfd:", 10, ~std::uint64_t{0}) == static_cast<std::uint64_t>(fd) &&
         number_behind(line, "data:", 16, ~data) == data &&
         (number_behind(line, "events:", 16, always_asked) & always_asked) == 0;
}

}  // namespace

bool is_spent_oneshot(int epfd, int fd, std::uint64_t data) noexcept {
  constexpr std::string_view folder = "/proc/self/fdinfo/";
  const ErrnoGuard guard;
  char path[folder.size() + 12]{};
  char* end = path;
  for (const char c : folder) {
    *end++ = c;
  }
  std::to_chars(end, path + sizeof(path) - 1, epfd);
  const auto file = static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0));
  if (file < 0) {
    return false;
  }
  char buffer[2048];
  std::size_t have = 0;
  bool spent = false;
  for (long got = 1; got > 0 && !spent;) {
    got = syscall(SYS_read, file, buffer + have, sizeof(buffer) - have);
    have += got > 0 ? static_cast<std::size_t>(got) : 0;
    std::size_t begin = 0;
    for (std::size_t i = 0; i < have && !spent; ++i) {
      if (buffer[i] == '\n') {
        spent = is_spent({buffer + begin, i - begin}, fd, data);
        begin = i + 1;
      }
    }
    // The line that is not whole yet; one that fills the buffer is nothing we know.
    have = begin == 0 && have == sizeof(buffer) ? 0 : have - begin;
    for (std::size_t i = 0; i < have; ++i) {
      buffer[i] = buffer[begin + i];
    }
  }
  syscall(SYS_close, file);
  return spent;
}

}  // namespace socks64::shim
