/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/dumps.h"

#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#if defined(__has_feature) && !defined(__SANITIZE_ADDRESS__)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

/* RLIMIT_CORE says nothing to a program that kernel.core_pattern pipes to; not being dumpable does,
 * and closes /proc/PID/mem and ptrace. Leaving out single pages (MADV_DONTDUMP) would need to know
 * where every library keeps its copies. */
void dumps_forbid(void) {
  const struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
#ifndef __SANITIZE_ADDRESS__ /* LeakSanitizer looks at its own process by ptrace */
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}
