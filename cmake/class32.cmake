# SOCKS64_32BIT: TRUE if libsocks64.so can be built for 32-bit programs as well.
set(SOCKS64_32BIT FALSE)
if(SOCKS64_BUILD_32BIT STREQUAL "OFF" OR NOT CMAKE_SIZEOF_VOID_P EQUAL 8)
  return()
endif()
if(SOCKS64_BUILD_32BIT STREQUAL "AUTO" AND NOT SOCKS64_SANITIZE STREQUAL "")
  return()  # the 32-bit halves of the sanitizers' libraries are another package each
endif()
include(CheckCXXSourceCompiles)
set(CMAKE_REQUIRED_FLAGS -m32)
check_cxx_source_compiles("#include <string_view>\n#include <sys/socket.h>\nint main() { return socket(0, 0, 0) == 0; }"
  SOCKS64_CAN_32BIT)
unset(CMAKE_REQUIRED_FLAGS)
if(SOCKS64_CAN_32BIT)
  set(SOCKS64_32BIT TRUE)
elseif(SOCKS64_BUILD_32BIT STREQUAL "ON")
  message(FATAL_ERROR "SOCKS64_BUILD_32BIT is ON, and ${CMAKE_CXX_COMPILER} -m32 does not work (Debian: g++-multilib)")
endif()
