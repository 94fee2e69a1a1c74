# The wrapper command as its users see it, one ctest entry for each thing that it does.
include(${CMAKE_CURRENT_LIST_DIR}/preload.cmake)
find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)
foreach(group options check proxies walk)
  add_preload_test(NAME preload.socksify.${group} LABELS socksify TIMEOUT 300
    COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_LIST_DIR}/socksify/test_${group}.py
    ENVIRONMENT "SOCKS64_TEST_PROBE=$<TARGET_FILE:connect_probe>" "SOCKS64_TEST_SOURCE_DIR=${PROJECT_SOURCE_DIR}")
endforeach()
