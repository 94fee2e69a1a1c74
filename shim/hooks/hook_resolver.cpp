// The resolver's own interface (resolver(3)) and getaddrinfo_a: two more ways to ask for a name.
//
// libc's res_... functions send their queries from within libc, where no hook sees the sockets.
// Here the query is answered in the process, and the result is told as libc would: the message, its
// length, h_errno. There is no search list, as for getaddrinfo: the name goes to the gateway as it
// is.
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <variant>

#include "dns/dns_answer.hpp"
#include "dns/dns_route.hpp"
#include "gateway/explain.hpp"
#include "hooks/start.hpp"
#include "host/file_text.hpp"
#include "host/hook_table.hpp"
#include "host/host_guard.hpp"
#include "names/classify.hpp"
#include "names/name_verification.hpp"
#include "process/runtime.hpp"
#include "tables/policy.hpp"

using namespace socks64;
using namespace socks64::shim;

namespace {

/// Whether the program's own resolver library is left to itself.
bool is_untouched() noexcept {
  return !ready() || config().dns == DnsMode::direct || asks_libc_always(config());
}

/// A question about one name, which may be null. A rule may leave it to libc.
class Asked {
 public:
  explicit Asked(const char* name) noexcept : all_libcs_(is_untouched()) {
    // With `dns = direct` the rules still count for the addresses that libc finds.
    if (name != nullptr && ready()) {
      kind_ = classify(name);
    }
    const auto* const direct = std::get_if<DirectName>(&kind_);
    if (direct != nullptr && !all_libcs_) {
      explain_name(name, *direct->rule);
    }
  }
  [[nodiscard]] bool is_for_libc() const noexcept { return all_libcs_ || shim::is_for_libc(kind_); }
  /// What libc found, noted; `room` is the program's.
  [[nodiscard]] int noted(const unsigned char* answer, int room, int length) const noexcept {
    const Rule* const rule = direct_rule(kind_);
    if (length > 0 && room > 0 && rule != nullptr) {
      note_direct_answer(*rule, Bytes(answer, static_cast<std::size_t>(std::min(length, room))));
    }
    return length;
  }

 private:
  bool all_libcs_;
  ClassifiedName kind_ = NoName{};
};

/// One octet of a name in text form: `\.`, `\032` or itself (RFC 1035 section 5.1).
bool take_octet(std::string_view& text, std::uint8_t& out) noexcept {
  std::size_t used = 1;
  unsigned value = static_cast<unsigned char>(text[0]);
  if (text[0] == '\\') {
    const auto is_digit = [&](std::size_t i) {
      return i < text.size() && text[i] >= '0' && text[i] <= '9';
    };
    if (is_digit(1)) {
      if (!is_digit(2) || !is_digit(3)) {
        return false;
      }
      value = static_cast<unsigned>((text[1] - '0') * 100 + (text[2] - '0') * 10 + (text[3] - '0'));
      used = 4;
    } else if (text.size() > 1) {
      value = static_cast<unsigned char>(text[1]);
      used = 2;
    } else {
      return false;
    }
  }
  text.remove_prefix(used);
  out = static_cast<std::uint8_t>(value);
  return value <= 0xff;
}

/// Header, question; the length, or 0 when the name has no wire form.
class QueryMessage {
 public:
  [[nodiscard]] bool write(std::string_view name, int klass, int type) noexcept {
    Writer writer(octets_);
    writer.u16(0);       // nobody compares the identifier: the query does not travel
    writer.u16(0x0100);  // RD
    writer.u16(1);
    writer.u16(0);
    writer.u16(0);
    writer.u16(0);
    const std::size_t name_at = writer.size();
    if (name == ".") {
      name = {};
    }
    while (!name.empty()) {
      std::array<std::uint8_t, 63> label{};
      std::size_t size = 0;
      while (!name.empty() && name[0] != '.') {
        if (size == label.size() || !take_octet(name, label[size])) {
          return false;
        }
        ++size;
      }
      if (size == 0) {
        return false;
      }
      if (!name.empty()) {
        name.remove_prefix(1);
      }
      writer.u8(static_cast<std::uint8_t>(size));
      writer.bytes(Bytes(label).first(size));
    }
    writer.u8(0);
    const bool fits = writer.size() - name_at <= dns_max_wire_name;
    writer.u16(static_cast<std::uint16_t>(type));
    writer.u16(static_cast<std::uint16_t>(klass));
    size_ = writer.size();
    return fits && writer.ok();
  }
  [[nodiscard]] Bytes view() const noexcept { return Bytes(octets_).first(size_); }

 private:
  std::array<std::uint8_t, dns_header_size + dns_max_wire_name + 64 + 4> octets_{};
  std::size_t size_ = 0;
};

/// Gives the answer to the program: as much as fits, marked when that is not all of it. Returns the
/// whole length, as libc does.
int give(Bytes answer, unsigned char* out, int room) noexcept {
  const std::size_t size = std::min(answer.size(), static_cast<std::size_t>(room));
  std::memcpy(out, answer.data(), size);
  if (size < answer.size()) {
    out[2] |= 0x02;  // TC
  }
  return static_cast<int>(answer.size());
}

int send_query(const unsigned char* query, int length, unsigned char* out, int room) noexcept {
  if (query == nullptr || length < 0 || out == nullptr ||
      room < static_cast<int>(dns_header_size)) {
    errno = EINVAL;
    return -1;
  }
  std::array<std::uint8_t, dns_max_answer> answer{};
  const std::size_t size = answer_query({query, static_cast<std::size_t>(length)}, answer);
  if (size == 0) {
    errno = EINVAL;  // it is no query
    return -1;
  }
  return give(Bytes(answer).first(size), out, room);
}

/// h_errno as libc derives it; NETDB_SUCCESS for an answer with records.
int host_error_of(Bytes answer) noexcept {
  const unsigned code = answer[3] & 0xfU;
  const bool any = answer[6] != 0 || answer[7] != 0;
  if (code == 0) {
    return any ? NETDB_SUCCESS : NO_DATA;
  }
  return code == 3 ? HOST_NOT_FOUND : code == 2 ? TRY_AGAIN : NO_RECOVERY;
}

int fail(int& host_error, int error) noexcept {
  host_error = error;
  return -1;
}

int ask(std::string_view name, int klass, int type, unsigned char* out, int room,
        int& host_error) noexcept {
  const ErrnoGuard guard;
  QueryMessage query;
  if (out == nullptr || room < static_cast<int>(dns_header_size) ||
      !query.write(name, klass, type)) {
    return fail(host_error, NO_RECOVERY);
  }
  std::array<std::uint8_t, dns_max_answer> answer{};
  const std::size_t size = answer_query(query.view(), answer);
  host_error = host_error_of(Bytes(answer));
  const int length = give(Bytes(answer).first(size), out, room);
  return host_error == NETDB_SUCCESS ? length : -1;
}

int ask(const char* name, int klass, int type, unsigned char* out, int room,
        int& host_error) noexcept {
  return name == nullptr ? fail(host_error, NO_RECOVERY)
                         : ask(std::string_view(name), klass, type, out, room, host_error);
}

/// `name` within `domain`; without a domain, the name as it is.
int ask_in(const char* name, const char* domain, int klass, int type, unsigned char* out, int room,
           int& host_error) noexcept {
  constexpr std::size_t longest = NS_MAXDNAME;
  TextBuffer<longest> full;
  if (name == nullptr || !full.append(name) ||
      (domain != nullptr && !(full.append(".") && full.append(domain)))) {
    return fail(host_error, NO_RECOVERY);
  }
  return ask(full.view(), klass, type, out, room, host_error);
}

}  // namespace

S64_EXPORT int res_query(const char* name, int klass, int type, unsigned char* out,
                         int size) noexcept {
  const Asked asked(name);
  return asked.is_for_libc() ? asked.noted(out, size, libc::res_query(name, klass, type, out, size))
                             : ask(name, klass, type, out, size, h_errno);
}

S64_EXPORT int res_search(const char* name, int klass, int type, unsigned char* out,
                          int size) noexcept {
  const Asked asked(name);
  return asked.is_for_libc()
             ? asked.noted(out, size, libc::res_search(name, klass, type, out, size))
             : ask(name, klass, type, out, size, h_errno);
}

S64_EXPORT int res_querydomain(const char* name, const char* domain, int klass, int type,
                               unsigned char* out, int size) noexcept {
  return is_untouched() ? libc::res_querydomain(name, domain, klass, type, out, size)
                        : ask_in(name, domain, klass, type, out, size, h_errno);
}

S64_EXPORT int res_send(const unsigned char* query, int length, unsigned char* out,
                        int size) noexcept {
  return is_untouched() ? libc::res_send(query, length, out, size)
                        : send_query(query, length, out, size);
}

#ifdef __GLIBC__
namespace {

/// The forms with a state of their own leave the error there as well.
template <class Ask>
int ask_with(struct __res_state* state, const Ask& ask) noexcept {
  int host_error = NETDB_SUCCESS;
  const int length = ask(host_error);
  h_errno = host_error;
  if (state != nullptr) {
    state->res_h_errno = host_error;
  }
  return length;
}

}  // namespace

S64_EXPORT int res_nquery(struct __res_state* state, const char* name, int klass, int type,
                          unsigned char* out, int size) noexcept {
  const Asked asked(name);
  return asked.is_for_libc()
             ? asked.noted(out, size, libc::res_nquery(state, name, klass, type, out, size))
             : ask_with(state, [&](int& host_error) {
                 return ask(name, klass, type, out, size, host_error);
               });
}

S64_EXPORT int res_nsearch(struct __res_state* state, const char* name, int klass, int type,
                           unsigned char* out, int size) noexcept {
  const Asked asked(name);
  return asked.is_for_libc()
             ? asked.noted(out, size, libc::res_nsearch(state, name, klass, type, out, size))
             : ask_with(state, [&](int& host_error) {
                 return ask(name, klass, type, out, size, host_error);
               });
}

S64_EXPORT int res_nquerydomain(struct __res_state* state, const char* name, const char* domain,
                                int klass, int type, unsigned char* out, int size) noexcept {
  return is_untouched() ? libc::res_nquerydomain(state, name, domain, klass, type, out, size)
                        : ask_with(state, [&](int& host_error) {
                            return ask_in(name, domain, klass, type, out, size, host_error);
                          });
}

S64_EXPORT int res_nsend(struct __res_state* state, const unsigned char* query, int length,
                         unsigned char* out, int size) noexcept {
  return is_untouched() ? libc::res_nsend(state, query, length, out, size)
                        : send_query(query, length, out, size);
}

// What programs linked before glibc 2.34 ask for.
S64_EXPORT int __res_query(const char* name, int klass, int type, unsigned char* out, int size) {
  return res_query(name, klass, type, out, size);
}

S64_EXPORT int __res_search(const char* name, int klass, int type, unsigned char* out, int size) {
  return res_search(name, klass, type, out, size);
}

S64_EXPORT int __res_querydomain(const char* name, const char* domain, int klass, int type,
                                 unsigned char* out, int size) {
  return res_querydomain(name, domain, klass, type, out, size);
}

S64_EXPORT int __res_send(const unsigned char* query, int length, unsigned char* out, int size) {
  return res_send(query, length, out, size);
}

S64_EXPORT int __res_nquery(struct __res_state* state, const char* name, int klass, int type,
                            unsigned char* out, int size) {
  return res_nquery(state, name, klass, type, out, size);
}

S64_EXPORT int __res_nsearch(struct __res_state* state, const char* name, int klass, int type,
                             unsigned char* out, int size) {
  return res_nsearch(state, name, klass, type, out, size);
}

S64_EXPORT int __res_nquerydomain(struct __res_state* state, const char* name, const char* domain,
                                  int klass, int type, unsigned char* out, int size) {
  return res_nquerydomain(state, name, domain, klass, type, out, size);
}

S64_EXPORT int __res_nsend(struct __res_state* state, const unsigned char* query, int length,
                           unsigned char* out, int size) {
  return res_nsend(state, query, length, out, size);
}

// Our getaddrinfo does not wait, or is told here not to, so everything is done before this returns.
// gai_error, gai_suspend and gai_cancel are libc's: they look at what the requests say of
// themselves, and find all of them done. The notification is libc's too: asked for no lookup at
// all, it notifies at once, by the signal or on the thread that the program wanted. The thread is
// libc's and not ours.
S64_EXPORT int getaddrinfo_a(int mode, gaicb** list, int count, sigevent* event) {
  if (!ready() || asks_libc_always(config()) || (mode != GAI_WAIT && mode != GAI_NOWAIT) ||
      (list == nullptr && count > 0)) {
    return libc::getaddrinfo_a(mode, list, count, event);
  }
  const NoWaiting no_waiting(mode == GAI_NOWAIT);
  for (int i = 0; i < count; ++i) {
    if (gaicb* const request = list[i]; request != nullptr) {
      addrinfo* result = nullptr;
      const int error =
          getaddrinfo(request->ar_name, request->ar_service, request->ar_request, &result);
      request->ar_result = error == 0 ? result : nullptr;
      request->__return = error;
    }
  }
  return mode == GAI_NOWAIT ? libc::getaddrinfo_a(mode, nullptr, 0, event) : 0;
}
#endif
