/* SPDX-License-Identifier: BSD-2-Clause */
/* A DNS for tests: a few lines of text. */
#ifndef SUPPORT_ZONE_H
#define SUPPORT_ZONE_H

#include "base/outbox.h"

/* "A host 192.0.2.1 2001:db8::1", "SRV name priority weight port target", "NAPTR name order
 * preference flags service replacement", "SILENT A|SRV|NAPTR name". What is not there does not
 * exist. TTLs are 60 s. */
#define ZONE_LINES_MAX 32u
struct zone {
  const char *line[ZONE_LINES_MAX];
};
struct zone_answer {
  enum err status;
  unsigned count;
  struct dns_record record[DNS_RECORDS_MAX + 2]; /* texts: until 18 more lines were read */
};

/* Answers an OUT_RESOLVE. */
void zone_ask(const struct zone *zone, const struct output *question, struct zone_answer *answer);

#endif
