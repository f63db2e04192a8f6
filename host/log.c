/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/log.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "host/clock.h"

#define LINE_BYTES 2048
#define FIELD_BYTES 256 /* of a text from the network, in one line */

static const char *const level_names[] = {"error", "warning", "info", "debug"};

const char *log_level_name(enum trace_level level) { return level_names[level]; }

bool log_level_parse(struct slice name, enum trace_level *out) {
  for (unsigned i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
    if (!slice_equal(name, slice_cstr(level_names[i]))) continue;
    *out = (enum trace_level)i;
    return true;
  }
  return false;
}

/* */
static bool is_rare(unsigned index) {
  return index == TRACE_NOT_ALLOWED || index == TRACE_KIND_COUNT + LOG_REFUSED ||
         index == TRACE_KIND_COUNT + LOG_TLS || index == TRACE_KIND_COUNT + LOG_AWAY;
}

void log_init(struct log *log, FILE *file, enum trace_level level) {
  *log = (struct log){.file = file, .level = level, .clock = clock_monotonic};
  for (unsigned i = 0; i < TRACE_KIND_COUNT + LOG_TOPIC_COUNT; i++)
    log->meter[i].left = is_rare(i) ? 1 : LOG_BURST;
}

uint64_t log_trace_mask(enum trace_level level) {
  uint64_t mask = 0;
  for (unsigned i = 0; i < TRACE_KIND_COUNT; i++)
    if (trace_level((enum trace_kind)i) <= level) mask |= UINT64_C(1) << i;
  return mask;
}

/* One write for one line, so that lines of several processes do not mix. */
static void put_line(struct log *log, enum trace_level level, const char *text, uint32_t left_out) {
  struct timespec now;
  struct tm day;
  char stamp[40] = "", more[48] = "";
  clock_gettime(CLOCK_REALTIME, &now);
  if (gmtime_r(&now.tv_sec, &day) != NULL) strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &day);
  if (left_out > 0) snprintf(more, sizeof more, " (%u more like this were left out)", left_out);
  fprintf(log->file, "%s.%03ldZ %-7s %s%s\n", stamp, now.tv_nsec / 1000000, level_names[level],
          text, more);
  fflush(log->file);
}

void log_line(struct log *log, enum trace_level level, const char *format, ...) {
  if (level > log->level) return;
  char text[LINE_BYTES];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  put_line(log, level, text, 0);
}

static bool meter_allows(struct log *log, unsigned index, enum trace_level level) {
  struct log_meter *meter = &log->meter[index];
  bool debug = level == TRACE_DEBUG;
  bool rare = is_rare(index);
  uint32_t burst = rare ? 1 : debug ? LOG_BURST_DEBUG : LOG_BURST;
  usec refill = rare ? LOG_RARE_US : debug ? LOG_REFILL_DEBUG_US : LOG_REFILL_US;
  usec now = log->clock();
  usec gained = (now - meter->at) / refill;
  if (gained > 0) {
    meter->left =
        gained > burst - usec_min(meter->left, burst) ? burst : meter->left + (uint32_t)gained;
    meter->at = now;
  }
  if (meter->left == 0) {
    meter->left_out++;
    return false;
  }
  meter->left--;
  return true;
}

static uint32_t meter_left_out(struct log *log, unsigned index) {
  uint32_t count = log->meter[index].left_out;
  log->meter[index].left_out = 0;
  return count;
}

void log_often(struct log *log, enum log_topic topic, enum trace_level level, const char *format,
               ...) {
  unsigned index = TRACE_KIND_COUNT + (unsigned)topic;
  if (level > log->level || !meter_allows(log, index, level)) return;
  char text[LINE_BYTES];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  put_line(log, level, text, meter_left_out(log, index));
}

/* What strangers wrote stays on its line and in its place. */
static void put_field(struct buf *b, const char *name, struct slice text) {
  if (text.len == 0) return;
  buf_put_char(b, ' ');
  buf_put_cstr(b, name);
  buf_put_char(b, '=');
  for (size_t i = 0; i < text.len && i < FIELD_BYTES; i++) {
    unsigned char c = (unsigned char)text.at[i];
    buf_put_char(b, c <= ' ' || c >= 127 ? '_' : (char)c);
  }
  if (text.len > FIELD_BYTES) buf_put_cstr(b, "...");
}

void log_trace(struct log *log, const struct trace *trace) {
  enum trace_level level = trace_level(trace->kind);
  if (level > log->level || !meter_allows(log, trace->kind, level)) return;
  char text[LINE_BYTES];
  struct buf b = buf_over(text, sizeof text);
  buf_put_cstr(&b, trace_name(trace->kind));
  if (!key_is_zero(&trace->key)) {
    buf_put(&b, SLICE(" key="));
    key_put(&b, &trace->key);
  }
  if (trace->peer.family != 0) {
    buf_put(&b, SLICE(" peer="));
    endpoint_put(&b, &trace->peer);
  }
  if (trace->status != 0) {
    buf_put(&b, SLICE(" status="));
    buf_put_u64(&b, trace->status);
  }
  if (trace->n != 0) {
    buf_put(&b, SLICE(" n="));
    buf_put_u64(&b, trace->n);
  }
  put_field(&b, "a", trace->a);
  put_field(&b, "b", trace->b);
  buf_put_char(&b, '\0');
  put_line(log, level, text, meter_left_out(log, trace->kind));
}
