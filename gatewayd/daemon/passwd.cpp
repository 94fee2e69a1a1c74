#include "daemon/passwd.hpp"

#include <array>
#include <cerrno>
#include <crypt.h>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "auth/users.hpp"
#include "auth/users_file.hpp"
#include "base/escape.hpp"
#include "config/config.hpp"
#include "daemon/ask_password.hpp"

namespace socks64::gateway {
namespace {

constexpr int exit_usage = 2;
constexpr const char* default_file = SOCKS64_SYSCONFDIR "/socks64/users";
constexpr const char* default_config = SOCKS64_SYSCONFDIR "/socks64/gatewayd.toml";

struct Options {
  std::string file;
  std::string user;
  bool remove = false;
  bool from_stdin = false;
};

int fail(std::string_view problem) {
  fmt::print(stderr, "gatewayd passwd: {}\n", problem);
  return EXIT_FAILURE;
}

/// What the configuration names, where it names one.
std::string usual_file() {
  if (::access(default_config, R_OK) == 0) {
    std::string named = load_config(default_config).config.auth.users_file;
    if (!named.empty()) {
      return named;
    }
  }
  return default_file;
}

/// yescrypt at libcrypt's own cost, with a salt of its own making. Empty: it could not.
std::string hash_of(const Secret& password) {
  std::array<char, CRYPT_GENSALT_OUTPUT_SIZE> setting{};
  if (::crypt_gensalt_rn("$y$", 0, nullptr, 0, setting.data(), setting.size()) == nullptr) {
    return {};
  }
  const auto scratch = std::make_unique<crypt_data>();
  const char* const hash =
      ::crypt_rn(password.c_str(), setting.data(), scratch.get(), sizeof(crypt_data));
  std::string copy = hash == nullptr ? "" : hash;
  explicit_bzero(scratch.get(), sizeof(crypt_data));
  return copy;
}

int remove_user(const Options& options) {
  const FileEdit edit = edit_users_file(options.file, options.user, std::nullopt);
  if (!edit.error.empty()) {
    return fail(edit.error);
  }
  if (edit.found == 0) {
    return fail(fmt::format("{}: the file has no user {}", options.file, escaped(options.user)));
  }
  fmt::print("{}: user {} deleted\n", options.file, escaped(options.user));
  return EXIT_SUCCESS;
}

int set_password(const Options& options) {
  std::string problem;
  const std::optional<Secret> password =
      options.from_stdin ? read_password(problem) : ask_password(options.user, problem);
  if (!password) {
    return fail(problem);
  }
  const std::string hash = hash_of(*password);
  if (hash.empty()) {
    return fail(fmt::format("cannot hash the password: {}", std::strerror(errno)));
  }
  const FileEdit edit = edit_users_file(options.file, options.user, hash);
  if (!edit.error.empty()) {
    return fail(edit.error);
  }
  fmt::print("{}: user {} {}\n", options.file, escaped(options.user),
             edit.found == 0 ? "added" : "changed");
  return EXIT_SUCCESS;
}

}  // namespace

int passwd_command(int argc, char** argv) {
  Options options;
  CLI::App app("Adds a user to gatewayd's users file, or changes the user's password.",
               "gatewayd passwd");
  app.add_option("-f,--file", options.file,
                 fmt::format("The users file (default: users_file in {}, otherwise {})",
                             default_config, default_file))
      ->type_name("FILE");
  app.add_flag("-D,--delete", options.remove, "Delete the user instead");
  app.add_flag("--stdin", options.from_stdin,
               "Read the password, one line, from standard input instead of the terminal");
  app.add_option("USER", options.user, "The user's name")->required();
  app.footer("gatewayd reads the file when it starts and on SIGHUP.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? EXIT_SUCCESS : exit_usage;
  }
  // A name that does not fit may stand in a file all the same, to be deleted.
  if (const std::string_view problem = user_name_problem(options.user);
      !problem.empty() && !options.remove) {
    fmt::print(stderr, "gatewayd passwd: {} is not a user name: {}\n", escaped(options.user),
               problem);
    return exit_usage;
  }
  if (options.file.empty()) {
    options.file = usual_file();
  }
  const int status = options.remove ? remove_user(options) : set_password(options);
  if (status == EXIT_SUCCESS) {
    const UsersResult now = load_users(options.file);
    for (const std::string& problem : now.problems) {
      (void)fail(fmt::format("the file has a mistake: {}", problem));
    }
    for (const std::string& warning : now.warnings) {
      (void)fail(warning);
    }
  }
  return status;
}

}  // namespace socks64::gateway
