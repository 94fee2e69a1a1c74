// What a preloaded library cannot follow, and how it is seen without running anything: the file is
// read, and the rules by which the kernel starts it and the loader obeys LD_PRELOAD are applied.
#include "socksify/program_check.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <elf.h>
#include <fcntl.h>
#include <optional>
#include <string_view>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "host/file_text.hpp"
#include "settings/config.hpp"
#include "socksify/elf_file.hpp"

namespace socks64::socksify {
namespace {

using Words = std::vector<std::string>;

/// Scripts may be run by scripts; the kernel stops at this depth, too.
constexpr int deepest = 5;

/// A file in memory, read-only. Empty when it cannot be read.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
      error_ = errno;
      return;
    }
    struct stat status {};
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
      const auto size = static_cast<std::size_t>(status.st_size);
      void* const start = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
      if (start != MAP_FAILED) {
        content_ = {static_cast<const char*>(start), size};
      }
    }
    close(fd);
  }
  ~MappedFile() {
    if (!content_.empty()) {
      munmap(const_cast<char*>(content_.data()), content_.size());
    }
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  [[nodiscard]] std::string_view content() const { return content_; }
  [[nodiscard]] int error() const { return error_; }

 private:
  std::string_view content_;
  int error_ = 0;
};

bool is_executable(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         access(path.c_str(), X_OK) == 0;
}

/// As execvp(3) searches. Empty when there is nothing.
std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    return name;
  }
  const char* const path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "/bin:/usr/bin";
  for (;;) {
    const std::size_t end = rest.find(':');
    const std::string folder(rest.substr(0, end));
    std::string candidate = (folder.empty() ? "." : folder) + "/" + name;
    if (is_executable(candidate)) {
      return candidate;
    }
    if (end == std::string_view::npos) {
      return {};
    }
    rest.remove_prefix(end + 1);
  }
}

bool is_shell_builtin(std::string_view name) {
  constexpr std::string_view builtins[] = {".",     "alias", "bg",     "cd",   "command", "eval",
                                           "exec",  "exit",  "export", "fg",   "jobs",    "read",
                                           "set",   "shift", "source", "trap", "type",    "ulimit",
                                           "umask", "unset", "wait"};
  return std::find(std::begin(builtins), std::end(builtins), name) != std::end(builtins);
}

std::string base_name(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

/// Whether the library is there for every program of the system, set-user-ID ones included.
bool in_system_preload() {
  shim::FileText file;
  return file.read("/etc/ld.so.preload", shim::max_config_size) == 0 &&
         file.view().find("libsocks64.so") != std::string_view::npos;
}

/// "setuid", ... when starting the file makes a secure-exec process, in which the loader ignores
/// LD_PRELOAD and the library ignores the environment. See execve(2), getauxval(3) AT_SECURE.
std::string privileges_of(const std::string& path) {
  struct stat status {};
  struct statvfs system {};
  if (stat(path.c_str(), &status) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ||
      (statvfs(path.c_str(), &system) == 0 && (system.f_flag & ST_NOSUID) != 0)) {
    return {};
  }
  std::string found;
  if ((status.st_mode & S_ISUID) != 0 && status.st_uid != getuid()) {
    found = "setuid (runs as user " + std::to_string(status.st_uid) + ")";
  }
  // Set-group-ID without group execution is an old mark for mandatory locking.
  if ((status.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && status.st_gid != getgid()) {
    found += (found.empty() ? "" : " and ");
    found += "setgid (runs as group " + std::to_string(status.st_gid) + ")";
  }
  // Root gains nothing by file capabilities, so for root they do not make a secure-exec process.
  if (getuid() != 0 && getxattr(path.c_str(), "security.capability", nullptr, 0) > 0) {
    found += (found.empty() ? "" : " and ");
    found += "given file capabilities";
  }
  return found;
}

/// What comes from a file may hold anything, also what a terminal would obey.
std::string printable(std::string text) {
  for (char& c : text) {
    const auto octet = static_cast<unsigned char>(c);
    c = octet < 0x20 || octet == 0x7f ? '?' : c;
  }
  return text;
}

class Check {
 public:
  explicit Check(const Library& library) : library_(library) {}

  void program(const Words& command, int depth) {
    const std::string& name = command.front();
    const std::string path = find_program(name);
    if (path.empty()) {
      obstacle(name, is_shell_builtin(name)
                         ? "is built into the shell; run it as sh -c '" + name + " ...'"
                         : "is not in a folder of PATH");
      return;
    }
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) {
      obstacle(path, std::strerror(errno));
      return;
    }
    if (!is_executable(path)) {
      obstacle(path, S_ISREG(status.st_mode) ? "is not executable for this user"
                                             : "is not a regular file");
      return;
    }
    const MappedFile file(path);
    if (file.error() != 0) {
      obstacle(path, std::string("cannot be read, so socksify cannot check it: ") +
                         std::strerror(file.error()));
    } else if (const std::optional<ElfFile> elf = read_elf(file.content())) {
      binary(path, *elf);
      if (base_name(path) == "env") {
        behind_env({command.begin() + 1, command.end()}, depth);
      }
    } else {
      script(path, file.content(), depth);
    }
  }

  std::vector<Finding> findings;

 private:
  void obstacle(const std::string& path, const std::string& what) {
    findings.push_back({true, printable(path + " " + what)});
  }
  void note(const std::string& path, const std::string& what) {
    findings.push_back({false, printable(path + " " + what)});
  }

  void script(const std::string& path, std::string_view content, int depth) {
    // The kernel reads 256 octets (BINPRM_BUF_SIZE) and one argument.
    std::string_view line = content.substr(0, std::min<std::size_t>(content.find('\n'), 255));
    if (content.substr(0, line.size()).find('\0') != std::string_view::npos) {
      obstacle(path, "is neither an ELF program nor a script: this system cannot run it");
      return;
    }
    if (depth == deepest) {
      obstacle(path, "is a script that too many scripts in a row run: the kernel refuses that");
      return;
    }
    if (!line.starts_with("#!")) {
      note(path, "is a script without #!: /bin/sh runs it");
      program({"/bin/sh", path}, depth + 1);
      return;
    }
    line.remove_prefix(2);
    line = shim::trimmed(line);
    const std::size_t end = line.find_first_of(" \t");
    Words command{std::string(line.substr(0, end))};
    if (command.front().empty()) {
      obstacle(path, "names no program after its #!");
      return;
    }
    if (end != std::string_view::npos) {
      command.emplace_back(shim::trimmed(line.substr(end)));
    }
    note(path, "is a script: " + command.front() + " runs it");
    command.push_back(path);
    program(command, depth + 1);
  }

  /// What env(1) starts: behind its options and assignments. That it may clear the environment does
  /// not matter: the library's own hooks put it back.
  void behind_env(Words arguments, int depth) {
    std::size_t i = 0;
    for (; i < arguments.size(); ++i) {
      std::string word = arguments[i];
      if (word == "-S" || word.starts_with("-S") || word.starts_with("--split-string=")) {
        // In a #! line all that follows is one word.
        word.erase(0, word.starts_with("--") ? sizeof("--split-string=") - 1 : 2);
        Words split;
        shim::Words pieces(word);
        std::string_view piece;
        while (pieces.next(piece)) {
          split.emplace_back(piece);
        }
        arguments.erase(arguments.begin() + static_cast<std::ptrdiff_t>(i));
        arguments.insert(arguments.begin() + static_cast<std::ptrdiff_t>(i), split.begin(),
                         split.end());
        --i;
      } else if (word == "-u" || word == "-C") {
        ++i;  // takes the next word
      } else if (word == "--") {
        ++i;
        break;
      } else if (!word.starts_with("-") && word.find('=') == std::string::npos) {
        break;
      }
    }
    if (i < arguments.size() && depth < deepest) {
      program({arguments.begin() + static_cast<std::ptrdiff_t>(i), arguments.end()}, depth + 1);
    }
  }

  /// True when programs of this kind run here at all, by the kernel alone.
  [[nodiscard]] static bool runs_here(const ElfFile& elf) {
    const MappedFile self("/proc/self/exe");
    const std::optional<ElfFile> own = read_elf(self.content());
    const auto is_x86 = [](std::uint16_t machine) {
      return machine == EM_386 || machine == EM_X86_64;
    };
    return own && own->byte_order == elf.byte_order &&
           (own->machine == elf.machine || (is_x86(own->machine) && is_x86(elf.machine)));
  }

  /// True when the right library for programs of this class and machine is there.
  bool fits(const std::string& path, const ElfFile& elf) {
    const unsigned bits = elf.elf_class == ELFCLASS32 ? 32 : 64;
    const std::string& suited = library_.for_class(bits);
    const MappedFile file(suited);
    const std::optional<ElfFile> ours = read_elf(file.content());
    if (!ours || ours->elf_class != elf.elf_class || ours->machine != elf.machine) {
      obstacle(path, "is a " + std::to_string(bits) + "-bit program, but no " +
                         std::to_string(bits) + "-bit libsocks64.so is installed");
      return false;
    }
    const bool wants_musl = elf.interpreter.find("/ld-musl-") != std::string::npos;
    if (wants_musl == ours->needs("libc.so.6")) {
      obstacle(path, wants_musl ? "is linked with musl, but " + suited + " with glibc"
                                : "is linked with glibc, but " + suited + " with musl");
      return false;
    }
    return true;
  }

  void binary(const std::string& path, const ElfFile& elf) {
    const bool ring = elf.needs("liburing.so") ||
                      std::any_of(elf.wanted.begin(), elf.wanted.end(), [](const auto& name) {
                        return std::string_view(name).starts_with("io_uring_");
                      });
    if (ring) {
      note(path,
           "uses io_uring, which the library refuses: it has to do without, unless io_uring = "
           "allow");
    }
    const std::size_t before = findings.size();
    if (!runs_here(elf)) {
      obstacle(path, "is a program for another kind of machine (ELF machine " +
                         std::to_string(elf.machine) + ")");
    } else if (elf.go) {
      obstacle(path, elf.interpreter.empty()
                         ? "is a Go program: it is statically linked and makes system calls itself"
                         : "is a Go program: it makes system calls itself, although it is "
                           "dynamically linked");
    } else if (elf.interpreter.empty()) {
      obstacle(path, "is statically linked: no library can be loaded into it");
    } else if (fits(path, elf)) {
      if (!is_executable(elf.interpreter)) {
        obstacle(path, "cannot run: its loader " + elf.interpreter + " does not exist");
      }
    }
    if (const std::string privileged = privileges_of(path); !privileged.empty()) {
      if (in_system_preload()) {
        note(path, "is " + privileged +
                       ": /etc/ld.so.preload loads the library into it, which then reads " +
                       shim::default_config_path + " only");
      } else {
        obstacle(path, "is " + privileged + ": the loader ignores LD_PRELOAD for it");
      }
    }
    if (elf.makes_rings()) {
      obstacle(path,
               "makes io_uring's system calls in its own code: connections that it makes that "
               "way are not intercepted");
    }
    if (std::ranges::find(elf.wanted, "dlmopen") != elf.wanted.end()) {
      obstacle(path, "calls dlmopen: what it opens that way has a libc of its own");
    }
    if (findings.size() == before) {
      note(path, "can be intercepted");
    }
  }

  const Library& library_;
};

}  // namespace

std::vector<Finding> check_program(const std::vector<std::string>& command,
                                   const Library& library) {
  Check check(library);
  check.program(command, 0);
  return check.findings;
}

}  // namespace socks64::socksify
