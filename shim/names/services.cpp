#include "names/services.hpp"

#include <array>
#include <charconv>

#include "host/file_text.hpp"
#include "host/local_file.hpp"

namespace socks64::shim {
namespace {

constinit LocalFile services("/etc/services", true);

/// A line of the file: NAME PORT/PROTOCOL ALIAS...
struct Entry {
  std::string_view name;
  std::string_view port;
  std::string_view protocol;
  Words aliases{{}};
};

bool parse(std::string_view line, Entry& entry) noexcept {
  Words words(line);
  std::string_view where;
  if (!words.next(entry.name) || !words.next(where)) {
    return false;
  }
  const std::size_t slash = where.find('/');
  entry.port = part(where, 0, slash);
  entry.protocol = slash == std::string_view::npos ? std::string_view() : part(where, slash + 1);
  entry.aliases = words;
  return true;
}

bool is_called(const Entry& entry, std::string_view name) noexcept {
  bool matches = entry.name == name;
  Words aliases = entry.aliases;
  std::string_view alias;
  while (!matches && aliases.next(alias)) {
    matches = alias == name;
  }
  return matches;
}

}  // namespace

bool find_service(std::string_view name, std::string_view protocol, Port& port) noexcept {
  const LocalFile::Reading file = services.read();
  std::uint32_t cursor = 0;
  std::string_view line;
  while (file.next_line_with(name, cursor, line)) {
    Entry entry;
    if (parse(line, entry) && entry.protocol == protocol && is_called(entry, name)) {
      const auto end = entry.port.data() + entry.port.size();
      const auto [stop, error] = std::from_chars(entry.port.data(), end, port);
      if (error == std::errc{} && stop == end) {
        return true;
      }
    }
  }
  return false;
}

bool find_service(Port port, std::string_view protocol, ServiceName& name) noexcept {
  std::array<char, 32> digits{};
  char* end = std::to_chars(digits.begin(), digits.end(), port).ptr;
  *end++ = '/';
  for (const char c : part(protocol, 0, 8)) {
    *end++ = c;
  }
  const std::string_view where(digits.data(), static_cast<std::size_t>(end - digits.data()));
  const LocalFile::Reading file = services.read();
  std::uint32_t cursor = 0;
  std::string_view line;
  while (file.next_line_with(where, cursor, line)) {
    Words words(line);
    std::string_view first;
    std::string_view second;
    if (words.next(first) && words.next(second) && second == where) {
      name = {};
      return name.append(first);
    }
  }
  return false;
}

}  // namespace socks64::shim
