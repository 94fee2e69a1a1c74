#include "socksify/library_path.hpp"

#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <unistd.h>

namespace socks64::socksify {
namespace {

namespace fs = std::filesystem;

constexpr const char* library_name = "libsocks64.so";

bool is_readable(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error) && access(path.c_str(), R_OK) == 0;
}

/// A sanitizer's run-time library insists on being the first of all.
bool must_be_first(std::string_view library) {
  const std::string_view name = library.substr(library.rfind('/') + 1);
  return name.starts_with("libasan.so") || name.starts_with("libtsan.so");
}

/// What the loader puts in the place of $LIB: the folder that libc was built for, without its
/// prefix. It is where the loader itself lies: /lib/x86_64-linux-gnu and /lib/i386-linux-gnu on
/// Debian (/lib32 with its package libc6-i386), /lib64 and /lib elsewhere. Empty: no such loader.
std::string folder_of(const char* loader) {
  std::error_code error;
  std::string folder = fs::canonical(loader, error).parent_path().string();
  if (folder.starts_with("/usr/")) {
    folder.erase(0, 4);
  }
  return error ? std::string() : folder;
}

/// A library for each class, where the loaders' $LIB leads to both. The own one may lie elsewhere
/// in its installation (PREFIX/lib on Debian) when a link is where $LIB leads.
void find_other_class(Library& library) {
  constexpr bool wide = sizeof(void*) == 8;
  const std::string wide_folder = folder_of("/lib64/ld-linux-x86-64.so.2");
  const std::string narrow_folder = folder_of("/lib/ld-linux.so.2");
  if (wide_folder.empty() || narrow_folder.empty()) {
    return;
  }
  const std::string own = (wide ? wide_folder : narrow_folder) + "/" + library_name;
  const std::string other = (wide ? narrow_folder : wide_folder) + "/" + library_name;
  fs::path prefix = fs::path(library.path).parent_path();
  for (int up = 0; up < 2; ++up) {
    prefix = prefix.parent_path();
    const std::string text = prefix == "/" ? std::string() : prefix.string();
    std::error_code error;
    if (fs::equivalent(text + own, library.path, error) && is_readable(text + other)) {
      library.other = text + other;
      library.entry = text + "/$LIB/" + library_name;
      return;
    }
  }
}

}  // namespace

const std::string& Library::for_class(unsigned bits) const {
  return bits == sizeof(void*) * 8 ? path : other;
}

Library find_library(std::string& problem) {
  std::error_code error;
  const char* const given = std::getenv("SOCKS64_LIBRARY");
  fs::path found;
  std::string tried;
  if (given != nullptr && *given != '\0') {
    found = fs::absolute(given, error);
    if (!is_readable(found)) {
      problem = "SOCKS64_LIBRARY: '" + found.string() + "' is not a readable file";
      return {};
    }
  } else {
    const fs::path here = fs::read_symlink("/proc/self/exe", error).parent_path();
    if (here.empty()) {
      // Never beside the current directory: whoever writes there would be loaded.
      problem = "socksify cannot find its library without /proc; set SOCKS64_LIBRARY";
      return {};
    }
    for (const char* place :
         {".", "..", "../shim", "../" SOCKS64_LIBDIR, "../" SOCKS64_LIBDIR "/socks64", "../lib",
          "../lib/socks64", "../lib/x86_64-linux-gnu", "../lib64"}) {
      const fs::path candidate = (here / place / library_name).lexically_normal();
      if (is_readable(candidate)) {
        found = candidate;
        break;
      }
      const std::string folder = candidate.parent_path().string();
      if ((tried + ",").find(folder + ",") == std::string::npos) {
        tried += (tried.empty() ? "" : ", ") + folder;
      }
    }
    if (found.empty()) {
      problem = std::string(library_name) + " was not found in " + tried +
                "; set SOCKS64_LIBRARY if it is elsewhere";
      return {};
    }
  }
  // LD_PRELOAD has no way to quote its separators.
  if (found.string().find_first_of(": ") != std::string::npos) {
    problem = "LD_PRELOAD cannot hold '" + found.string() + "': the path holds a blank or a colon";
    return {};
  }
  Library library{found.string(), {}, found.string()};
  find_other_class(library);
  return library;
}

std::string preload_list(const Library& library, std::string_view present) {
  std::string first;
  std::string rest;
  while (!present.empty()) {
    const std::size_t end = present.find_first_of(": ");
    const std::string_view entry = present.substr(0, end);
    present = end == std::string_view::npos ? std::string_view() : present.substr(end + 1);
    if (entry.empty() || entry == library.path || entry == library.entry) {
      continue;
    }
    if (must_be_first(entry)) {
      first.append(entry).append(":");
    } else {
      rest.append(":").append(entry);
    }
  }
  return first + library.entry + rest;
}

}  // namespace socks64::socksify
