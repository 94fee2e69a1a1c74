// A password on its way from a client to its hash: in memory of its own, and wiped when it is over.
#ifndef SOCKS64_GATEWAYD_SECRET_HPP
#define SOCKS64_GATEWAYD_SECRET_HPP

#include <algorithm>
#include <array>
#include <cstddef>
#include <string.h>  // NOLINT(modernize-deprecated-headers): explicit_bzero is not in <cstring>
#include <string_view>

namespace socks64::gateway {

class Secret {
 public:
  static constexpr std::size_t max_size = 255;  ///< PLEN of RFC 1929 is one octet

  Secret() = default;
  /// What is beyond max_size is dropped; fits() says whether there is any.
  explicit Secret(std::string_view octets) noexcept : size_(std::min(octets.size(), max_size)) {
    std::copy_n(octets.begin(), size_, octets_.begin());
  }
  Secret(const Secret& other) noexcept : Secret(other.view()) {}
  Secret& operator=(const Secret&) = delete;
  ~Secret() { explicit_bzero(octets_.data(), octets_.size()); }

  [[nodiscard]] static bool fits(std::string_view octets) noexcept {
    return octets.size() <= max_size;
  }
  [[nodiscard]] std::string_view view() const noexcept { return {octets_.data(), size_}; }
  /// With a NUL behind it. A password that holds one itself ends there for crypt(3).
  [[nodiscard]] const char* c_str() const noexcept { return octets_.data(); }
  [[nodiscard]] bool has_nul() const noexcept { return view().find('\0') != view().npos; }

 private:
  std::array<char, max_size + 1> octets_{};
  std::size_t size_ = 0;
};

}  // namespace socks64::gateway

#endif
