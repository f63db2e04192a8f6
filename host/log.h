/* SPDX-License-Identifier: BSD-2-Clause */
/* The log: one line for each event, to standard error. What strangers can cause is limited for
 * each kind of event, so that a flood from the network never becomes a flood in the log; the next
 * line of that kind says how many were left out. */
#ifndef HOST_LOG_H
#define HOST_LOG_H

#include <stdio.h>

#include "base/trace.h"

/* Events of the host itself that may come often. Those of the core are enum trace_kind. */
enum log_topic {
  LOG_CONNECTION, /* a connection was refused or dropped: a limit, a stall, bad bytes */
  LOG_DATAGRAM,   /* a datagram could not be sent */
  LOG_JOURNAL,    /* the journal cannot write, or can again */
  LOG_KEYS,       /* a record could not be signed */
  LOG_REFUSED,    /* a record was refused: forged, or not in the layout (once a minute) */
  LOG_TLS,        /* somebody was not let in over TLS (once a minute) */
  LOG_AWAY,       /* a connection was turned away by a limit (once a minute) */
  LOG_WEB,        /* a request of the page's server was refused, or its client dropped */
  LOG_PROVISION,  /* a phone asked for settings, or took them */
  LOG_CONTROL,    /* a control client was refused or dropped */
  LOG_TOPIC_COUNT
};

struct log_meter {
  usec at;           /* when `left` was last refilled */
  uint32_t left;     /* lines that may still be written */
  uint32_t left_out; /* since the last line of this kind */
};
struct log {
  FILE *file;
  enum trace_level level;
  usec (*clock)(void); /* monotonic; tests put their own */
  struct log_meter meter[TRACE_KIND_COUNT + LOG_TOPIC_COUNT];
};

#define LOG_BURST 20u         /* lines of one kind at once */
#define LOG_REFILL_US SEC(1)  /* and one more in this time */
#define LOG_BURST_DEBUG 2000u /* who asks for debug wants to see it; still bounded */
#define LOG_REFILL_DEBUG_US MSEC(5)
#define LOG_RARE_US \
  SEC(60) /* what only attacks and mistakes cause: one line, and one more in this time */

void log_init(struct log *log, FILE *file, enum trace_level level);
/* Unlimited: for what happens a bounded number of times. */
void log_line(struct log *log, enum trace_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void log_often(struct log *log, enum log_topic topic, enum trace_level level, const char *format,
               ...) __attribute__((format(printf, 4, 5)));
void log_trace(struct log *log, const struct trace *trace);
/* Bits of the trace kinds that this level shows: for outbox.trace_mask. */
uint64_t log_trace_mask(enum trace_level level);

const char *log_level_name(enum trace_level level);
bool log_level_parse(struct slice name, enum trace_level *out);

#endif
