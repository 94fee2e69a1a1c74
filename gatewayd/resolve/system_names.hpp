// Names as every other program of this host resolves them: getaddrinfo(3) and getnameinfo(3), so
// through nsswitch.conf, for what only its modules know (mDNS, the host's own names, LDAP,
// resolved).
//
// These calls block, for as long as they like, and cannot be interrupted. So they are made on
// threads that nobody ever waits for: a thread shares what it needs with its owner, and finds out
// when it comes back that the owner is gone. There is a fixed number of them. Where all are stuck,
// further names wait; what is known without asking does not come here.
#ifndef SOCKS64_GATEWAYD_SYSTEM_NAMES_HPP
#define SOCKS64_GATEWAYD_SYSTEM_NAMES_HPP

#include <functional>
#include <memory>
#include <string>

#include <asio/io_context.hpp>

#include "dns/dns_reply.hpp"
#include "resolve/answer_cache.hpp"
#include "resolve/turn_queue.hpp"

namespace socks64::gateway {

/// Answers one question on the calling thread. The question for the name of an address holds that
/// address as text.
using SystemLookUp = std::function<DnsReply(const Question&)>;

/// Without search domains, as far as the C library decides (a module or a daemon behind it may do
/// as it likes). Numbers in the forms of inet_aton(3), as "127.1", are names that do not exist.
[[nodiscard]] DnsReply ask_system(const Question& question);

/// Lives on the thread of its io_context.
class SystemNames {
 public:
  using IsWanted = std::function<bool()>;
  using OnReply = std::function<void(DnsReply)>;

  /// `threads`: at most so many look-ups at once. `look_up` is called on them.
  SystemNames(asio::io_context& context, unsigned threads, SystemLookUp look_up);
  /// Waits for nothing; what is under way is never answered.
  ~SystemNames();
  SystemNames(const SystemNames&) = delete;
  SystemNames& operator=(const SystemNames&) = delete;

  /// `on_reply` is called on the thread of the context, and not from within. Whether a question
  /// that had to wait is still wanted is asked when its turn comes; one that is not is dropped.
  void ask(Question question, IsWanted is_wanted, OnReply on_reply);

 private:
  struct Job {
    Question question;
    IsWanted is_wanted;
    OnReply on_reply;
  };
  struct Pool;

  void start_jobs();
  [[nodiscard]] bool start_thread() noexcept;
  static void work(const std::shared_ptr<Pool>& pool) noexcept;
  static void reply(const std::shared_ptr<Pool>& pool, OnReply on_reply, DnsReply answer) noexcept;

  std::shared_ptr<Pool> pool_;
  TurnQueue<Job> waiting_;
  unsigned free_;         ///< look-ups that may still be started
  unsigned threads_ = 0;  ///< started; they end with their owner
};

}  // namespace socks64::gateway

#endif
