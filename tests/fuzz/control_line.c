/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines on the control socket: whatever they hold, each is answered by lines of JSON, or not at
 * all; nothing leaks. There is no node: its commands only wait. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "host/control_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void leave(void *context) { (void)context; }
static bool reload(void *context, struct why *why) {
  (void)context;
  why->text[0] = '\0';
  return false;
}
static void set_log(void *context, enum trace_level level) {
  (void)context;
  (void)level;
}

static void check_answers(const struct client *client) {
  const char *at = client->out, *end = client->out + client->out_len;
  while (at < end) {
    const char *line_end = memchr(at, '\n', (size_t)(end - at));
    assert(line_end != NULL);
    json_t *answer = json_loadb(at, (size_t)(line_end - at), 0, NULL);
    assert(json_is_object(answer) && json_object_get(answer, "id") != NULL);
    json_decref(answer);
    at = line_end + 1;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  static struct log log;
  struct loop loop = {.log = &log};
  struct control control = {.loop = &loop,
                            .hooks = {.leave = leave, .reload = reload, .set_log = set_log}};
  struct client client = {.owner = &control};
  struct slice rest = slice_of(data, len < CONTROL_LINE_BYTES_MAX ? len : CONTROL_LINE_BYTES_MAX);
  while (rest.len > 0) {
    struct slice line = slice_first(rest, slice_find_byte(rest, '\n'));
    call_line(&client, line);
    rest = slice_skip(rest, line.len + 1);
  }
  if (client.out_len > 0) check_answers(&client);
  assert(client.pending <= CONTROL_PENDING_MAX);
  call_forget(&control, &client);
  call_free(&control);
  free(client.out);
  return 0;
}
