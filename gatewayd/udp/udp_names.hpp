// The names that the datagrams of one association go to.
//
// A name is looked up once, and keeps the address that it was given for as long as it is in use:
// were it to change with every answer of a server that rotates them, the datagrams of one exchange
// would go to several hosts. After a minute without a datagram it is looked up again. What comes
// for a name before its address is known waits, in order and within bounds.
#ifndef SOCKS64_GATEWAYD_UDP_NAMES_HPP
#define SOCKS64_GATEWAYD_UDP_NAMES_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "socks64/address.hpp"
#include "socks64/wire.hpp"

#include "base/failure.hpp"
#include "dial/dial.hpp"
#include "loop/net.hpp"
#include "resolve/resolve.hpp"

namespace socks64::gateway {

class UdpNames {
 public:
  static constexpr std::size_t max_names = 64;
  static constexpr std::size_t max_waiting = 32;  ///< datagrams for one name
  static constexpr std::size_t max_waiting_octets = std::size_t{128} << 10U;  ///< for one name
  static constexpr std::size_t max_worker_octets = std::size_t{16} << 20U;    ///< of one worker
  static constexpr std::chrono::seconds rest{60};  ///< unused for so long, a name is asked again
  static constexpr std::chrono::seconds retry{1};  ///< after a failure

  struct Waiting {
    Port port = 0;
    std::vector<std::uint8_t> payload;
  };
  /// What has become of a name that datagrams waited for.
  struct Settled {
    std::shared_ptr<const DomainName> name;
    std::optional<IpAddress> address;  ///< nothing: it has none that could be used
    bool denied = false;               ///< because rules refuse all of them
    std::vector<Waiting> waiting;      ///< in the order in which they came
  };
  enum class State : std::uint8_t {
    known,
    unknown,  ///< nobody looks it up yet: begin()
    waiting,
    failed,
    denied,
  };
  struct Known {
    State state = State::unknown;
    IpAddress address;                       ///< when it is known
    std::shared_ptr<const DomainName> name;  ///< likewise
  };
  /// Whether a datagram for this name and port may go to this address.
  using Permit = std::function<bool(const NamedEndpoint& target, const Endpoint& address)>;

  /// `waiting_octets`: of all associations of the worker. What is referred to outlives it.
  UdpNames(const Executor& executor, Resolver& resolver, const DialConfig& dial,
           std::size_t& waiting_octets, Permit permit, std::function<void(Settled)> on_settled);
  ~UdpNames() { clear(); }
  UdpNames(const UdpNames&) = delete;
  UdpNames& operator=(const UdpNames&) = delete;

  [[nodiscard]] Known find(const DomainName& name, Clock::time_point now);
  /// Looks up a name that is unknown, and returns the state that this leaves it in; it may be
  /// settled within this call. `waiting` also when there is no room for another name.
  State begin(const NamedEndpoint& target, Clock::time_point now);
  /// Keeps a datagram for a name that is being looked up; false when too much waits already.
  [[nodiscard]] bool keep(const NamedEndpoint& target, Bytes payload);
  /// Nothing is settled any more. How many datagrams waited.
  std::size_t clear() noexcept;

 private:
  class Question;
  struct Entry {
    std::string key;  ///< canonical
    std::shared_ptr<const DomainName> name;
    State state = State::unknown;
    IpAddress address;
    Clock::time_point used;  ///< or when it failed
    std::shared_ptr<Question> question;
    std::vector<Waiting> waiting;
    std::size_t octets = 0;  ///< of what waits
  };
  using Entries = std::list<Entry>;

  [[nodiscard]] Entry* entry_of(const DomainName& name);
  [[nodiscard]] bool make_room();
  void settle(Entry& entry, std::optional<IpAddress> address, Failure failure);

  Executor executor_;
  Resolver& resolver_;
  const DialConfig& dial_;
  std::size_t& waiting_octets_;
  Permit permit_;
  std::function<void(Settled)> on_settled_;
  Entries entries_;  ///< the most recently used first
};

}  // namespace socks64::gateway

#endif
