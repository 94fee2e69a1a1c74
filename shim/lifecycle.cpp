#include "lifecycle.hpp"

#include <atomic>
#include <pthread.h>
#include <sched.h>
#include <sys/auxv.h>

#include "diag.hpp"
#include "fake_ip_table.hpp"
#include "fd_table.hpp"
#include "gateways.hpp"
#include "hook_table.hpp"
#include "host_guard.hpp"

namespace socks64::shim {

namespace {

enum class Stage : unsigned char { cold, starting, ready };

std::atomic<Stage> stage{Stage::cold};
std::atomic<const void*> starter{nullptr};  ///< identity of the thread that is starting us
__attribute__((tls_model("initial-exec"))) thread_local char thread_mark;

// Constant-initialised storage; filled by start().
alignas(Config) unsigned char config_storage[sizeof(Config)];
Config& config_object() noexcept {
  return *reinterpret_cast<Config*>(config_storage);
}

void before_fork() noexcept {
  fd_table().before_fork();
}
void after_fork_in_parent() noexcept {
  fd_table().after_fork_in_parent();
}
void after_fork_in_child() noexcept {
  note_process_id();
  fd_table().after_fork_in_child();
}

void start() noexcept {
  const ErrnoGuard guard;
  note_process_id();
  Config& config = *new (config_storage) Config();
  load_config(config, getauxval(AT_SECURE) != 0);
  fake_ips().configure(config.fake_ipv4, config.fake_ipv6);
  gateways().start();
  // pthread_atfork may allocate, once; the table of handlers is libc's.
  pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

}  // namespace

bool ready() noexcept {
  if (stage.load(std::memory_order_acquire) == Stage::ready) [[likely]] {
    return !resolving_gateway();
  }
  Stage expected = Stage::cold;
  if (stage.compare_exchange_strong(expected, Stage::starting)) {
    starter.store(&thread_mark);
    start();
    stage.store(Stage::ready, std::memory_order_release);
    if (!config().usable()) {
      diagnose(LogLevel::error, {"configuration: ", config().problem.view(),
                                 "; connections that need the gateway will fail"});
    }
    return true;
  }
  const ErrnoGuard guard;
  while (stage.load(std::memory_order_acquire) != Stage::ready) {
    if (starter.load() == &thread_mark) {
      return false;
    }
    sched_yield();
  }
  return true;
}

const Config& config() noexcept {
  return config_object();
}

namespace {

// Starting early keeps the first connect short, and maps the shared tables before the program can
// fork. Here, and not in start(), all entries are looked up: dlsym() may allocate, and start() may
// be running inside malloc.
__attribute__((constructor)) void construct() noexcept {
  static_cast<void>(ready());
  const ErrnoGuard guard;
  look_up_all();
}

}  // namespace

}  // namespace socks64::shim
