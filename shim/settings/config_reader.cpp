#include "settings/config_reader.hpp"

#include <cerrno>
#include <charconv>
#include <unistd.h>

#include "host/file_text.hpp"
#include "host/host_guard.hpp"
#include "settings/config_options.hpp"
#include "settings/config_site.hpp"
#include "settings/spelling.hpp"

namespace socks64::shim {
namespace {

constexpr std::size_t npos = std::string_view::npos;

std::size_t index_of(std::string_view key) noexcept {
  std::size_t index = 0;
  while (index < options().size() && key != options()[index].key) {
    ++index;
  }
  return index;
}

bool unknown_key(const Site& site, std::string_view key) noexcept {
  if (key.empty() || !is_plain_word(key)) {
    return site.problem("expected KEY = VALUE: the text before the '=' is not a key");
  }
  std::string_view nearest;
  std::size_t best = 4;
  for (const Option& option : options()) {
    const std::size_t far = spelling_distance(key, option.key);
    if (far < best) {
      best = far;
      nearest = option.key;
    }
  }
  return nearest.empty()
             ? site.problem("unknown key ", shown(key))
             : site.problem("unknown key ", shown(key), "; did you mean '", nearest, "'?");
}

/// From `environ` itself: some programs (bash) bring a getenv of their own.
std::string_view variable(std::string_view name) noexcept {
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    if (text.size() > name.size() && part(text, 0, name.size()) == name &&
        text[name.size()] == '=') {
      return part(text, name.size() + 1);
    }
  }
  return {};
}

void load_file(Config& config, std::string_view named_by, const char* path) noexcept {
  FileText file;
  const int error = file.read(path, max_config_size);
  if (error == 0) {
    apply_file(config, path, file.view());
    return;
  }
  if (named_by.empty() && (error == ENOENT || error == ENOTDIR)) {
    return;
  }
  const Site site{config, path};
  const std::string_view why = error == EFBIG                        ? "is larger than 64 KiB"
                               : error == EINVAL                     ? "is not a regular file"
                               : error == ENOENT || error == ENOTDIR ? "does not exist"
                               : error == EACCES ? "is not readable for this user"
                                                 : "cannot be read";
  if (named_by.empty()) {
    site.problem("the configuration file ", why);
  } else {
    site.problem("the configuration file named by ", named_by, " ", why);
  }
}

}  // namespace

bool set_option(Config& config, std::string_view place, std::string_view key,
                std::string_view value) noexcept {
  const Site site{config, place};
  const std::size_t index = index_of(key);
  return index < options().size() ? options()[index].set(site, value) : unknown_key(site, key);
}

bool apply_file(Config& config, std::string_view path, std::string_view text) noexcept {
  OptionSet seen = 0;
  std::uint32_t number = 0;
  // Some editors begin a file of UTF-8 with the octets of U+FEFF.
  constexpr std::string_view mark = "\xef\xbb\xbf";
  Lines lines(part(text, 0, mark.size()) == mark ? part(text, mark.size()) : text);
  std::string_view line;
  while (lines.next(line)) {
    ++number;
    TextBuffer<200> place;
    std::array<char, 10> digits{};
    const auto end = std::to_chars(digits.begin(), digits.end(), number).ptr;
    place.append(part(path, 0, 160));
    place.append(":");
    place.append({digits.data(), static_cast<std::size_t>(end - digits.begin())});
    const Site site{config, place.view()};

    if (line.size() > max_config_line) {
      return site.problem("the line is longer than 1024 characters");
    }
    if (line.find('\0') != npos) {
      return site.problem("the line holds a NUL, so this is not a text file");
    }
    line = trimmed(line);
    if (line.empty()) {
      continue;
    }
    const std::size_t equals = line.find('=');
    if (equals == npos) {
      return site.problem("expected KEY = VALUE: the '=' is missing");
    }
    const std::string_view key = trimmed(part(line, 0, equals));
    const std::size_t index = index_of(key);
    if (index == options().size()) {
      return unknown_key(site, key);
    }
    if (((seen >> index) & 1U) != 0 && !options()[index].repeatable) {
      return site.problem("'", key, "' is set twice");
    }
    seen |= OptionSet{1} << index;
    place.append(": ");
    place.append(key);
    if (!set_option(config, place.view(), key, trimmed(part(line, equals + 1)))) {
      return false;
    }
  }
  return true;
}

void load_config(Config& config, bool secure) noexcept {
  const ErrnoGuard guard;
  const std::string_view named = secure ? std::string_view() : variable("SOCKS64_CONFIG");
  // The value ends in a NUL: it is the tail of an entry of `environ`.
  load_file(config, named.empty() ? "" : "SOCKS64_CONFIG",
            named.empty() ? default_config_path : named.data());
  const std::size_t rules_of_the_file = config.rules.all().size();
  if (!secure) {
    for (const Option& option : options()) {
      const std::string_view value = variable(option.variable);
      if (!value.empty()) {
        set_option(config, option.variable, option.key, value);
      }
    }
  }
  config.rules.bring_forward(rules_of_the_file);
  for (const Gateway& gateway : config.gateways) {
    const IpAddress& address = gateway.endpoint.address;
    if (gateway.kind == Gateway::Kind::address &&
        (config.fake_ipv4.contains(address) || config.fake_ipv6.contains(address))) {
      const Site site{config, "gateway"};
      site.problem("its address ", address.text(), " is in a block of fake addresses");
    }
  }
}

}  // namespace socks64::shim
