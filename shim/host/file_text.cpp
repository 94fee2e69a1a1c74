#include "host/file_text.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/host_guard.hpp"

namespace socks64::shim {
namespace {

constexpr std::string_view blanks = " \t\r\v\f";

bool is_blank(char c) noexcept {
  return blanks.find(c) != std::string_view::npos;
}

/// A descriptor for the length of a scope; close(2) itself, because close() is a hook of ours.
class Descriptor {
 public:
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) {
      syscall(SYS_close, fd_);
    }
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_;
};

}  // namespace

FileText::~FileText() {
  release();
}

void FileText::release() noexcept {
  if (data_ != nullptr) {
    const ErrnoGuard guard;
    munmap(data_, mapped_);
  }
  data_ = nullptr;
  size_ = mapped_ = 0;
}

int FileText::read(const char* path, std::size_t limit) noexcept {
  const ErrnoGuard guard;
  release();
  const Descriptor file(
      static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)));
  if (file.get() < 0) {
    return errno;
  }
  if (status_of(file.get(), status_) != 0) {
    return errno;
  }
  if (!S_ISREG(status_.st_mode)) {
    return EINVAL;
  }
  // One octet of room beyond what fstat said tells a file that is growing from one that is not;
  // files of /proc say 0 and have content.
  const auto announced = static_cast<std::size_t>(status_.st_size);
  const std::size_t room = (announced < 4096 ? 4096 : announced) + 1;
  if (announced > limit) {
    return EFBIG;
  }
  void* memory = mmap(nullptr, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return errno;
  }
  data_ = static_cast<char*>(memory);
  mapped_ = room;
  while (size_ < room) {
    const long got = syscall(SYS_read, file.get(), data_ + size_, room - size_);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      const int error = errno;
      release();
      return error;
    }
    if (got == 0) {
      break;
    }
    size_ += static_cast<std::size_t>(got);
  }
  if (size_ > limit) {
    release();
    return EFBIG;
  }
  return 0;
}

bool Lines::next(std::string_view& line) noexcept {
  if (rest_.empty()) {
    return false;
  }
  const std::size_t end = rest_.find('\n');
  line = part(rest_, 0, end);
  rest_ = end == std::string_view::npos ? std::string_view() : part(rest_, end + 1);
  line = part(line, 0, line.find('#'));
  return true;
}

bool Words::next(std::string_view& word) noexcept {
  const std::size_t start = rest_.find_first_not_of(blanks);
  if (start == std::string_view::npos) {
    return false;
  }
  rest_.remove_prefix(start);
  const std::size_t end = rest_.find_first_of(blanks);
  word = part(rest_, 0, end);
  rest_.remove_prefix(word.size());
  return true;
}

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && is_blank(text.front())) {
    text.remove_prefix(1);
  }
  while (!text.empty() && is_blank(text.back())) {
    text.remove_suffix(1);
  }
  return text;
}

std::uint32_t hash_ignoring_case(std::string_view text) noexcept {
  std::uint32_t hash = 2166136261U;
  for (const char c : text) {
    hash = (hash ^ static_cast<std::uint8_t>(lower(c))) * 16777619U;
  }
  return hash ^ hash >> 15;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) {
    return false;
  }
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) {
      return false;
    }
  }
  return true;
}

}  // namespace socks64::shim
