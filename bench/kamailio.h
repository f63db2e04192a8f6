/* SPDX-License-Identifier: BSD-2-Clause */
/* Kamailio as a registrar and proxy, to compare with: one worker, everything in memory (managed by
 * `-x fm`, its quickest), no authentication, no log. */
#ifndef BENCH_KAMAILIO_H
#define BENCH_KAMAILIO_H

#include "bench/server.h"

#define KAMAILIO_PROCESSES 16u

struct kamailio {
  struct server server; /* at */
  unsigned processes;
  pid_t process[KAMAILIO_PROCESSES];
  clockid_t clock[KAMAILIO_PROCESSES];
};

/* Is it installed here? */
bool kamailio_is_there(void);
/* False: it did not start, or does not answer. */
bool kamailio_start(struct kamailio *kamailio);
void kamailio_stop(struct kamailio *kamailio);
/* As server_cpu_ns, of all its processes. */
uint64_t kamailio_cpu_ns(const struct kamailio *kamailio);

#endif
