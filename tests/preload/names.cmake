# Names: the table and the configuration as units, and what programs see of getaddrinfo and its kin.
include(${CMAKE_CURRENT_LIST_DIR}/preload.cmake)
find_package(GTest REQUIRED)
find_package(Threads REQUIRED)
find_package(Python3 REQUIRED COMPONENTS Interpreter)
include(GoogleTest)

add_executable(shim_unit_tests
  ${CMAKE_CURRENT_LIST_DIR}/dns/dns_answer_test.cpp
  ${CMAKE_CURRENT_LIST_DIR}/host/local_file_test.cpp
  ${CMAKE_CURRENT_LIST_DIR}/names/classify_test.cpp
  ${CMAKE_CURRENT_LIST_DIR}/settings/config_test.cpp
  ${CMAKE_CURRENT_LIST_DIR}/settings/rules_test.cpp
  ${CMAKE_CURRENT_LIST_DIR}/socksify/proxy_environment_test.cpp
  ${CMAKE_CURRENT_LIST_DIR}/tables/fake_ip_table_test.cpp
  ${CMAKE_CURRENT_LIST_DIR}/tables/policy_test.cpp
  ${CMAKE_CURRENT_LIST_DIR}/tables/table_file_test.cpp)
target_compile_definitions(shim_unit_tests PRIVATE _GNU_SOURCE)
target_link_libraries(shim_unit_tests PRIVATE shim_dns shim_socksify socks64_warnings GTest::gtest_main Threads::Threads)
gtest_discover_tests(shim_unit_tests TEST_PREFIX unit.shim. DISCOVERY_TIMEOUT 60 PROPERTIES LABELS unit TIMEOUT 300)

# A plain C program that knows nothing of the shim.
add_executable(probe_names ${CMAKE_CURRENT_LIST_DIR}/names/probe_names.c)
target_link_libraries(probe_names PRIVATE socks64_warnings Threads::Threads resolv ${CMAKE_DL_LIBS})

function(add_names_test name)
  add_preload_test(NAME preload.names.${name} TIMEOUT 180 ${ARGN}
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/names/lab.py $<TARGET_FILE:probe_names> ${name})
endfunction()
foreach(name delegation families transports services invalid numeric literals local reverse hostent buffers fork
             spelling freeing errno speed resolver resolver_errors networks)
  add_names_test(${name})
endforeach()
if(SOCKS64_SANITIZE STREQUAL "thread")
  # The thread that a notification runs on is made inside libc, where ThreadSanitizer does not see it, and dies of that.
  add_test(NAME preload.names.background COMMAND ${CMAKE_COMMAND} -E echo
    "SKIPPED, NOTHING WAS TESTED: ThreadSanitizer knows nothing of threads that libc makes")
  set_tests_properties(preload.names.background PROPERTIES SKIP_REGULAR_EXPRESSION "NOTHING WAS TESTED" LABELS preload)
else()
  add_names_test(background)
endif()
add_names_test(full ENVIRONMENT SOCKS64_FAKE_IPV4=198.18.5.0/24)
add_names_test(ranges ENVIRONMENT SOCKS64_FAKE_IPV4=198.18.0.0/16 SOCKS64_FAKE_IPV6=fd00:64::/64)
add_names_test(gateway6 ENVIRONMENT "SOCKS64_GATEWAY=socks5://[2001:db8::1]:1080")
add_names_test(both_gateway6 ENVIRONMENT "SOCKS64_GATEWAY=socks5://[2001:db8::1]:1080" SOCKS64_FAKE_FAMILIES=both)
add_names_test(both_families ENVIRONMENT SOCKS64_FAKE_FAMILIES=both)
add_names_test(broken ENVIRONMENT SOCKS64_GATEWAY=nonsense)

add_preload_test(NAME preload.socksify
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/socksify/test_socksify.py)
