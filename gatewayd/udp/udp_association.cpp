// An association: one socket towards the client, one for each family of destinations, and the TCP
// connection that all of it belongs to.
//
// Who owns it. The TCP connection does. It was accepted, authenticated and authorised; the
// datagrams prove nothing. So the association begins after the reply and ends with the connection,
// EOF and RST alike, in the turn of the event loop that learns of it: sockets closed, port free. A
// client that shuts down its sending half looks exactly like one that has closed, and section 7
// makes the end of the connection the end of the association; so EOF ends it. What the client sends
// on the connection meanwhile is thrown away: nothing is defined for it.
//
// What is dropped, each cause counted for the access record (udp_counts.hpp):
//   - From the client's side, what does not come from the TCP client's address and its one port
//     (ClientSource): anybody can send to the port. Who shares the client's address, behind the
//     same NAT or on the same host, could be first to send if the request names no port; section 7
//     gives nothing to tell them apart by. What is dropped does not decide who owns the
//     association.
//   - Fragments (section 7 lets us), what has no good header, what no single host can be meant by.
//   - What the rules refuse. Every datagram is judged by the policy of this moment, so a reload
//   counts
//     from the next one; the verdict on a peer is kept until the policy or the target is another.
//   - From the destinations' side, what comes from an address that the client has not sent to: the
//     gateway is no hole in a firewall. Any port of that address will do, for servers answer from
//     another port than they were asked at (TFTP does: RFC 1350 section 4); this is what RFC 4787
//     section 5 calls address-dependent filtering. The reply is judged as the datagram that it
//     answers would be.
//   - What does not fit: the header comes on top of a reply, so of one that is 65,507 octets long
//     already nothing whole could reach a client over IPv4, and half a datagram is none.
//   - What would have to wait for room: a datagram is never queued, except for the look-up of its
//   name.
//
// Why it is not slow or large. Datagrams move by the batch (udp_batch.hpp), through memory that the
// worker's associations share; the turn after a few batches belongs to others. An idle association
// is this object and two or three sockets.
//
// The destinations see one source port for each family, whatever the client sends and however it
// names them, because there is one socket for each; so what a STUN server tells the client is true.
#include "udp/udp_association.hpp"

#include <array>
#include <cerrno>
#include <sys/socket.h>
#include <variant>
#include <vector>

#include <asio/basic_datagram_socket.hpp>
#include <asio/this_coro.hpp>

#include "authorise/authorise.hpp"
#include "authorise/policy.hpp"
#include "handshake/farewell.hpp"
#include "loop/wait_slot.hpp"
#include "udp/udp_names.hpp"
#include "udp/udp_peers.hpp"
#include "udp/udp_socket.hpp"

namespace socks64::gateway {
namespace {

// A turn, after which it is that of others: well under a millisecond of work. One call may bring up
// to eight times as much, when messages suddenly hold many datagrams each; the next asks for fewer.
constexpr std::size_t datagrams_per_turn = 256;
constexpr std::size_t octets_per_turn = std::size_t{512} << 10U;
constexpr std::size_t most_peers = 1024;

struct Side {
  explicit Side(const Executor& executor) : socket(executor) {}

  [[nodiscard]] bool open() const noexcept { return socket.is_open(); }

  Socket socket;
  WaitSlot readable;
  Segmentation segmentation;
  std::size_t messages = ReceivedBatch::most_messages;  ///< to receive in one call
};

/// How many messages like these are a turn's worth.
std::size_t messages_for_turn(const ReceivedBatch::Got& got) noexcept {
  const std::size_t of_datagrams = datagrams_per_turn * got.messages / got.datagrams;
  const std::size_t of_octets =
      octets_per_turn * got.messages / std::max<std::size_t>(got.octets, 1);
  return std::clamp<std::size_t>(std::min(of_datagrams, of_octets), 1,
                                 ReceivedBatch::most_messages);
}

void take_over(Side& side, Descriptor from) {
  side.segmentation = Segmentation::of(from.get());
  side.socket = Socket(side.socket.get_executor(), std::move(from));
}

/// Lives on the heap because waits may outlive the coroutine.
class Association final : public WaitOwner {
 public:
  Association(Socket& control, const ClientSource& source, const Requester& requester,
              const AssociationServices& services, UdpCounts& counts,
              const BandwidthPair& bandwidth, Timer& alarm)
      : control_(control),
        source_(source),
        requester_(requester),
        services_(services),
        batches_(services.pool.batches()),
        counts_(counts),
        alarm_(alarm),
        client_(control.get_executor()),
        ipv4_(control.get_executor()),
        ipv6_(control.get_executor()),
        bandwidth_(bandwidth),
        names_(
            control.get_executor(), services.service.resolver, services.service.dial,
            services.pool.waiting_octets,
            [this](const NamedEndpoint& target, const Endpoint& address) {
              return is_usable_destination(address) && permitted(target, address);
            },
            [this](const UdpNames::Settled& settled) { send_waiting(settled); }) {}

  void start(Descriptor socket);
  void end(UdpEnd why) noexcept;
  /// The coroutine is gone, and what is referred to with it.
  void abandon() noexcept;

  [[nodiscard]] bool over() const noexcept { return over_; }
  [[nodiscard]] UdpEnd why() const noexcept { return why_; }
  void look_at_clock() noexcept;
  [[nodiscard]] Clock::time_point next_look() const noexcept;

  void woken(WaitSlot& slot, const asio::error_code& error) noexcept override;

 private:
  void hear_control();
  template <class Handle>
  void receive(Side& side, Handle handle);
  void from_client(const ReceivedDatagram& received);
  void from_destination(const ReceivedDatagram& received);
  void send_to_name(const NamedEndpoint& target, Bytes payload);
  void send_waiting(const UdpNames::Settled& settled);
  void send_to(const Endpoint& to, const std::shared_ptr<const DomainName>& name, Bytes payload);
  void flush_up() noexcept;
  void flush_down() noexcept;
  [[nodiscard]] Side* side_towards(Family family);
  [[nodiscard]] bool permitted(const Target& target, const Endpoint& address) const noexcept;
  void use_current_policy() noexcept;
  void close_sockets() noexcept;

  Socket& control_;
  ClientSource source_;
  const Requester& requester_;
  const AssociationServices services_;
  UdpPool::Batches& batches_;
  UdpCounts& counts_;
  Timer& alarm_;

  WaitSlot control_readable_;
  Side client_;
  Side ipv4_;
  Side ipv6_;
  UdpPeers peers_{most_peers};
  BandwidthPair bandwidth_;
  UdpNames names_;
  DatagramRate rate_up_;
  DatagramRate rate_down_;
  std::shared_ptr<const Policy> policy_ = services_.policy;
  std::uint64_t policy_number_ = 1;  ///< UdpPeer::judged; another one after each reload
  Clock::time_point now_ = Clock::now();
  Clock::time_point last_relayed_ = now_;
  UdpEnd why_ = UdpEnd::cancelled;
  bool over_ = false;
};

void Association::start(Descriptor socket) {
  take_over(client_, std::move(socket));
  control_readable_.arm(*this, control_, Ready::read);
  client_.readable.arm(*this, client_.socket, Ready::read);
}

void Association::woken(WaitSlot& slot, const asio::error_code& error) noexcept {
  if (over_) {
    return;
  }
  if (error) {
    // Somebody cancelled a socket's operations, or the kernel had no memory for the wait.
    const bool cancelled = error == asio::error::operation_aborted;
    return end(cancelled ? UdpEnd::cancelled : UdpEnd::no_resources);
  }
  try {
    if (&slot == &control_readable_) {
      hear_control();
    } else if (&slot == &client_.readable) {
      receive(client_, [this](const ReceivedDatagram& received) { from_client(received); });
      flush_up();
    } else {
      receive(&slot == &ipv4_.readable ? ipv4_ : ipv6_,
              [this](const ReceivedDatagram& received) { from_destination(received); });
      flush_down();
    }
  } catch (...) {
    // Memory ran out. What the batches hold must not go out by the next association's sockets.
    batches_.clear();
    report_escape("udp association", std::current_exception());
    end(UdpEnd::no_resources);
  }
}

void Association::hear_control() {
  // One piece per wake-up also when more is there: a client that pours must not keep the worker.
  const ssize_t dropped = discard(control_.native_handle());
  if (dropped == 0) {
    return end(UdpEnd::client_closed);
  }
  if (dropped < 0 && errno != EAGAIN && errno != EINTR) {
    return end(UdpEnd::client_reset);
  }
  control_readable_.arm(*this, control_, Ready::read, dropped < 0);
}

void Association::use_current_policy() noexcept {
  if (policy_ == services_.policy) {
    return;
  }
  policy_ = services_.policy;
  ++policy_number_;
}

/// One turn: batch after batch, each sent on before the next is received in its place.
template <class Handle>
void Association::receive(Side& side, Handle handle) {
  use_current_policy();
  ReceivedBatch& received = batches_.received;
  std::size_t datagrams = 0;
  std::size_t octets = 0;
  bool drained = false;
  while (!drained && datagrams < datagrams_per_turn && octets < octets_per_turn) {
    const std::size_t asked = side.messages;
    const ReceivedBatch::Got got = received.receive(side.socket.native_handle(), asked);
    if (got.messages == 0) {
      break;
    }
    now_ = Clock::now();
    while (const ReceivedDatagram* const datagram = received.next()) {
      handle(*datagram);
    }
    flush_up();
    flush_down();
    side.messages = messages_for_turn(got);
    drained = got.messages < asked;
    datagrams += got.datagrams;
    octets += got.octets;
  }
  side.readable.arm(*this, side.socket, Ready::read, drained);
}

void Association::from_client(const ReceivedDatagram& received) {
  if (!source_.admits(received.from)) {
    return counts_.drop(UdpDrop::foreign);
  }
  if (!rate_up_.admits(policy_->limits.udp.datagrams_per_second, now_) ||
      (bandwidth_.up != nullptr && !bandwidth_.up->take(received.octets.size(), now_))) {
    return counts_.drop(UdpDrop::rate);
  }
  const ClientDatagram datagram = judge_datagram(received.octets);
  if (datagram.drop) {
    return counts_.drop(*datagram.drop);
  }
  source_.settle(received.from.port);
  if (const auto* named = std::get_if<NamedEndpoint>(&datagram.target)) {
    send_to_name(*named, datagram.payload);
  } else {
    send_to(std::get<Endpoint>(datagram.target), nullptr, datagram.payload);
  }
}

void Association::send_to_name(const NamedEndpoint& target, Bytes payload) {
  UdpNames::Known known = names_.find(target.name, now_);
  if (known.state == UdpNames::State::unknown) {
    // As asked for, before anybody is asked for its address.
    if (!judge(*policy_, requester_, Command::udp_associate, target).allowed) {
      return counts_.drop(UdpDrop::denied);
    }
    known.state = names_.begin(target, now_);
    if (known.state == UdpNames::State::known) {
      known = names_.find(target.name, now_);
    }
  }
  switch (known.state) {
    case UdpNames::State::known:
      return send_to({known.address, target.port}, known.name, payload);
    case UdpNames::State::waiting:
      if (!names_.keep(target, payload)) {
        counts_.drop(UdpDrop::waiting);
      }
      return;
    case UdpNames::State::denied:
      return counts_.drop(UdpDrop::denied);
    case UdpNames::State::unknown:
    case UdpNames::State::failed:
      return counts_.drop(UdpDrop::name);
  }
}

/// Called within a turn of the client's side, with nothing waiting then, or when an answer comes.
void Association::send_waiting(const UdpNames::Settled& settled) {
  if (over_ || settled.waiting.empty()) {
    return;
  }
  now_ = Clock::now();
  use_current_policy();
  if (!settled.address) {
    counts_.drop(settled.denied ? UdpDrop::denied : UdpDrop::name, settled.waiting.size());
    return;
  }
  try {
    for (const UdpNames::Waiting& datagram : settled.waiting) {
      send_to({*settled.address, datagram.port}, settled.name, datagram.payload);
    }
    flush_up();  // what waited is gone after this call
  } catch (...) {
    batches_.clear();
    throw;
  }
}

void Association::send_to(const Endpoint& to, const std::shared_ptr<const DomainName>& name,
                          Bytes payload) {
  const UdpPeer* known = peers_.find(to.address);
  if (known == nullptr || known->judged != policy_number_ || known->port != to.port ||
      known->name != name) {
    UdpPeer peer{to.address, to.port, name, policy_number_};
    if (!permitted(peer.target(), to)) {
      return counts_.drop(UdpDrop::denied);
    }
    peers_.remember(std::move(peer));
  }
  if (side_towards(to.address.family()) == nullptr) {
    return counts_.drop(UdpDrop::unreachable);
  }
  SendBatch& batch = to.address.is_v4() ? batches_.to_ipv4 : batches_.to_ipv6;
  if (batch.full()) {
    flush_up();
  }
  batch.add(to, {}, payload);
}

void Association::from_destination(const ReceivedDatagram& received) {
  UdpPeer* const peer = peers_.find(received.from.address);
  if (peer == nullptr) {
    return counts_.drop(UdpDrop::unsolicited);
  }
  if (peer->judged != policy_number_) {
    // Not forgotten when it is denied: the next policy may allow it again.
    if (!permitted(peer->target(), {peer->address, peer->port})) {
      return counts_.drop(UdpDrop::denied);
    }
    peer->judged = policy_number_;
  }
  if (!rate_down_.admits(policy_->limits.udp.datagrams_per_second, now_) ||
      (bandwidth_.down != nullptr && !bandwidth_.down->take(received.octets.size(), now_))) {
    return counts_.drop(UdpDrop::rate);
  }
  const ReplyHeader header(received.from);
  const Endpoint client = source_.endpoint();
  const std::size_t size = header.octets().size() + received.octets.size();
  if (size > (client.address.is_v4() ? max_udp_over_ipv4 : max_udp_over_ipv6)) {
    return counts_.drop(UdpDrop::oversized);
  }
  if (batches_.to_client.full()) {
    flush_down();
  }
  batches_.to_client.add(client, header.octets(), received.octets);
}

void Association::flush_up() noexcept {
  for (Side* const side : {&ipv4_, &ipv6_}) {
    SendBatch& batch = side == &ipv4_ ? batches_.to_ipv4 : batches_.to_ipv6;
    if (batch.empty()) {
      continue;
    }
    const SendBatch::Sent sent =
        batch.flush(side->socket.native_handle(), side->segmentation, counts_);
    counts_.up += sent.datagrams;
    counts_.octets_up += sent.octets;
    if (sent.datagrams != 0) {
      last_relayed_ = now_;
    }
  }
}

void Association::flush_down() noexcept {
  if (batches_.to_client.empty()) {
    return;
  }
  const SendBatch::Sent sent =
      batches_.to_client.flush(client_.socket.native_handle(), client_.segmentation, counts_);
  counts_.down += sent.datagrams;
  counts_.octets_down += sent.octets;
  if (sent.datagrams != 0) {
    last_relayed_ = now_;
  }
}

/// Opened with the first datagram that needs it; null when that fails.
Side* Association::side_towards(Family family) {
  Side& side = family == Family::ipv4 ? ipv4_ : ipv6_;
  if (side.open()) {
    return &side;
  }
  const IpAddress any = family == Family::ipv4 ? IpAddress() : IpAddress::v6(IpAddress::V6Bytes{});
  const Source& source = services_.service.dial.source;
  UdpSocket opened = open_udp_socket(source.of(family).value_or(any), {}, source.interface);
  if (!opened.socket) {
    return nullptr;
  }
  take_over(side, std::move(opened.socket));
  side.readable.arm(*this, side.socket, Ready::read);
  return &side;
}

/// By the policy of this moment, except within a batch that has begun.
bool Association::permitted(const Target& target, const Endpoint& address) const noexcept {
  const DialConfig& dial = services_.service.dial;
  return (address.address.is_v4() ? dial.ipv4 : dial.ipv6) &&
         judge(*policy_, requester_, Command::udp_associate, target, address).allowed;
}

void Association::close_sockets() noexcept {
  counts_.drop(UdpDrop::name, names_.clear());
  for (Side* const side : {&client_, &ipv4_, &ipv6_}) {
    side->socket.close();
  }
}

void Association::end(UdpEnd why) noexcept {
  if (over_) {
    return;
  }
  over_ = true;
  why_ = why;
  close_sockets();
  if (why == UdpEnd::cancelled) {
    const linger abort{1, 0};
    ::setsockopt(control_.native_handle(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
  }
  control_.close();
  alarm_.cancel();
}

void Association::abandon() noexcept {
  if (!over_) {
    close_sockets();
  }
  over_ = true;
}

/// Relaying only notes the time. The alarm is set again when it goes off, not per datagram.
Clock::time_point Association::next_look() const noexcept {
  const std::chrono::seconds idle = services_.service.config.idle;
  return idle.count() == 0 ? Clock::time_point::max() : last_relayed_ + idle;
}

void Association::look_at_clock() noexcept {
  if (Clock::now() >= next_look()) {
    end(UdpEnd::idle_timeout);
  }
}

/// The coroutine's hold on the association, given up however the coroutine ends.
class Tenancy {
 public:
  explicit Tenancy(Association* association) noexcept : association_(association) {
    association_->acquire();
  }
  Tenancy(const Tenancy&) = delete;
  Tenancy& operator=(const Tenancy&) = delete;
  ~Tenancy() {
    association_->abandon();
    association_->release();
  }

 private:
  Association* association_;
};

}  // namespace

Task<UdpEnd> relay_datagrams(Socket& control, UdpOpening opening, const Requester& requester,
                             const AssociationServices& services, UdpCounts& counts,
                             const BandwidthPair& bandwidth) {
  // A cancellation must find its way to end(), not out of the next co_await as an exception.
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);

  Timer alarm(control.get_executor());
  Association* const association =
      new Association(control, opening.source, requester, services, counts, bandwidth, alarm);
  const Tenancy tenancy(association);
  association->start(std::move(opening.socket));
  while (!association->over()) {
    const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
      association->end(UdpEnd::cancelled);
      break;
    }
    alarm.expires_at(association->next_look());
    [[maybe_unused]] const auto woken_by = co_await alarm.async_wait(as_result);
    if (!association->over()) {
      association->look_at_clock();
    }
  }
  const UdpEnd why = association->why();
  co_await asio::this_coro::throw_if_cancelled(throws);
  co_return why;
}

}  // namespace socks64::gateway
