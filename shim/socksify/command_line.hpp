// What socksify was asked to do, from its command line.
#ifndef SOCKS64_SHIM_SOCKSIFY_COMMAND_LINE_HPP
#define SOCKS64_SHIM_SOCKSIFY_COMMAND_LINE_HPP

#include <optional>
#include <string>
#include <vector>

namespace socks64::socksify {

// Exit statuses. Those of a program that could not be started are the ones that shells and env(1)
// use.
inline constexpr int success = 0;
inline constexpr int test_failed = 1;
inline constexpr int bad_usage = 2;
inline constexpr int cannot_follow = 3;
inline constexpr int not_executable = 126;
inline constexpr int not_found = 127;

struct CommandLine {
  enum class Action { run, check, test, print_env };

  Action action = Action::run;
  std::vector<std::string> gateways;
  // Empty: not given. An option that was given with nothing as its value is refused.
  std::string credentials;
  std::string config;
  std::string dns;
  std::string udp;
  std::string log;
  std::vector<std::string> direct;  ///< targets of rules, as rules.hpp says
  std::vector<std::string> only;
  bool ignore_no_proxy = false;
  bool explain = false;
  bool private_table = false;
  std::string destination;  ///< of --test
  std::vector<std::string> command;
};

/// Fills `line`; or says what the user wants to know, or what is wrong, and returns the status to
/// exit with. Everything behind the first word that is no option of ours belongs to the program.
[[nodiscard]] std::optional<int> parse_command_line(int argc, char** argv, CommandLine& line);

/// "socksify: MESSAGE" on standard error; returns `status`.
int fail(int status, const std::string& message);

}  // namespace socks64::socksify

#endif
