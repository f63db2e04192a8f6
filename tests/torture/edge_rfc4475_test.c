/* SPDX-License-Identifier: BSD-2-Clause */
/* What the edge makes of the messages of RFC 4475 that parse, found in LOCSER_TORTURE or beside the
 * project; without them the test is skipped. Proves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/edge_world.h"

#define SKIPPED 77

static char bytes[SIP_MESSAGE_BYTES_MAX];

static struct slice load(const char *name) {
  const char *folder = getenv("LOCSER_TORTURE");
  if (folder == NULL) folder = SOURCE_DIR "/../shared/torture/rfc4475";
  char path[1024];
  snprintf(path, sizeof path, "%s/%s.dat", folder, name);
  FILE *file = fopen(path, "rb");
  if (file == NULL) return SLICE_EMPTY;
  size_t len = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  return slice_of(bytes, len);
}

/* Status of the last answer to the sender; 0: none, the message was forwarded or dropped. 480 is
 * what a proxy says that knows the domain but nobody in it: the message was understood and looked
 * up. */
static const struct {
  const char *name;
  unsigned status;
  bool may_not_parse;
} rows[] = {
    {"wsinv", 404, false},    {"intmeth", 480, false},    {"esc01", 480, false},
    {"escnull", 200, false},  {"esc02", 501, false},      {"lwsdisp", 480, false},
    {"longreq", 480, false},  {"dblreq", 200, false},     {"semiuri", 480, false},
    {"mpart01", 0, false},    {"transports", 480, false}, {"unreason", 0, false},
    {"noreason", 0, false},   {"unkscm", 416, false},     {"novelsc", 416, false},
    {"unksm2", 400, false},   {"bext01", 420, false},     {"invut", 480, false},
    {"regaut01", 200, false}, {"zeromf", 483, false},     {"cparam01", 200, false},
    {"cparam02", 200, false}, {"regescrt", 200, false},   {"sdp01", 480, false},
    {"inv2543", 480, false},  {"bcast", 0, false},        {"baddate", 480, false},
    {"escruri", 400, true},   {"regbadct", 400, true},    {"badbranch", 480, true},
};

static void every_message_that_parses(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    static struct edge_world w;
    struct edge_config config;
    world_begin(&w, &config);
    config.domain_count = 0;
    world_open_config(&w, 1, &config);
    struct phone phone = phone_udp(0, "192.0.2.8:5060");
    struct slice text = load(rows[i].name);
    if (text.len == 0) fail_msg("%s.dat is missing", rows[i].name);
    bool parsed = world_try_send(&w, &phone, text);
    if (!parsed && !rows[i].may_not_parse) fail_msg("%s does not parse", rows[i].name);
    unsigned status = 0;
    for (unsigned n = 0; n < w.sent_count; n++)
      if (strncmp(w.sent[n].bytes, "SIP/2.0 ", 8) == 0)
        status = (unsigned)strtoul(w.sent[n].bytes + 8, NULL, 10);
    if (parsed && status != rows[i].status)
      fail_msg("%s: want %u, got %u\n%s", rows[i].name, rows[i].status, status,
               w.sent_count ? w.sent[w.sent_count - 1].bytes : "");
    if (strcmp(rows[i].name, "escnull") == 0) assert_int_equal(edge_stats(w.edge[0]).bindings, 2);
    world_close(&w);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_message_that_parses)};
  if (load("wsinv").len == 0) {
    printf("skipped: no RFC 4475 messages\n");
    return SKIPPED;
  }
  return cmocka_run_group_tests(tests, NULL, NULL);
}
