// Programs that start other programs: whatever environment they give them, the shim stays in it.
//
// The program's own call goes to libc with the completed list, so that the search in PATH, the
// shell for a file without a header, and every error stay libc's. system(), popen() and wordexp()
// start their shell inside libc, with `environ`: they are not seen here.
#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <spawn.h>
#include <unistd.h>

#include "hooks/start.hpp"
#include "host/hook_table.hpp"
#include "process/exec_environment.hpp"

using namespace socks64::shim;

namespace {

int no_memory() noexcept {
  errno = ENOMEM;
  return -1;
}

int exec_here(const char* path, char* const* argv) noexcept {
  const ExecEnvironment environment(environ, ready());
  if (environment.failed()) {
    return no_memory();
  }
  return environment.unchanged() ? libc::execv(path, argv)
                                 : libc::execve(path, argv, environment.list());
}

int exec_searched(const char* file, char* const* argv) noexcept {
  const ExecEnvironment environment(environ, ready());
  if (environment.failed()) {
    return no_memory();
  }
  return environment.unchanged() ? libc::execvp(file, argv)
                                 : libc::execvpe(file, argv, environment.list());
}

int exec_with(const char* path, char* const* argv, char* const* given) noexcept {
  const ExecEnvironment environment(given, ready());
  return environment.failed() ? no_memory() : libc::execve(path, argv, environment.list());
}

/// The arguments of execl and its kin are on the stack already; a list of them fits there as well.
std::size_t count_arguments(const char* first, va_list rest) noexcept {
  std::size_t count = 0;
  for (const char* each = first; each != nullptr; each = va_arg(rest, const char*)) {
    ++count;
  }
  return count;
}

void list_arguments(const char* first, va_list rest, char** list) noexcept {
  for (const char* each = first; each != nullptr; each = va_arg(rest, const char*)) {
    *list++ = const_cast<char*>(each);
  }
  *list = nullptr;
}

/// posix_spawn() and its kin, which return the error.
template <class Spawn, class Id>
int spawn_with(Spawn spawn, Id* id, const char* program,
               const posix_spawn_file_actions_t* file_actions, const posix_spawnattr_t* attributes,
               char* const argv[], char* const envp[]) {
  const ExecEnvironment environment(envp, ready());
  return environment.failed()
             ? ENOMEM
             : spawn(id, program, file_actions, attributes, argv, environment.list());
}

}  // namespace

// A list on the caller's stack frame, made where the variable arguments are.
#define S64_ARGUMENT_LIST(list, first)                                                    \
  va_list counted;                                                                        \
  va_start(counted, first);                                                               \
  const std::size_t list##_size = count_arguments(first, counted) + 1;                    \
  va_end(counted);                                                                        \
  auto** const list = static_cast<char**>(__builtin_alloca(list##_size * sizeof(char*))); \
  va_list arguments;                                                                      \
  va_start(arguments, first);                                                             \
  list_arguments(first, arguments, list)

S64_EXPORT int execve(const char* path, char* const argv[], char* const envp[]) noexcept {
  return exec_with(path, argv, envp);
}

S64_EXPORT int execv(const char* path, char* const argv[]) noexcept {
  return exec_here(path, argv);
}

S64_EXPORT int execvp(const char* file, char* const argv[]) noexcept {
  return exec_searched(file, argv);
}

S64_EXPORT int execvpe(const char* file, char* const argv[], char* const envp[]) noexcept {
  const ExecEnvironment environment(envp, ready());
  return environment.failed() ? no_memory() : libc::execvpe(file, argv, environment.list());
}

S64_EXPORT int execl(const char* path, const char* argument, ...) noexcept {
  S64_ARGUMENT_LIST(list, argument);
  va_end(arguments);
  return exec_here(path, list);
}

S64_EXPORT int execlp(const char* file, const char* argument, ...) noexcept {
  S64_ARGUMENT_LIST(list, argument);
  va_end(arguments);
  return exec_searched(file, list);
}

S64_EXPORT int execle(const char* path, const char* argument, ...) noexcept {
  S64_ARGUMENT_LIST(list, argument);
  char* const* const envp = va_arg(arguments, char* const*);
  va_end(arguments);
  return exec_with(path, list, envp);
}

S64_EXPORT int fexecve(int fd, char* const argv[], char* const envp[]) noexcept {
  const ExecEnvironment environment(envp, ready());
  return environment.failed() ? no_memory() : libc::fexecve(fd, argv, environment.list());
}

S64_EXPORT int posix_spawn(pid_t* pid, const char* path,
                           const posix_spawn_file_actions_t* file_actions,
                           const posix_spawnattr_t* attributes, char* const argv[],
                           char* const envp[]) {
  return spawn_with(libc::posix_spawn, pid, path, file_actions, attributes, argv, envp);
}

S64_EXPORT int posix_spawnp(pid_t* pid, const char* file,
                            const posix_spawn_file_actions_t* file_actions,
                            const posix_spawnattr_t* attributes, char* const argv[],
                            char* const envp[]) {
  return spawn_with(libc::posix_spawnp, pid, file, file_actions, attributes, argv, envp);
}

#ifdef __GLIBC__
S64_EXPORT int execveat(int directory, const char* path, char* const argv[], char* const envp[],
                        int flags) noexcept {
  const ExecEnvironment environment(envp, ready());
  return environment.failed() ? no_memory()
                              : libc::execveat(directory, path, argv, environment.list(), flags);
}

namespace {

/// These two return the error, and what stands in for a function libc lacks says -1.
int as_error(int result) noexcept {
  return result == -1 ? ENOSYS : result;
}

}  // namespace

S64_EXPORT int pidfd_spawn(int* pidfd, const char* path,
                           const posix_spawn_file_actions_t* file_actions,
                           const posix_spawnattr_t* attributes, char* const argv[],
                           char* const envp[]) {
  return as_error(spawn_with(libc::pidfd_spawn, pidfd, path, file_actions, attributes, argv, envp));
}

S64_EXPORT int pidfd_spawnp(int* pidfd, const char* file,
                            const posix_spawn_file_actions_t* file_actions,
                            const posix_spawnattr_t* attributes, char* const argv[],
                            char* const envp[]) {
  return as_error(
      spawn_with(libc::pidfd_spawnp, pidfd, file, file_actions, attributes, argv, envp));
}
#endif
