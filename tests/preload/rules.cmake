# Rules: the syntax and the decisions as units (in shim_unit_tests), and what programs see of them.
include(${CMAKE_CURRENT_LIST_DIR}/preload.cmake)
target_sources(connect_probe PRIVATE ${CMAKE_CURRENT_LIST_DIR}/settings/rules.c)
target_link_libraries(connect_probe PRIVATE resolv)
foreach(group rules mistakes)
  add_preload_test(NAME preload.${group} LABELS connect TIMEOUT 300
    COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_LIST_DIR}/settings/test_${group}.py
    ENVIRONMENT "SOCKS64_TEST_PROBE=$<TARGET_FILE:connect_probe>" "SOCKS64_TEST_SOURCE=${PROJECT_SOURCE_DIR}/shim")
endforeach()
