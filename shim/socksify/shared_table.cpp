// Making the file, and having it removed at the right time.
//
// socksify becomes the program: same process, same parent, no one in between who would have to pass
// on signals, stops and exit status. So somebody else has to remove the file when the program is
// gone: a process that waits for that and does nothing else. It must not be noticed:
//
// - not by wait(): its parent is gone before the program starts, so it is init's child. Where it
//   would become the program's own (socksify is init itself, or a subreaper), there is none;
// - not by SIGCHLD or a zombie: the process in between ends without a signal and is collected;
// - not by whoever waits for the end of a pipe, or wants to unmount: it has no descriptor of ours,
//   and its directory is the root;
// - not by the terminal: a session of its own; Ctrl-C and hang-up are the program's. SIGTERM (the
//   machine goes down) removes the file early; programs started after that have their own tables;
// - not by ps: the command line, which may hold the gateway's password, is wiped in it.
#include "socksify/shared_table.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <string_view>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "settings/config_reader.hpp"
#include "tables/fake_ip_table.hpp"
#include "tables/table_file.hpp"

namespace socks64::socksify {
namespace {

using shim::Config;
using shim::FakeIpTable;

constexpr const char* variable = "SOCKS64_TABLE";

std::string reason(const std::string& what, int error) {
  return what + ": " + std::strerror(error);
}

/// Where temporary files of this user belong; the first is the user's alone.
std::array<std::string, 3> places() {
  const char* const runtime = std::getenv("XDG_RUNTIME_DIR");
  struct stat status {};
  const bool ours = runtime != nullptr && *runtime == '/' && stat(runtime, &status) == 0 &&
                    S_ISDIR(status.st_mode) && status.st_uid == geteuid();
  return {ours ? runtime : "", "/dev/shm", "/tmp"};
}

/// A new table file; its path, or empty and `problem`.
std::string make_file(const Config& config, std::string& problem) {
  const auto layout =
      FakeIpTable::layout_for(config.fake_ipv4, config.fake_ipv6, shim::address_space_budget());
  if (layout.slots == 0) {
    problem = "a limit of the address space is too low";
    return {};
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur < 2 * layout.size) {
    problem = "a limit of the file size is too low";  // to try would raise SIGXFSZ
    return {};
  }
  for (const std::string& place : places()) {
    if (place.empty()) {
      continue;
    }
    std::array<char, 40> name{};
    std::snprintf(name.data(), name.size(), "/socks64-table-%016llx",
                  static_cast<unsigned long long>(shim::fresh_seed()));
    std::string path = place + name.data();
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
      problem = reason(path, errno);
      continue;
    }
    // The umask may have taken bits away.
    int error = fchmod(fd, 0600) == 0 ? 0 : errno;
    if (error == 0) {
      error = shim::write_table_file(fd, config.fake_ipv4, config.fake_ipv6, layout,
                                     shim::fresh_seed());
    }
    close(fd);
    if (error == 0) {
      return path;
    }
    problem = reason(path, error);
    unlink(path.c_str());
  }
  return {};
}

/// fork() without a signal at its end; nothing here has threads or handlers for one.
pid_t quiet_fork() {
  return static_cast<pid_t>(syscall(SYS_clone, 0, nullptr, nullptr, nullptr, nullptr));
}

void close_all_but(int kept) {
  const auto close_range = [](unsigned first, unsigned last) {
    return first > last || syscall(SYS_close_range, first, last, 0) == 0;
  };
  const auto number = static_cast<unsigned>(kept);
  if (close_range(3, number - 1) && close_range(number + 1, ~0U)) {
    return;
  }
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  constexpr rlim_t enough = 1U << 20;
  const int end = static_cast<int>(limit.rlim_cur < enough ? limit.rlim_cur : enough);
  for (int fd = 3; fd < end; ++fd) {
    if (fd != kept) {
      close(fd);
    }
  }
}

[[noreturn]] void remove_when_it_has_ended(int program, const char* path, int argc, char** argv) {
  sigset_t all;
  sigset_t terminate;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  if (const int null = open("/dev/null", O_RDWR); null >= 0) {
    for (int fd = 0; fd < 3; ++fd) {
      dup2(null, fd);
    }
  } else {
    for (int fd = 0; fd < 3; ++fd) {
      close(fd);
    }
  }
  if (program < 3) {
    _exit(1);  // it was started without standard descriptors; see share_table()
  }
  close_all_but(program);
  if (chdir("/") != 0) {
    _exit(1);
  }
  const std::size_t room = std::strlen(argv[0]);
  for (int i = 0; i < argc; ++i) {
    std::memset(argv[i], 0, std::strlen(argv[i]));
  }
  constexpr std::string_view title = "socksify-table";
  std::memcpy(argv[0], title.data(), std::min(room, title.size()));
  prctl(PR_SET_NAME, title.data());

  sigemptyset(&terminate);
  sigaddset(&terminate, SIGTERM);
  std::array<pollfd, 2> waited{
      {{program, POLLIN, 0}, {signalfd(-1, &terminate, SFD_CLOEXEC), POLLIN, 0}}};
  while (poll(waited.data(), waited.size(), -1) < 0 && errno == EINTR) {
  }
  unlink(path);
  _exit(0);
}

/// Sets the watcher on the file; empty, or why there is none.
std::string watch(const std::string& path, int argc, char** argv) {
  int subreaper = 0;
  prctl(PR_GET_CHILD_SUBREAPER, &subreaper);
  if (getpid() == 1 || subreaper != 0) {
    return "this process inherits orphaned processes";
  }
  int program = static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0));
  if (program >= 0 && program < 3) {
    // Someone closed the standard descriptors; the watcher will open them.
    const int higher = fcntl(program, F_DUPFD_CLOEXEC, 3);
    close(program);
    program = higher;
  }
  if (program < 0) {
    return reason("pidfd_open", errno);
  }
  const pid_t between = quiet_fork();
  if (between == 0) {
    setsid();
    const pid_t watcher = quiet_fork();
    if (watcher == 0) {
      remove_when_it_has_ended(program, path.c_str(), argc, argv);
    }
    _exit(watcher < 0 ? 1 : 0);
  }
  const int error = errno;
  close(program);
  if (between < 0) {
    return reason("fork", error);
  }
  int status = 0;
  while (waitpid(between, &status, __WALL) < 0 && errno == EINTR) {
  }
  return status == 0 ? "" : "fork failed";
}

}  // namespace

std::string share_table(bool wanted, int argc, char** argv) {
  if (!wanted) {
    setenv(variable, "", 1);  // set, so that an outer shim does not put its own back
    return {};
  }
  Config config;
  shim::load_config(config, false);
  if (const char* const outer = std::getenv(variable); outer != nullptr && *outer != '\0') {
    shim::MappedTable table;
    std::string_view why;
    switch (shim::map_table_file(outer, config.fake_ipv4, config.fake_ipv6, table, why)) {
      case shim::TableFile::mapped:
        shim::unmap_table_file(table);
        return {};
      case shim::TableFile::wrong:
        return std::string(variable) + ": '" + outer + "' " + std::string(why);
      case shim::TableFile::unavailable:
        break;
    }
  }
  std::string problem;
  std::string path = make_file(config, problem);
  if (!path.empty()) {
    problem = watch(path, argc, argv);
    if (!problem.empty()) {
      unlink(path.c_str());
      path.clear();
    }
  }
  if (path.empty() && config.log != shim::LogLevel::off) {
    std::fprintf(stderr,
                 "socksify: every program has its own table, because there is no shared one: %s\n",
                 problem.c_str());
  }
  setenv(variable, path.c_str(), 1);
  return {};
}

}  // namespace socks64::socksify
