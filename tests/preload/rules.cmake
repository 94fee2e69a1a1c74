# Rules: the syntax and the decisions as units (in shim_unit_tests), and what programs see of them.
include(${CMAKE_CURRENT_LIST_DIR}/preload.cmake)
target_sources(connect_probe PRIVATE ${CMAKE_CURRENT_LIST_DIR}/rules/rules.c)
target_link_libraries(connect_probe PRIVATE resolv)
add_preload_test(NAME preload.rules LABELS connect TIMEOUT 300
  COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_LIST_DIR}/rules/test_rules.py
  ENVIRONMENT "SOCKS64_TEST_PROBE=$<TARGET_FILE:connect_probe>")
