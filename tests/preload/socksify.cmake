# The wrapper command as its users see it, one ctest entry for each thing that it does.
include(${CMAKE_CURRENT_LIST_DIR}/preload.cmake)
find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)
# A plain program that dials: it stands for the programs of other people, as connect_probe does.
add_executable(dial_probe ${CMAKE_CURRENT_LIST_DIR}/socksify/dial.c)
target_compile_definitions(dial_probe PRIVATE _GNU_SOURCE)
target_compile_options(dial_probe PRIVATE -fno-sanitize=all)
target_link_options(dial_probe PRIVATE -fno-sanitize=all)

set(gatewayd "")
if(TARGET gatewayd)
  set(gatewayd $<TARGET_FILE:gatewayd>)
endif()
foreach(group options check proxies walk explain completions manual)
  add_preload_test(NAME preload.socksify.${group} LABELS socksify TIMEOUT 300
    COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_LIST_DIR}/socksify/test_${group}.py
    ENVIRONMENT "SOCKS64_TEST_DIAL=$<TARGET_FILE:dial_probe>" "SOCKS64_TEST_SOURCE_DIR=${PROJECT_SOURCE_DIR}"
      "SOCKS64_TEST_GATEWAYD=${gatewayd}")
endforeach()

if(TARGET socks64_shim32)
  add_executable(dial_probe32 ${CMAKE_CURRENT_LIST_DIR}/socksify/dial.c)
  target_compile_definitions(dial_probe32 PRIVATE _GNU_SOURCE)
  target_compile_options(dial_probe32 PRIVATE -m32)
  target_link_options(dial_probe32 PRIVATE -m32)
  add_class32_test(NAME preload.socksify.class32 LABELS socksify TIMEOUT 300
    COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_LIST_DIR}/socksify/test_class32.py
    ENVIRONMENT "SOCKS64_TEST_DIAL=$<TARGET_FILE:dial_probe>" "SOCKS64_TEST_DIAL32=$<TARGET_FILE:dial_probe32>"
      "SOCKS64_TEST_LIBRARY32=$<TARGET_FILE:socks64_shim32>")
else()
  # It says that nothing was tested.
  add_preload_test(NAME preload.socksify.class32 LABELS socksify
    COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_LIST_DIR}/socksify/test_class32.py)
endif()
