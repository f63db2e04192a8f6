/* SPDX-License-Identifier: BSD-2-Clause */
/* The page's files and the templates of phones' settings, put into the program by cmake/web.cmake.
 */
#ifndef HOST_WEB_FILES_H
#define HOST_WEB_FILES_H

#include <stddef.h>

struct web_file {
  const char *name;
  const unsigned char *bytes;
  size_t len;
};

extern const struct web_file web_files[];
extern const size_t web_file_count;
extern const struct web_file provision_files[];
extern const size_t provision_file_count;

#endif
