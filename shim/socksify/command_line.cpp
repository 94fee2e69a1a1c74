#include "socksify/command_line.hpp"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string_view>
#include <utility>

#include <CLI/CLI.hpp>

#include "settings/spelling.hpp"

namespace socks64::socksify {
namespace {

constexpr const char* usage = "Usage: socksify [OPTIONS] [--] PROGRAM [ARGS...]";

constexpr std::size_t help_width = 96;
constexpr std::size_t help_indent = 26;

class Help : public CLI::Formatter {
 public:
  Help() { column_width(help_indent); }
  /// The type alone: what excludes what is said when it happens.
  std::string make_option_opts(const CLI::Option* option) const override {
    return option->get_type_size() == 0 ? "" : " " + option->get_type_name();
  }
  std::string make_option_desc(const CLI::Option* option) const override {
    const std::string& text = option->get_description();
    std::string wrapped;
    std::size_t column = help_indent;
    for (std::size_t start = 0; start < text.size();) {
      const std::size_t end = std::min(text.find(' ', start), text.size());
      if (column + 1 + (end - start) > help_width) {
        wrapped += '\n';
        column = help_indent;
      } else if (start != 0) {
        wrapped += ' ';
        ++column;
      }
      wrapped += text.substr(start, end - start);
      column += end - start;
      start = end + 1;
    }
    return wrapped;
  }
  std::string make_usage(const CLI::App*, std::string) const override {
    return std::string(usage) +
           "\n       socksify [OPTIONS] --check PROGRAM"
           "\n       socksify [OPTIONS] --test HOST:PORT"
           "\n       socksify [OPTIONS] --print-env\n";
  }
};

/// Without its value, which may hold a password.
std::string_view name_of_option(std::string_view word) {
  return word.substr(0, word.find('='));
}

std::string unknown_option(const CLI::App& app, std::string_view word) {
  const std::string_view name = name_of_option(word);
  std::string message = "unknown option '" + std::string(name) + "'";
  std::string nearest;
  std::size_t best = 3;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& known : option->get_lnames()) {
      const std::string candidate = "--" + known;
      const bool abbreviated = name.size() > 3 && candidate.starts_with(name);
      const std::size_t far = abbreviated ? 0 : shim::spelling_distance(name, candidate);
      if (far < best) {
        best = far;
        nearest = candidate;
      }
    }
  }
  if (!nearest.empty()) {
    message += "; did you mean '" + nearest + "'?";
  }
  return message + " (socksify --help shows the options)";
}

/// An option that takes a value.
struct Valued {
  CLI::Option* option;
  const char* name;      ///< in messages
  const char* expected;  ///< what the value should be
};

std::string got_nothing(const Valued& option) {
  return std::string(option.name) + ": expected " + option.expected + ", got nothing";
}

/// The option, before the program, that stands there as "--option=": CLI11 would take the next
/// word for its value. Null when there is none.
const Valued* find_empty(const std::vector<Valued>& valued, int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (!word.starts_with("-") || word == "--") {
      break;
    }
    for (const Valued& each : valued) {
      const std::string_view name = name_of_option(word);
      const bool ours = each.option->check_lname(
                            std::string(name.substr(std::min<std::size_t>(2, name.size())))) &&
                        name.starts_with("--");
      if (ours && name.size() + 1 == word.size()) {
        return &each;
      }
      if ((ours && name.size() == word.size()) || (word == "-g" && each.option->check_sname("g"))) {
        ++i;  // the next word is its value
        break;
      }
    }
  }
  return nullptr;
}

/// Takes the program and its arguments off `words`, what CLI11 left alone. False: the first word
/// looks like an option of ours and is none.
bool is_command(std::vector<std::string>& words, int argc, char** argv) {
  if (words.front() == "--") {
    words.erase(words.begin());
    return true;
  }
  if (!words.front().starts_with("-") || words.front() == "-") {
    return true;
  }
  // CLI11 drops a "--" that stands before the program; then the word was meant as it is.
  for (int i = 1; i + 1 < argc; ++i) {
    if (std::string_view(argv[i]) == "--" && words.front() == argv[i + 1]) {
      return true;
    }
  }
  return false;
}

}  // namespace

int fail(int status, const std::string& message) {
  std::fprintf(stderr, "socksify: %s\n", message.c_str());
  return status;
}

std::optional<int> parse_command_line(int argc, char** argv, CommandLine& line) {
  bool verbose = false;
  bool check = false;
  bool print_env = false;
  std::vector<Valued> valued;
  std::vector<const std::string*> values;  // of the same, but for the gateways

  CLI::App app{"Runs PROGRAM so that its connections go through a SOCKS gateway (RFC 3089)."};
  app.formatter(std::make_shared<Help>());
  app.prefix_command();
  app.set_help_flag();  // again at the end, so that it stands last

  const auto text = [&](const char* names, const char* name, std::string& value, const char* type,
                        const char* expected, const char* group, const char* description) {
    CLI::Option* const option = app.add_option(names, value, description);
    // As usual with commands: of an alias's option and the user's own, the user's wins.
    option->type_name(type)->take_last()->group(group);
    valued.push_back({option, name, expected});
    values.push_back(&value);
    return option;
  };

  CLI::Option* const gateway =
      app.add_option("-g,--gateway", line.gateways,
                     "The gateway: socks5://[USER:PASSWORD@]HOST[:PORT], where HOST is a name or "
                     "an IP address, or "
                     "socks5+unix://[USER:PASSWORD@]/PATH. Repeat -g for several gateways");
  gateway->type_name("URL")->allow_extra_args(false)->group("Gateway");
  const Valued gateway_value{gateway, "-g",
                             "socks5://[USER:PASSWORD@]HOST[:PORT] or socks5+unix:///PATH"};
  text("--credentials", "--credentials", line.credentials, "FILE", "a file name", "Gateway",
       "Read the user and the password for the gateway from FILE");
  text("--config", "--config", line.config, "FILE", "a file name", "Gateway",
       "Read FILE instead of /etc/socks64/socks64.conf");

  const auto targets = [&](const char* name, std::vector<std::string>& values_of_it,
                           const char* description) {
    CLI::Option* const option = app.add_option(name, values_of_it, description);
    option->type_name("TARGET")->allow_extra_args(false)->group("Traffic");
    return Valued{option, name, "a name, an address block, or *"};
  };
  const Valued direct = targets("--direct", line.direct,
                                "Connect to TARGET without the gateway. TARGET is a name, which "
                                "stands for every name below it too, or an address block; each "
                                "may end in :PORT or :LOW-HIGH. May be repeated");
  const Valued only = targets("--only", line.only,
                              "Connect to TARGET through the gateway, and to everything else "
                              "without it. May be repeated");
  app.add_flag("--ignore-no-proxy", line.ignore_no_proxy,
               "Ignore the variables no_proxy and NO_PROXY")
      ->group("Traffic");
  text("--dns", "--dns", line.dns, "MODE", "answer, gateway, refuse or direct", "Traffic",
       "What becomes of queries that the program itself sends to DNS servers: answer, gateway, "
       "refuse or direct");
  text("--udp", "--udp", line.udp, "MODE", "refuse or direct", "Traffic",
       "What becomes of datagrams to other hosts: refuse or direct");

  app.add_flag("--private-table", line.private_table,
               "Give every program fake addresses of its own, instead of one table for all that "
               "PROGRAM starts")
      ->group("Traffic");

  CLI::Option* const log =
      text("--log", "--log", line.log, "LEVEL", "off, error, info or explain", "Diagnosis",
           "What the library prints on standard error: off, error, info or explain");
  app.add_flag("-v,--verbose", verbose, "The same as --log info")->group("Diagnosis");
  CLI::Option* const explain =
      app.add_flag("--explain", line.explain,
                   "Print a line for each connection on standard error: what was asked, what was "
                   "decided and why, and how it ended");
  explain->group("Diagnosis")->excludes(log);

  CLI::Option* const check_option = app.add_flag(
      "--check", check,
      "Do not run PROGRAM; say what of it cannot be intercepted and why. The exit status "
      "is 3 if there is anything");
  check_option->group("Instead of running");
  CLI::Option* const test =
      text("--test", "--test", line.destination, "HOST:PORT", "HOST:PORT", "Instead of running",
           "Connect to HOST:PORT through the gateway, step by step, and say which step fails");
  CLI::Option* const print =
      app.add_flag("--print-env", print_env,
                   "Print the settings as shell commands: eval \"$(socksify --print-env)\"");
  print->group("Instead of running");
  check_option->excludes(test)->excludes(print);
  test->excludes(print);

  app.set_help_flag("-h,--help", "Print this and exit")->group("Other");
  app.set_version_flag("-V,--version", "socksify " SOCKS64_VERSION, "Print the version and exit")
      ->group("Other");
  app.footer(
      "\nIf there is no -g, the gateway comes from SOCKS64_GATEWAY, else from all_proxy, "
      "ALL_PROXY,\n"
      "SOCKS_SERVER or SOCKS5_SERVER if it names SOCKS 5, else from the configuration file, else "
      "it "
      "is\nsocks5://127.0.0.1:1080.\n"
      "Exit status: the program's own; 126 or 127 if it cannot be run; 2 for a mistake in options "
      "or\nsettings.");
  std::vector<Valued> all = valued;
  all.push_back(gateway_value);
  all.push_back(direct);
  all.push_back(only);
  if (const Valued* const empty = find_empty(all, argc, argv)) {
    return fail(bad_usage, got_nothing(*empty));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& wish) {
    return app.exit(wish);
  } catch (const CLI::ArgumentMismatch& error) {
    for (const Valued& each : all) {
      if (std::string_view(error.what()).starts_with(each.option->get_name() + ":")) {
        return fail(bad_usage, got_nothing(each));
      }
    }
    return fail(bad_usage, error.what());
  } catch (const CLI::ConversionError& error) {
    // "Could not convert: --flag = VALUE", and what was given to the wrong option may be a URL with
    // a password in it.
    const std::string_view what = error.what();
    const std::size_t name = what.find("--");
    return fail(bad_usage,
                (name == std::string_view::npos
                     ? std::string("an option")
                     : std::string(what.substr(name, what.find_first_of(" =", name) - name))) +
                    " takes no value (socksify --help shows the options)");
  } catch (const CLI::ParseError& error) {
    return fail(bad_usage, std::string(error.what()) + " (socksify --help shows the options)");
  }
  if (std::count(line.gateways.begin(), line.gateways.end(), "") != 0) {
    return fail(bad_usage, got_nothing(gateway_value));
  }
  for (const auto& [targets_of_it, option] :
       {std::pair(&line.direct, &direct), {&line.only, &only}}) {
    if (std::count(targets_of_it->begin(), targets_of_it->end(), "") != 0) {
      return fail(bad_usage, got_nothing(*option));
    }
  }
  for (std::size_t i = 0; i < valued.size(); ++i) {
    if (valued[i].option->count() != 0 && values[i]->empty()) {
      return fail(bad_usage, got_nothing(valued[i]));
    }
  }
  if (verbose && line.log.empty() && !line.explain) {
    line.log = "info";
  }
  using Action = CommandLine::Action;
  line.action = check                ? Action::check
                : test->count() != 0 ? Action::test
                : print_env          ? Action::print_env
                                     : Action::run;

  line.command = app.remaining();
  const bool wants_command = line.action == Action::run || line.action == Action::check;
  if (!line.command.empty() && !is_command(line.command, argc, argv)) {
    return fail(bad_usage, unknown_option(app, line.command.front()));
  }
  if (wants_command && line.command.empty()) {
    return fail(bad_usage, std::string("the program is missing. ") + usage);
  }
  if (!wants_command && !line.command.empty()) {
    return fail(bad_usage, std::string(line.action == Action::test ? "--test" : "--print-env") +
                               " runs no program: remove '" + line.command.front() + "'");
  }
  if (wants_command && line.command.front().empty()) {
    return fail(bad_usage, "the name of the program is empty");
  }
  return std::nullopt;
}

}  // namespace socks64::socksify
