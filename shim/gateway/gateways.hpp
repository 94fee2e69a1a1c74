// Which gateway a connect tries next: order, health, and the addresses of gateways given by name.
// See gateways.cpp.
#ifndef SOCKS64_SHIM_GATEWAYS_HPP
#define SOCKS64_SHIM_GATEWAYS_HPP

#include <array>
#include <atomic>
#include <cstdint>
#include <sys/socket.h>

#include "socks64/address.hpp"

#include "descriptors/gateway_walk.hpp"
#include "host/host_guard.hpp"
#include "settings/config.hpp"

namespace socks64::shim {

class Gateways {
 public:
  struct Pick {
    enum class Kind : std::uint8_t {
      candidate,   ///< dial it
      unresolved,  ///< resolve() its name first
      none,        ///< this connect has tried everything
    };
    Kind kind = Kind::none;
    Candidate candidate{};
  };
  struct Address {
    sockaddr_storage storage{};
    socklen_t length = 0;
  };
  /// A gateway's text, and the address when it was given by name.
  using Text = TextBuffer<360>;

  constexpr Gateways() noexcept = default;

  /// Maps what the fork family shares. Called once, at start-up.
  void start() noexcept;

  /// A walk that has tried nothing; where it begins is the balance's to say.
  [[nodiscard]] GatewayWalk begin() noexcept;
  /// The same for a question beside the connects, which takes no turn of theirs.
  [[nodiscard]] GatewayWalk begin_aside() noexcept;
  /// The next candidate that the walk has not tried: one that is not cooling down, else the one
  /// whose cool-down ends first.
  [[nodiscard]] Pick pick(const GatewayWalk& walk, Nanoseconds time) const noexcept;

  /// A gateway did not do its part: it is left out for the cool-down.
  void failed(Candidate candidate, Nanoseconds time) noexcept;
  /// It did, whatever it answered.
  void works(Candidate candidate) noexcept;

  /// Precondition: not unresolved.
  [[nodiscard]] Address address(Candidate candidate) const noexcept;
  [[nodiscard]] Text text(Candidate candidate) const noexcept;

  /// Asks libc for the addresses of a gateway's name, unless somebody of the family has already;
  /// waits as long as libc does. False when there are none: the gateway is cooling down then.
  /// Precondition: no lock is held.
  bool resolve(Candidate candidate) noexcept;
  /// Whether a gateway that was given by name has this address.
  [[nodiscard]] bool has_resolved(const Endpoint& endpoint) const noexcept;

 private:
  [[nodiscard]] static GatewayWalk begin_at(std::uint32_t place) noexcept;

  struct Addresses {
    WordLock lock;
    std::atomic<std::uint8_t> count{0};  ///< 0: not resolved; never changes again once it is not
    std::array<Endpoint, GatewayWalk::max_addresses> list{};
  };
  struct Shared {
    std::atomic<std::uint32_t> turn{0};
    std::array<Addresses, max_gateways> names{};
    std::array<std::atomic<Nanoseconds>, GatewayWalk::max_candidates> cooling_until{};
  };

  Shared own_{};  ///< for a process in which nothing can be mapped
  Shared* shared_ = &own_;
};

[[nodiscard]] Gateways& gateways() noexcept;

/// While libc resolves a gateway's name on this thread: every hook passes its calls on.
[[nodiscard]] bool resolving_gateway() noexcept;

}  // namespace socks64::shim

#endif
