#include "auth/users_file.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "auth/users.hpp"
#include "base/descriptor.hpp"

namespace socks64::gateway {
namespace {

constexpr mode_t new_mode = 0600;

/// "PATH: cannot WHAT: why", why being errno.
std::string failure(std::string_view path, std::string_view what) {
  return fmt::format("{}: cannot {}: {}", path, what, std::strerror(errno));
}

/// Where a path leads in the end: rename(2) would replace a link by a file. What does not exist
/// leads to itself.
std::string final_path(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr),
                                                         std::free);
  return real ? std::string(real.get()) : path;
}

bool read_whole(int file, std::string& text) {
  char piece[65536];
  for (;;) {
    const ssize_t got = ::read(file, piece, sizeof piece);
    if (got == 0) {
      return true;
    }
    if (got < 0) {
      return false;
    }
    text.append(piece, static_cast<std::size_t>(got));
    if (text.size() > largest_users_file) {
      errno = EFBIG;
      return false;
    }
  }
}

bool write_whole(int file, std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0) {
      return false;
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

/// A file that is on its way to its place, removed again when it does not get there.
class Draft {
 public:
  explicit Draft(const std::string& folder) : name_(folder + "/.gatewayd-users-XXXXXX") {
    file_ = Descriptor(::mkostemp(name_.data(), O_CLOEXEC));  // 0600
    if (!file_) {
      name_.clear();
    }
  }
  ~Draft() {
    if (!name_.empty()) {
      ::unlink(name_.c_str());
    }
  }
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;

  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(file_); }
  [[nodiscard]] int fd() const noexcept { return file_.get(); }
  [[nodiscard]] bool move_to(const std::string& path) noexcept {
    if (::rename(name_.c_str(), path.c_str()) != 0) {
      return false;
    }
    name_.clear();
    return true;
  }

 private:
  std::string name_;
  Descriptor file_;
};

}  // namespace

FileEdit edit_users_file(const std::string& path, std::string_view name,
                         std::optional<std::string_view> hash) {
  const std::string place = final_path(path);
  const std::size_t slash = place.rfind('/');
  const std::string folder = slash == std::string::npos ? "."
                             : slash == 0               ? "/"
                                                        : place.substr(0, slash);
  const Descriptor lock(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock || ::flock(lock.get(), LOCK_EX) != 0) {
    return {failure(folder, "lock the folder")};
  }

  std::string text;
  struct stat status {};
  const Descriptor old(::open(place.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (old) {
    if (::fstat(old.get(), &status) != 0) {
      return {failure(path, "read")};
    }
    if (!S_ISREG(status.st_mode)) {
      return {path + ": it is not a regular file"};
    }
    if (!read_whole(old.get(), text)) {
      return {failure(path, "read")};
    }
  } else if (errno != ENOENT || !hash) {
    return {failure(path, "read")};
  }

  UsersEdit edit = edit_users(text, name, hash);
  if (!hash && edit.found == 0) {
    return {};
  }

  Draft draft(folder);
  if (!draft) {
    return {failure(folder, "create a file there")};
  }
  // The owner first: until it has the group that may read it, nobody else may.
  if (old && (status.st_uid != ::geteuid() || status.st_gid != ::getegid()) &&
      ::fchown(draft.fd(), status.st_uid, status.st_gid) != 0) {
    return {failure(path, "keep its owner and group")};
  }
  if (::fchmod(draft.fd(), old ? status.st_mode & 07777U : new_mode) != 0) {
    return {failure(path, "keep its mode")};
  }
  if (!write_whole(draft.fd(), edit.text) || ::fsync(draft.fd()) != 0 || !draft.move_to(place)) {
    return {failure(path, "write")};
  }
  (void)::fsync(lock.get());  // the rename itself; where that is not to be had, it comes later
  return {{}, edit.found};
}

}  // namespace socks64::gateway
