// The getnetby... family and gethostid. By default libc turns to DNS for the names of networks and
// for the address of the host's own name; here the files of the system are all there is. And the
// calls that name hosts and connect to them within libc.
#include <cerrno>
#include <charconv>
#include <cstring>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "hooks/start.hpp"
#include "host/file_text.hpp"
#include "host/hook_table.hpp"
#include "host/host_guard.hpp"
#include "host/local_file.hpp"
#include "names/classify.hpp"
#include "names/local_names.hpp"
#include "process/runtime.hpp"
#include "tables/policy.hpp"

using namespace socks64;
using namespace socks64::shim;

namespace {

constinit LocalFile networks("/etc/networks", true);

/// networks(5): "127" is 127.0.0.0.
bool read_network(std::string_view text, std::uint32_t& out) noexcept {
  out = 0;
  for (unsigned shift = 32; !text.empty();) {
    const std::size_t dot = text.find('.');
    const std::string_view octet = part(text, 0, dot);
    unsigned value = 0;
    const auto [stop, error] = std::from_chars(octet.data(), octet.data() + octet.size(), value);
    if (shift == 0 || error != std::errc{} || stop != octet.data() + octet.size() || value > 255) {
      return false;
    }
    shift -= 8;
    out |= value << shift;
    text = dot == std::string_view::npos ? std::string_view() : part(text, dot + 1);
  }
  return true;
}

/// A line of the file: name, number, aliases.
struct Line {
  std::string_view name;
  std::uint32_t number = 0;
  std::string_view aliases;

  [[nodiscard]] bool read(std::string_view text) noexcept {
    Words words(text);
    std::string_view digits;
    if (!words.next(name) || !words.next(digits) || !read_network(digits, number)) {
      return false;
    }
    aliases = part(text, static_cast<std::size_t>(digits.data() + digits.size() - text.data()));
    return true;
  }
  [[nodiscard]] bool is_called(std::string_view wanted) const noexcept {
    Words words(aliases);
    std::string_view word = name;
    do {
      if (equal_ignoring_case(word, wanted)) {
        return true;
      }
    } while (words.next(word));
    return false;
  }
};

/// An entry in the caller's buffer: the pointers, then the texts. False when it is too small.
bool write_entry(const Line& line, netent& entry, char* buffer, std::size_t size) noexcept {
  std::size_t count = 0;
  std::size_t text = line.name.size() + 1;
  std::string_view word;
  for (Words words(line.aliases); words.next(word);) {
    ++count;
    text += word.size() + 1;
  }
  const std::size_t skip =
      (alignof(char*) - reinterpret_cast<std::uintptr_t>(buffer) % alignof(char*)) % alignof(char*);
  const std::size_t list = (count + 1) * sizeof(char*);
  if (size < skip + list + text) {
    return false;
  }
  auto** const aliases = reinterpret_cast<char**>(buffer + skip);
  char* next = buffer + skip + list;
  const auto put = [&next](std::string_view one) noexcept {
    char* const at = next;
    std::memcpy(at, one.data(), one.size());
    at[one.size()] = '\0';
    next += one.size() + 1;
    return at;
  };
  entry.n_name = put(line.name);
  std::size_t used = 0;
  for (Words words(line.aliases); words.next(word);) {
    aliases[used++] = put(word);
  }
  aliases[used] = nullptr;
  entry.n_aliases = aliases;
  entry.n_addrtype = AF_INET;
  entry.n_net = line.number;
  return true;
}

/// How the reentrant forms end.
int finish(bool found, const Line& line, netent* entry, char* buffer, std::size_t size,
           netent** result, int* host_error) noexcept {
  *result = nullptr;
  *host_error = HOST_NOT_FOUND;
  if (!found) {
    return 0;
  }
  if (!write_entry(line, *entry, buffer, size)) {
    *host_error = NETDB_INTERNAL;
    errno = ERANGE;
    return ERANGE;
  }
  *result = entry;
  *host_error = NETDB_SUCCESS;
  return 0;
}

int find_by_name(const char* name, netent* entry, char* buffer, std::size_t size, netent** result,
                 int* host_error) noexcept {
  const LocalFile::Reading file = networks.read();
  Line line;
  std::uint32_t cursor = 0;
  std::string_view text;
  bool found = false;
  while (name != nullptr && !found && file.next_line_with(name, cursor, text)) {
    found = line.read(text) && line.is_called(name);
  }
  return finish(found, line, entry, buffer, size, result, host_error);
}

int find_by_number(std::uint32_t number, int type, netent* entry, char* buffer, std::size_t size,
                   netent** result, int* host_error) noexcept {
  const LocalFile::Reading file = networks.read();
  Line line;
  Lines lines(file.text());
  std::string_view text;
  bool found = false;
  while ((type == AF_INET || type == AF_UNSPEC) && !found && lines.next(text)) {
    found = line.read(text) && line.number == number;
  }
  return finish(found, line, entry, buffer, size, result, host_error);
}

/// What the forms without a buffer return; one per thread, as for hosts.
struct OwnEntry {
  netent entry;
  char buffer[1024];
};
__attribute__((tls_model("initial-exec"))) thread_local OwnEntry own;

template <class Find>
netent* find_own(const Find& find) noexcept {
  netent* result = nullptr;
  int host_error = NETDB_SUCCESS;
  find(&own.entry, own.buffer, sizeof(own.buffer), &result, &host_error);
  h_errno = host_error;
  return result;
}

}  // namespace

S64_EXPORT netent* getnetbyname(const char* name) {
  return !ready() ? libc::getnetbyname(name)
                  : find_own([&](auto... rest) { return find_by_name(name, rest...); });
}

S64_EXPORT netent* getnetbyaddr(std::uint32_t number, int type) {
  return !ready() ? libc::getnetbyaddr(number, type)
                  : find_own([&](auto... rest) { return find_by_number(number, type, rest...); });
}

#ifdef __GLIBC__
S64_EXPORT int getnetbyname_r(const char* name, netent* entry, char* buffer, std::size_t size,
                              netent** result, int* error) {
  return !ready() ? libc::getnetbyname_r(name, entry, buffer, size, result, error)
                  : find_by_name(name, entry, buffer, size, result, error);
}

S64_EXPORT int getnetbyaddr_r(std::uint32_t number, int type, netent* entry, char* buffer,
                              std::size_t size, netent** result, int* error) {
  return !ready() ? libc::getnetbyaddr_r(number, type, entry, buffer, size, result, error)
                  : find_by_number(number, type, entry, buffer, size, result, error);
}

// /etc/hostid, and without it the IPv4 address of the host's own name, its halves exchanged.
S64_EXPORT long gethostid() {
  if (!ready()) {
    return libc::gethostid();
  }
  const ErrnoGuard guard;
  constexpr std::size_t limit = 4096;
  std::int32_t id = 0;
  FileText file;
  if (file.read("/etc/hostid", limit) == 0 && file.view().size() >= sizeof(id)) {
    std::memcpy(&id, file.view().data(), sizeof(id));
    return id;
  }
  utsname host{};
  HostAddresses addresses;
  if (uname(&host) != 0 ||
      !find_local(std::string_view(host.nodename), {.ipv4 = true, .ipv6 = false}, addresses)) {
    return 0;
  }
  std::uint32_t address = 0;
  std::memcpy(&address, addresses.list[0].bytes().data(), sizeof(address));
  return static_cast<std::int32_t>(address << 16U | address >> 16U);
}

// rcmd(3), rexec(3), ruserok(3): libc looks the host up, and connects to it, past every hook; and
// the second connection of rcmd comes from outside. So only what a rule makes direct is libc's; for
// the rest nobody is reached, and nobody trusted. ruserok reads names of others in the files of
// trusted hosts, and looks those up, so it takes the rule that everything is direct.
namespace {

bool is_direct(char* const* host) noexcept {
  return host != nullptr && *host != nullptr && is_for_libc(classify(*host));
}

int unreachable() noexcept {
  errno = ENETUNREACH;
  return -1;
}

}  // namespace

S64_EXPORT int rcmd(char** host, unsigned short port, const char* local, const char* remote,
                    const char* command, int* errors) {
  return !ready() || is_direct(host) ? libc::rcmd(host, port, local, remote, command, errors)
                                     : unreachable();
}

S64_EXPORT int rcmd_af(char** host, unsigned short port, const char* local, const char* remote,
                       const char* command, int* errors, sa_family_t family) {
  return !ready() || is_direct(host)
             ? libc::rcmd_af(host, port, local, remote, command, errors, family)
             : unreachable();
}

S64_EXPORT int rexec(char** host, int port, const char* user, const char* password,
                     const char* command, int* errors) {
  return !ready() || is_direct(host) ? libc::rexec(host, port, user, password, command, errors)
                                     : unreachable();
}

S64_EXPORT int rexec_af(char** host, int port, const char* user, const char* password,
                        const char* command, int* errors, sa_family_t family) {
  return !ready() || is_direct(host)
             ? libc::rexec_af(host, port, user, password, command, errors, family)
             : unreachable();
}

S64_EXPORT int ruserok(const char* host, int superuser, const char* remote, const char* local) {
  return !ready() || asks_libc_always(config()) ? libc::ruserok(host, superuser, remote, local)
                                                : unreachable();
}

S64_EXPORT int ruserok_af(const char* host, int superuser, const char* remote, const char* local,
                          sa_family_t family) {
  return !ready() || asks_libc_always(config())
             ? libc::ruserok_af(host, superuser, remote, local, family)
             : unreachable();
}

S64_EXPORT int iruserok(std::uint32_t address, int superuser, const char* remote,
                        const char* local) {
  return !ready() || asks_libc_always(config()) ? libc::iruserok(address, superuser, remote, local)
                                                : unreachable();
}

S64_EXPORT int iruserok_af(const void* address, int superuser, const char* remote,
                           const char* local, sa_family_t family) {
  return !ready() || asks_libc_always(config())
             ? libc::iruserok_af(address, superuser, remote, local, family)
             : unreachable();
}

// libresolv's, which old programs are linked with: DNS alone. Ours are the same for all.
S64_EXPORT hostent* res_gethostbyname(const char* name) {
  return gethostbyname(name);
}

S64_EXPORT hostent* res_gethostbyname2(const char* name, int family) {
  return gethostbyname2(name, family);
}

S64_EXPORT hostent* res_gethostbyaddr(const void* address, socklen_t length, int family) {
  return gethostbyaddr(address, length, family);
}
#endif
