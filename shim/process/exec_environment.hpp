// The environment that another program is started with: the shim has to be in it.
#ifndef SOCKS64_SHIM_EXEC_ENVIRONMENT_HPP
#define SOCKS64_SHIM_EXEC_ENVIRONMENT_HPP

#include <cstddef>
#include <string_view>

namespace socks64::shim {

/// Keeps what `environ` says of us: our entry in LD_PRELOAD and every SOCKS64_* variable. Once, at
/// start-up. In a `secure` process nothing is kept: its environment is somebody else's word.
/// False when there was no memory: then nothing can be put back.
[[nodiscard]] bool remember_environment(bool secure) noexcept;

/// The value that a SOCKS64_* variable had at start-up; ends in a NUL. Empty when it was not there.
[[nodiscard]] std::string_view remembered_setting(std::string_view name) noexcept;

/// The environment to give to exec instead of `given`: the very same pointer when nothing is
/// missing, otherwise a copy of the list with what is missing put back. Lives on the stack while it
/// is short. Allocates nothing, asks for no lock; for signal handlers and children of vfork too.
class ExecEnvironment {
 public:
  /// `started`: whether start-up is over; until then nothing is put back.
  ExecEnvironment(char* const* given, bool started) noexcept;
  ~ExecEnvironment();
  ExecEnvironment(const ExecEnvironment&) = delete;
  ExecEnvironment& operator=(const ExecEnvironment&) = delete;

  /// No memory for the copy. Then nothing may be started: it would go to the network by itself.
  [[nodiscard]] bool failed() const noexcept { return failed_; }
  [[nodiscard]] bool unchanged() const noexcept { return list_ == given_; }
  [[nodiscard]] char* const* list() const noexcept { return list_; }

 private:
  void complete(std::size_t entries, std::size_t preload_at, std::size_t missing,
                bool without_library) noexcept;

  char* const* given_;
  char* const* list_;
  bool failed_ = false;
  bool borrowed_ = false;
  std::size_t mapped_ = 0;
  void* mapping_ = nullptr;
  alignas(char*) unsigned char nearby_[4096];
};

}  // namespace socks64::shim

#endif
