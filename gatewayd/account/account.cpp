#include "account/account.hpp"

#include <array>
#include <ctime>
#include <iterator>

#include "base/line_writer.hpp"
#include "base/log.hpp"

namespace socks64::gateway {
namespace {

using Out = std::back_insert_iterator<fmt::memory_buffer>;

// Each thread formats into a buffer of its own that keeps its size: no allocation for a record.
thread_local fmt::memory_buffer line;

void append(fmt::memory_buffer& out, std::string_view text) {
  out.append(text.data(), text.data() + text.size());
}

void append_time(fmt::memory_buffer& out, std::chrono::system_clock::time_point time) {
  const auto since = time.time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(since - seconds);
  // A busy worker writes thousands of records in one second.
  thread_local std::time_t last = -1;
  thread_local std::array<char, 32> text{};
  thread_local std::size_t size = 0;
  const std::time_t stamp = seconds.count();
  if (stamp != last) {
    std::tm utc{};
    gmtime_r(&stamp, &utc);
    size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &utc);
    last = stamp;
  }
  out.append(text.data(), text.data() + size);
  fmt::format_to(Out(out), ".{:03}Z", milliseconds.count());
}

std::string_view command_name(const std::optional<Command>& command) noexcept {
  if (!command) {
    return {};
  }
  switch (*command) {
    case Command::connect:
      return "connect";
    case Command::bind:
      return "bind";
    case Command::udp_associate:
      return "udp-associate";
    case Command::resolve:
      return "resolve";
    case Command::resolve_ptr:
      return "resolve-ptr";
  }
  return {};
}

// Milliseconds with the microseconds behind the point, without a float.
struct Milliseconds {
  std::int64_t whole;
  std::int64_t micro;
};
Milliseconds milliseconds(std::chrono::microseconds time) noexcept {
  return {time.count() / 1000, time.count() % 1000};
}

std::string_view or_dash(std::string_view text) noexcept {
  return text.empty() ? std::string_view("-") : text;
}

void text_field(fmt::memory_buffer& out, std::string_view key, std::string_view value) {
  out.push_back(' ');
  append(out, key);
  out.push_back('=');
  append_escaped(out, or_dash(value));
}

void json_field(fmt::memory_buffer& out, std::string_view key, std::string_view value) {
  fmt::format_to(Out(out), ",\"{}\":", key);
  if (value.empty()) {
    append(out, "null");
  } else {
    append_json_string(out, value);
  }
}

/// Calls `write` with each cause for which datagrams were dropped, and how many.
template <class Write>
void for_each_drop(const UdpCounts& counts, Write write) {
  for (std::size_t i = 0; i < counts.dropped.size(); ++i) {
    if (counts.dropped[i] != 0) {
      write(describe(static_cast<UdpDrop>(i)), counts.dropped[i]);
    }
  }
}

void text_datagrams(fmt::memory_buffer& out, const UdpCounts& counts) {
  fmt::format_to(Out(out), " datagrams_up={} datagrams_down={} dropped=", counts.up, counts.down);
  std::string_view separator;
  for_each_drop(counts, [&](std::string_view cause, std::uint64_t count) {
    fmt::format_to(Out(out), "{}{}:{}", separator, cause, count);
    separator = ",";
  });
  if (separator.empty()) {
    out.push_back('-');
  }
}

void json_datagrams(fmt::memory_buffer& out, const UdpCounts& counts) {
  fmt::format_to(Out(out), ",\"datagrams_up\":{},\"datagrams_down\":{},\"dropped\":{{", counts.up,
                 counts.down);
  std::string_view separator;
  for_each_drop(counts, [&](std::string_view cause, std::uint64_t count) {
    fmt::format_to(Out(out), "{}\"{}\":{}", separator, cause, count);
    separator = ",";
  });
  out.push_back('}');
}

}  // namespace

std::string_view describe(SessionEnd end) noexcept {
  switch (end) {
    case SessionEnd::both_closed:
      return "both-closed";
    case SessionEnd::client_reset:
      return "client-reset";
    case SessionEnd::destination_reset:
      return "destination-reset";
    case SessionEnd::idle_timeout:
      return "idle-timeout";
    case SessionEnd::half_close_timeout:
      return "half-close-timeout";
    case SessionEnd::client_closed:
      return "client-closed";
    case SessionEnd::no_resources:
      return "no-resources";
    case SessionEnd::answered:
      return "answered";
    case SessionEnd::request_failed:
      return "request-failed";
    case SessionEnd::auth_failed:
      return "auth-failed";
    case SessionEnd::bad_handshake:
      return "bad-handshake";
    case SessionEnd::no_handshake:
      return "no-handshake";
    case SessionEnd::handshake_timeout:
      return "handshake-timeout";
    case SessionEnd::client_gone:
      return "client-gone";
    case SessionEnd::shutdown:
      return "shutdown";
    case SessionEnd::internal:
      break;
  }
  return "internal";
}

std::string_view crossing(const AccessRecord& record) noexcept {
  if (!record.address || record.command == Command::resolve) {
    return {};  // nothing was crossed
  }
  if (record.client.process) {
    return record.address->address.is_v4() ? "unix>v4" : "unix>v6";
  }
  if (record.client.endpoint.address.is_v4()) {
    return record.address->address.is_v4() ? "v4>v4" : "v4>v6";
  }
  return record.address->address.is_v4() ? "v6>v4" : "v6>v6";
}

void format_text(fmt::memory_buffer& out, const AccessRecord& record) {
  append_time(out, record.time);
  fmt::format_to(Out(out), " access id={}", record.id);
  text_field(out, "client", record.client.text());
  if (record.user == "-") {  // somebody's name, not the lack of one
    append(out, " user=\"-\"");
  } else {
    text_field(out, "user", record.user);
  }
  text_field(out, "command", command_name(record.command));
  text_field(out, "target", record.target);
  text_field(out, "address", record.address ? record.address->text() : Endpoint::Text{});
  text_field(out, "crossing", crossing(record));
  const Milliseconds resolve = milliseconds(record.resolve_time);
  const Milliseconds connect = milliseconds(record.connect_time);
  const Milliseconds total = milliseconds(record.total_time);
  fmt::format_to(Out(out),
                 " attempts={} up={} down={} resolve_ms={}.{:03} connect_ms={}.{:03} "
                 "total_ms={}.{:03} reply=",
                 record.attempts, record.octets_up, record.octets_down, resolve.whole,
                 resolve.micro, connect.whole, connect.micro, total.whole, total.micro);
  if (record.reply) {
    fmt::format_to(Out(out), "{}", static_cast<unsigned>(*record.reply));
  } else {
    out.push_back('-');
  }
  text_field(out, "end", describe(record.end));
  text_field(out, "reason", record.reason);
  if (record.datagrams) {
    text_datagrams(out, *record.datagrams);
  }
}

void format_json(fmt::memory_buffer& out, const AccessRecord& record) {
  append(out, "{\"time\":\"");
  append_time(out, record.time);
  fmt::format_to(Out(out), "\",\"id\":{}", record.id);
  json_field(out, "client", record.client.text());
  json_field(out, "user", record.user);
  json_field(out, "command", command_name(record.command));
  json_field(out, "target", record.target);
  json_field(out, "address", record.address ? record.address->text() : Endpoint::Text{});
  json_field(out, "crossing", crossing(record));
  const Milliseconds resolve = milliseconds(record.resolve_time);
  const Milliseconds connect = milliseconds(record.connect_time);
  const Milliseconds total = milliseconds(record.total_time);
  fmt::format_to(Out(out),
                 ",\"attempts\":{},\"up\":{},\"down\":{},\"resolve_ms\":{}.{:03},"
                 "\"connect_ms\":{}.{:03},\"total_ms\":{}.{:03},\"reply\":",
                 record.attempts, record.octets_up, record.octets_down, resolve.whole,
                 resolve.micro, connect.whole, connect.micro, total.whole, total.micro);
  if (record.reply) {
    fmt::format_to(Out(out), "{}", static_cast<unsigned>(*record.reply));
  } else {
    append(out, "null");
  }
  json_field(out, "end", describe(record.end));
  json_field(out, "reason", record.reason);
  if (record.datagrams) {
    json_datagrams(out, *record.datagrams);
  }
  out.push_back('}');
}

void AccessLog::write(const AccessRecord& record) noexcept {
  if (out_ == nullptr) {
    return;
  }
  try {
    line.clear();
    if (format_ == AccessFormat::json) {
      format_json(line, record);
    } else {
      format_text(line, record);
    }
    out_->write({line.data(), line.size()});
  } catch (...) {
    // Out of memory: the record is lost, the session's resources are still released.
    return;
  }
}

OpenRecord::~OpenRecord() {
  stop_clock();
  log_.write(record_);
}

void OpenRecord::open(const Arrival& arrival) noexcept {
  record_.time = arrival.time;
  record_.id = arrival.id;
  record_.client = arrival.client;
  began_ = arrival.began;
  record_.end = SessionEnd::no_resources;
}

void OpenRecord::stop_clock() noexcept {
  if (!stopped_) {
    stopped_ = true;
    record_.total_time = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::steady_clock::now() - began_);
  }
}

}  // namespace socks64::gateway
