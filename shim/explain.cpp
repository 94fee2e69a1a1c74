#include "explain.hpp"

#include <array>
#include <cerrno>
#include <variant>

#include "diag.hpp"
#include "lifecycle.hpp"
#include "socket_kind.hpp"

namespace socks64::shim {
namespace {

/// The names that manual pages use. strerror() allocates, and speaks the program's language.
TextBuffer<24> name_of_error(int error) noexcept {
  struct Named {
    int error;
    std::string_view name;
  };
  constexpr std::array<Named, 16> names{{{EACCES, "EACCES"},
                                         {EPERM, "EPERM"},
                                         {ECONNREFUSED, "ECONNREFUSED"},
                                         {ECONNRESET, "ECONNRESET"},
                                         {ECONNABORTED, "ECONNABORTED"},
                                         {ETIMEDOUT, "ETIMEDOUT"},
                                         {EHOSTUNREACH, "EHOSTUNREACH"},
                                         {ENETUNREACH, "ENETUNREACH"},
                                         {ENETDOWN, "ENETDOWN"},
                                         {EADDRNOTAVAIL, "EADDRNOTAVAIL"},
                                         {EAFNOSUPPORT, "EAFNOSUPPORT"},
                                         {EOPNOTSUPP, "EOPNOTSUPP"},
                                         {EPROTO, "EPROTO"},
                                         {EISCONN, "EISCONN"},
                                         {EINTR, "EINTR"},
                                         {ENOMEM, "ENOMEM"}}};
  TextBuffer<24> text;
  for (const Named& each : names) {
    if (each.error == error) {
      text.append(each.name);
      return text;
    }
  }
  text.append("errno ");
  text.append(decimal(error));
  return text;
}

/// "12.3 ms"
TextBuffer<32> text_of(Nanoseconds time) noexcept {
  constexpr Nanoseconds tenth_of_millisecond = 100'000;
  const Nanoseconds tenths = time / tenth_of_millisecond;
  TextBuffer<32> text;
  text.append(decimal(tenths / 10));
  text.append(".");
  text.append(decimal(tenths % 10));
  text.append(" ms");
  return text;
}

std::string_view why_direct(const Endpoint& destination, bool tcp) noexcept {
  if (destination.address.is_loopback() || destination.address.unmapped().is_unspecified()) {
    return "this host";
  }
  if (destination.address.unmapped() == config().gateway.endpoint.address &&
      destination.port == config().gateway.endpoint.port) {
    return "it is the gateway";
  }
  return tcp ? "a rule says so" : "datagrams are direct";
}

std::string_view why_refused(const Endpoint& destination, bool tcp) noexcept {
  if (fake_ips().covers(destination.address)) {
    if (!fake_ips().name_of(destination.address)) {
      return "a fake address that no name has";
    }
    if (tcp && config().usable()) {
      return "a rule says so";
    }
  }
  if (!config().usable()) {
    return "the configuration is wrong";
  }
  return tcp ? "a rule says so" : "datagrams are refused";
}

/// The name in the place of a fake address.
TargetText shown_target(const Endpoint& destination) noexcept {
  if (fake_ips().covers(destination.address)) {
    if (const Result<DomainName> name = fake_ips().name_of(destination.address)) {
      return text(Target(NamedEndpoint{*name, destination.port}));
    }
  }
  return text(Target(destination));
}

}  // namespace

bool explains() noexcept {
  return diagnoses(LogLevel::explain);
}

void explain_direct(int fd, const Endpoint& destination, int error, Nanoseconds started) noexcept {
  const ErrnoGuard guard;
  const bool tcp = is_tcp(fd);
  const bool under_way = error == EINPROGRESS;
  diagnose(LogLevel::explain, {shown_target(destination), tcp ? "" : " (datagrams)", ": direct, ",
                               why_direct(destination, tcp), ": ",
                               error == 0  ? "connected"
                               : under_way ? "under way"
                                           : name_of_error(error).view(),
                               ", ", text_of(now() - started)});
}

void explain_refused(int fd, const Endpoint& destination, int error) noexcept {
  const ErrnoGuard guard;
  const bool tcp = is_tcp(fd);
  diagnose(LogLevel::explain, {shown_target(destination), tcp ? "" : " (datagrams)", ": refused, ",
                               why_refused(destination, tcp), ": ", name_of_error(error)});
}

void explain_outcome(const PendingHandshake& handshake, int error, std::string_view who) noexcept {
  const bool named = std::holds_alternative<NamedEndpoint>(handshake.target);
  TextBuffer<200> how;
  if (error == 0) {
    how.append("connected");
  } else {
    how.append(who);
    if (error > 0) {
      how.append(" (");
      how.append(name_of_error(error));
      how.append(")");
    }
  }
  diagnose(LogLevel::explain,
           {text(handshake.target), ": through the gateway ", config().gateway.endpoint.text(),
            named ? ", a name for it to look up: " : ", an address of another host: ", how, ", ",
            text_of(now() - handshake.started)});
}

}  // namespace socks64::shim
