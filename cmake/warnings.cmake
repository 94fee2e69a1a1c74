# One interface target carries the project's warnings, so that no file is built without them.
add_library(socks64_warnings INTERFACE)
target_compile_options(socks64_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wundef
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor -Woverloaded-virtual -Wold-style-cast>
  $<$<BOOL:${SOCKS64_WERROR}>:-Werror>)
