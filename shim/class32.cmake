# libsocks64.so for 32-bit programs: the same sources and flags as socks64_shim, whatever they are.
set(SOCKS64_BUILD_32BIT AUTO CACHE STRING "Build a 32-bit libsocks64.so as well: AUTO (when the tool chain can), ON, OFF")
set_property(CACHE SOCKS64_BUILD_32BIT PROPERTY STRINGS AUTO ON OFF)
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
if(NOT SOCKS64_CAN_32BIT)
  if(SOCKS64_BUILD_32BIT STREQUAL "ON")
    message(FATAL_ERROR "SOCKS64_BUILD_32BIT is ON, and ${CMAKE_CXX_COMPILER} -m32 does not work (Debian: g++-multilib)")
  endif()
  return()
endif()

add_library(socks64_shim32 SHARED)
foreach(property SOURCES INCLUDE_DIRECTORIES COMPILE_DEFINITIONS COMPILE_OPTIONS LINK_OPTIONS LINK_LIBRARIES)
  get_target_property(value socks64_shim ${property})
  set_property(TARGET socks64_shim32 PROPERTY ${property} ${value})
endforeach()
target_compile_options(socks64_shim32 PRIVATE -m32)
target_link_options(socks64_shim32 PRIVATE -m32)
set_target_properties(socks64_shim32 PROPERTIES OUTPUT_NAME socks64 LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/class32
  NO_SONAME ON CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON LINK_DEPENDS "${SHIM_EXPORTS}")

# Where the loader's $LIB leads 32-bit programs to, so that one LD_PRELOAD=PREFIX/$LIB/libsocks64.so serves both classes: the
# folder of this system's 32-bit loader (see socksify/library_path.cpp).
set(folder32 lib32)
if(EXISTS /lib/ld-linux.so.2)
  file(REAL_PATH /lib/ld-linux.so.2 loader32)
  get_filename_component(folder32 "${loader32}" DIRECTORY)
  string(REGEX REPLACE "^/(usr/)?" "" folder32 "${folder32}")
endif()
set(SOCKS64_LIBDIR_32BIT "${folder32}" CACHE STRING "Where the 32-bit library is installed, under the prefix")
install(TARGETS socks64_shim32 LIBRARY DESTINATION ${SOCKS64_LIBDIR_32BIT})
