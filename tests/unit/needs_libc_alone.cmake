# Fails unless the shared object's only NEEDED entry is libc.so.6.
execute_process(COMMAND ${READELF} -d ${OBJECT} OUTPUT_VARIABLE dynamic COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "\\(NEEDED\\)[^\n]*" needed "${dynamic}")
list(LENGTH needed count)
if(NOT count EQUAL 1 OR NOT needed MATCHES "\\[libc\\.so\\.6\\]")
  message(FATAL_ERROR "expected libc.so.6 alone, found: ${needed}")
endif()
message(STATUS "needs ${needed}")
