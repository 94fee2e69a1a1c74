// Errors as values, for code that may neither throw nor allocate.
#ifndef SOCKS64_RESULT_HPP
#define SOCKS64_RESULT_HPP

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <variant>

namespace socks64 {

/// What can go wrong in the protocol library. Values are stable within a process only; they never
/// travel on the wire.
enum class Errc : std::uint8_t {
  ok = 0,
  // Text and value errors
  bad_address,  ///< not an IPv4 or IPv6 literal
  bad_port,     ///< not a decimal number from 0 to 65535
  bad_prefix,   ///< not ADDRESS/LENGTH, or the length exceeds the family's
  bad_name,     ///< empty, longer than 255 octets, or holding a NUL
  no_space,     ///< the caller's buffer is too small
  // Protocol errors (RFC 1928, RFC 1929)
  bad_version,           ///< VER is not 0x05, or the sub-negotiation's is not 0x01
  bad_method_count,      ///< NMETHODS is 0
  no_acceptable_method,  ///< the server chose 0xFF, or the client offers nothing that we accept
  unexpected_method,     ///< the server chose a method that was not offered
  auth_failed,           ///< RFC 1929 status other than 0
  bad_credentials,       ///< empty or over-long user name, over-long password
  bad_command,           ///< CMD is none of CONNECT, BIND, UDP ASSOCIATE
  bad_address_type,      ///< ATYP is none of 1, 3, 4
  bad_reserved,          ///< RSV is not 0
  bad_fragment,          ///< FRAG is not 0 (RFC 1928 section 7: drop)
  request_failed,        ///< REP is not 0; the reply code says why
  truncated,             ///< the peer closed in the middle of a message
  wrong_state,           ///< the caller called a state machine out of order
};

/// A short, stable, lower-case description; never empty.
[[nodiscard]] std::string_view describe(Errc error) noexcept;

/// A value or an error. `T` must be nothrow-movable.
template <class T>
class [[nodiscard]] Result {
 public:
  constexpr Result(T value) noexcept : state_(std::in_place_index<0>, std::move(value)) {}
  constexpr Result(Errc error) noexcept : state_(std::in_place_index<1>, error) {}

  [[nodiscard]] constexpr bool has_value() const noexcept { return state_.index() == 0; }
  [[nodiscard]] constexpr explicit operator bool() const noexcept { return has_value(); }
  /// Errc::ok when a value is held.
  [[nodiscard]] constexpr Errc error() const noexcept {
    const auto* held = std::get_if<1>(&state_);
    return held != nullptr ? *held : Errc::ok;
  }
  /// Precondition: has_value().
  [[nodiscard]] constexpr T& operator*() noexcept { return *std::get_if<0>(&state_); }
  [[nodiscard]] constexpr const T& operator*() const noexcept { return *std::get_if<0>(&state_); }
  [[nodiscard]] constexpr T* operator->() noexcept { return std::get_if<0>(&state_); }
  [[nodiscard]] constexpr const T* operator->() const noexcept { return std::get_if<0>(&state_); }
  [[nodiscard]] constexpr T value_or(T fallback) const noexcept {
    return has_value() ? **this : fallback;
  }

 private:
  std::variant<T, Errc> state_;
};

/// Outcome of parsing a prefix of a stream. NeedMore is not an error: call again with more bytes.
enum class ParseStatus : std::uint8_t { complete, need_more, invalid };

template <class T>
struct [[nodiscard]] Parsed {
  ParseStatus status = ParseStatus::need_more;
  Errc error = Errc::ok;     ///< set when invalid
  std::size_t consumed = 0;  ///< octets of the message, set when complete
  std::size_t missing = 0;   ///< set when need_more: the fewest octets the message still lacks, so
                             ///< reading that many never goes past its end
  T value{};                 ///< set when complete
};

}  // namespace socks64

#endif
