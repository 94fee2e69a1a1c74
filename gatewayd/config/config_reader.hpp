// Reads one table of the configuration key by key, and complains with line, column and key.
#ifndef SOCKS64_GATEWAYD_CONFIG_READER_HPP
#define SOCKS64_GATEWAYD_CONFIG_READER_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <toml++/toml.h>

#include "config/config_keys.hpp"

namespace socks64::gateway {

/// Collects problems with where they are; they are reported in the order of the file.
class ProblemList {
 public:
  explicit ProblemList(std::string_view file) : file_(file) {}

  void add(const toml::source_region& where, std::string_view key, std::string_view problem);
  /// Sorted by line and column.
  [[nodiscard]] std::vector<std::string> take();

 private:
  struct Problem {
    std::uint64_t line;
    std::uint64_t column;
    std::string text;
  };

  std::string file_;
  std::vector<Problem> problems_;
};

/// A span of time as the file gives it: "250ms", "10s", "5m", "2h", or a whole number of seconds.
/// Negative on anything else.
[[nodiscard]] std::chrono::milliseconds parse_duration(std::string_view text) noexcept;
[[nodiscard]] std::string duration_text(std::chrono::milliseconds duration);

/// A number of octets as the file gives it: "10MiB", "512KiB", "2GiB", "10MB" (a million each), or
/// a whole number; nothing on anything else.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text) noexcept;
[[nodiscard]] std::string size_text(std::uint64_t size);

/// The entry of `known` that `name` was probably meant to be; empty when none is near.
[[nodiscard]] std::string_view nearest(std::string_view name,
                                       const std::vector<std::string_view>& known);

/// Text as the file would have it.
[[nodiscard]] std::string written(std::string_view text);
[[nodiscard]] std::string written(const std::vector<std::string>& texts);

/// Ask for every key that the table may hold, then call finish(). A key that is absent leaves its
/// variable alone; a key with a wrong value does too, and is a problem. So what a variable holds
/// before is the default of its key; where the reader does not see the variable, `initial` says it.
class TableReader {
 public:
  /// `path`: how the table is called in problems, "" for the root.
  TableReader(const toml::table& table, std::string path, ProblemList& problems)
      : table_(table), path_(std::move(path)), problems_(problems) {}
  /// The root of a file that holds nothing. Every key of every table is asked for, and noted.
  TableReader(const toml::table& nothing, ProblemList& problems, std::vector<ConfigKey>& keys)
      : table_(nothing), problems_(problems), keys_(&keys) {}

  void duration(std::string_view key, std::chrono::milliseconds& out,
                std::chrono::milliseconds least, std::chrono::milliseconds most);
  void duration(std::string_view key, std::chrono::seconds& out, std::chrono::seconds least,
                std::chrono::seconds most);
  /// A number of octets within the bounds, or 0.
  void size(std::string_view key, std::uint64_t& out, std::uint64_t least, std::uint64_t most);
  template <class Number>
  void integer(std::string_view key, Number& out, std::int64_t least, std::int64_t most) {
    whole(key, static_cast<std::int64_t>(out), least, most,
          [&out](std::int64_t value) { out = static_cast<Number>(value); });
  }
  void flag(std::string_view key, bool& out);
  void text(std::string_view key, std::string& out, std::string_view expected, bool may_be_empty);
  template <class Value>
  struct Word {
    std::string_view word;
    Value value;
  };
  /// One of `words`.
  template <class Value>
  void choice(std::string_view key, const std::vector<Word<std::type_identity_t<Value>>>& words,
              Value& out) {
    std::optional<std::size_t> initial;
    std::vector<std::string_view> known;
    known.reserve(words.size());
    for (const Word<Value>& word : words) {
      if (word.value == out) {
        initial = known.size();
      }
      known.push_back(word.word);
    }
    one_of(key, known, initial, [&](std::size_t index) { out = words[index].value; });
  }
  /// The same of a key without a default.
  template <class Value>
  void choice(std::string_view key, const std::vector<Word<std::type_identity_t<Value>>>& words,
              std::optional<Value>& out) {
    std::vector<std::string_view> known;
    known.reserve(words.size());
    for (const Word<Value>& word : words) {
      known.push_back(word.word);
    }
    one_of(key, known, std::nullopt, [&](std::size_t index) { out = words[index].value; });
  }
  /// `set` returns what is wrong with the text, or nothing.
  void parsed(std::string_view key, std::string_view expected,
              const std::function<std::string(std::string_view)>& set,
              const std::optional<std::string>& initial = std::nullopt);
  /// The same for each entry of an array of strings.
  void parsed_list(std::string_view key, std::string_view expected,
                   const std::function<std::string(std::string_view)>& set,
                   const std::optional<std::string>& initial = std::nullopt);
  /// The same for an array that must have an entry, if there is the key: an empty one could mean
  /// everything or nothing. Whole numbers come as their decimal text where `numbers` says so.
  void some(std::string_view key, std::string_view expected, bool numbers,
            const std::function<std::string(std::string_view)>& set);
  void table(std::string_view key, const std::function<void(TableReader&)>& read);
  /// An array of tables: [[key]], at least one if there is the key.
  void tables(std::string_view key, const std::function<void(TableReader&)>& read);

  [[nodiscard]] bool has(std::string_view key) const { return table_.contains(key); }
  [[nodiscard]] bool has_empty_list(std::string_view key) const;
  /// A problem of the table as a whole.
  void complain(std::string_view problem);
  /// Complains about every key that was not asked for.
  void finish();

 private:
  /// What parsed_list() and some() do with an array.
  void entries(const toml::array& array, std::string_view key, std::string_view expected,
               bool numbers, const std::function<std::string(std::string_view)>& set);
  void whole(std::string_view key, std::int64_t initial, std::int64_t least, std::int64_t most,
             const std::function<void(std::int64_t)>& set);
  void one_of(std::string_view key, const std::vector<std::string_view>& words,
              std::optional<std::size_t> initial, const std::function<void(std::size_t)>& set);
  [[nodiscard]] const toml::node* find(std::string_view key);
  /// If keys are noted: what is known of this one.
  void note(std::string_view key, const std::optional<std::string>& initial,
            std::string_view bounds = {}, const std::vector<std::string_view>& words = {});
  /// If keys are noted: those of this table, too, which no file holds.
  [[nodiscard]] bool note_table(std::string_view heading, std::string_view key,
                                const std::function<void(TableReader&)>& read);
  [[nodiscard]] std::string full(std::string_view key) const;
  void wrong(const toml::node& node, std::string_view key, std::string_view expected);
  void complain(const toml::node& node, std::string_view key, std::string_view problem);

  const toml::table& table_;
  std::string path_;
  ProblemList& problems_;
  std::vector<std::string_view> known_;
  std::vector<ConfigKey>* keys_ = nullptr;
  std::string heading_;  ///< of the table, for keys_
};

}  // namespace socks64::gateway

#endif
