// Small files, read with plain system calls into memory of our own: no stdio, no malloc, and none
// of the calls that we hook.
#ifndef SOCKS64_SHIM_FILE_TEXT_HPP
#define SOCKS64_SHIM_FILE_TEXT_HPP

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "host/file_status.hpp"

namespace socks64::shim {

/// The content of a file, in a mapping that goes with the object.
class FileText {
 public:
  FileText() noexcept = default;
  ~FileText();
  FileText(const FileText&) = delete;
  FileText& operator=(const FileText&) = delete;

  /// Reads the whole file. 0 or an errno: EFBIG above `limit` octets, EINVAL when it is not a
  /// regular file (a FIFO would keep the program waiting).
  [[nodiscard]] int read(const char* path, std::size_t limit) noexcept;

  [[nodiscard]] std::string_view view() const noexcept { return {data_, size_}; }
  /// What fstat said of the file before it was read.
  [[nodiscard]] const FileStatus& status() const noexcept { return status_; }

 private:
  void release() noexcept;

  char* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t mapped_ = 0;
  FileStatus status_{};
};

/// The pieces of a text between separators, one after the other; what a line of a configuration
/// file is made of. A '#' begins a comment.
class Lines {
 public:
  explicit Lines(std::string_view text) noexcept : rest_(text) {}
  /// The next line without its line end and comment; false at the end.
  bool next(std::string_view& line) noexcept;

 private:
  std::string_view rest_;
};

class Words {
 public:
  explicit Words(std::string_view line) noexcept : rest_(line) {}
  /// The next run of characters that are not blank; false at the end.
  bool next(std::string_view& word) noexcept;

 private:
  std::string_view rest_;
};

[[nodiscard]] std::string_view trimmed(std::string_view text) noexcept;
/// ASCII letters compare without case.
[[nodiscard]] bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept;
[[nodiscard]] std::uint32_t hash_ignoring_case(std::string_view text) noexcept;
[[nodiscard]] constexpr char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

/// `text` from `from` on, at most `count` characters. (string_view::substr throws, and a reference
/// to that needs libstdc++.)
[[nodiscard]] constexpr std::string_view part(std::string_view text, std::size_t from,
                                              std::size_t count = std::string_view::npos) noexcept {
  text.remove_prefix(from < text.size() ? from : text.size());
  return {text.data(), count < text.size() ? count : text.size()};
}

}  // namespace socks64::shim

#endif
