# SPDX-License-Identifier: BSD-2-Clause
# Compiler flags and options that hold for every target.
option(LOCSER_TESTS "Build tests and benchmarks" ON)
option(LOCSER_WERROR "Warnings are errors" OFF)
option(LOCSER_FUZZ "Build the libFuzzer targets (needs clang)" OFF)
set(LOCSER_SANITIZE "" CACHE STRING "Sanitizers, for example address,undefined")

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")
set(CMAKE_C_FLAGS_DEBUG "-O1 -g -fno-omit-frame-pointer")

add_compile_options(-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wswitch-enum
                    -Wmissing-prototypes -Wstrict-prototypes
                    -fmacro-prefix-map=${CMAKE_SOURCE_DIR}/=)
if(LOCSER_WERROR)
  add_compile_options(-Werror)
endif()

if(LOCSER_SANITIZE)
  set(sanitize -fsanitize=${LOCSER_SANITIZE} -fno-sanitize-recover=all)
  add_compile_options(${sanitize})
  add_link_options(${sanitize})
elseif(CMAKE_BUILD_TYPE STREQUAL RelWithDebInfo)
  add_compile_options(-fstack-protector-strong -D_FORTIFY_SOURCE=2)
  add_link_options(-pie -Wl,-z,relro,-z,now)
endif()
add_link_options(-Wl,--as-needed)

# Programs are optimised as one: a hop costs a quarter less. Objects hold plain code as well, so
# that the many tests link fast. Not for make check, whose guards read the objects' own symbols.
set(whole_program_compile "")
set(whole_program_link "")
if(CMAKE_C_COMPILER_ID STREQUAL GNU AND CMAKE_BUILD_TYPE STREQUAL RelWithDebInfo
   AND NOT LOCSER_SANITIZE AND NOT LOCSER_WERROR)
  set(whole_program_compile -flto -ffat-lto-objects)
  set(whole_program_link -flto=auto)
  add_link_options(-fno-lto)
endif()
