# A room is a folder with one purpose. Its file ROOM says which, and which other rooms its files may include:
#
#   One sentence: what the room is for.
#   may include: base loop socks64
#
# Here each room becomes a static library, and that line becomes its target_link_libraries, so that a room can be linked (a
# test, a fuzzer) with what it may include and nothing else. tools/layers checks that the files keep to the line.

# socks64_room(NAME SIDE <prefix> [SUFFIX <suffix>] [SOURCES file...] [LIBRARIES target...])
#
# The target <prefix>_<NAME><suffix>, an interface without SOURCES. "socks64" in the line of permissions, the protocol library,
# is the target SOCKS64_PROTOCOL_<SIDE><SUFFIX> if that variable is set. LIBRARIES are others' libraries that only this room uses.
function(socks64_room name)
  cmake_parse_arguments(PARSE_ARGV 1 room "" "SIDE;SUFFIX" "SOURCES;LIBRARIES")
  set(folder ${CMAKE_CURRENT_SOURCE_DIR}/${name})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${folder}/ROOM)
  file(STRINGS ${folder}/ROOM permitted REGEX "^may include:")
  string(REGEX REPLACE "^may include: *" "" permitted "${permitted}")
  string(REPLACE " " ";" permitted "${permitted}")

  set(target ${room_SIDE}_${name}${room_SUFFIX})
  if(room_SOURCES)
    list(TRANSFORM room_SOURCES PREPEND ${name}/)
    add_library(${target} STATIC ${room_SOURCES})
    set(public PUBLIC)
    target_link_libraries(${target} PRIVATE socks64_warnings)
  else()
    add_library(${target} INTERFACE)
    set(public INTERFACE)
  endif()
  target_include_directories(${target} ${public} ${CMAKE_CURRENT_SOURCE_DIR})
  foreach(other IN LISTS permitted)
    if(other STREQUAL "socks64")
      if(DEFINED SOCKS64_PROTOCOL_${room_SIDE}${room_SUFFIX})
        set(other ${SOCKS64_PROTOCOL_${room_SIDE}${room_SUFFIX}})
      endif()
    else()
      set(other ${room_SIDE}_${other}${room_SUFFIX})
    endif()
    target_link_libraries(${target} ${public} ${other})
  endforeach()
  target_link_libraries(${target} ${public} ${room_LIBRARIES})
endfunction()
