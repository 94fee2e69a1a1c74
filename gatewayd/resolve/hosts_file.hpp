// /etc/hosts, read by ourselves: c-ares 1.18 opens and scans it again for each name, on its own
// thread, and a name found there must not wait for DNS in any way.
#ifndef SOCKS64_GATEWAYD_HOSTS_FILE_HPP
#define SOCKS64_GATEWAYD_HOSTS_FILE_HPP

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "socks64/address.hpp"

#include "base/file_stamp.hpp"

namespace socks64::gateway {

/// Safe to ask from any thread. Looks for a new version of the file at most once a second. Whoever
/// finds one reads it, if that takes no time to speak of; a block list of a hundred thousand lines
/// is read on another thread. All go on with the old one meanwhile.
class HostsFile {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// An empty path, or a file that is not there, is a table without names.
  explicit HostsFile(std::string path);

  /// Up to here, whoever notices the change reads the file at once.
  static constexpr std::int64_t small_file = std::int64_t{64} * 1024;
  using RunElsewhere = std::function<void(std::function<void()>)>;
  /// Who reads larger files; without it, whoever notices. To be called before the first find().
  /// What it is given to run must not outlive this object.
  void read_on(RunElsewhere elsewhere) { elsewhere_ = std::move(elsewhere); }

  /// Nothing when the file does not know the name; else its addresses of that family, in the order
  /// of the file, maybe none. Expects a canonical name (dns_name.hpp).
  [[nodiscard]] std::optional<std::vector<IpAddress>> find(const std::string& canonical,
                                                           Family family, Time now);

  /// The first name of the first line that has this address; empty when there is none. Expects no
  /// IPv4-mapped address.
  [[nodiscard]] std::string find_name(const IpAddress& address, Time now);

 private:
  struct AddressHash {
    [[nodiscard]] std::size_t operator()(const IpAddress& address) const noexcept;
  };
  struct Table {
    std::unordered_map<std::string, std::vector<IpAddress>> addresses;
    std::unordered_map<IpAddress, std::string, AddressHash> names;
  };

  static std::shared_ptr<const Table> read(const std::string& path);
  std::shared_ptr<const Table> current(Time now);
  void read_again(const FileStamp& stamp);

  const std::string path_;
  RunElsewhere elsewhere_;
  std::mutex mutex_;
  bool reading_ = false;
  Time checked_{};
  FileStamp stamp_;
  std::shared_ptr<const Table> table_;
};

}  // namespace socks64::gateway

#endif
