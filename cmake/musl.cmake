# A second libc beside the machine's own. Where musl is the machine's libc (Alpine), nothing of this is needed: the ordinary build
# makes the ordinary library. Here Debian's packages musl-dev and musl-tools and the same compiler are used to build the shim, and
# the tests' programs, for musl.
#
#   SOCKS64_MUSL       TRUE if that can be done in this tree
#   socks64_musl_c     to link with: C for musl, dynamically linked
#   socks64_musl_cxx   to compile with: C++ against musl's headers; and to link with: libc.so alone
set(SOCKS64_MUSL FALSE)
if(SOCKS64_BUILD_MUSL STREQUAL "OFF")
  return()
endif()

set(why "")
set(sysroot /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE})
string(REPLACE "linux-gnu" "linux-musl" musl_libraries "${sysroot}")
string(REPLACE "/usr/lib/" "/usr/include/" musl_headers "${musl_libraries}")
set(musl_specs ${musl_libraries}/musl-gcc.specs)
if(NOT CMAKE_LIBRARY_ARCHITECTURE MATCHES "-linux-gnu$" OR NOT EXISTS ${musl_specs} OR NOT EXISTS ${musl_libraries}/libc.so)
  set(why "no ${musl_specs} (Debian: musl-tools)")
elseif(NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU" OR NOT CMAKE_C_COMPILER_ID STREQUAL "GNU")
  set(why "the compiler is ${CMAKE_CXX_COMPILER_ID}, not GNU")
elseif(NOT SOCKS64_SANITIZE STREQUAL "" OR CMAKE_CXX_FLAGS MATCHES "--coverage")
  set(why "no sanitizer and no coverage for musl")
endif()
if(why)
  if(SOCKS64_BUILD_MUSL STREQUAL "ON")
    message(FATAL_ERROR "SOCKS64_BUILD_MUSL is ON, but: ${why}")
  endif()
  message(STATUS "The shim is not built for musl: ${why}")
  return()
endif()
set(SOCKS64_MUSL TRUE)

# The kernel's headers, without those of glibc that lie beside them.
set(folder ${CMAKE_CURRENT_BINARY_DIR}/musl-kernel-headers)
file(MAKE_DIRECTORY ${folder})
file(CREATE_LINK /usr/include/linux ${folder}/linux SYMBOLIC)
file(CREATE_LINK /usr/include/asm-generic ${folder}/asm-generic SYMBOLIC)
file(CREATE_LINK /usr/include/${CMAKE_LIBRARY_ARCHITECTURE}/asm ${folder}/asm SYMBOLIC)
set(kernel "SHELL:-idirafter ${folder}")

add_library(socks64_musl_c INTERFACE)
target_compile_options(socks64_musl_c INTERFACE -specs=${musl_specs} ${kernel})
target_link_options(socks64_musl_c INTERFACE -specs=${musl_specs})

# The compiler's own search path, without glibc: C++ first, then musl, then the compiler's <stddef.h> and the like.
execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=include OUTPUT_VARIABLE own OUTPUT_STRIP_TRAILING_WHITESPACE)
set(headers "")
foreach(directory IN LISTS CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES)
  if(directory MATCHES "/c\\+\\+(/|$)")
    list(APPEND headers "SHELL:-isystem ${directory}")
  endif()
endforeach()
list(APPEND headers "SHELL:-isystem ${musl_headers}" "SHELL:-isystem ${own}" ${kernel})
add_library(socks64_musl_cxx INTERFACE)
target_compile_options(socks64_musl_cxx INTERFACE -nostdinc -nostdinc++ ${headers}
  "SHELL:-include ${CMAKE_CURRENT_LIST_DIR}/musl/libstdcxx.hpp")
target_link_options(socks64_musl_cxx INTERFACE -nostdlib -L${musl_libraries})
