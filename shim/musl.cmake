# libsocks64.so for musl's programs: the same sources and flags as socks64_shim, whatever they are.
if(NOT SOCKS64_MUSL)
  return()
endif()
add_library(socks64_shim_musl SHARED)
foreach(property SOURCES INCLUDE_DIRECTORIES COMPILE_DEFINITIONS COMPILE_OPTIONS LINK_OPTIONS)
  get_target_property(value socks64_shim ${property})
  set_property(TARGET socks64_shim_musl PROPERTY ${property} ${value})
endforeach()
set_target_properties(socks64_shim_musl PROPERTIES OUTPUT_NAME socks64 LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/musl
  NO_SONAME ON CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON LINK_DEPENDS "${SHIM_EXPORTS}")
# Fewer warnings, and none an error: the fields of musl's structures differ in sign from those that the sources are checked with.
target_compile_options(socks64_shim_musl PRIVATE -Wall -Wextra -Wno-sign-compare)
target_link_libraries(socks64_shim_musl PRIVATE socks64_musl_cxx c gcc socks64_shim_config)
