# SPDX-License-Identifier: BSD-2-Clause
# The page's files as C: every file of LOCSER_WEB_DIST, or one plain page where there is none.
#   include(cmake/web.cmake)   defines web_files_source, to be compiled into host
#   cmake -DDIST=... -DPLAIN=... -DOUT=... -P cmake/web.cmake   writes it
if(CMAKE_SCRIPT_MODE_FILE)
  file(GLOB files ${DIST}/*)
  if(NOT files)
    set(files ${PLAIN})
  endif()
  set(arrays "")
  set(table "")
  set(n 0)
  foreach(file ${files})
    get_filename_component(name ${file} NAME)
    if(file STREQUAL PLAIN)
      set(name index.html)
    endif()
    file(READ ${file} hex HEX)
    string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
    string(APPEND arrays "static const unsigned char file${n}[] = {\n${bytes}0};\n")
    string(APPEND table "    {\"${name}\", file${n}, sizeof file${n} - 1},\n")
    math(EXPR n "${n} + 1")
  endforeach()
  file(WRITE ${OUT} "/* Made by cmake/web.cmake. */\n#include \"host/web_files.h\"\n\n${arrays}\n"
       "const struct web_file web_files[] = {\n${table}};\n"
       "const size_t web_file_count = sizeof web_files / sizeof web_files[0];\n")
  return()
endif()

set(LOCSER_WEB_DIST ${CMAKE_SOURCE_DIR}/web/dist CACHE PATH "Files of the page, built")
set(web_files_source ${CMAKE_BINARY_DIR}/web_files.c)
set(web_plain ${CMAKE_SOURCE_DIR}/host/web_plain.html)
file(GLOB web_dist_files CONFIGURE_DEPENDS ${LOCSER_WEB_DIST}/*)
add_custom_command(OUTPUT ${web_files_source}
  COMMAND ${CMAKE_COMMAND} -DDIST=${LOCSER_WEB_DIST} -DPLAIN=${web_plain} -DOUT=${web_files_source}
          -P ${CMAKE_SOURCE_DIR}/cmake/web.cmake
  DEPENDS ${CMAKE_SOURCE_DIR}/cmake/web.cmake ${web_plain} ${web_dist_files}
  COMMENT "Putting the page into the program" VERBATIM)
