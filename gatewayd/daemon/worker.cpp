#include "daemon/worker.hpp"

#include <exception>
#include <memory>
#include <utility>

#include <asio/post.hpp>

#include "authorise/policy.hpp"

namespace socks64::gateway {
namespace {

// RFC 1928 section 6 allows 10 s between a failing reply and the close; see farewell() in
// handshake/farewell.cpp.
constexpr std::chrono::milliseconds farewell_time{2000};

// An honest handshake takes a few round trips. What is asked for comes every ten milliseconds or so
// as long as somebody waits.
constexpr std::chrono::milliseconds patience_when_full{1000};
constexpr std::size_t hurried_at_once = 128;

}  // namespace

void SessionList::add(SessionControl& control) noexcept {
  control.next_ = first_;
  if (first_ != nullptr) {
    first_->previous_ = &control;
  }
  first_ = &control;
}

void SessionList::remove(SessionControl& control) noexcept {
  (control.previous_ != nullptr ? control.previous_->next_ : first_) = control.next_;
  if (control.next_ != nullptr) {
    control.next_->previous_ = control.previous_;
  }
  control.previous_ = control.next_ = nullptr;
}

void SessionList::stop_all(SessionControl::Stop reason) {
  for (SessionControl* control = first_; control != nullptr;) {
    SessionControl* const next = control->next_;  // a relay ends at once, its session with it
    control->stop(reason);
    control = next;
  }
}

/// A session's membership: in the list and in the count as long as its coroutine exists.
class Worker::Member {
 public:
  Member(Worker& worker, Accepted& accepted, Ticket<Counter> load)
      : worker_(worker), load_(std::move(load)), control_(accepted, worker.services_.access_log) {
    worker_.sessions_.add(control_);
  }
  ~Member() { worker_.sessions_.remove(control_); }
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;

  [[nodiscard]] SessionControl& control() noexcept { return control_; }

 private:
  Worker& worker_;
  Ticket<Counter> load_;
  SessionControl control_;
};

Worker::Worker(const WorkerConfig& config, std::shared_ptr<const Policy> policy,
               const SharedServices& shared)
    : work_(context_.get_executor()),
      relay_pool_(config.relay_pool),
      handshake_deadlines_(context_.get_executor(), config.handshake_timeout),
      farewell_deadlines_(context_.get_executor(), farewell_time),
      services_{shared,
                std::move(policy),
                udp_pool_,
                relay_pool_,
                config.relay_limits,
                handshake_deadlines_,
                farewell_deadlines_} {
  Readiness::of(context_);  // its descriptors are taken now, or never
}

Worker::~Worker() {
  stop();
}

void Worker::start() {
  thread_ = std::thread([this] {
    for (;;) {
      try {
        context_.run();
        return;
      } catch (...) {
        // Memory ran out where a session begins; the sessions that run are not to suffer for it.
        report_escape("worker", std::current_exception());
      }
    }
  });
}

void Worker::take(Accepted accepted) {
  const Arrival arrival = accepted.arrival;
  if (executor().running_in_this_thread()) {
    return begin(std::move(accepted), load_.add());
  }
  try {
    asio::post(context_, [this, accepted = std::move(accepted), load = load_.add()]() mutable {
      begin(std::move(accepted), std::move(load));
    });
  } catch (...) {
    write_stillborn(arrival);
    throw;
  }
}

void Worker::begin(Accepted accepted, Ticket<Counter> load) {
  std::shared_ptr<Member> member;
  try {
    member = std::make_shared<Member>(*this, accepted, std::move(load));
  } catch (...) {
    write_stillborn(accepted.arrival);
    throw;
  }
  const Executor executor = context_.get_executor();
  Socket socket(executor, std::move(accepted.socket));
  const std::shared_ptr<SessionControl> control(member, &member->control());
  spawn_logged(executor, "session", control->slot(), member,
               session(std::move(socket), control, services_));
  if (cancelling_) {
    control->stop(SessionControl::Stop::shutdown);
  }
}

/// "One access record per session, on every path": also for one that memory did not reach.
void Worker::write_stillborn(const Arrival& arrival) noexcept {
  OpenRecord record(services_.access_log);
  record.open(arrival);
}

void Worker::use(std::shared_ptr<const Policy> policy) {
  asio::post(context_,
             [this, policy = std::move(policy)]() mutable { services_.policy.swap(policy); });
}

void Worker::hurry_handshakes() {
  asio::post(context_, [this] { handshake_deadlines_.hurry(patience_when_full, hurried_at_once); });
}

void Worker::cancel_sessions() {
  asio::post(context_, [this] {
    cancelling_ = true;
    sessions_.stop_all(SessionControl::Stop::shutdown);
  });
}

void Worker::stop() {
  context_.stop();
  if (thread_.joinable()) {
    thread_.join();
  }
}

}  // namespace socks64::gateway
