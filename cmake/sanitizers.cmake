# Sanitizers apply to every target of a build tree: mixing instrumented and plain C++ gives false reports.
if(SOCKS64_SANITIZE STREQUAL "address")
  # Not vptr: to look at an object it opens a pipe first, and takes EMFILE for a bad object.
  add_compile_options(-fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=undefined
    -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
elseif(SOCKS64_SANITIZE STREQUAL "thread")
  # Asio uses atomic_thread_fence, which gcc's TSan does not model and warns of.
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer $<$<COMPILE_LANGUAGE:CXX>:-Wno-tsan>)
  add_link_options(-fsanitize=thread)
elseif(SOCKS64_SANITIZE STREQUAL "fuzzer")
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "SOCKS64_SANITIZE=fuzzer needs clang: use the preset fuzz")
  endif()
  # The TOML parser is compiled in, so that the fuzzer sees into it.
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
    -fsanitize-ignorelist=${PROJECT_SOURCE_DIR}/tests/fuzz/ignored.txt)
  add_compile_definitions(TOML_HEADER_ONLY=1)
  add_link_options(-fsanitize=address,undefined)
elseif(NOT SOCKS64_SANITIZE STREQUAL "")
  message(FATAL_ERROR "SOCKS64_SANITIZE is '${SOCKS64_SANITIZE}': expected empty, address, thread or fuzzer")
endif()

# A sanitizer's build is made for its tests alone, and takes three times as long as another: there, headers are parsed once
# for a target, and the tests themselves - not what they test - are left as they are written.
function(socks64_build_fast_when_sanitized target headers)
  if(NOT SOCKS64_SANITIZE MATCHES "^(address|thread)$")
    return()
  endif()
  target_precompile_headers(${target} PRIVATE ${headers})
  get_target_property(kind ${target} TYPE)
  if(kind STREQUAL "EXECUTABLE")
    target_compile_options(${target} PRIVATE -O0)
  endif()
endfunction()

# The same for a library that has the headers of another.
function(socks64_share_headers_when_sanitized target other)
  if(SOCKS64_SANITIZE MATCHES "^(address|thread)$")
    target_precompile_headers(${target} REUSE_FROM ${other})
  endif()
endfunction()
