// /proc/self/fdinfo/EPFD has a line for each registration, see proc(5):
//
//   tfd:        5 events: 40000000 data:                7  pos:0 ino:1a2b sdev:8
#include "descriptors/epoll_info.hpp"

#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <string_view>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/host_guard.hpp"

namespace socks64::shim {
namespace {

/// The number behind `key` in a line, any blanks between.
bool read_number(std::string_view line, std::string_view key, int base,
                 std::uint64_t& out) noexcept {
  std::size_t at = line.find(key);
  if (at == std::string_view::npos) {
    return false;
  }
  at += key.size();
  while (at < line.size() && line[at] == ' ') {
    ++at;
  }
  return std::from_chars(line.data() + at, line.data() + line.size(), out, base).ec == std::errc{};
}

bool read_registration(std::string_view line, KernelRegistration& out) noexcept {
  std::uint64_t fd = 0;
  std::uint64_t events = 0;
  std::uint64_t inode = 0;
  if (!read_number(line, "tfd:", 10, fd) || !read_number(line, "events:", 16, events) ||
      !read_number(line, "data:", 16, out.data) || !read_number(line, "ino:", 16, inode)) {
    return false;
  }
  out.fd = static_cast<int>(fd);
  out.events = static_cast<std::uint32_t>(events);
  out.inode = static_cast<ino_t>(inode);
  return true;
}

int open_info(int epfd) noexcept {
  constexpr std::string_view folder = "/proc/self/fdinfo/";
  const ErrnoGuard guard;
  char path[folder.size() + 12]{};
  std::memcpy(path, folder.data(), folder.size());
  std::to_chars(path + folder.size(), path + sizeof(path) - 1, epfd);
  return static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0));
}

}  // namespace

bool KernelRegistration::is_spent() const noexcept {
  return (events & EPOLLONESHOT) != 0 && (events & (EPOLLERR | EPOLLHUP)) == 0;
}

// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): the buffer has what `have_` counts
KernelRegistrations::KernelRegistrations(int epfd) noexcept : file_(open_info(epfd)) {}

KernelRegistrations::~KernelRegistrations() {
  if (file_ >= 0) {
    const ErrnoGuard guard;
    syscall(SYS_close, file_);
  }
}

bool KernelRegistrations::next(KernelRegistration& out) noexcept {
  const ErrnoGuard guard;
  for (;;) {
    const std::string_view rest(buffer_ + position_, have_ - position_);
    const std::size_t end = rest.find('\n');
    if (end != std::string_view::npos) {
      position_ += static_cast<unsigned>(end) + 1;
      if (read_registration({rest.data(), end}, out)) {
        return true;
      }
      continue;
    }
    // A line that is not whole yet; one that fills the buffer is nothing we know.
    have_ = rest.size() == sizeof(buffer_) ? 0 : static_cast<unsigned>(rest.size());
    std::memmove(buffer_, rest.data(), have_);
    position_ = 0;
    const long got =
        file_ < 0 ? 0 : syscall(SYS_read, file_, buffer_ + have_, sizeof(buffer_) - have_);
    if (got <= 0) {
      return false;
    }
    have_ += static_cast<unsigned>(got);
  }
}

}  // namespace socks64::shim
