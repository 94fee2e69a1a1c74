#include "resolve/system_names.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <netdb.h>
#include <netinet/in.h>
#include <optional>
#include <pthread.h>
#include <resolv.h>
#include <signal.h>
#include <sys/socket.h>
#include <thread>
#include <utility>

#include <asio/post.hpp>

#include "socks64/sockaddr.hpp"

#include "loop/net.hpp"

namespace socks64::gateway {
namespace {

constexpr std::chrono::milliseconds pause_without_memory{20};
constexpr int longest_wait = 2;
constexpr int most_tries = 2;

Failure failure_of(int error) noexcept {
  switch (error) {
    case 0:
      return Failure::none;
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
      return Failure::name_not_found;
    case EAI_MEMORY:
      return Failure::no_resources;
    case EAI_SYSTEM:
      return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? Failure::no_resources
                                                                   : Failure::name_failed;
    default:
      return Failure::name_failed;  // EAI_AGAIN tells a timeout not from a server's failure
  }
}

/// Whether the C library would look up another name than this one, which no rule has judged: what
/// inet_aton(3) takes for an address, and what it reads an escape of zone files in (RFC 1035
/// section 5.1), "ev\105l.test" for "evil.test".
bool is_read_otherwise(const char* name) noexcept {
  in_addr number{};
  return ::inet_aton(name, &number) != 0 || std::strchr(name, '\\') != nullptr;
}

DnsReply addresses_of(const char* name, int family) {
  DnsReply reply;
  if (is_read_otherwise(name)) {
    reply.failure = Failure::name_not_found;
    return reply;
  }
  addrinfo hints{};
  hints.ai_family = family;
  hints.ai_socktype = SOCK_STREAM;  // else each address comes three times
  addrinfo* list = nullptr;
  reply.failure = failure_of(::getaddrinfo(name, nullptr, &hints, &list));
  if (reply.failure != Failure::none) {
    return reply;
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, &::freeaddrinfo);
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    if (reply.addresses.size() == max_reply_addresses) {
      break;
    }
    const Result<Endpoint> endpoint = from_sockaddr(entry->ai_addr, entry->ai_addrlen);
    if (endpoint) {
      reply.addresses.push_back(endpoint->address);
    }
  }
  if (reply.addresses.empty()) {
    reply.failure = Failure::name_not_found;
  }
  return reply;
}

DnsReply name_of(std::string_view text) {
  DnsReply reply;
  const Result<IpAddress> address = IpAddress::parse(text);
  if (!address) {
    return reply;
  }
  sockaddr_storage storage{};
  const socklen_t length = to_sockaddr({*address, 0}, storage);
  char host[NI_MAXHOST];
  reply.failure = failure_of(::getnameinfo(reinterpret_cast<const sockaddr*>(&storage), length,
                                           host, sizeof host, nullptr, 0, NI_NAMEREQD));
  if (reply.failure == Failure::none) {
    reply.name = host;
  }
  return reply;
}

}  // namespace

DnsReply ask_system(const Question& question) {
  // This thread's own state of the C library, as resolv.conf has it now. A name is looked up as it
  // was given, and not below the domains of this host. And 2 s twice, as for DNS by our own
  // default, instead of 5 s twice: that is how long a server that is silent keeps the thread.
  if (::res_init() == 0) {
    _res.options &= ~static_cast<unsigned long>(RES_DNSRCH | RES_DEFNAMES);
    _res.retrans = std::min(_res.retrans, longest_wait);
    _res.retry = std::min(_res.retry, most_tries);
  }
  switch (question.type) {
    case RecordType::a:
      return addresses_of(question.name.c_str(), AF_INET);
    case RecordType::aaaa:
      return addresses_of(question.name.c_str(), AF_INET6);
    case RecordType::ptr:
      break;
  }
  return name_of(question.name);
}

/// What the threads share with their owner. It is theirs once the owner is gone.
struct SystemNames::Pool {
  struct Task {
    Question question;
    OnReply on_reply;
  };

  Pool(SystemNames& of, asio::io_context& on, SystemLookUp with)
      : owner(&of), context(&on), look_up(std::move(with)) {}

  std::mutex mutex;
  std::condition_variable changed;
  SystemNames* owner;  ///< null once it is gone, and the context with it
  asio::io_context* context;
  std::deque<Task> tasks;
  std::size_t idle = 0;  ///< threads without a task

  const SystemLookUp look_up;
};

SystemNames::SystemNames(asio::io_context& context, unsigned threads, SystemLookUp look_up)
    : pool_(std::make_shared<Pool>(*this, context, std::move(look_up))),
      waiting_([](const Job& job) { return job.is_wanted(); }),
      free_(threads) {}

SystemNames::~SystemNames() {
  const std::lock_guard lock(pool_->mutex);
  pool_->owner = nullptr;
  pool_->context = nullptr;
  pool_->tasks.clear();
  pool_->changed.notify_all();
}

void SystemNames::ask(Question question, IsWanted is_wanted, OnReply on_reply) {
  waiting_.push({std::move(question), std::move(is_wanted), std::move(on_reply)});
  start_jobs();
}

void SystemNames::start_jobs() {
  while (free_ > 0 && !waiting_.empty()) {
    const std::lock_guard lock(pool_->mutex);
    const bool has_thread = pool_->idle > pool_->tasks.size() || start_thread();
    // One that comes back takes the rest along; without any there is nobody to wait for.
    if (!has_thread && threads_ > 0) {
      return;
    }
    std::optional<Job> job = waiting_.next();
    if (!job) {
      return;
    }
    if (!has_thread) {
      DnsReply none;
      none.failure = Failure::no_resources;
      asio::post(*pool_->context, [on_reply = std::move(job->on_reply), none] { on_reply(none); });
      continue;
    }
    pool_->tasks.push_back({std::move(job->question), std::move(job->on_reply)});
    --free_;
    pool_->changed.notify_one();
  }
}

bool SystemNames::start_thread() noexcept {
  sigset_t all{};
  sigset_t before{};
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  bool started = false;
  try {
    std::thread thread([pool = pool_] { work(pool); });
    pthread_setname_np(thread.native_handle(), "system-names");
    thread.detach();
    ++threads_;
    ++pool_->idle;
    started = true;
  } catch (...) {
    report_escape("resolver", std::current_exception());
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

void SystemNames::work(const std::shared_ptr<Pool>& pool) noexcept {
  for (;;) {
    std::unique_lock lock(pool->mutex);
    pool->changed.wait(lock, [&pool] { return pool->owner == nullptr || !pool->tasks.empty(); });
    if (pool->owner == nullptr) {
      return;
    }
    Pool::Task task = std::move(pool->tasks.front());
    pool->tasks.pop_front();
    --pool->idle;
    lock.unlock();
    DnsReply answer;
    try {
      answer = pool->look_up(task.question);
    } catch (...) {
      answer.failure = Failure::no_resources;
    }
    reply(pool, std::move(task.on_reply), std::move(answer));
  }
}

void SystemNames::reply(const std::shared_ptr<Pool>& pool, OnReply on_reply,
                        DnsReply answer) noexcept {
  for (bool done = false; !done;) {
    try {
      const std::lock_guard lock(pool->mutex);
      // Posted under the mutex: as long as there is an owner, there is a context.
      if (pool->owner != nullptr) {
        asio::post(*pool->context, [pool, on_reply, answer] {
          if (pool->owner == nullptr) {
            return;
          }
          ++pool->owner->free_;
          on_reply(answer);
          if (pool->owner != nullptr) {
            pool->owner->start_jobs();
          }
        });
        ++pool->idle;
      }
      done = true;
    } catch (...) {
      // Its place would be lost for ever, and with all places every name.
      std::this_thread::sleep_for(pause_without_memory);
    }
  }
}

}  // namespace socks64::gateway
