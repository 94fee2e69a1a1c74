#include "host/local_file.hpp"

#include <cstring>
#include <ctime>
#include <sys/mman.h>
#include <sys/stat.h>

#include "host/file_text.hpp"
#include "host/host_guard.hpp"

namespace socks64::shim {
namespace {

// Lists of blocked hosts grow to some megabytes.
constexpr std::size_t max_size = std::size_t{64} << 20;

/// Calls `use(word)` for every word of the text that the index knows.
template <class Use>
void for_each_word(std::string_view text, bool with_first, const Use& use) noexcept {
  Lines lines(text);
  std::string_view line;
  while (lines.next(line)) {
    Words words(line);
    std::string_view word;
    for (bool first = true; words.next(word); first = false) {
      if (!first || with_first) {
        use(word);
      }
    }
  }
}

}  // namespace

std::string_view LocalFile::Content::text() const noexcept {
  return memory == nullptr
             ? std::string_view()
             : std::string_view(memory + (std::size_t{index_mask} + 1) * sizeof(std::uint32_t),
                                text_size);
}

void LocalFile::Content::release() noexcept {
  if (memory != nullptr) {
    const ErrnoGuard guard;
    munmap(memory, mapped);
  }
  *this = {};
}

LocalFile::Identity LocalFile::identity_of(const FileStatus& status) noexcept {
  constexpr std::int64_t second = 1'000'000'000;
  return {static_cast<std::uint64_t>(status.st_dev), static_cast<std::uint64_t>(status.st_ino),
          static_cast<std::int64_t>(status.st_size),
          status.st_mtim.tv_sec * second + status.st_mtim.tv_nsec,
          status.st_ctim.tv_sec * second + status.st_ctim.tv_nsec};
}

bool LocalFile::load(Content& content, Identity& identity) const noexcept {
  FileText file;
  if (file.read(path_, max_size) != 0) {
    return false;
  }
  std::size_t words = 0;
  for_each_word(file.view(), with_first_, [&](std::string_view) { ++words; });
  std::size_t slots = 16;
  while (slots < 2 * words) {
    slots *= 2;
  }
  const std::size_t size = slots * sizeof(std::uint32_t) + file.view().size();
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return false;
  }
  content = {static_cast<char*>(memory), size, static_cast<std::uint32_t>(slots - 1),
             static_cast<std::uint32_t>(file.view().size())};
  auto* const index = static_cast<std::uint32_t*>(memory);
  if (!file.view().empty()) {
    std::memcpy(index + slots, file.view().data(), file.view().size());
  }
  const std::string_view text = content.text();
  for_each_word(text, with_first_, [&](std::string_view word) {
    std::uint32_t slot = hash_ignoring_case(word) & content.index_mask;
    while (index[slot] != 0) {
      slot = (slot + 1) & content.index_mask;
    }
    index[slot] = static_cast<std::uint32_t>(word.data() - text.data()) + 1;
  });
  identity = identity_of(file.status());
  return true;
}

std::uint32_t current_tick() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<std::uint32_t>(now.tv_sec * 1000 + now.tv_nsec / 1'000'000) | 1;
}

/// Takes a reader's share, unless the copy is being filled.
bool LocalFile::hold(Copy& copy) noexcept {
  std::int32_t readers = copy.readers.load(std::memory_order_relaxed);
  while (readers >= 0) {
    if (copy.readers.compare_exchange_weak(readers, readers + 1, std::memory_order_acquire,
                                           std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

LocalFile::Reading LocalFile::read() noexcept {
  const ErrnoGuard guard;
  const std::uint32_t tick = current_tick();
  const bool recent = checked_.load(std::memory_order_relaxed) == tick;
  Copy* const current = current_.load(std::memory_order_acquire);
  if (current != nullptr && recent && hold(*current)) {
    return {current, current->content};
  }
  FileStatus status{};
  if (status_of(path_, status) != 0) {
    return {nullptr, {}};
  }
  const Identity now = identity_of(status);
  if (current != nullptr && hold(*current)) {
    if (current->identity == now) {
      checked_.store(tick, std::memory_order_relaxed);
      return {current, current->content};
    }
    current->readers.fetch_sub(1, std::memory_order_release);
  }
  for (Copy& copy : copies_) {  // NOLINT(clang-analyzer-core.NullDereference): an array
    std::int32_t nobody = 0;
    if (&copy == current || !copy.readers.compare_exchange_strong(
                                nobody, -1, std::memory_order_acquire, std::memory_order_relaxed)) {
      continue;
    }
    copy.content.release();
    copy.identity = {};
    const bool loaded = load(copy.content, copy.identity);
    copy.readers.store(loaded ? 1 : 0, std::memory_order_release);
    if (!loaded) {
      return {nullptr, {}};
    }
    current_.store(&copy, std::memory_order_release);
    checked_.store(tick, std::memory_order_relaxed);
    return {&copy, copy.content};
  }
  Content own;
  Identity unused;
  static_cast<void>(load(own, unused));
  return {nullptr, own};
}

LocalFile::Reading::~Reading() {
  if (copy_ != nullptr) {
    copy_->readers.fetch_sub(1, std::memory_order_release);
  } else {
    content_.release();
  }
}

bool LocalFile::Reading::next_line_with(std::string_view word, std::uint32_t& cursor,
                                        std::string_view& line) const noexcept {
  if (content_.memory == nullptr) {
    return false;
  }
  const std::uint32_t start = hash_ignoring_case(word);
  // The index is at most half full: the search ends at a free slot.
  for (;;) {
    const std::uint32_t offset = content_.index()[(start + cursor) & content_.index_mask];
    if (offset == 0) {
      return false;
    }
    ++cursor;
    const std::string_view at = part(text(), offset - 1);
    Words words(at);
    std::string_view candidate;
    // Words ends at blanks, and a word may touch its line's end or comment.
    if (words.next(candidate) &&
        equal_ignoring_case(part(candidate, 0, candidate.find_first_of("#\n")), word)) {
      const std::size_t newline = text().rfind('\n', offset - 1);
      Lines lines(part(text(), newline == std::string_view::npos ? 0 : newline + 1));
      return lines.next(line);
    }
  }
}

}  // namespace socks64::shim
