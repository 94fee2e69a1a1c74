# verify_names: look-ups that ask the gateway, a scripted one, whether the name exists.
include(${CMAKE_CURRENT_LIST_DIR}/preload.cmake)
find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)
find_package(Threads REQUIRED)
add_executable(verification_probe ${CMAKE_CURRENT_LIST_DIR}/names/verification_probe.c)
set_target_properties(verification_probe PROPERTIES C_STANDARD 11 C_EXTENSIONS ON)
target_compile_definitions(verification_probe PRIVATE _GNU_SOURCE)
target_compile_options(verification_probe PRIVATE -Wall -Wextra -Wshadow $<$<BOOL:${SOCKS64_WERROR}>:-Werror>
  -fno-sanitize=all -U_FORTIFY_SOURCE)
target_link_options(verification_probe PRIVATE -fno-sanitize=all)
target_link_libraries(verification_probe PRIVATE Threads::Threads)
add_preload_test(NAME preload.names.verification TIMEOUT 300
  COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_LIST_DIR}/names/test_verification.py
  ENVIRONMENT "SOCKS64_TEST_PROBE=$<TARGET_FILE:verification_probe>")
