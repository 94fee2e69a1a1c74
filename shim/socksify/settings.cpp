#include "socksify/settings.hpp"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string_view>
#include <sys/stat.h>
#include <system_error>

#include "host/file_text.hpp"
#include "settings/config_options.hpp"
#include "settings/config_reader.hpp"
#include "socksify/proxy_environment.hpp"

namespace socks64::socksify {
namespace {

const shim::Option* find_option(std::string_view key) {
  for (const shim::Option& option : shim::options()) {
    if (key == option.key) {
      return &option;
    }
  }
  return nullptr;
}

/// The program may run in another directory by the time it starts others.
std::string absolute(const std::string& path) {
  std::error_code error;
  const auto whole = std::filesystem::absolute(path, error);
  return error ? path : whole.string();
}

/// One option, judged alone so that the message can name it.
bool add(std::vector<Setting>& settings, const char* place, const char* key,
         const std::string& value, std::string& problem) {
  const shim::Option* const option = find_option(key);
  if (option == nullptr) {
    problem = std::string(place) + ": this version of the library has no setting '" + key + "'";
    return false;
  }
  shim::Config alone;
  if (!shim::set_option(alone, place, key, value)) {
    problem = alone.problem.view();
    return false;
  }
  settings.push_back({option->variable, value});
  return true;
}

bool everybody_may_read(const char* path) {
  struct stat status {};
  return stat(path, &status) == 0 && (status.st_mode & S_IROTH) != 0;
}

const char* variable(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

}  // namespace

std::vector<Setting> settings_of(const CommandLine& line, std::vector<std::string>& remarks,
                                 std::string& problem) {
  std::vector<Setting> settings;
  if (line.gateways.empty() && variable("SOCKS64_GATEWAY") == nullptr) {
    const ProxyGateway proxy = find_proxy_gateway(variable);
    remarks = proxy.remarks;
    if (!proxy.url.empty() &&
        !add(settings, proxy.variable.c_str(), "gateway", proxy.url, problem)) {
      return {};
    }
  }
  const RuleSettings rules =
      collect_rules({line.direct, line.only, line.ignore_no_proxy}, variable);
  remarks.insert(remarks.end(), rules.remarks.begin(), rules.remarks.end());
  problem = rules.problem;
  if (!problem.empty()) {
    return {};
  }
  if (!rules.rules.empty()) {
    settings.push_back({"SOCKS64_RULES", rules.rules});
  }
  std::string gateways;
  for (const std::string& gateway : line.gateways) {
    // All are judged together, below; but one with nothing in it would get lost among the others.
    std::vector<Setting> judged;
    if (gateway.find_first_not_of(" \t,") == std::string::npos &&
        !add(judged, "-g", "gateway", gateway, problem)) {
      return {};
    }
    gateways += (gateways.empty() ? "" : " ") + gateway;
  }
  const struct {
    const char* option;
    const char* key;
    std::string value;
  } others[] = {
      {"-g", "gateway", gateways},
      {"--credentials", "credentials_file",
       line.credentials.empty() ? "" : absolute(line.credentials)},
      {"--dns", "dns", line.dns},
      {"--udp", "udp", line.udp},
      {line.explain ? "--explain" : "--log", "log", line.explain ? "explain" : line.log},
  };
  for (const auto& each : others) {
    if (!each.value.empty() && !add(settings, each.option, each.key, each.value, problem)) {
      return {};
    }
  }
  if (!line.config.empty()) {
    settings.push_back({"SOCKS64_CONFIG", absolute(line.config)});
  } else if (const char* const path = variable("SOCKS64_CONFIG"); path && *path != '/') {
    settings.push_back({"SOCKS64_CONFIG", absolute(path)});
  }
  return settings;
}

std::string origin_of_gateway(const CommandLine& line) {
  if (!line.gateways.empty()) {
    return "-g";
  }
  if (variable("SOCKS64_GATEWAY") != nullptr) {
    return "SOCKS64_GATEWAY";
  }
  if (const ProxyGateway proxy = find_proxy_gateway(variable); !proxy.url.empty()) {
    return proxy.variable;
  }
  const char* const named = variable("SOCKS64_CONFIG");
  const std::string path = !line.config.empty() ? line.config
                           : named != nullptr   ? named
                                                : shim::default_config_path;
  const auto alone = std::make_unique<shim::Config>();
  alone->gateways.count = 0;
  shim::FileText file;
  const bool has_one = file.read(path.c_str(), shim::max_config_size) == 0 &&
                       shim::apply_file(*alone, path, file.view()) && alone->gateways.count != 0;
  return has_one ? path : "the default, for nothing names another";
}

bool apply_settings(const std::vector<Setting>& settings, shim::Config& whole,
                    std::string& problem) {
  for (const Setting& setting : settings) {
    setenv(setting.variable.c_str(), setting.value.c_str(), 1);
  }
  shim::load_config(whole, false);
  problem = whole.problem.view();
  return whole.usable();
}

void warn_about_passwords() {
  constexpr const char* warning =
      "socksify: warning: %s holds a password and everybody may read it\n";
  if (const char* const path = variable("SOCKS64_CONFIG"); path != nullptr) {
    shim::Config alone;
    shim::FileText file;
    if (everybody_may_read(path) && file.read(path, shim::max_config_size) == 0 &&
        shim::apply_file(alone, path, file.view()) && alone.gateways.hold_password()) {
      std::fprintf(stderr, warning, path);
    }
  }
  if (const char* const path = variable("SOCKS64_CREDENTIALS_FILE");
      path != nullptr && find_option("credentials_file") != nullptr && everybody_may_read(path)) {
    std::fprintf(stderr, warning, path);
  }
}

void print_settings(const std::vector<Setting>& settings) {
  for (const Setting& setting : settings) {
    std::string quoted;
    for (const char c : setting.value) {
      // Inside single quotes a shell takes everything as it is, but the quote itself.
      quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    }
    std::printf("export %s='%s'\n", setting.variable.c_str(), quoted.c_str());
  }
}

}  // namespace socks64::socksify
