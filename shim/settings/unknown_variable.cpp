#include "settings/unknown_variable.hpp"

#include <cstddef>

#include "host/file_text.hpp"
#include "settings/config_options.hpp"
#include "settings/config_site.hpp"
#include "settings/spelling.hpp"

namespace socks64::shim {
namespace {

constexpr std::string_view prefix = "SOCKS64_";

}  // namespace

UnknownVariable unknown_variable(std::string_view entry) noexcept {
  if (part(entry, 0, prefix.size()) != prefix) {
    return {};
  }
  UnknownVariable unknown{part(entry, 0, entry.find('=')), {}};
  const std::string_view word = part(unknown.name, prefix.size());
  if (!is_plain_word(word)) {
    return {};  // nothing that a shell would set
  }
  std::size_t best = word.size() / 3 + 2;  // further away is another word, not a slip
  bool known = false;
  const auto compare = [&](std::string_view setting) {
    known = known || setting == unknown.name;
    const std::size_t far = spelling_distance(word, part(setting, prefix.size()));
    if (far < best) {
      best = far;
      unknown.meant = setting;
    }
  };
  for (const Option& option : options()) {
    compare(option.variable);
  }
  // Those that are no keys of the file: config_reader.cpp's, start.cpp's and the wrapper's.
  for (const char* const other : {"SOCKS64_CONFIG", "SOCKS64_TABLE", "SOCKS64_LIBRARY"}) {
    compare(other);
  }
  return known ? UnknownVariable{} : unknown;
}

}  // namespace socks64::shim
