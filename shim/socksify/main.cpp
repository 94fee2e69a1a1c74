// socksify PROGRAM ARGS...: runs a program with libsocks64.so in it.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>

#include "config.hpp"
#include "file_text.hpp"
#include "library_path.hpp"

namespace {

using socks64::shim::Config;

// The exit statuses that shells and env(1) use for a program that could not be started.
constexpr int bad_usage = 2;
constexpr int not_executable = 126;
constexpr int not_found = 127;

struct Options {
  std::string gateway;
  std::string config;
  std::string log;
  bool verbose = false;
  std::vector<std::string> command;
};

class Help : public CLI::Formatter {
 public:
  std::string make_usage(const CLI::App*, std::string) const override {
    return "Usage: socksify [OPTIONS] [--] PROGRAM [ARGS...]\n";
  }
};

int fail(int status, const std::string& message) {
  std::fprintf(stderr, "socksify: %s\n", message.c_str());
  return status;
}

/// 0 and `options`, or the status to exit with. Everything behind the first word that is no option
/// of ours belongs to the program.
int parse(int argc, char** argv, Options& options, bool& done) {
  CLI::App app{"Runs PROGRAM so that its connections go through a SOCKS gateway (RFC 3089)."};
  app.formatter(std::make_shared<Help>());
  app.prefix_command();
  app.set_version_flag("--version", "socksify " SOCKS64_VERSION);
  app.add_option("-g,--gateway", options.gateway,
                 "The gateway, socks5://[USER:PASSWORD@]HOST[:PORT]; HOST is an IP address")
      ->type_name("URL");
  app.add_option("--config", options.config, "Read FILE instead of /etc/socks64/socks64.conf")
      ->type_name("FILE");
  app.add_option("--log", options.log, "Diagnostics on standard error: off, error or info")
      ->type_name("LEVEL");
  app.add_flag("-v,--verbose", options.verbose, "The same as --log info");
  app.footer(
      "Without -g: SOCKS64_GATEWAY, then the configuration file, then socks5://127.0.0.1:1080.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& wish) {
    done = true;
    return app.exit(wish);
  } catch (const CLI::ParseError& error) {
    return fail(bad_usage, std::string(error.what()) + " (socksify --help shows the options)");
  }
  if (app.count("--gateway") != 0 && options.gateway.empty()) {
    return fail(bad_usage, "-g: expected socks5://[USER:PASSWORD@]HOST[:PORT], got nothing");
  }
  options.command = app.remaining();
  bool separated = false;
  if (!options.command.empty() && options.command.front() == "--") {
    separated = true;
    options.command.erase(options.command.begin());
  }
  if (options.command.empty()) {
    return fail(bad_usage, "which program? Usage: socksify [OPTIONS] [--] PROGRAM [ARGS...]");
  }
  if (!separated && options.command.front().starts_with("-")) {
    // CLI11 drops a "--" that stands before the program; then the word was meant as it is.
    const std::string& word = options.command.front();
    bool behind_separator = false;
    for (int i = 1; i + 1 < argc; ++i) {
      behind_separator = behind_separator || (std::string(argv[i]) == "--" && word == argv[i + 1]);
    }
    if (!behind_separator) {
      return fail(bad_usage, "unknown option '" + word + "' (socksify --help shows the options)");
    }
  }
  return 0;
}

/// A file that holds a password and that everybody may read. Only files of the user's own choice:
/// /etc/socks64/socks64.conf has to be readable for everybody whose programs use it.
void warn_about_password(const char* path) {
  Config alone;
  socks64::shim::FileText file;
  if (file.read(path, socks64::shim::max_config_size) == 0 &&
      (file.status().st_mode & S_IROTH) != 0 &&
      socks64::shim::apply_file(alone, path, file.view()) && alone.gateways.hold_password()) {
    std::fprintf(stderr, "socksify: warning: %s holds a password and everybody may read it\n",
                 path);
  }
}

/// Puts the options into the environment, where the shim looks, and judges the whole as the shim
/// will: a mistake is better told here than by a connection that fails.
int configure(const Options& options) {
  Config config;
  if (!options.gateway.empty() &&
      !socks64::shim::set_option(config, "-g", "gateway", options.gateway)) {
    return fail(bad_usage, std::string(config.problem.view()));
  }
  const std::string log = options.verbose && options.log.empty() ? "info" : options.log;
  if (!log.empty() && !socks64::shim::set_option(config, "--log", "log", log)) {
    return fail(bad_usage, std::string(config.problem.view()));
  }
  if (!options.gateway.empty()) {
    setenv("SOCKS64_GATEWAY", options.gateway.c_str(), 1);
  }
  if (!log.empty()) {
    setenv("SOCKS64_LOG", log.c_str(), 1);
  }
  if (!options.config.empty()) {
    // The program may run in another directory by the time it starts others.
    std::error_code error;
    const auto path = std::filesystem::absolute(options.config, error);
    setenv("SOCKS64_CONFIG", path.c_str(), 1);
  }
  Config whole;
  socks64::shim::load_config(whole, false);
  if (!whole.usable()) {
    return fail(bad_usage, std::string(whole.problem.view()));
  }
  if (const char* path = std::getenv("SOCKS64_CONFIG"); path != nullptr && *path != '\0') {
    warn_about_password(path);
  }
  return 0;
}

int run(const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  for (const std::string& word : command) {
    arguments.push_back(const_cast<char*>(word.c_str()));
  }
  arguments.push_back(nullptr);
  execvp(arguments.front(), arguments.data());
  const int error = errno;
  return fail(error == ENOENT || error == ENOTDIR ? not_found : not_executable,
              "cannot run '" + command.front() + "': " + std::strerror(error));
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  bool done = false;
  if (const int status = parse(argc, argv, options, done); status != 0 || done) {
    return status;
  }
  if (const int status = configure(options); status != 0) {
    return status;
  }
  std::string problem;
  const std::string library = socks64::socksify::find_library(problem);
  if (library.empty()) {
    return fail(bad_usage, problem);
  }
  const char* const present = std::getenv("LD_PRELOAD");
  setenv("LD_PRELOAD",
         socks64::socksify::preload_list(library, present != nullptr ? present : "").c_str(), 1);
  return run(options.command);
}
