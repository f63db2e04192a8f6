/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/reply_json.h"

#include <stdlib.h>
#include <string.h>

#include "host/why.h"

json_t *text_to_json(struct slice text) {
  json_t *string = json_stringn(text.len > 0 ? text.at : "", text.len);
  if (string != NULL) return string;
  char *plain = host_take(text.len);
  for (size_t i = 0; i < text.len; i++)
    plain[i] = (unsigned char)text.at[i] < 0x80 ? text.at[i] : '?';
  string = json_stringn(plain, text.len);
  free(plain);
  return string;
}

static json_t *number(uint64_t n) {
  return json_integer((json_int_t)(n <= INT64_MAX ? n : INT64_MAX));
}

static json_t *key_json(const struct key *key) {
  char text[KEY_HEX];
  struct buf b = buf_over(text, sizeof text);
  key_put(&b, key);
  return json_stringn(text, sizeof text);
}

static json_t *address_json(const struct endpoint *at) {
  char text[64];
  struct buf b = buf_over(text, sizeof text);
  if (at->family != 0) endpoint_put(&b, at);
  return json_stringn(text, b.len);
}

static void set(json_t *object, const char *name, json_t *value) {
  json_object_set_new(object, name, value);
}

static void set_peer(json_t *object, const struct node_row *row) {
  set(object, "peer", key_json(&row->key));
  set(object, "address", address_json(&row->at));
}

static json_t *status_json(const struct node_reply *reply) {
  json_t *object = json_object();
  for (unsigned i = 0; i < reply->row_count; i++) {
    const struct node_row *row = &reply->row[i];
    char name[64];
    struct buf b = buf_over(name, sizeof name);
    buf_put(&b, slice_first(row->text, sizeof name - 1));
    buf_put_char(&b, '\0');
    json_t *value = row->has_number ? number(row->n) : NULL;
    if (value == NULL && row->text2.len > 0) value = text_to_json(row->text2);
    if (value == NULL && row->has_key) value = key_json(&row->key);
    if (value == NULL) value = row->at.family != 0 ? address_json(&row->at) : json_string("");
    set(object, name, value);
  }
  return object;
}

static json_t *row_json(enum node_command_kind kind, const struct node_row *row) {
  json_t *object = json_object();
  switch (kind) {
    case COMMAND_RING:
    case COMMAND_PEERS:
      set(object, "role", text_to_json(row->text));
      set_peer(object, row);
      if (kind == COMMAND_PEERS) set(object, "rtt_us", number(row->n));
      break;
    case COMMAND_RECORDS:
      set(object, "key", key_json(&row->key));
      set(object, "text", text_to_json(row->text));
      set(object, "state", text_to_json(row->text2));
      set(object, "version", number(row->n));
      set(object, "expires", number(row->n2));
      set(object, "bytes", number(row->n3));
      break;
    case COMMAND_BINDINGS:
      set(object, "aor", text_to_json(row->text));
      set(object, "contact", text_to_json(row->text2));
      set(object, "transport", json_string(transport_name((enum transport)row->at.transport)));
      set(object, "expires", number(row->n));
      break;
    case COMMAND_LOOKUP:
      set(object, "hop", number(row->n2));
      set_peer(object, row);
      set(object, "us", number(row->n));
      break;
    case COMMAND_GET:
      set(object, "contact", text_to_json(row->text));
      set(object, "path", text_to_json(row->text2));
      set(object, "expires", number(row->n));
      set(object, "q", json_real((double)row->n2 / 1000.0));
      break;
    case COMMAND_FETCH:
      set(object, "owner", key_json(&row->key));
      set(object, "value", text_to_json(row->text));
      set(object, "receives", text_to_json(row->text2));
      break;
    case COMMAND_PRESENCE:
      set(object, "document", text_to_json(row->text));
      break;
    case COMMAND_WATCHERS:
      set(object, "watcher", text_to_json(row->text));
      set(object, "state", text_to_json(row->text2));
      set(object, "address", address_json(&row->at));
      set(object, "expires", number(row->n));
      break;
    case COMMAND_ALLOW:
    case COMMAND_ASK:
    case COMMAND_BLOCK:
    case COMMAND_STORE:
    case COMMAND_MESSAGE:
    case COMMAND_PUBLISH:
    case COMMAND_STATUS:
    case COMMAND_PUT_IMMUT:
    case COMMAND_GET_IMMUT:
    case COMMAND_PUT:
    case COMMAND_REMOVE:
    case COMMAND_LEAVE:
      break;
  }
  return object;
}

json_t *reply_to_json(const struct node_reply *reply) {
  uint64_t first = reply->row_count > 0 ? reply->row[0].n : 0;
  if (reply->kind == COMMAND_STATUS) return status_json(reply);
  bool done = reply->kind == COMMAND_PUBLISH || reply->kind == COMMAND_ALLOW ||
              reply->kind == COMMAND_ASK || reply->kind == COMMAND_BLOCK ||
              reply->kind == COMMAND_MESSAGE;
  if (done) return json_true();
  if (reply->kind == COMMAND_PUT || reply->kind == COMMAND_STORE)
    return json_pack("{s:o}", "copies", number(first));
  if (reply->kind == COMMAND_REMOVE) return json_pack("{s:o}", "removed", number(first));
  struct slice text = reply->row_count > 0 ? reply->row[0].text : SLICE_EMPTY;
  if (reply->kind == COMMAND_PUT_IMMUT)
    return json_pack("{s:o, s:o}", "key", text_to_json(text), "copies", number(first));
  if (reply->kind == COMMAND_GET_IMMUT)
    return json_pack("{s:o, s:o}", "value", text_to_json(text), "expires", number(first));
  if (reply->kind == COMMAND_LEAVE) return json_true();
  json_t *rows = json_array();
  for (unsigned i = 0; i < reply->row_count; i++)
    json_array_append_new(rows, row_json(reply->kind, &reply->row[i]));
  return rows;
}

json_t *trace_to_json(const struct trace *trace, int64_t offset_us) {
  json_t *object = json_object();
  set(object, "name", json_string(trace_name(trace->kind)));
  set(object, "time", json_integer((json_int_t)trace->at + offset_us));
  if (!key_is_zero(&trace->key)) set(object, "key", key_json(&trace->key));
  if (trace->peer.family != 0) {
    set(object, "peer", address_json(&trace->peer));
    set(object, "transport", json_string(transport_name((enum transport)trace->peer.transport)));
  }
  if (trace->status != 0) set(object, "status", number(trace->status));
  if (trace->n != 0) set(object, "n", number(trace->n));
  if (trace->a.len > 0) set(object, "a", text_to_json(trace->a));
  if (trace->b.len > 0) set(object, "b", text_to_json(trace->b));
  return object;
}
