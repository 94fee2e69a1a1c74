// A file of the system that is asked again and again (/etc/hosts, /etc/services): read once, found
// by word, read again when it changed.
//
// A burst of questions looks at the file once a clock tick (some milliseconds), not once a
// question: stat() would be most of the cost of resolving a name.
//
// The lock that would guard such a cache could be left behind by a fork in a threaded program. So
// there are a few copies with a count of readers each: one that nobody reads may be filled anew,
// and where all are in use (or lost to a fork) the file is read for this one question.
#ifndef SOCKS64_SHIM_LOCAL_FILE_HPP
#define SOCKS64_SHIM_LOCAL_FILE_HPP

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "host/file_status.hpp"

namespace socks64::shim {

class LocalFile {
 public:
  /// The first word of a line (the address, in /etc/hosts) is found as well only if `with_first`:
  /// lists of blocked hosts have the same one in every line.
  constexpr LocalFile(const char* path, bool with_first) noexcept
      : path_(path), with_first_(with_first) {}
  LocalFile(const LocalFile&) = delete;
  LocalFile& operator=(const LocalFile&) = delete;

 private:
  struct Identity {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t size = -1;
    std::int64_t modified = 0;  ///< nanoseconds
    std::int64_t changed = 0;

    friend bool operator==(const Identity&, const Identity&) noexcept = default;
  };
  /// One mapping: the index (offset + 1 of every word; open addressing), then the text.
  struct Content {
    char* memory = nullptr;
    std::size_t mapped = 0;
    std::uint32_t index_mask = 0;
    std::uint32_t text_size = 0;

    [[nodiscard]] const std::uint32_t* index() const noexcept {
      return reinterpret_cast<const std::uint32_t*>(memory);
    }
    [[nodiscard]] std::string_view text() const noexcept;
    void release() noexcept;
  };
  struct Copy {
    std::atomic<std::int32_t> readers{0};  ///< -1: somebody fills it
    Identity identity;
    Content content;
  };

 public:
  /// The file as it is now; empty when it is missing or cannot be read. Keeps its copy in place.
  class Reading {
   public:
    ~Reading();
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;

    [[nodiscard]] std::string_view text() const noexcept { return content_.text(); }

    /// The lines that hold `word` (compared without case), from that line's start to its comment,
    /// in their order: start with cursor 0. A line that holds it twice comes twice.
    bool next_line_with(std::string_view word, std::uint32_t& cursor,
                        std::string_view& line) const noexcept;

   private:
    friend class LocalFile;
    Reading(Copy* copy, const Content& content) noexcept : copy_(copy), content_(content) {}

    Copy* copy_;  ///< nullptr: the content is ours
    Content content_;
  };

  [[nodiscard]] Reading read() noexcept;

 private:
  [[nodiscard]] static bool hold(Copy& copy) noexcept;
  static Identity identity_of(const FileStatus& status) noexcept;
  [[nodiscard]] bool load(Content& content, Identity& identity) const noexcept;

  const char* path_;
  bool with_first_;
  std::atomic<std::uint32_t> checked_{0};  ///< the tick in which current_ was known to be right
  std::atomic<Copy*> current_{nullptr};
  std::array<Copy, 4> copies_{};
};

/// A number that changes with every tick of the kernel's coarse clock, never 0. No system call.
[[nodiscard]] std::uint32_t current_tick() noexcept;

}  // namespace socks64::shim

#endif
