#include "resolve/hosts_file.hpp"

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <utility>

#include "base/dns_name.hpp"

namespace socks64::gateway {
namespace {

constexpr std::chrono::seconds check_interval{1};
constexpr std::string_view blanks = " \t\r\v\f";

/// The next word of a line, taken off its front; empty at its end.
std::string_view next_word(std::string_view& line) noexcept {
  line.remove_prefix(std::min(line.find_first_not_of(blanks), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(blanks));
  line.remove_prefix(word.size());
  return word;
}

}  // namespace

HostsFile::HostsFile(std::string path)
    : path_(std::move(path)),
      checked_(std::chrono::steady_clock::now()),
      stamp_(FileStamp::of(path_)),
      table_(read(path_)) {}

std::shared_ptr<const HostsFile::Table> HostsFile::read(const std::string& path) {
  auto table = std::make_shared<Table>();
  if (path.empty()) {
    return table;
  }
  std::ifstream file(path);
  std::string text;
  while (std::getline(file, text)) {
    std::string_view line = text;
    line = line.substr(0, line.find('#'));
    const std::optional<IpAddress> address = literal_from(next_word(line));
    if (!address) {
      continue;
    }
    for (std::string_view name = next_word(line); !name.empty(); name = next_word(line)) {
      const std::optional<std::string> canonical = canonical_name(name);
      if (!canonical) {
        continue;
      }
      table->names.try_emplace(address->unmapped(), *canonical);
      std::vector<IpAddress>& addresses = table->addresses[*canonical];
      if (std::ranges::find(addresses, *address) == addresses.end()) {
        addresses.push_back(*address);
      }
    }
  }
  return table;
}

std::shared_ptr<const HostsFile::Table> HostsFile::current(Time now) {
  std::unique_lock lock(mutex_);
  if (path_.empty() || reading_ || now - checked_ < check_interval) {
    return table_;
  }
  checked_ = now;
  // Stamped before it is read: a write in between is then seen as one more change.
  const FileStamp stamp = FileStamp::of(path_);
  if (stamp == stamp_) {
    return table_;
  }
  reading_ = true;
  lock.unlock();
  try {
    if (elsewhere_ && stamp.size > small_file) {
      elsewhere_([this, stamp] { read_again(stamp); });
    } else {
      read_again(stamp);
    }
  } catch (...) {
    lock.lock();
    reading_ = false;  // the next one tries again
    throw;
  }
  lock.lock();
  return table_;
}

void HostsFile::read_again(const FileStamp& stamp) {
  std::shared_ptr<const Table> table;
  try {
    table = read(path_);
  } catch (...) {
    const std::lock_guard lock(mutex_);
    reading_ = false;
    throw;
  }
  const std::lock_guard lock(mutex_);
  reading_ = false;
  stamp_ = stamp;
  table_ = std::move(table);
}

std::optional<std::vector<IpAddress>> HostsFile::find(const std::string& canonical, Family family,
                                                      Time now) {
  const std::shared_ptr<const Table> table = current(now);
  const auto found = table->addresses.find(canonical);
  if (found == table->addresses.end()) {
    return std::nullopt;
  }
  std::vector<IpAddress> addresses;
  std::ranges::copy_if(found->second, std::back_inserter(addresses),
                       [family](const IpAddress& a) { return a.family() == family; });
  return addresses;
}

std::string HostsFile::find_name(const IpAddress& address, Time now) {
  const std::shared_ptr<const Table> table = current(now);
  const auto found = table->names.find(address);
  return found == table->names.end() ? std::string() : found->second;
}

std::size_t HostsFile::AddressHash::operator()(const IpAddress& address) const noexcept {
  const auto octets = address.bytes();
  return std::hash<std::string_view>{}(
      {reinterpret_cast<const char*>(octets.data()), octets.size()});
}

}  // namespace socks64::gateway
