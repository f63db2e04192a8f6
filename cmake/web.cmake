# SPDX-License-Identifier: BSD-2-Clause
# Files as C: of the page, every file of LOCSER_WEB_DIST, or one plain page where there is none; and
# the templates of phones' settings.
#   include(cmake/web.cmake)   defines web_files_source, to be compiled into host
#   cmake -DNAME=... -DDIST=... -DPLAIN=... -DOUT=... -P cmake/web.cmake   writes one of them
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
       "const struct web_file ${NAME}s[] = {\n${table}};\n"
       "const size_t ${NAME}_count = sizeof ${NAME}s / sizeof ${NAME}s[0];\n")
  return()
endif()

set(LOCSER_WEB_DIST ${CMAKE_SOURCE_DIR}/web/dist CACHE PATH "Files of the page, built")
set(web_files_source ${CMAKE_BINARY_DIR}/web_files.c ${CMAKE_BINARY_DIR}/provision_files.c)
set(web_plain ${CMAKE_SOURCE_DIR}/host/web_plain.html)

function(files_as_c name folder plain comment)
  file(GLOB files CONFIGURE_DEPENDS ${folder}/*)
  set(out ${CMAKE_BINARY_DIR}/${name}s.c)
  add_custom_command(OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DNAME=${name} -DDIST=${folder} -DPLAIN=${plain} -DOUT=${out}
            -P ${CMAKE_SOURCE_DIR}/cmake/web.cmake
    DEPENDS ${CMAKE_SOURCE_DIR}/cmake/web.cmake ${plain} ${files}
    COMMENT ${comment} VERBATIM)
endfunction()
files_as_c(web_file ${LOCSER_WEB_DIST} ${web_plain} "Putting the page into the program")
files_as_c(provision_file ${CMAKE_SOURCE_DIR}/examples/provision ${web_plain}
           "Putting the templates of phones' settings into the program")
