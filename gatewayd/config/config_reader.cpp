#include "config/config_reader.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <numeric>

#include <fmt/format.h>

#include "base/escape.hpp"

namespace socks64::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Unit {
  std::string_view name;
  std::int64_t milliseconds;
};
constexpr Unit units[] = {{"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}};

struct SizeUnit {
  std::string_view name;
  std::uint64_t octets;
};
constexpr SizeUnit size_units[] = {{"B", 1},
                                   {"", 1},
                                   {"kB", 1'000},
                                   {"MB", 1'000'000},
                                   {"GB", 1'000'000'000},
                                   {"KiB", std::uint64_t{1} << 10U},
                                   {"MiB", std::uint64_t{1} << 20U},
                                   {"GiB", std::uint64_t{1} << 30U}};

constexpr std::string_view duration_forms = "a duration such as \"250ms\", \"10s\", \"5m\", \"2h\"";

/// How a wrong value is shown: short, and on one line.
std::string shown(const toml::node& node) {
  if (const auto* text = node.as_string()) {
    std::string quoted = escaped(text->get());
    return quoted.front() == '"' ? quoted : '"' + quoted + '"';
  }
  if (const auto* number = node.as_integer()) {
    return std::to_string(number->get());
  }
  if (const auto* number = node.as_floating_point()) {
    return fmt::format("{}", number->get());
  }
  if (const auto* truth = node.as_boolean()) {
    return truth->get() ? "true" : "false";
  }
  if (node.is_array()) {
    return "an array";
  }
  if (node.is_table()) {
    return "a table";
  }
  return "a date or time";
}

/// Levenshtein's distance.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t change = diagonal + (a[i] == b[j] ? 0U : 1U);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, change});
    }
  }
  return row[b.size()];
}

}  // namespace

void ProblemList::add(const toml::source_region& where, std::string_view key,
                      std::string_view problem) {
  const auto line = static_cast<std::uint64_t>(where.begin.line);
  const auto column = static_cast<std::uint64_t>(where.begin.column);
  problems_.push_back({line, column,
                       fmt::format("{}:{}:{}: {}{}{}", file_, line, column, printable(key),
                                   key.empty() ? "" : ": ", printable(problem))});
}

std::vector<std::string> ProblemList::take() {
  std::stable_sort(problems_.begin(), problems_.end(), [](const Problem& a, const Problem& b) {
    return std::pair(a.line, a.column) < std::pair(b.line, b.column);
  });
  std::vector<std::string> texts;
  texts.reserve(problems_.size());
  for (Problem& problem : problems_) {
    texts.push_back(std::move(problem.text));
  }
  return texts;
}

milliseconds parse_duration(std::string_view text) noexcept {
  constexpr milliseconds invalid{-1};
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc{} || count < 0) {
    return invalid;
  }
  const std::string_view name(end, static_cast<std::size_t>(text.data() + text.size() - end));
  for (const Unit& unit : units) {
    if (name == unit.name) {
      constexpr std::int64_t most = std::int64_t{1} << 50U;
      return count > most / unit.milliseconds ? invalid : milliseconds(count * unit.milliseconds);
    }
  }
  return invalid;
}

std::string duration_text(milliseconds duration) {
  const Unit* best = &units[0];
  for (const Unit& unit : units) {
    if (duration.count() != 0 && duration.count() % unit.milliseconds == 0) {
      best = &unit;
    }
  }
  return duration.count() == 0
             ? "0s"
             : fmt::format("{}{}", duration.count() / best->milliseconds, best->name);
}

std::optional<std::uint64_t> parse_size(std::string_view text) noexcept {
  std::uint64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc{}) {
    return std::nullopt;
  }
  const std::string_view name(end, static_cast<std::size_t>(text.data() + text.size() - end));
  for (const SizeUnit& unit : size_units) {
    if (name == unit.name && count <= (std::uint64_t{1} << 62U) / unit.octets) {
      return count * unit.octets;
    }
  }
  return std::nullopt;
}

std::string size_text(std::uint64_t size) {
  const SizeUnit* best = &size_units[0];
  for (const SizeUnit& unit : size_units) {
    const bool binary = (unit.octets & (unit.octets - 1)) == 0;
    if (size != 0 && binary && size % unit.octets == 0) {
      best = &unit;
    }
  }
  return fmt::format("{}{}", size / best->octets, best->name);
}

std::string_view nearest(std::string_view name, const std::vector<std::string_view>& known) {
  std::string_view best;
  std::size_t best_distance = name.size() / 3 + 2;  // further away is another word, not a slip
  for (const std::string_view candidate : known) {
    const std::size_t away = distance(name, candidate);
    if (away < best_distance) {
      best = candidate;
      best_distance = away;
    }
  }
  return best;
}

std::string written(std::string_view text) {
  return fmt::format("\"{}\"", text);
}

std::string written(const std::vector<std::string>& texts) {
  std::string list = "[";
  for (const std::string& text : texts) {
    list += fmt::format("{}\"{}\"", list.size() == 1 ? "" : ", ", text);
  }
  return list + "]";
}

void TableReader::note(std::string_view key, const std::optional<std::string>& initial,
                       std::string_view bounds, const std::vector<std::string_view>& words) {
  if (keys_ != nullptr) {
    keys_->push_back({heading_, std::string(key), initial, std::string(bounds),
                      std::vector<std::string>(words.begin(), words.end())});
  }
}

bool TableReader::note_table(std::string_view heading, std::string_view key,
                             const std::function<void(TableReader&)>& read) {
  if (keys_ == nullptr) {
    return false;
  }
  TableReader reader(table_, problems_, *keys_);
  reader.path_ = full(key);
  reader.heading_ = heading;
  read(reader);
  return true;
}

const toml::node* TableReader::find(std::string_view key) {
  known_.push_back(key);
  return table_.get(key);
}

std::string TableReader::full(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

void TableReader::complain(const toml::node& node, std::string_view key, std::string_view problem) {
  problems_.add(node.source(), full(key), problem);
}

void TableReader::complain(std::string_view problem) {
  problems_.add(table_.source(), path_, problem);
}

void TableReader::wrong(const toml::node& node, std::string_view key, std::string_view expected) {
  complain(node, key, fmt::format("{} is wrong, expected {}", shown(node), expected));
}

void TableReader::duration(std::string_view key, milliseconds& out, milliseconds least,
                           milliseconds most) {
  const std::string bounds = fmt::format("{} to {}", duration_text(least), duration_text(most));
  note(key, written(duration_text(out)), bounds);
  const toml::node* node = find(key);
  if (node == nullptr) {
    return;
  }
  milliseconds value{-1};
  if (const auto* text = node->as_string()) {
    value = parse_duration(text->get());
  } else if (const auto* number = node->as_integer()) {
    const std::int64_t count = number->get();
    if (count >= 0 && count <= std::int64_t{1} << 40U) {
      value = seconds(count);
    }
  }
  if (value.count() < 0) {
    wrong(*node, key, fmt::format("{}, or a whole number of seconds", duration_forms));
  } else if (value < least || value > most) {
    wrong(*node, key, bounds);
  } else {
    out = value;
  }
}

void TableReader::duration(std::string_view key, seconds& out, seconds least, seconds most) {
  milliseconds value = out;
  duration(key, value, milliseconds(least), milliseconds(most));
  if (value.count() % 1000 != 0) {
    wrong(*table_.get(key), key, "whole seconds");
  } else {
    out = std::chrono::duration_cast<seconds>(value);
  }
}

void TableReader::size(std::string_view key, std::uint64_t& out, std::uint64_t least,
                       std::uint64_t most) {
  note(key, written(out == 0 ? "0" : size_text(out)),
       fmt::format("0 or {} to {}", size_text(least), size_text(most)));
  const toml::node* node = find(key);
  if (node == nullptr) {
    return;
  }
  const std::string expected =
      fmt::format("0 or a number of octets such as \"10MiB\", from \"{}\" to \"{}\"",
                  size_text(least), size_text(most));
  std::optional<std::uint64_t> value;
  if (const auto* text = node->as_string()) {
    value = parse_size(text->get());
  } else if (const auto* number = node->as_integer(); number != nullptr && number->get() >= 0) {
    value = static_cast<std::uint64_t>(number->get());
  }
  if (!value || (*value != 0 && (*value < least || *value > most))) {
    return wrong(*node, key, expected);
  }
  out = *value;
}

void TableReader::whole(std::string_view key, std::int64_t initial, std::int64_t least,
                        std::int64_t most, const std::function<void(std::int64_t)>& set) {
  note(key, std::to_string(initial), fmt::format("{} to {}", least, most));
  const toml::node* node = find(key);
  if (node == nullptr) {
    return;
  }
  const auto* number = node->as_integer();
  if (number == nullptr || number->get() < least || number->get() > most) {
    wrong(*node, key, fmt::format("a whole number from {} to {}", least, most));
  } else {
    set(number->get());
  }
}

void TableReader::flag(std::string_view key, bool& out) {
  note(key, out ? "true" : "false");
  const toml::node* node = find(key);
  if (node == nullptr) {
    return;
  }
  const auto* value = node->as_boolean();
  if (value == nullptr) {
    return wrong(*node, key, "true or false");
  }
  out = value->get();
}

void TableReader::text(std::string_view key, std::string& out, std::string_view expected,
                       bool may_be_empty) {
  note(key, out.empty() && !may_be_empty ? std::nullopt : std::optional(written(out)));
  const toml::node* node = find(key);
  if (node == nullptr) {
    return;
  }
  const auto* text = node->as_string();
  if (text == nullptr || (text->get().empty() && !may_be_empty) ||
      text->get().find('\0') != std::string::npos) {
    wrong(*node, key, expected);
  } else {
    out = text->get();
  }
}

void TableReader::one_of(std::string_view key, const std::vector<std::string_view>& words,
                         std::optional<std::size_t> initial,
                         const std::function<void(std::size_t)>& set) {
  if (initial) {
    note(key, written(words[*initial]), {}, words);
  } else {
    note(key, std::nullopt);
  }
  const toml::node* node = find(key);
  if (node == nullptr) {
    return;
  }
  std::string expected;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto* text = node->as_string();
    if (text != nullptr && text->get() == words[i]) {
      return set(i);
    }
    expected += expected.empty() ? "" : i + 1 == words.size() ? " or " : ", ";
    expected += written(words[i]);
  }
  wrong(*node, key, expected);
}

void TableReader::parsed(std::string_view key, std::string_view expected,
                         const std::function<std::string(std::string_view)>& set,
                         const std::optional<std::string>& initial) {
  note(key, initial);
  const toml::node* node = find(key);
  if (node == nullptr) {
    return;
  }
  const auto* text = node->as_string();
  if (text == nullptr) {
    return wrong(*node, key, expected);
  }
  const std::string problem = set(text->get());
  if (!problem.empty()) {
    complain(*node, key,
             fmt::format("{} is wrong: {}; expected {}", shown(*node), problem, expected));
  }
}

void TableReader::parsed_list(std::string_view key, std::string_view expected,
                              const std::function<std::string(std::string_view)>& set,
                              const std::optional<std::string>& initial) {
  note(key, initial);
  const toml::node* node = find(key);
  if (node == nullptr) {
    return;
  }
  const toml::array* array = node->as_array();
  if (array == nullptr) {
    return wrong(*node, key, fmt::format("an array in which each entry is {}", expected));
  }
  entries(*array, key, expected, false, set);
}

bool TableReader::has_empty_list(std::string_view key) const {
  const toml::array* array = table_[key].as_array();
  return array != nullptr && array->empty();
}

void TableReader::some(std::string_view key, std::string_view expected, bool numbers,
                       const std::function<std::string(std::string_view)>& set) {
  note(key, std::nullopt);
  const toml::node* node = find(key);
  if (node == nullptr) {
    return;
  }
  const toml::array* array = node->as_array();
  if (array == nullptr) {
    return wrong(*node, key, fmt::format("an array in which each entry is {}", expected));
  }
  if (array->empty()) {
    return complain(
        *node, key,
        fmt::format("empty, expected at least one entry: {}; leave the key out if every "
                    "value is allowed",
                    expected));
  }
  entries(*array, key, expected, numbers, set);
}

void TableReader::entries(const toml::array& array, std::string_view key, std::string_view expected,
                          bool numbers, const std::function<std::string(std::string_view)>& set) {
  for (const toml::node& entry : array) {
    const auto* text = entry.as_string();
    const auto* number = entry.as_integer();
    if (text == nullptr && (number == nullptr || !numbers)) {
      wrong(entry, key, expected);
      continue;
    }
    const std::string problem = set(text != nullptr ? text->get() : std::to_string(number->get()));
    if (!problem.empty()) {
      complain(entry, key,
               fmt::format("{} is wrong: {}; expected {}", shown(entry), problem, expected));
    }
  }
}

void TableReader::table(std::string_view key, const std::function<void(TableReader&)>& read) {
  if (note_table(fmt::format("[{}]", full(key)), key, read)) {
    return;
  }
  const toml::node* node = find(key);
  if (node == nullptr) {
    return;
  }
  const toml::table* inner = node->as_table();
  if (inner == nullptr) {
    return wrong(*node, key, fmt::format("a table: [{}]", full(key)));
  }
  TableReader reader(*inner, full(key), problems_);
  read(reader);
  reader.finish();
}

void TableReader::tables(std::string_view key, const std::function<void(TableReader&)>& read) {
  if (note_table(fmt::format("[[{}]]", full(key)), key, read)) {
    return;
  }
  const toml::node* node = find(key);
  if (node == nullptr) {
    return;
  }
  const toml::array* array = node->as_array();
  if (array == nullptr) {
    return wrong(*node, key, fmt::format("tables: [[{}]]", full(key)));
  }
  if (array->empty()) {
    return complain(*node, key, fmt::format("empty, expected at least one [[{}]]", full(key)));
  }
  for (const toml::node& entry : *array) {
    const toml::table* inner = entry.as_table();
    if (inner == nullptr) {
      wrong(entry, key, fmt::format("tables: [[{}]]", full(key)));
      continue;
    }
    TableReader reader(*inner, full(key), problems_);
    read(reader);
    reader.finish();
  }
}

void TableReader::finish() {
  for (const auto& [key, node] : table_) {
    const std::string_view name = key.str();
    if (std::find(known_.begin(), known_.end(), name) != known_.end()) {
      continue;
    }
    const std::string_view meant = nearest(name, known_);
    std::string problem = "unknown key";
    if (!meant.empty()) {
      problem += fmt::format(", did you mean \"{}\"?", meant);
    } else {
      problem += ", expected one of:";
      for (const std::string_view known : known_) {
        problem += fmt::format("{} {}", known == known_.front() ? "" : ",", known);
      }
    }
    problems_.add(key.source(), full(escaped(name)), problem);
  }
}

}  // namespace socks64::gateway
