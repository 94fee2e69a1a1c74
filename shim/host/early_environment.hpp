// The environment before libc has it. See early_environment.cpp.
#ifndef SOCKS64_SHIM_EARLY_ENVIRONMENT_HPP
#define SOCKS64_SHIM_EARLY_ENVIRONMENT_HPP

namespace socks64::shim {

/// For its scope, getenv() finds what the process was started with, even where libc has not been
/// initialised. What it found stays valid for good.
class EarlyEnvironment {
 public:
  EarlyEnvironment() noexcept;
  ~EarlyEnvironment();
  EarlyEnvironment(const EarlyEnvironment&) = delete;
  EarlyEnvironment& operator=(const EarlyEnvironment&) = delete;

 private:
  bool borrowed_ = false;
};

}  // namespace socks64::shim

#endif
