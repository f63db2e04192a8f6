/* SPDX-License-Identifier: BSD-2-Clause */
/* What happens, as it happens, and how things stand, every second: to whoever watches. */
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "host/reply_json.h"
#include "host/web_internal.h"

#define SECOND_MS 1000
#define STATE_ROWS_MAX 100u

static const struct {
  const char *name;
  enum node_command_kind kind;
} parts[WEB_STATE_PARTS] = {{"status", COMMAND_STATUS},
                            {"ring", COMMAND_RING},
                            {"peers", COMMAND_PEERS},
                            {"records", COMMAND_RECORDS},
                            {"bindings", COMMAND_BINDINGS}};

static json_int_t wall_us(const struct web *web) {
  return (json_int_t)clock_monotonic() + web->loop->clock_offset_us;
}

/* Takes over the reference of params. */
static json_t *notification(const char *method, json_t *params) {
  return json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method", method, "params", params);
}

/* ---- one client ---- */

static bool put_text(struct web_client *client, struct slice text, bool may_be_lost) {
  if (may_be_lost && client->waiting + text.len > WEB_EVENT_BYTES_MAX) {
    client->lost++;
    client->web->stats.lost++;
    return false;
  }
  return web_put(client, text, false, 0, 16 * WEB_EVENT_BYTES_MAX);
}

static void put_event(struct web_client *client, struct slice text) {
  if (client->dropped) return;
  if (client->lost > 0) {
    char note[128];
    int len = snprintf(note, sizeof note,
                       "{\"jsonrpc\":\"2.0\",\"method\":\"lost\",\"params\":{\"count\":%llu}}",
                       (unsigned long long)client->lost);
    uint64_t lost = client->lost;
    if (client->waiting + (size_t)len + text.len <= WEB_EVENT_BYTES_MAX &&
        put_text(client, slice_of(note, (size_t)len), true))
      client->lost -= lost;
  }
  put_text(client, text, true);
}

void web_events_put(struct web_client *client, json_t *object, bool may_be_lost) {
  char *text = json_dumps(object, JSON_COMPACT);
  json_decref(object);
  if (text == NULL) return;
  if (may_be_lost)
    put_event(client, slice_cstr(text));
  else
    put_text(client, slice_cstr(text), false);
  free(text);
}

/* ---- all ---- */

static void tell_all(struct web *web, json_t *object) {
  char *text = json_dumps(object, JSON_COMPACT);
  json_decref(object);
  if (text == NULL) return;
  for (uint32_t i = 0; i < web->client_max; i++)
    if (web->client[i] != NULL && web->client[i]->kind == WEB_EVENTS && web->client[i]->open)
      put_event(web->client[i], slice_cstr(text));
  free(text);
}

uint64_t web_trace_mask(const struct web *web) {
  return web != NULL && web->stats.watchers > 0 ? UINT64_MAX : 0;
}

void web_trace(struct web *web, const struct trace *trace) {
  if (web == NULL || web->stats.watchers == 0 || web->stopped) return;
  tell_all(web, notification("trace", trace_to_json(trace, web->loop->clock_offset_us)));
}

/* ---- every second ---- */

static json_t *shortened(json_t *rows) {
  while (json_array_size(rows) > STATE_ROWS_MAX) json_array_remove(rows, json_array_size(rows) - 1);
  return rows;
}

void web_events_part(struct web *web, unsigned part, json_t *value) {
  json_decref(web->state[part]);
  web->state[part] = json_is_array(value) ? shortened(value) : value;
  if (web->state_waiting == 0 || --web->state_waiting > 0) return;
  json_t *state = json_pack("{s:I}", "time", wall_us(web));
  for (unsigned i = 0; i < WEB_STATE_PARTS; i++) {
    json_object_set_new(state, parts[i].name, web->state[i]);
    web->state[i] = NULL;
  }
  tell_all(web, notification("state", state));
}

static void on_second(uv_timer_t *timer) {
  struct web *web = timer->data;
  if (web->state_waiting > 0) return;
  web->state_waiting = WEB_STATE_PARTS;
  for (unsigned i = 0; i < WEB_STATE_PARTS; i++)
    loop_step(web->loop, &(struct input){.kind = IN_COMMAND,
                                         .ticket = LOOP_TICKET_WEB + i,
                                         .command = &(struct node_command){.kind = parts[i].kind}});
  loop_settle(web->loop);
}

static json_t *hello(const struct web *web) {
  const struct node_config *config = web->setup.config;
  char id[KEY_HEX], at[64];
  struct buf hex = buf_over(id, sizeof id), address = buf_over(at, sizeof at);
  key_put(&hex, &config->id);
  endpoint_put(&address, &config->advertise);
  json_t *domains = json_array();
  for (unsigned i = 0; i < config->domain_count; i++)
    json_array_append_new(domains, text_to_json(config->domain[i]));
  return json_pack("{s:s, s:o, s:o, s:o, s:I}", "version", web->setup.version, "peer",
                   text_to_json(buf_slice(&hex)), "address", text_to_json(buf_slice(&address)),
                   "domains", domains, "time", wall_us(web));
}

void web_events_open(struct web_client *client) {
  struct web *web = client->web;
  web->stats.watchers++;
  web_events_put(client, notification("hello", hello(web)), false);
  uv_timer_start(&web->second, on_second, 0, SECOND_MS);
}

void web_events_close(struct web_client *client) {
  struct web *web = client->web;
  if (--web->stats.watchers == 0 && !web->stopped) uv_timer_stop(&web->second);
}

void web_events_free(struct web *web) {
  for (unsigned i = 0; i < WEB_STATE_PARTS; i++) json_decref(web->state[i]);
}
