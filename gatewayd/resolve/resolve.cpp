// Three threads of thought meet here, and one mutex keeps them apart:
//
//  - workers ask: they look at localhost, the hosts file and the cache on their own thread, and
//    otherwise leave a Waiter in the flight of the question;
//  - the resolver's thread owns c-ares, talks to servers (or hands over to those who ask the system
//    and gets their answers posted), and lands flights: the answer goes into the cache, and to each
//    waiter's executor;
//  - a worker whose session is gone withdraws its Waiter.
//
// A flight whose last Waiter has left goes on: its answer is worth a place in the cache, and who
// asks again joins it. But it has no right to its place: when the table is full, the flight that
// was abandoned first gives way to a question somebody waits for. Else a client could take name
// resolution from everybody by asking and leaving. The query stays with c-ares, and its answer,
// should one come, still goes into the cache.
//
// The callback of a Waiter is touched by its worker alone. The resolver's thread only posts, and it
// posts while it holds the mutex: a worker that withdraws under the same mutex and then destroys
// its io_context cannot be posted to any more.
#include "resolve/resolve.hpp"

#include <algorithm>
#include <cstdint>
#include <list>
#include <mutex>
#include <pthread.h>
#include <signal.h>
#include <thread>
#include <unordered_map>
#include <utility>

#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>
#include <asio/this_coro.hpp>

#include "base/dns_name.hpp"
#include "resolve/answer_cache.hpp"
#include "resolve/cares_channel.hpp"
#include "resolve/dns_channels.hpp"
#include "resolve/hosts_file.hpp"
#include "resolve/query_window.hpp"
#include "resolve/turn_queue.hpp"

namespace socks64::gateway {
namespace {

Answer known(std::vector<IpAddress> addresses) {
  Answer answer;
  answer.failure = addresses.empty() ? Failure::name_not_found : Failure::none;
  answer.addresses = std::move(addresses);
  answer.cached = true;
  return answer;
}

Answer known_name(std::string name) {
  Answer answer;
  answer.failure = Failure::none;
  answer.name = std::move(name);
  answer.cached = true;
  return answer;
}

Answer failed(Failure failure) {
  Answer answer;
  answer.failure = failure;
  return answer;
}

IpAddress loopback(Family family) noexcept {
  IpAddress::V6Bytes bytes{};
  bytes.back() = 1;
  return family == Family::ipv4 ? IpAddress::v4(0x7f000001U) : IpAddress::v6(bytes);
}

}  // namespace

struct Resolver::Inquiry::Waiter {
  Waiter(const Executor& on, OnAnswer callback, Question asked)
      : executor(on), on_answer(std::move(callback)), question(std::move(asked)) {}

  Executor executor;
  OnAnswer on_answer;  ///< the worker's alone; empty once withdrawn or called
  Question question;
};

class Resolver::Impl {
 public:
  using Waiter = Inquiry::Waiter;

  Impl(const ResolverConfig& config, SystemLookUp system)
      : config_(config),
        system_look_up_(std::move(system)),
        hosts_(config.hosts_file),
        cache_(config.cache_entries) {
    hosts_.read_on([this](std::function<void()> work) { asio::post(context_, std::move(work)); });
  }

  void start();
  void stop();

  /// Nothing: `waiter` has joined a flight.
  std::optional<Answer> ask(const std::shared_ptr<Impl>& self, const DomainName& name,
                            Family family, const Executor& executor, OnAnswer on_answer,
                            Inquiry& inquiry);
  std::optional<Answer> ask_name(const std::shared_ptr<Impl>& self, const IpAddress& address,
                                 const Executor& executor, OnAnswer on_answer, Inquiry& inquiry);
  void leave(const std::shared_ptr<Waiter>& waiter) noexcept;

 private:
  using Waiters = std::vector<std::shared_ptr<Waiter>>;
  /// The flights of one state, the one that entered it first in front. They are the nodes of
  /// Flights, whose addresses stay, and move from list to list without an allocation.
  using Queue = std::list<const Question*>;

  struct Flight {
    std::uint64_t number = 0;  ///< tells it from an earlier flight of the same question
    Waiters waiters;
    Queue::iterator place;
    const CaresChannel* channel = nullptr;  ///< null until it is put to the servers
  };
  using Flights = std::unordered_map<Question, Flight, QuestionHash>;

  std::optional<Answer> join(const std::shared_ptr<Impl>& self, Question question,
                             const Executor& executor, OnAnswer on_answer, Inquiry& inquiry,
                             Clock::time_point now);
  Flights::iterator take_off(const Question& question);
  Waiters remove(Flights::iterator flight) noexcept;
  [[nodiscard]] bool assign(const Question& question, std::uint64_t number,
                            const CaresChannel* channel);
  [[nodiscard]] bool is_awaited(const CaresChannel& channel);
  [[nodiscard]] bool is_awaited(const Question& question, std::uint64_t number);

  static void deliver(Waiters waiters, const Answer& answer);

  // On the resolver's thread.
  void run() noexcept;
  /// Who is this: the flight with this number of this question.
  struct Departure {
    Question question;
    std::uint64_t number = 0;
  };
  void put_to_servers(const Question& question, std::uint64_t number);
  void send_departures();
  void send(const Departure& departure);
  void arrive(const Question& question, std::uint64_t number, DnsReply reply) noexcept;
  void land(const Question& question, std::uint64_t number, DnsReply reply);
  void fail(const Question& question, std::uint64_t number) noexcept;
  [[nodiscard]] std::chrono::seconds lifetime_of(const DnsReply& reply) const;

  const ResolverConfig config_;
  SystemLookUp system_look_up_;
  HostsFile hosts_;

  std::mutex mutex_;  ///< guards what follows up to the blank line
  AnswerCache cache_;
  Flights flights_;
  Queue attended_;   ///< flights with passengers
  Queue abandoned_;  ///< without
  std::uint64_t last_number_ = 0;
  bool stopping_ = false;

  asio::io_context context_{1};
  asio::executor_work_guard<Executor> work_ = asio::make_work_guard(context_);
  std::unique_ptr<DnsChannels> channels_;  ///< dns; with the three below
  TurnQueue<Departure> departures_{[this](const Departure& departure) {
    return assign(departure.question, departure.number, nullptr);
  }};
  QueryWindow window_;
  std::uint64_t last_query_ = 0;
  Timer window_timer_{context_.get_executor()};
  bool window_awaited_ = false;
  std::unique_ptr<SystemNames> system_;  ///< system
  std::thread thread_;
};

void Resolver::Impl::start() {
  if (config_.source == NameSource::system) {
    system_ =
        std::make_unique<SystemNames>(context_, config_.system_threads, std::move(system_look_up_));
  } else {
    channels_ = std::make_unique<DnsChannels>(
        context_, config_, [this](const CaresChannel& channel) { return is_awaited(channel); });
  }
  // Signals are for the main thread: a new thread inherits the mask of its maker.
  sigset_t all{};
  sigset_t before{};
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread_.native_handle(), "resolver");
}

void Resolver::Impl::run() noexcept {
  for (;;) {
    try {
      context_.run();
      return;
    } catch (...) {
      report_escape("resolver", std::current_exception());
    }
  }
}

void Resolver::Impl::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (auto& [question, flight] : flights_) {
      deliver(std::move(flight.waiters), failed(Failure::shutting_down));
    }
    flights_.clear();
    attended_.clear();
    abandoned_.clear();
  }
  asio::post(context_, [this] {
    // On the thread they live on.
    if (channels_ != nullptr) {
      channels_->close();
    }
    system_.reset();
    work_.reset();
    context_.stop();
  });
  thread_.join();
}

std::optional<Answer> Resolver::Impl::ask(const std::shared_ptr<Impl>& self, const DomainName& name,
                                          Family family, const Executor& executor,
                                          OnAnswer on_answer, Inquiry& inquiry) {
  std::optional<std::string> canonical = canonical_name(name.view());
  if (!canonical) {
    return failed(Failure::name_invalid);
  }
  // RFC 6761 section 6.3: never a question for DNS, whatever the hosts file says.
  if (is_localhost(*canonical)) {
    return known({loopback(family)});
  }
  const Clock::time_point now = Clock::now();
  // A name that the hosts file knows has only the families it has there.
  if (auto addresses = hosts_.find(*canonical, family, now)) {
    return known(std::move(*addresses));
  }
  if (is_onion(*canonical)) {
    return failed(Failure::name_not_found);
  }
  return join(self, {std::move(*canonical), record_type(family)}, executor, std::move(on_answer),
              inquiry, now);
}

std::optional<Answer> Resolver::Impl::ask_name(const std::shared_ptr<Impl>& self,
                                               const IpAddress& address, const Executor& executor,
                                               OnAnswer on_answer, Inquiry& inquiry) {
  const IpAddress plain = address.unmapped();
  const Clock::time_point now = Clock::now();
  if (std::string name = hosts_.find_name(plain, now); !name.empty()) {
    return known_name(std::move(name));
  }
  if (plain.is_loopback()) {
    return known_name("localhost");
  }
  // Which link is meant is nothing that DNS could know.
  if (plain.zone() != 0) {
    return failed(Failure::name_not_found);
  }
  std::string asked =
      config_.source == NameSource::system ? std::string(plain.text().view()) : pointer_name(plain);
  return join(self, {std::move(asked), RecordType::ptr}, executor, std::move(on_answer), inquiry,
              now);
}

/// What the cache knows, or a place in the flight of the question.
std::optional<Answer> Resolver::Impl::join(const std::shared_ptr<Impl>& self, Question question,
                                           const Executor& executor, OnAnswer on_answer,
                                           Inquiry& inquiry, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  if (stopping_) {
    return failed(Failure::shutting_down);
  }
  if (const AnswerCache::Entry* entry = cache_.find(question, now)) {
    Answer answer = known(entry->addresses);
    answer.failure = entry->failure;
    answer.name = entry->name;
    return answer;
  }
  auto flight = flights_.find(question);
  if (flight == flights_.end()) {
    if (flights_.size() >= config_.max_in_flight) {
      if (abandoned_.empty()) {
        return failed(Failure::no_resources);
      }
      remove(flights_.find(*abandoned_.front()));
    }
    flight = take_off(question);
  }
  // Complete before the flight and the inquiry know of it: memory may run out here as anywhere.
  auto waiter = std::make_shared<Waiter>(executor, std::move(on_answer), std::move(question));
  Waiters& waiters = flight->second.waiters;
  waiters.push_back(waiter);
  if (waiters.size() == 1) {
    attended_.splice(attended_.end(), abandoned_, flight->second.place);
  }
  inquiry.waiter_ = std::move(waiter);
  inquiry.resolver_ = self;
  return std::nullopt;
}

/// Without a passenger yet: abandoned, until one boards.
Resolver::Impl::Flights::iterator Resolver::Impl::take_off(const Question& question) {
  Queue place(1);
  const Flights::iterator flight = flights_.try_emplace(question).first;
  const std::uint64_t number = ++last_number_;
  place.front() = &flight->first;
  flight->second.number = number;
  flight->second.place = place.begin();
  abandoned_.splice(abandoned_.end(), place);
  try {
    asio::post(context_, [this, question, number] { put_to_servers(question, number); });
  } catch (...) {
    // A flight that nobody puts to the servers would keep its place, and its passengers, for ever.
    remove(flight);
    throw;
  }
  return flight;
}

Resolver::Impl::Waiters Resolver::Impl::remove(Flights::iterator flight) noexcept {
  Waiters waiters = std::move(flight->second.waiters);
  (waiters.empty() ? abandoned_ : attended_).erase(flight->second.place);
  flights_.erase(flight);
  return waiters;
}

/// Says which channel is going to carry a flight. False: it gave way before it began, or everything
/// stops.
bool Resolver::Impl::assign(const Question& question, std::uint64_t number,
                            const CaresChannel* channel) {
  const std::lock_guard lock(mutex_);
  const auto flight = flights_.find(question);
  if (flight == flights_.end() || flight->second.number != number) {
    return false;
  }
  flight->second.channel = channel;
  return true;
}

bool Resolver::Impl::is_awaited(const CaresChannel& channel) {
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(flights_, [&channel](const auto& entry) {
    return entry.second.channel == &channel && !entry.second.waiters.empty();
  });
}

/// Of a flight that has not begun. One without passengers ends here: a thread is too dear for an
/// answer that only the cache would take.
bool Resolver::Impl::is_awaited(const Question& question, std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  const auto flight = flights_.find(question);
  if (flight == flights_.end() || flight->second.number != number) {
    return false;
  }
  if (!flight->second.waiters.empty()) {
    return true;
  }
  remove(flight);
  return false;
}

void Resolver::Impl::leave(const std::shared_ptr<Waiter>& waiter) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = flights_.find(waiter->question);
  if (found == flights_.end()) {
    return;
  }
  Flight& flight = found->second;
  if (std::erase(flight.waiters, waiter) > 0 && flight.waiters.empty()) {
    abandoned_.splice(abandoned_.end(), attended_, flight.place);
  }
}

void Resolver::Impl::deliver(Waiters waiters, const Answer& answer) {
  for (std::shared_ptr<Waiter>& waiter : waiters) {
    const Executor executor = waiter->executor;
    asio::post(executor, [waiter = std::move(waiter), answer] {
      const OnAnswer on_answer = std::exchange(waiter->on_answer, nullptr);
      if (on_answer) {
        on_answer(answer);
      }
    });
  }
}

void Resolver::Impl::put_to_servers(const Question& question, std::uint64_t number) {
  try {
    if (!assign(question, number, nullptr)) {
      return;
    }
    if (system_ != nullptr) {
      return system_->ask(
          question, [this, question, number] { return is_awaited(question, number); },
          [this, question, number](DnsReply reply) {
            if (reply.failure == Failure::none) {
              reply.ttl = config_.system_ttl;
            }
            arrive(question, number, std::move(reply));
          });
    }
    departures_.push({question, number});
    send_departures();
  } catch (...) {
    report_escape("resolver", std::current_exception());
    fail(question, number);
  }
}

/// As many as the window lets through; the others as soon as it does.
void Resolver::Impl::send_departures() {
  while (!departures_.empty() && window_.is_open(Clock::now())) {
    if (const std::optional<Departure> departure = departures_.next()) {
      send(*departure);
    }
  }
  if (departures_.empty() || window_awaited_) {
    return;
  }
  window_timer_.expires_at(window_.opens_at());
  window_timer_.async_wait([this](std::error_code) {
    window_awaited_ = false;
    send_departures();
  });
  window_awaited_ = true;
}

void Resolver::Impl::send(const Departure& departure) {
  const auto& [question, number] = departure;
  try {
    CaresChannel& channel = channels_->next();  // may land flights
    if (!assign(question, number, &channel)) {
      return;
    }
    const std::uint64_t query = ++last_query_;
    window_.sent(query, Clock::now());
    channel.query(question, [this, question = question, number = number, query](DnsReply reply) {
      window_.answered(query);
      arrive(question, number, std::move(reply));
      // Not from here, within c-ares: the next query may end the channel that this is called by.
      if (window_awaited_) {
        window_timer_.cancel();
      }
    });
  } catch (...) {
    report_escape("resolver", std::current_exception());
    fail(question, number);
  }
}

/// Called by c-ares, through which no exception may pass.
void Resolver::Impl::arrive(const Question& question, std::uint64_t number,
                            DnsReply reply) noexcept {
  try {
    land(question, number, std::move(reply));
  } catch (...) {
    report_escape("resolver", std::current_exception());
    fail(question, number);
  }
}

/// Memory has run out on the way: what is left to do is to free the place.
void Resolver::Impl::fail(const Question& question, std::uint64_t number) noexcept {
  const std::lock_guard lock(mutex_);
  const auto flight = flights_.find(question);
  if (flight == flights_.end() || flight->second.number != number) {
    return;
  }
  try {
    deliver(remove(flight), failed(Failure::no_resources));
  } catch (...) {
    report_escape("resolver", std::current_exception());  // their connect budget ends their wait
  }
}

std::chrono::seconds Resolver::Impl::lifetime_of(const DnsReply& reply) const {
  switch (reply.failure) {
    case Failure::none:
      return std::clamp(reply.ttl.value_or(std::chrono::seconds(0)), config_.min_ttl,
                        std::max(config_.min_ttl, config_.max_ttl));
    case Failure::name_not_found:
      // Deviation: RFC 2308 section 5 would not cache without an SOA, but small forwarders answer
      // for local names without one, and our own bound is a few seconds.
      return std::min(reply.ttl.value_or(config_.negative_ttl), config_.negative_ttl);
    default:
      return std::chrono::seconds(0);
  }
}

void Resolver::Impl::land(const Question& question, std::uint64_t number, DnsReply reply) {
  const std::chrono::seconds lifetime = lifetime_of(reply);
  Answer answer;
  answer.failure = reply.failure;
  answer.addresses = std::move(reply.addresses);
  answer.name = std::move(reply.name);

  const std::lock_guard lock(mutex_);
  if (lifetime > std::chrono::seconds(0)) {
    cache_.insert(question,
                  {answer.failure, answer.addresses, Clock::now() + lifetime, answer.name});
  }
  const auto found = flights_.find(question);
  if (found == flights_.end()) {
    return;  // it gave way, or stop() was faster
  }
  Flight& flight = found->second;
  const bool answered =
      answer.failure == Failure::none || answer.failure == Failure::name_not_found;
  // The answer of an earlier flight is an answer to the same question; its failure is its own.
  if (flight.number != number && !answered) {
    return;
  }
  if (answer.failure == Failure::shutting_down && !flight.waiters.empty()) {
    // Its channel had to make room, which is nothing that somebody who waits should notice.
    flight.channel = nullptr;
    asio::post(context_, [this, question, number] { put_to_servers(question, number); });
    return;
  }
  deliver(remove(found), answer);
}

void Resolver::Inquiry::withdraw() noexcept {
  if (waiter_ == nullptr) {
    return;
  }
  waiter_->on_answer = nullptr;
  resolver_->leave(waiter_);
  waiter_.reset();
  resolver_.reset();
}

Resolver::Resolver(const ResolverConfig& config, SystemLookUp system)
    : impl_(std::make_shared<Impl>(config, std::move(system))) {
  impl_->start();
}

Resolver::~Resolver() {
  impl_->stop();
}

std::optional<Answer> Resolver::ask(const DomainName& name, Family family, const Executor& executor,
                                    OnAnswer on_answer, Inquiry& inquiry) {
  inquiry.withdraw();
  return impl_->ask(impl_, name, family, executor, std::move(on_answer), inquiry);
}

std::optional<Answer> Resolver::ask_name(const IpAddress& address, const Executor& executor,
                                         OnAnswer on_answer, Inquiry& inquiry) {
  inquiry.withdraw();
  return impl_->ask_name(impl_, address, executor, std::move(on_answer), inquiry);
}

Task<Answer> Resolver::resolve(const DomainName& name, Family family) {
  const Executor executor = co_await asio::this_coro::executor;
  // A timer that never expires is the condition variable of a coroutine: it can be signalled, and
  // asio's cancellation already knows how to interrupt it.
  Timer signal(executor, Timer::time_point::max());
  Answer answer = failed(Failure::shutting_down);
  Inquiry inquiry;
  std::optional<Answer> at_once = ask(
      name, family, executor,
      [&answer, &signal](const Answer& given) {
        answer = given;
        signal.cancel();
      },
      inquiry);
  if (at_once) {
    co_return std::move(*at_once);
  }
  // A cancellation that came before this wait would never be told again.
  const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
  if (state.cancelled() != asio::cancellation_type::none) {
    co_return answer;
  }
  const auto [error] = co_await signal.async_wait(as_result);
  static_cast<void>(error);  // aborted either way: by the answer, or by the caller's cancellation
  co_return answer;
}

}  // namespace socks64::gateway
