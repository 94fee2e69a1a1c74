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
# Both are common where a 64-bit count meets a 32-bit time_t: told, but no reason to fail.
target_compile_options(socks64_shim32 PRIVATE -m32 -Wno-error=conversion -Wno-error=narrowing)
target_link_options(socks64_shim32 PRIVATE -m32)
set_target_properties(socks64_shim32 PROPERTIES OUTPUT_NAME socks64 LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/class32
  NO_SONAME ON CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON LINK_DEPENDS "${SHIM_EXPORTS}")

# Where the loaders' $LIB leads, so that one LD_PRELOAD=PREFIX/$LIB/libsocks64.so serves both classes: the folders of this
# system's loaders (see socksify/library_path.cpp).
function(folder_of_loader loader fallback result)
  set(folder ${fallback})
  if(EXISTS ${loader})
    file(REAL_PATH ${loader} real)
    get_filename_component(folder "${real}" DIRECTORY)
    string(REGEX REPLACE "^/(usr/)?" "" folder "${folder}")
  endif()
  set(${result} "${folder}" PARENT_SCOPE)
endfunction()
folder_of_loader(/lib/ld-linux.so.2 lib32 folder32)
folder_of_loader(/lib64/ld-linux-x86-64.so.2 lib64 folder64)
install(TARGETS socks64_shim32 LIBRARY DESTINATION ${folder32})
if(NOT IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" AND NOT CMAKE_INSTALL_LIBDIR STREQUAL folder64)
  file(RELATIVE_PATH there "/${folder64}" "/${CMAKE_INSTALL_LIBDIR}/libsocks64.so")
  install(CODE "
    set(folder \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${folder64}\")
    file(MAKE_DIRECTORY \"\${folder}\")
    file(CREATE_LINK \"${there}\" \"\${folder}/libsocks64.so\" SYMBOLIC)")
endif()
