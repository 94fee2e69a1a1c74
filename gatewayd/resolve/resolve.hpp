// Stage 6: names to addresses, through c-ares on a thread of its own, or through the system on a
// few of them (system_names.hpp), so that no dead DNS server can hold up a worker.
//
// One Resolver serves the whole process: its cache and its in-flight table are shared, so equal
// queries of any worker become one query on the wire. A cached answer or a hosts-file entry is
// returned without leaving the caller's thread. A and AAAA are separate questions, because RFC 8305
// section 3 acts on whichever comes first.
#ifndef SOCKS64_GATEWAYD_RESOLVE_HPP
#define SOCKS64_GATEWAYD_RESOLVE_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "socks64/address.hpp"

#include "base/failure.hpp"
#include "loop/net.hpp"
#include "resolve/system_names.hpp"
#include "settings/resolver_config.hpp"

namespace socks64::gateway {

/// The answer to one question. `failure` is none exactly when there is at least one address, or the
/// name that was asked for.
struct Answer {
  Failure failure = Failure::name_not_found;
  std::vector<IpAddress> addresses;
  std::string name;     ///< the answer to ask_name()
  bool cached = false;  ///< known without asking: cache, hosts file, localhost
};

class Resolver {
 public:
  class Impl;
  using OnAnswer = std::function<void(const Answer&)>;

  /// A question that waits for its answer. Destroying it withdraws: its callback is not called any
  /// more, and others who wait for the same answer do not notice. To be destroyed on the thread of
  /// its executor, and before that executor's context.
  class Inquiry {
   public:
    Inquiry() = default;
    ~Inquiry() { withdraw(); }
    Inquiry(const Inquiry&) = delete;
    Inquiry& operator=(const Inquiry&) = delete;

    void withdraw() noexcept;

   private:
    friend class Impl;
    struct Waiter;
    std::shared_ptr<Impl> resolver_;
    std::shared_ptr<Waiter> waiter_;
  };

  /// `system`: whom NameSource::system asks.
  explicit Resolver(const ResolverConfig& config, SystemLookUp system = ask_system);
  /// Cancels what is under way without waiting for any server, and joins the thread; who still
  /// waits gets shutting_down.
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  /// Answers one question; resumes on the calling coroutine's executor. Cancelling the coroutine
  /// (asio cancellation) gives up this waiter only, with shutting_down. Names are looked up as
  /// given: no search domains, a trailing dot and case make no difference. A name longer than 253
  /// octets or with an invalid label gives name_invalid.
  [[nodiscard]] Task<Answer> resolve(const DomainName& name, Family family);

  /// The same for who waits for several things at once: what is known is returned; else `inquiry`
  /// is under way and `on_answer` will be called on `executor`, never from within this call.
  [[nodiscard]] std::optional<Answer> ask(const DomainName& name, Family family,
                                          const Executor& executor, OnAnswer on_answer,
                                          Inquiry& inquiry);

  /// The other way: the name of an address, from the hosts file or by a PTR question, which is
  /// cached, bounded and shared as the others are. Loopback addresses that the file does not know
  /// are "localhost"; one of a zone is never asked for.
  [[nodiscard]] std::optional<Answer> ask_name(const IpAddress& address, const Executor& executor,
                                               OnAnswer on_answer, Inquiry& inquiry);

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace socks64::gateway

#endif
