// socksify PROGRAM ARGS...: runs a program with libsocks64.so in it. Here is the table of contents:
// command_line what was asked, settings what the library is told, library_path where it lies,
// program_check and path_check what is told instead of running.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <unistd.h>
#include <vector>

#include "settings/config.hpp"
#include "settings/unknown_variable.hpp"
#include "socksify/command_line.hpp"
#include "socksify/library_path.hpp"
#include "socksify/path_check.hpp"
#include "socksify/program_check.hpp"
#include "socksify/settings.hpp"
#include "socksify/shared_table.hpp"

namespace {

using namespace socks64::socksify;

int test(const CommandLine& line, const std::string& origin, const socks64::shim::Config& config) {
  std::string problem;
  const std::optional<socks64::Target> destination = parse_destination(line.destination, problem);
  if (!destination) {
    return fail(bad_usage, problem);
  }
  return test_destination(config, origin, *destination) ? success : test_failed;
}

int check(const CommandLine& line, const Library& library) {
  int status = success;
  for (const Finding& finding : check_program(line.command, library)) {
    std::printf("%s\n", finding.text.c_str());
    status = finding.obstacle ? cannot_follow : status;
  }
  return status;
}

/// What --explain cannot show, because no line will ever come from there.
void warn_of_obstacles(const CommandLine& line, const Library& library) {
  for (const Finding& finding : check_program(line.command, library)) {
    if (finding.obstacle) {
      std::fprintf(stderr, "socksify: warning: %s\n", finding.text.c_str());
    }
  }
}

/// The library says so too, where its diagnostics are on.
void warn_of_unknown_variables() {
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const socks64::shim::UnknownVariable unknown = socks64::shim::unknown_variable(*entry);
    if (unknown.name.empty()) {
      continue;
    }
    std::string text = std::string(unknown.name) + ": unknown setting, ignored";
    if (!unknown.meant.empty()) {
      text += "; did you mean " + std::string(unknown.meant) + "?";
    }
    std::fprintf(stderr, "socksify: warning: %s\n", text.c_str());
  }
}

int run(const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
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
  using Action = CommandLine::Action;
  CommandLine line;
  if (const std::optional<int> status = parse_command_line(argc, argv, line)) {
    return *status;
  }
  std::string problem;
  std::vector<std::string> remarks;
  std::vector<Setting> settings = settings_of(line, remarks, problem);
  const std::string origin = origin_of_gateway(line);
  socks64::shim::Config config;
  if (!problem.empty() || !apply_settings(settings, config, problem)) {
    return fail(bad_usage, problem);
  }
  if (config.log != socks64::shim::LogLevel::off) {
    for (const std::string& remark : remarks) {
      std::fprintf(stderr, "socksify: %s\n", remark.c_str());
    }
  }
  if (line.action == Action::test || line.action == Action::check) {
    warn_of_unknown_variables();
  }
  if (line.action == Action::test) {
    return test(line, origin, config);
  }
  const Library library = find_library(problem);
  if (line.action == Action::check) {
    return check(line, library);
  }
  if (library.path.empty()) {
    return fail(bad_usage, problem);
  }
  warn_about_passwords();
  const char* const present = std::getenv("LD_PRELOAD");
  const std::string preload = preload_list(library, present != nullptr ? present : "");
  if (line.action == Action::print_env) {
    settings.push_back({"LD_PRELOAD", preload});
    print_settings(settings);
    return success;
  }
  if (line.explain) {
    warn_of_obstacles(line, library);
  }
  problem = share_table(!line.private_table, argc, argv);
  if (!problem.empty()) {
    return fail(bad_usage, problem);
  }
  setenv("LD_PRELOAD", preload.c_str(), 1);
  return run(line.command);
}
