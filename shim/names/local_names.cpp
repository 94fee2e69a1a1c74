#include "names/local_names.hpp"

#include <algorithm>
#include <atomic>
#include <sys/utsname.h>

#include "host/file_text.hpp"
#include "host/host_guard.hpp"
#include "host/local_file.hpp"

namespace socks64::shim {
namespace {

constinit LocalFile hosts("/etc/hosts", false);

constexpr std::uint32_t loopback4 = 0x7f000001;

IpAddress loopback6() noexcept {
  IpAddress::V6Bytes bytes{};
  bytes[15] = 1;
  return IpAddress::v6(bytes);
}

/// RFC 6761 section 6.3: localhost and everything below it is this host, and no DNS is asked.
bool is_localhost(std::string_view name) noexcept {
  constexpr std::string_view localhost = "localhost";
  if (name.size() > localhost.size() && name[name.size() - localhost.size() - 1] != '.') {
    return false;
  }
  return name.size() >= localhost.size() &&
         equal_ignoring_case(part(name, name.size() - localhost.size()), localhost);
}

/// Asked for every name: so the system is asked for its name once a tick, and what is kept is a
/// hash, which needs no lock.
bool is_own_name(std::string_view name) noexcept {
  static std::atomic<std::uint32_t> checked{0};
  static std::atomic<std::uint32_t> own_hash{0};
  const std::uint32_t tick = current_tick();
  if (checked.load(std::memory_order_acquire) == tick &&
      own_hash.load(std::memory_order_relaxed) != hash_ignoring_case(name)) {
    return false;
  }
  const ErrnoGuard guard;
  utsname host{};
  if (uname(&host) != 0) {
    return false;
  }
  own_hash.store(hash_ignoring_case(host.nodename), std::memory_order_relaxed);
  checked.store(tick, std::memory_order_release);
  return equal_ignoring_case(name, host.nodename);
}

}  // namespace

void HostAddresses::add(const IpAddress& address) noexcept {
  const auto* end = list.begin() + count;
  if (count < list.size() && std::find(list.cbegin(), end, address) == end) {
    list[count++] = address;
  }
}

bool HostAddresses::has(Family family) const noexcept {
  return std::any_of(list.begin(), list.begin() + count,
                     [family](const IpAddress& address) { return address.family() == family; });
}

namespace {

bool find_plain(std::string_view name, Families families, HostAddresses& out) noexcept {
  {
    const LocalFile::Reading file = hosts.read();
    std::uint32_t cursor = 0;
    std::string_view line;
    while (file.next_line_with(name, cursor, line)) {
      Words words(line);
      std::string_view word;
      words.next(word);
      const Result<IpAddress> address = IpAddress::parse(word);
      if (!address || !(address->is_v4() ? families.ipv4 : families.ipv6)) {
        continue;
      }
      // The first name is the canonical one; the word that matched must be a name.
      std::string_view canonical;
      bool named = false;
      while (words.next(word)) {
        if (canonical.empty()) {
          canonical = word;
        }
        named = named || equal_ignoring_case(word, name);
      }
      if (!named) {
        continue;
      }
      out.add(*address);
      if (out.canonical.empty()) {
        out.canonical = DomainName::from(canonical).value_or({});
      }
    }
  }
  if (out.count == 0 && (is_localhost(name) || is_own_name(name))) {
    if (families.ipv6) {
      out.add(loopback6());
    }
    if (families.ipv4) {
      out.add(IpAddress::v4(loopback4));
    }
    out.canonical = DomainName::from(name).value_or({});
  }
  return out.count != 0;
}

bool find_mapped(std::string_view name, HostAddresses& out) noexcept {
  HostAddresses plain;
  if (!find_plain(name, {.ipv4 = true, .ipv6 = false}, plain)) {
    return false;
  }
  out.canonical = plain.canonical;
  for (std::size_t i = 0; i < plain.count; ++i) {
    out.add(plain.list[i].mapped());
  }
  return true;
}

}  // namespace

bool find_local(std::string_view name, Families families, HostAddresses& out) noexcept {
  return find_plain(name, families, out) || (families.mapped && find_mapped(name, out));
}

bool find_local(const IpAddress& address, DomainName& name) noexcept {
  const IpAddress plain = address.unmapped();
  const LocalFile::Reading file = hosts.read();
  Lines lines(file.text());
  std::string_view line;
  while (lines.next(line)) {
    Words words(line);
    std::string_view word;
    if (!words.next(word)) {
      continue;
    }
    const Result<IpAddress> entry = IpAddress::parse(word);
    if (entry && *entry == plain && words.next(word)) {
      const Result<DomainName> found = DomainName::from(word);
      if (found) {
        name = *found;
        return true;
      }
    }
  }
  if (plain == IpAddress::v4(loopback4) || plain == loopback6()) {
    name = *DomainName::from("localhost");
    return true;
  }
  return false;
}

TextBuffer<256> own_domain() noexcept {
  const ErrnoGuard guard;
  TextBuffer<256> out;
  utsname host{};
  if (uname(&host) != 0) {
    return out;
  }
  std::string_view name = host.nodename;
  HostAddresses addresses;
  if (name.find('.') == std::string_view::npos &&
      find_local(name, {.ipv4 = true, .ipv6 = true}, addresses)) {
    name = addresses.canonical.view();
  }
  const std::size_t dot = name.find('.');
  if (dot != std::string_view::npos) {
    out.append(part(name, dot + 1));
  }
  return out;
}

}  // namespace socks64::shim
