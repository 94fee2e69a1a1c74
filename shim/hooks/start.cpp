#include "hooks/start.hpp"

#include <atomic>
#include <pthread.h>
#include <sched.h>
#include <sys/auxv.h>

#include "descriptors/fd_table.hpp"
#include "gateway/gateways.hpp"
#include "host/early_environment.hpp"
#include "host/hook_table.hpp"
#include "host/host_guard.hpp"
#include "names/name_verification.hpp"
#include "process/diag.hpp"
#include "process/exec_environment.hpp"
#include "process/runtime.hpp"
#include "settings/config_reader.hpp"
#include "settings/config_site.hpp"
#include "settings/unknown_variable.hpp"
#include "tables/direct_addresses.hpp"
#include "tables/fake_ip_table.hpp"
#include "tables/table_file.hpp"

namespace socks64::shim {

namespace {

enum class Stage : unsigned char { cold, starting, ready };

std::atomic<Stage> stage{Stage::cold};
std::atomic<const void*> starter{nullptr};  ///< identity of the thread that is starting us
__attribute__((tls_model("initial-exec"))) thread_local char thread_mark;

void before_fork() noexcept {
  fd_table().before_fork();
}
void after_fork_in_parent() noexcept {
  fd_table().after_fork_in_parent();
}
void after_fork_in_child() noexcept {
  note_process_id();
  release_verification_lock();
  set_fork_mark();
  fd_table().after_fork_in_child();
}

/// The table of the tree under socksify where SOCKS64_TABLE names one, else one of our own.
void configure_table(Config& config) noexcept {
  const std::string_view path = remembered_setting("SOCKS64_TABLE");
  if (path.empty()) {
    fake_ips().configure(config.fake_ipv4, config.fake_ipv6);
    return;
  }
  MappedTable table;
  std::string_view why;
  const TableFile verdict =
      map_table_file(path.data(), config.fake_ipv4, config.fake_ipv6, table, why);
  if (verdict == TableFile::mapped) {
    fake_ips().configure(config.fake_ipv4, config.fake_ipv6, table);
    return;
  }
  fake_ips().configure(config.fake_ipv4, config.fake_ipv6, true);
  if (verdict == TableFile::wrong) {
    const Site site{config, "SOCKS64_TABLE"};
    site.problem(shown(path), " ", why);
  } else {
    diagnose(LogLevel::info, {"SOCKS64_TABLE: ", path, " ", why,
                              "; this program's fake addresses are known to itself alone"});
  }
}

/// One that is near to no setting may be another program's.
void diagnose_misspelt_variables() noexcept {
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const UnknownVariable unknown = unknown_variable(*entry);
    if (!unknown.meant.empty()) {
      diagnose(LogLevel::error,
               {unknown.name, " is no setting and counts for nothing; did you mean ", unknown.meant,
                "?"});
    }
  }
}

void start() noexcept {
  const ErrnoGuard guard;
  note_process_id();
  make_fork_mark();
  Config& config = make_config();
  const EarlyEnvironment environment;
  const bool secure = getauxval(AT_SECURE) != 0;
  if (!remember_environment(secure)) {
    config.problem.append("start-up: no memory for the settings that children have to keep");
  }
  load_config(config, secure);
  configure_table(config);
  if (config.rules.has_direct_name()) {
    direct_addresses().configure();
  }
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
    if (diagnoses(LogLevel::error)) {
      diagnose_misspelt_variables();
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
