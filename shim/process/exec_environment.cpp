// What has to be in a child's environment, and the memory for it.
//
// A program may start another with any environment: an empty one (env -i, login shells, Python's
// env={}), one of its own making (sshd, cron, build tools), or its own after clearenv(). Without
// our library in LD_PRELOAD the child would go to the network by itself, and without the settings
// to a gateway that nobody meant.
//
// Where the copy lies. exec is called in the children of vfork, whose memory is their parent's:
// what is mapped there stays mapped in the parent once the child has become another program. The
// stack has no such trouble, but a thread's may be small, so short environments (nearly all) lie on
// it and long ones in a mapping that the thread owns: the child of a vfork runs on its parent's
// thread pointer, therefore it leaves the mapping where the next exec of that very thread finds it.
// At most one mapping a thread stays behind; everywhere else it is released with the object.
#include "process/exec_environment.hpp"

#include <cstring>
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/file_text.hpp"
#include "host/host_guard.hpp"
#include "process/runtime.hpp"

namespace socks64::shim {
namespace {

constexpr std::string_view our_prefix = "SOCKS64_";
constexpr std::string_view preload_prefix = "LD_PRELOAD=";
constexpr std::string_view follow_prefix = "SOCKS64_FOLLOW_EXEC=";
constexpr std::string_view separators = ": ";
constexpr std::size_t nowhere = static_cast<std::size_t>(-1);

/// Written once, at start-up.
struct Remembered {
  const char* const* settings = nullptr;  ///< NAME=VALUE, each name once
  std::size_t count = 0;
  std::string_view library;  ///< our entry in LD_PRELOAD, as it stood there; may be empty
  std::string_view name;     ///< its last component
};
constinit Remembered remembered;

bool begins_with(std::string_view text, std::string_view prefix) noexcept {
  return part(text, 0, prefix.size()) == prefix;
}

/// begins_with for an entry of unknown length: most entries differ in their first letters.
bool entry_begins_with(const char* entry, std::string_view prefix) noexcept {
  return std::strncmp(entry, prefix.data(), prefix.size()) == 0;
}

std::string_view last_component(std::string_view path) noexcept {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : part(path, slash + 1);
}

/// Takes the next entry off a list like LD_PRELOAD's; false at its end.
bool next_entry(std::string_view& list, std::string_view& entry) noexcept {
  const std::size_t start = list.find_first_not_of(separators);
  if (start == std::string_view::npos) {
    return false;
  }
  list = part(list, start);
  entry = part(list, 0, list.find_first_of(separators));
  list = part(list, entry.size());
  return true;
}

/// By its name alone: two copies of the library in one program would be worse than another copy.
std::string_view entry_named(std::string_view list, std::string_view name) noexcept {
  std::string_view entry;
  while (next_entry(list, entry)) {
    if (last_component(entry) == name) {
      return entry;
    }
  }
  return {};
}

/// A sanitizer's run-time library insists on being the first of all.
std::size_t length_of_what_stays_first(std::string_view list) noexcept {
  const char* const begin = list.data();
  std::size_t length = 0;
  std::string_view entry;
  while (next_entry(list, entry) && (begins_with(last_component(entry), "libasan.so") ||
                                     begins_with(last_component(entry), "libtsan.so"))) {
    length = static_cast<std::size_t>(entry.data() + entry.size() - begin);
  }
  return length;
}

std::string_view name_of_setting(std::string_view entry) noexcept {
  return part(entry, 0, entry.find('='));
}

bool is_setting(const char* entry) noexcept {
  return entry_begins_with(entry, our_prefix) && std::strchr(entry, '=') != nullptr;
}

/// The entry of that name (without the '='), the first as getenv would find it; or null.
const char* find_setting(char* const* list, std::string_view name) noexcept {
  for (; list != nullptr && *list != nullptr; ++list) {
    if (entry_begins_with(*list, name) && (*list)[name.size()] == '=') {
      return *list;
    }
  }
  return nullptr;
}

/// What of LD_PRELOAD is to be put back: our own entry. A sanitized build is nothing without its
/// run-time library, which the rest of the list brings.
std::string_view our_entry(std::string_view preload, std::string_view name) noexcept {
  const std::string_view entry = entry_named(preload, name);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return entry.empty() ? entry : preload;
#else
  return entry;
#endif
}

/// The mapping that this thread's vfork children leave behind for each other.
struct Spare {
  void* memory;
  std::size_t size;
  pid_t user;  ///< the process whose exec reads it; a child's number is never its parent's
};
__attribute__((tls_model("initial-exec"))) thread_local Spare spare{nullptr, 0, 0};

void* map(std::size_t size) noexcept {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

}  // namespace

bool remember_environment(bool secure) noexcept {
  if (secure || environ == nullptr) {
    return true;
  }
  const ErrnoGuard guard;
  Dl_info us{};
  std::string_view preload;
  std::size_t count = 0;
  std::size_t room = 0;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (is_setting(*entry)) {
      ++count;
      room += sizeof(char*) + std::strlen(*entry) + 1;
    } else if (entry_begins_with(*entry, preload_prefix)) {
      preload = part(*entry, preload_prefix.size());  // of several, the loader takes the last
    }
  }
  if (!preload.empty() && dladdr(reinterpret_cast<void*>(&remember_environment), &us) != 0 &&
      us.dli_fname != nullptr) {
    const std::string_view name = last_component(us.dli_fname);
    preload = our_entry(preload, name);
    room += preload.size();
    remembered.name = entry_named(preload, name);
  } else {
    preload = {};
  }
  if (room == 0) {
    return true;
  }
  void* const memory = map(room);
  if (memory == nullptr) {
    return false;
  }
  auto* const settings = static_cast<const char**>(memory);
  char* text = static_cast<char*>(memory) + count * sizeof(char*);
  std::size_t kept = 0;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (is_setting(*entry) && find_setting(environ, name_of_setting(*entry)) == *entry) {
      const std::size_t size = std::strlen(*entry) + 1;
      settings[kept++] = static_cast<const char*>(std::memcpy(text, *entry, size));
      text += size;
    }
  }
  if (!preload.empty()) {
    std::memcpy(text, preload.data(), preload.size());
    remembered.library = {text, preload.size()};
    remembered.name =
        last_component({text + (remembered.name.data() - preload.data()), remembered.name.size()});
  }
  mprotect(memory, room, PROT_READ);
  remembered.settings = settings;
  remembered.count = kept;
  return true;
}

std::string_view remembered_setting(std::string_view name) noexcept {
  for (std::size_t i = 0; i < remembered.count; ++i) {
    const std::string_view entry = remembered.settings[i];
    if (name_of_setting(entry) == name) {
      return part(entry, name.size() + 1);
    }
  }
  return {};
}

// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): complete() fills nearby_ as it needs it
ExecEnvironment::ExecEnvironment(char* const* given, bool started) noexcept
    : given_(given), list_(given) {
  if (!started || (remembered.count == 0 && remembered.library.empty()) ||
      (given != nullptr && !is_readable(given, sizeof(char*)))) {
    return;
  }
  std::size_t entries = 0;
  std::size_t preload_at = nowhere;
  for (; given != nullptr && given[entries] != nullptr; ++entries) {
    if (entry_begins_with(given[entries], preload_prefix)) {
      preload_at = entries;
    }
  }
  // The child's own word on this goes before ours, as with every setting.
  const char* const wish = find_setting(given, name_of_setting(follow_prefix));
  const std::string_view follow = wish != nullptr ? wish + follow_prefix.size() : "";
  if (follow.empty() ? !config().follow_exec : follow == "off") {
    return;
  }
  std::size_t missing = 0;
  for (std::size_t i = 0; i < remembered.count; ++i) {
    if (find_setting(given, name_of_setting(remembered.settings[i])) == nullptr) {
      ++missing;
    }
  }
  const bool without_library =
      !remembered.library.empty() &&
      (preload_at == nowhere ||
       entry_named(given[preload_at] + preload_prefix.size(), remembered.name).empty());
  if (missing != 0 || without_library) {
    complete(entries, preload_at, missing, without_library);
  }
}

void ExecEnvironment::complete(std::size_t entries, std::size_t preload_at, std::size_t missing,
                               bool without_library) noexcept {
  const ErrnoGuard guard;
  const std::string_view theirs =
      preload_at == nowhere ? "" : given_[preload_at] + preload_prefix.size();
  const std::size_t pointers = (entries + missing + 2) * sizeof(char*);
  const std::size_t size =
      pointers +
      (without_library ? preload_prefix.size() + remembered.library.size() + theirs.size() + 3 : 0);
  void* memory = nearby_;
  if (size > sizeof(nearby_)) {
    const pid_t self = getpid();
    if (spare.memory != nullptr && spare.user == self) {
      memory = mapping_ = map(size);  // a signal handler, in the middle of this thread's own exec
      mapped_ = size;
    } else {
      if (spare.memory != nullptr && spare.size < size) {
        munmap(spare.memory, spare.size);
        spare.memory = nullptr;
      }
      if (spare.memory == nullptr) {
        spare = {map(size), size, 0};
      }
      spare.user = self;
      memory = spare.memory;
      borrowed_ = memory != nullptr;
    }
    if (memory == nullptr) {
      failed_ = true;
      return;
    }
  }
  auto* const list = static_cast<char**>(memory);
  std::size_t filled = 0;
  for (; filled < entries; ++filled) {
    list[filled] = given_[filled];
  }
  for (std::size_t i = 0; i < remembered.count; ++i) {
    if (find_setting(given_, name_of_setting(remembered.settings[i])) == nullptr) {
      list[filled++] = const_cast<char*>(remembered.settings[i]);
    }
  }
  if (without_library) {
    char* const text = static_cast<char*>(memory) + pointers;
    char* end = text;
    const auto append = [&end](std::string_view more) {
      std::memcpy(end, more.data(), more.size());
      end += more.size();
    };
    const std::size_t first = length_of_what_stays_first(theirs);
    append(preload_prefix);
    append(part(theirs, 0, first));
    append(first != 0 ? ":" : "");
    append(remembered.library);
    append(first < theirs.size() ? ":" : "");
    append(part(theirs, first));
    *end = '\0';
    list[preload_at == nowhere ? filled++ : preload_at] = text;
  }
  list[filled] = nullptr;
  list_ = list;
}

ExecEnvironment::~ExecEnvironment() {
  const ErrnoGuard guard;
  if (borrowed_) {
    munmap(spare.memory, spare.size);
    spare = {nullptr, 0, 0};
  }
  if (mapping_ != nullptr) {
    munmap(mapping_, mapped_);
  }
}

}  // namespace socks64::shim
