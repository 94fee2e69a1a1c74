// The installed file and the manual page say of every key what the code has: its default, the least
// and the most, and the words that it can be. Neither has a key that the code does not.
#include "config/config_keys.hpp"

#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <utility>

#include <gtest/gtest.h>

#include "config/config.hpp"
#include "config/config_reader.hpp"

namespace socks64::gateway {
namespace {

using Name = std::pair<std::string, std::string>;  // heading and key

struct Described {
  std::optional<std::string> initial;
  std::string bounds;
  std::string text;
};
using Description = std::map<Name, Described>;

std::vector<std::string> lines_of(const char* path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    lines.push_back(line);
  }
  return lines;
}

/// conf/gatewayd.toml: "#key = default  # bounds", and "# key = example" where there is no default,
/// or where it would be wrong beside the others. The keys of rules are a list.
Description described_by_the_file(std::vector<std::string>& listeners) {
  static const std::regex heading(R"((?:#|# +)?(\[\[?[a-z_.]+\]\]?))");
  static const std::regex setting(R"re((#|# +)([a-z_0-9]+) = (.*?)(?:  # (.*))?)re");
  static const std::regex of_rule(R"(#   ([a-z_]+) {2,}.*)");
  Description keys;
  std::string table;
  std::string comment;
  for (const std::string& line : lines_of(GATEWAYD_CONF)) {
    std::smatch found;
    if (std::regex_match(line, found, heading)) {
      table = found[1];
    } else if (std::regex_match(line, found, setting)) {
      const bool example = found[1] != "#";
      if (table == "[[listener]]" && found[2] == "address") {
        listeners.push_back(found[3]);  // those that are served without any
        keys[{table, found[2]}].bounds += found[4].str();
      } else if (table == "[[rule]]") {
        // An example of a whole rule.
      } else if (example && found[2] != "mode") {
        keys.try_emplace({table, found[2]});
      } else {
        keys[{table, found[2]}] = {found[3], found[4], comment};
      }
      comment.clear();
    } else if (std::regex_match(line, found, of_rule)) {
      keys[{"[[rule]]", found[1]}];
    } else if (line.starts_with("# ")) {
      comment += line + "\n";
    } else {
      comment.clear();
    }
  }
  return keys;
}

/// docs/man/gatewayd.toml.5: ".It Cm key", then ".Pq Li default , bounds" if it has a default.
Description described_by_the_page() {
  Description keys;
  std::string table;
  Described* key = nullptr;
  for (std::string line : lines_of(GATEWAYD_PAGE)) {
    for (std::size_t at = line.find("\\(dq"); at != std::string::npos; at = line.find("\\(dq")) {
      line.replace(at, 4, "\"");
    }
    if (line.starts_with(".S")) {
      table = line.starts_with(".Ss [") ? line.substr(4) : "";
      key = nullptr;
    } else if (line.starts_with(".It Cm ")) {
      key = &keys[{table, line.substr(7)}];
    } else if (key != nullptr && line.starts_with(".Pq Li ")) {
      const std::size_t comma = line.find(" , ");
      key->initial = line.substr(7, comma == std::string::npos ? comma : comma - 7);
      key->bounds = comma == std::string::npos ? "" : line.substr(comma + 3);
    } else if (key != nullptr) {
      key->text += line + "\n";
    }
  }
  return keys;
}

/// "60s" is "1m".
bool same_value(const std::string& a, const std::string& b) {
  const auto duration = [](const std::string& text) {
    return text.size() < 2 ? std::chrono::milliseconds(-1)
                           : parse_duration(std::string_view(text).substr(1, text.size() - 2));
  };
  return a == b || (duration(a) >= duration("\"0s\"") && duration(a) == duration(b));
}

void compare(const std::vector<ConfigKey>& keys, const Description& described) {
  std::set<Name> read;
  for (const ConfigKey& key : keys) {
    SCOPED_TRACE(key.heading + " " + key.name);
    EXPECT_TRUE(read.emplace(key.heading, key.name).second) << "read twice";
    const auto found = described.find({key.heading, key.name});
    if (found == described.end()) {
      ADD_FAILURE() << "is not described";
      continue;
    }
    const Described& said = found->second;
    EXPECT_EQ(said.initial.has_value(), key.initial.has_value());
    if (said.initial && key.initial) {
      EXPECT_TRUE(same_value(*said.initial, *key.initial))
          << "default " << *key.initial << ", described as " << *said.initial;
    }
    EXPECT_EQ(said.bounds, key.bounds);
    for (const std::string& word : key.words) {
      const bool named = said.text.find(written(word)) != std::string::npos ||
                         (said.initial && *said.initial == written(word));
      EXPECT_TRUE(named) << "nothing is said of " << written(word);
    }
  }
  for (const auto& [name, said] : described) {
    EXPECT_TRUE(read.contains(name)) << name.first << " " << name.second << " is read by nobody";
  }
}

TEST(ConfigKeys, AreThoseThatTheReaderAsksFor) {
  const std::vector<ConfigKey> keys = config_keys();
  EXPECT_GT(keys.size(), 60U);
  const auto find = [&keys](std::string_view heading, std::string_view name) {
    for (const ConfigKey& key : keys) {
      if (key.heading == heading && key.name == name) {
        return key;
      }
    }
    ADD_FAILURE() << heading << " " << name;
    return ConfigKey{};
  };
  const ConfigKey delay = find("[dial]", "attempt_delay");
  EXPECT_EQ(delay.initial, written(duration_text(DialConfig().attempt_delay)));
  EXPECT_EQ(delay.bounds, "100ms to 2s");
  EXPECT_EQ(find("", "threads").bounds, "0 to 1024");
  EXPECT_EQ(find("[dial]", "families").initial, "[\"ipv4\", \"ipv6\"]");
  EXPECT_EQ(find("[[listener]]", "mode").initial, "\"0660\"");
  EXPECT_EQ(find("[[listener.clients]]", "from").initial, std::nullopt);
  EXPECT_EQ(find("[[rule]]", "action").initial, std::nullopt);
  EXPECT_EQ(find("[log]", "level").words.size(), 5U);
}

TEST(ConfigKeys, StandInTheInstalledFileWithDefaultAndBounds) {
  std::vector<std::string> listeners;
  compare(config_keys(), described_by_the_file(listeners));
  std::vector<std::string> served;
  for (const ListenerConfig& listener : Config::default_listeners()) {
    served.push_back(written(listener.address.text()));
  }
  EXPECT_EQ(listeners, served);
}

TEST(ConfigKeys, StandInTheManualPageWithDefaultAndBounds) {
  compare(config_keys(), described_by_the_page());
}

}  // namespace
}  // namespace socks64::gateway
