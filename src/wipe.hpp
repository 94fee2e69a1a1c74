// Clearing secrets for good. A private header: what is wiped, and when, is each machine's own
// matter.
#ifndef SOCKS64_WIPE_HPP
#define SOCKS64_WIPE_HPP

#include <string.h>  // NOLINT(modernize-deprecated-headers): explicit_bzero is not in <cstring>

#include "socks64/wire.hpp"

namespace socks64 {

/// explicit_bzero(3) stays even where the optimiser sees that the memory is not read again.
inline void wipe(MutableBytes secret) noexcept {
  explicit_bzero(secret.data(), secret.size());
}

}  // namespace socks64

#endif
