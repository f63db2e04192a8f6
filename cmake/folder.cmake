# SPDX-License-Identifier: BSD-2-Clause
# Targets from folders. Headers are included as "sip/message.h"; include/sip/sip in the build
# folder is a link to core/sip, so -Iinclude/sip opens that one folder and no other.

set(core_objects "")  # every object of the core, for libcore.a
set(core_links "")    # libraries the core needs

# Makes the folder's headers reachable under its own include directory.
function(include_link name folder)
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/include/${name})
  file(CREATE_LINK ${CMAKE_SOURCE_DIR}/${folder} ${CMAKE_BINARY_DIR}/include/${name}/${name}
       SYMBOLIC)
endfunction()

# Lets a target see exactly base, the named folders, and what their headers expose.
function(see target)
  foreach(name base ${ARGN})
    foreach(visible ${name} ${exposed_by_${name}})
      target_include_directories(${target} PRIVATE ${CMAKE_BINARY_DIR}/include/${visible})
    endforeach()
  endforeach()
endfunction()

# core_folder(<name> [USES <folder>...] [EXPOSES <folder>...] [LINKS <library>...]): objects of
# core/<name>. EXPOSES names the folders whose types its public headers show, so that whoever uses
# this folder sees those too.
macro(core_folder name)
  cmake_parse_arguments(arg "" "" "USES;EXPOSES;LINKS" ${ARGN})
  set(exposed_by_${name} ${arg_EXPOSES})
  include_link(${name} core/${name})
  file(GLOB sources CONFIGURE_DEPENDS core/${name}/*.c)
  if(sources)
    add_library(part-${name} OBJECT ${sources})
    see(part-${name} ${name} ${arg_USES})
    target_compile_options(part-${name} PRIVATE ${whole_program_compile})
    target_link_libraries(part-${name} PRIVATE ${arg_LINKS})
    list(APPEND core_objects $<TARGET_OBJECTS:part-${name}>)
    list(APPEND core_links ${arg_LINKS})
  endif()
  list(APPEND core_folders ${name})
endmacro()

# libcore.a: the union of the folders above.
macro(core_archive)
  if(core_objects)
    add_library(core STATIC ${core_objects})
    set_target_properties(core PROPERTIES LINKER_LANGUAGE C)
    target_link_libraries(core INTERFACE ${core_links})
  else()
    add_library(core INTERFACE)
  endif()
endmacro()

# outer_folder(<name> [USES ...] [EXPOSES ...] [LINKS ...]): a library of <name>/, outside the core.
macro(outer_folder name)
  cmake_parse_arguments(arg "" "" "USES;EXPOSES;LINKS" ${ARGN})
  set(exposed_by_${name} ${arg_EXPOSES})
  include_link(${name} ${name})
  file(GLOB sources CONFIGURE_DEPENDS ${name}/*.c)
  if(sources)
    add_library(part-${name} STATIC ${sources})
    see(part-${name} ${name} ${arg_USES})
    target_compile_options(part-${name} PRIVATE ${whole_program_compile})
    target_link_libraries(part-${name} PUBLIC core ${arg_LINKS})
    target_compile_definitions(part-${name} PRIVATE _GNU_SOURCE)
  else()
    add_library(part-${name} INTERFACE)
  endif()
endmacro()

# program(<name> SOURCES ... [USES ...] [LINKS ...]): skipped while a source does not exist.
function(program name)
  cmake_parse_arguments(arg "" "" "SOURCES;USES;LINKS" ${ARGN})
  foreach(source ${arg_SOURCES})
    file(GLOB found CONFIGURE_DEPENDS ${source})
    if(NOT found)
      return()
    endif()
  endforeach()
  add_executable(${name} ${arg_SOURCES})
  see(${name} cmd ${arg_USES})
  target_link_options(${name} PRIVATE ${whole_program_link})
  foreach(part ${arg_USES})
    target_link_libraries(${name} PRIVATE part-${part})
  endforeach()
  target_link_libraries(${name} PRIVATE ${arg_LINKS})
  target_compile_definitions(${name} PRIVATE _GNU_SOURCE LOCSER_VERSION="${PROJECT_VERSION}")
endfunction()
