// Stage 9: one access record per session, on every path.
//
// A session fills its AccessRecord as it goes; the record is written when the OpenRecord that holds
// it is destroyed, with the session's control. So a session that could not begin, that ends by an
// exception, or whose frame is destroyed at shutdown, is accounted for like any other.
#ifndef SOCKS64_GATEWAYD_ACCOUNT_HPP
#define SOCKS64_GATEWAYD_ACCOUNT_HPP

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "socks64/message.hpp"

#include "account/udp_counts.hpp"
#include "base/arrival.hpp"
#include "base/client.hpp"

namespace socks64::gateway {

class LineWriter;

enum class SessionEnd : std::uint8_t {
  // The relay ran.
  both_closed,
  client_reset,
  destination_reset,
  idle_timeout,
  half_close_timeout,
  client_closed,  ///< an association ended with its TCP connection
  no_resources,   ///< descriptors or memory ran out under the relay, or before the session began
  // It did not.
  answered,           ///< RESOLVE or RESOLVE_PTR, with success
  request_failed,     ///< a failing reply was sent; `reason` names the failure
  auth_failed,        ///< name and password, or the lack of them; `reason` says which
  bad_handshake,      ///< what the client sent is not SOCKS5, or broke off; `reason` says which
  no_handshake,       ///< the client closed or reset without a single octet
  handshake_timeout,  ///< the request was not complete in time
  client_gone,        ///< the client reset the connection while its target was being dialled, or
                      ///< ended it while its peer was awaited (BIND)
  // Either.
  shutdown,  ///< cancelled by the gateway's own end
  internal,  ///< a defect; the log says more
};
[[nodiscard]] std::string_view describe(SessionEnd end) noexcept;

struct AccessRecord {
  std::chrono::system_clock::time_point time;  ///< of the accept
  std::uint64_t id = 0;                        ///< unique in the life of the process
  Client client;
  std::string user;  ///< empty: not authenticated
  std::optional<Command> command;
  std::string target;               ///< as text() has it; empty: there was no request
  std::optional<Endpoint> address;  ///< where that led; of BIND the peer, of RESOLVE the answer,
                                    ///< with port 0
  unsigned attempts = 0;            ///< connects started; of BIND, connections that came in
  std::uint64_t octets_up = 0;      ///< client to destination
  std::uint64_t octets_down = 0;    ///< destination to client
  std::chrono::microseconds resolve_time{0};
  std::chrono::microseconds connect_time{0};
  std::chrono::microseconds total_time{0};
  std::unique_ptr<UdpCounts> datagrams;  ///< of an association, and of nothing else
  std::optional<ReplyCode> reply;        ///< the REP that was sent, if any
  SessionEnd end = SessionEnd::internal;
  std::string_view reason;  ///< empty when `end` says it all; a literal, or lives as long as
  std::shared_ptr<const void>
      reason_owner;  ///< this: a reload must not free what is yet to be written
};

enum class AccessFormat : std::uint8_t { text, json };

/// One line without its newline: `<time> access id=... client=... user=... command=... target=...
/// address=... crossing=... attempts=... up=... down=... resolve_ms=... connect_ms=... total_ms=...
/// reply=... end=... reason=...`, and of an association also `datagrams_up=... datagrams_down=...
/// dropped=cause:count,...`. A field without a value is "-"; names are escaped (log.hpp).
void format_text(fmt::memory_buffer& out, const AccessRecord& record);
/// The same fields as one JSON object; a field without a value is null.
void format_json(fmt::memory_buffer& out, const AccessRecord& record);

/// "v4>v6", "unix>v6" and so on, by the families of the two connections; empty when there is no
/// second one.
[[nodiscard]] std::string_view crossing(const AccessRecord& record) noexcept;

/// Any thread.
class AccessLog {
 public:
  /// `out` null: records are not written.
  AccessLog(LineWriter* out, AccessFormat format) : out_(out), format_(format) {}

  void write(const AccessRecord& record) noexcept;

 private:
  LineWriter* out_;
  AccessFormat format_;
};

class OpenRecord {
 public:
  explicit OpenRecord(AccessLog& log) : log_(log) {}
  ~OpenRecord();
  OpenRecord(const OpenRecord&) = delete;
  OpenRecord& operator=(const OpenRecord&) = delete;

  AccessRecord* operator->() noexcept { return &record_; }
  /// Which, who and when. Until the session says otherwise, it ends for want of memory: nothing
  /// else can keep it from beginning.
  void open(const Arrival& arrival) noexcept;
  /// Fixes total_time: what comes after (a lingering close) is not the session's.
  void stop_clock() noexcept;

 private:
  AccessLog& log_;
  AccessRecord record_;
  std::chrono::steady_clock::time_point began_;
  bool stopped_ = false;
};

}  // namespace socks64::gateway

#endif
