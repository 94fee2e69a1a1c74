// c-ares 1.18 has no event thread: it hands out its sockets through a callback, wants to be called
// when they become ready, and wants to be called when a time has passed. Three rules keep the
// marriage with Asio's reactor healthy:
//
//  - The descriptors are c-ares'. It closes them itself, right after on_socket_state(.., 0, 0): at
//    that moment ours must let go with release(), which takes the descriptor out of epoll and
//    cancels the wait without closing it. A number that came back as another socket an instant
//    later is another Watch.
//  - A cancelled or late completion must not touch the channel. So a Watch knows its channel only
//    as long as that wants to be called.
//  - ares_process_fd() may do anything: open and close sockets, run callbacks that ask anew. So
//    nothing is iterated over while it runs, and what may be gone afterwards is looked at again.
//
// c-ares 1.32 and later give a server five times as long as it took for answers so far, 250 ms at
// least, in the place of the time that was configured: a name that its server has yet to look up
// would fail beside names that it knows. So a question that timed out early is asked again until
// the configured time has passed.
//
// What an answer says is read in dns_message.cpp. Up to there c-ares has to bring any answer, and
// any name to the servers, which newer versions do with cares_translation.hpp alone.
//
// What we do not use: EDNS, which 1.18 switches off for the whole channel at the first SERVFAIL of
// any name; plain 512 octets and the retry over TCP (RFC 7766) are slower for huge answers only.
// Search domains: ares_query() never applies them. STAYOPEN: a new socket after an idle moment is
// a new random port (RFC 5452 section 9.2); dns_channels.hpp sees to it when there is none.
#include "resolve/cares_channel.hpp"

#include <algorithm>
#include <fstream>
#include <new>
#include <sys/time.h>
#include <utility>

#include "dns/dns_message.hpp"
#include "resolve/cares_sockets.hpp"

namespace socks64::gateway {
namespace {

/// Of a question without an answer.
Failure failure_of(int status) noexcept {
  switch (status) {
    case ARES_EBADNAME:
      return Failure::name_invalid;
    case ARES_ETIMEOUT:
      return Failure::name_timeout;
    case ARES_EDESTRUCTION:
    case ARES_ECANCELLED:
      return Failure::shutting_down;
    case ARES_ENOMEM:
      return Failure::no_resources;
    default:
      return Failure::name_failed;
  }
}

/// c-ares unescapes what it is asked for; DNS names may hold a backslash (RFC 2181 section 11).
std::string escaped(const std::string& name) {
  std::string text;
  text.reserve(name.size());
  for (const char c : name) {
    if (c == '\\') {
      text.push_back('\\');
    }
    text.push_back(c);
  }
  return text;
}

/// Without a server c-ares would ask 127.0.0.1; we want to say at once that there is nobody to ask.
bool names_a_server(const std::string& resolv_conf) {
  std::ifstream file(resolv_conf);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("nameserver ") || line.starts_with("nameserver\t")) {
      return true;
    }
  }
  return false;
}

/// c-ares gives no server less; a timeout that took less was none, and asking again would not help.
constexpr std::chrono::milliseconds least_wait{50};

/// "options use-vc" of resolv.conf.
bool asks_over_tcp_alone(ares_channel channel) noexcept {
  ares_options options{};
  int mask = 0;
  if (ares_save_options(channel, &options, &mask) != ARES_SUCCESS) {
    return false;
  }
  const bool alone = (options.flags & ARES_FLAG_USEVC) != 0;
  ares_destroy_options(&options);
  return alone;
}

bool initialise_library() noexcept {
  static const bool good = ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS;
  return good;
}

/// "192.0.2.53:53,[2001:db8::53]:53", without zones.
std::string server_list(const std::vector<Endpoint>& servers, Port default_port) {
  std::string list;
  for (const auto& [given, port] : servers) {
    IpAddress address = given.unmapped();
    if (address.zone() != 0) {
      IpAddress::V6Bytes bytes{};
      std::ranges::copy(address.bytes(), bytes.begin());
      address = IpAddress::v6(bytes);
    }
    list += list.empty() ? "" : ",";
    list += Endpoint{address, port == 0 ? default_port : port}.text().view();
  }
  return list;
}

/// How long a silent server is waited for: each try takes twice as long as the one before.
std::chrono::milliseconds patience_of(const ResolverConfig& config) noexcept {
  return config.query_timeout * ((1U << config.tries) - 1);
}

}  // namespace

struct CaresChannel::Query {
  CaresChannel& channel;
  Question question;
  std::string name;  ///< what c-ares is asked for
  OnReply on_reply;
  Clock::time_point patient_until;
  Clock::time_point asked;
};

struct CaresChannel::Watch {
  explicit Watch(asio::io_context& context) : descriptor(context.get_executor()) {}

  asio::posix::basic_stream_descriptor<Executor> descriptor;
  CaresChannel* channel = nullptr;  ///< null once c-ares has closed the socket
  bool want_read = false;
  bool want_write = false;
  bool reading = false;
  bool writing = false;
};

CaresChannel::CaresChannel(asio::io_context& context, const ResolverConfig& config)
    : context_(context), timer_(context.get_executor()), patience_(patience_of(config)) {
  ares_options options{};
  // With servers of our own the file has nothing to say, and must not be able to fail us.
  std::string resolv_conf = config.servers.empty() ? config.resolv_conf : "/dev/null";
  options.timeout = static_cast<int>(config.query_timeout.count());
  options.udp_port = options.tcp_port = config.default_port;
  options.tries = static_cast<int>(config.tries);
  options.sock_state_cb = &CaresChannel::on_socket_state;
  options.sock_state_cb_data = this;
  options.resolvconf_path = resolv_conf.data();
  int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_UDP_PORT |
             ARES_OPT_TCP_PORT | ARES_OPT_SOCK_STATE_CB | ARES_OPT_NOROTATE |
             (resolv_conf.empty() ? 0 : ARES_OPT_RESOLVCONF);
#ifdef ARES_OPT_QUERY_CACHE
  // answer_cache.hpp is the cache: it has the limits that are configured, and forgets at a reload.
  options.qcache_max_ttl = 0;
  mask |= ARES_OPT_QUERY_CACHE;
#endif
  if (!initialise_library() || ares_init_options(&channel_, &options, mask) != ARES_SUCCESS) {
    channel_ = nullptr;
    return;
  }
  if (!translate(channel_, translation_)) {
    ares_destroy(std::exchange(channel_, nullptr));
    return;
  }
  // Over TCP nothing is translated.
  translated_ = cares_is_translated && !asks_over_tcp_alone(channel_);
  if (config.servers.empty()) {
    has_servers_ = names_a_server(config.resolv_conf);
    return;
  }
  const std::string servers = server_list(config.servers, config.default_port);
  has_servers_ = ares_set_servers_ports_csv(channel_, servers.c_str()) == ARES_SUCCESS;
}

CaresChannel::~CaresChannel() {
  if (channel_ != nullptr) {
    ares_destroy(channel_);
  }
}

void CaresChannel::query(const Question& question, OnReply on_reply) {
  if (!usable()) {
    on_reply(DnsReply{});
    return;
  }
  auto query = std::make_unique<Query>(
      Query{*this, question, {}, std::move(on_reply), Clock::now() + patience_, {}});
  query->name = translated_ ? translation_.borrow(question.name) : escaped(question.name);
  ++waiting_;
  ask(std::move(query));
  arm_timer();
}

void CaresChannel::ask(std::unique_ptr<Query> query) {
  query->asked = Clock::now();
  // on_result() is called exactly once for each ares_query(), whatever happens, and takes it back.
  Query* const asked = query.release();
  ares_query(channel_, asked->name.c_str(), dns::class_in, wire_type(asked->question.type),
             &CaresChannel::on_result, asked);
}

void CaresChannel::on_result(void* argument, int status, int /*timeouts*/, unsigned char* message,
                             int size) {
  std::unique_ptr<Query> query(static_cast<Query*>(argument));
  CaresChannel& self = query->channel;
  DnsReply reply;
  try {
    const Clock::time_point now = Clock::now();
    if (status == ARES_ETIMEOUT && now < query->patient_until && now - query->asked >= least_wait) {
      self.ask(std::move(query));
      return;
    }
    if (message == nullptr) {
      reply.failure = failure_of(status);
    } else {
      const Bytes answer(message, static_cast<std::size_t>(size));
      reply = reply_in(self.translation_.as_sent(answer), query->question);
    }
  } catch (const std::bad_alloc&) {
    reply.failure = Failure::no_resources;  // nothing may be thrown through c-ares
  }
  self.translation_.give_back(query->question.name);
  --self.waiting_;
  query->on_reply(std::move(reply));
}

void CaresChannel::on_socket_state(void* argument, ares_socket_t socket, int readable,
                                   int writable) {
  auto& self = *static_cast<CaresChannel*>(argument);
  const auto found = self.watches_.find(socket);
  if (readable == 0 && writable == 0) {
    if (found == self.watches_.end()) {
      return;
    }
    const std::shared_ptr<Watch> watch = found->second;
    self.watches_.erase(found);
    watch->channel = nullptr;
    watch->descriptor.release();
    return;
  }
  // No exception may pass through c-ares. A socket that cannot be watched stays silent, and its
  // queries time out.
  try {
    std::shared_ptr<Watch> watch = found == self.watches_.end() ? nullptr : found->second;
    if (watch == nullptr) {
      watch = std::make_shared<Watch>(self.context_);
      self.watches_.emplace(socket, watch);
      watch->channel = &self;
      std::error_code error;
      watch->descriptor.assign(socket, error);
    }
    watch->want_read = readable != 0;
    watch->want_write = writable != 0;
    wait(watch);
  } catch (...) {
    report_escape("resolver", std::current_exception());
  }
}

void CaresChannel::wait(const std::shared_ptr<Watch>& watch) {
  using Waits = asio::posix::descriptor_base;
  if (watch->want_read && !watch->reading) {
    watch->reading = true;
    watch->descriptor.async_wait(Waits::wait_read, [watch](std::error_code error) {
      watch->reading = false;
      if (error || watch->channel == nullptr) {
        return;
      }
      watch->channel->process(watch->descriptor.native_handle(), ARES_SOCKET_BAD);
      if (watch->channel != nullptr) {
        wait(watch);
      }
    });
  }
  if (watch->want_write && !watch->writing) {
    watch->writing = true;
    watch->descriptor.async_wait(Waits::wait_write, [watch](std::error_code error) {
      watch->writing = false;
      if (error || watch->channel == nullptr || !watch->want_write) {
        return;
      }
      watch->channel->process(ARES_SOCKET_BAD, watch->descriptor.native_handle());
      if (watch->channel != nullptr) {
        wait(watch);
      }
    });
  }
}

void CaresChannel::process(ares_socket_t readable, ares_socket_t writable) {
  ares_process_fd(channel_, readable, writable);
  arm_timer();
}

void CaresChannel::arm_timer() {
  timeval left{};
  if (ares_timeout(channel_, nullptr, &left) == nullptr) {
    timer_.cancel();
    return;
  }
  // Rounded up: woken a moment early, c-ares would have nothing to do and ask to be woken at once.
  const auto delay = std::chrono::seconds(left.tv_sec) + std::chrono::microseconds(left.tv_usec);
  timer_.expires_after(std::chrono::ceil<std::chrono::milliseconds>(delay) +
                       std::chrono::milliseconds(1));
  timer_.async_wait([this, alive = std::weak_ptr<bool>(alive_)](std::error_code error) {
    if (!error && !alive.expired()) {
      process(ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    }
  });
}

}  // namespace socks64::gateway
