// Included before everything else where glibc's g++ compiles for musl. libstdc++'s headers were
// configured for glibc: what they take for granted of it is put right here, so that their templates
// and constants can be used. None of its code is linked.
#ifndef SOCKS64_CMAKE_MUSL_LIBSTDCXX_HPP
#define SOCKS64_CMAKE_MUSL_LIBSTDCXX_HPP

#include <locale.h>
typedef locale_t __locale_t;  // the name under which bits/c++locale.h knows it
#define __GLIBC_PREREQ(major, minor) \
  0  // asked by bits/os_defines.h without asking first whether it is there

// bits/ctype_base.h makes constants of these bits, which are glibc's; nothing here looks at them.
enum {
  _ISupper = 1,
  _ISlower = 2,
  _ISalpha = 4,
  _ISdigit = 8,
  _ISxdigit = 16,
  _ISspace = 32,
  _ISprint = 64,
  _ISgraph = 128,
  _ISblank = 256,
  _IScntrl = 512,
  _ISpunct = 1024,
  _ISalnum = 2048
};

#include <bits/c++config.h>
#undef _GLIBCXX_USE_PTHREAD_COND_CLOCKWAIT  // musl 1.2.3 has no pthread_..._clock...
#undef _GLIBCXX_USE_PTHREAD_MUTEX_CLOCKLOCK
#undef _GLIBCXX_USE_PTHREAD_RWLOCK_CLOCKLOCK

#endif
