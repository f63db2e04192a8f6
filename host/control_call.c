/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON-RPC 2.0: from a line to a command of the node or a hook of the daemon, and back. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/immutable.h"
#include "host/clock.h"
#include "host/control_internal.h"
#include "host/reply_json.h"

/* Codes of JSON-RPC 2.0 section 5.1. */
enum { RPC_PARSE = -32700, RPC_REQUEST = -32600, RPC_METHOD = -32601, RPC_PARAMS = -32602 };

static void put_json(struct client *client, json_t *object) {
  char *text = json_dumps(object, JSON_COMPACT);
  json_decref(object);
  if (text == NULL) return;
  size_t len = strlen(text);
  text[len] = '\n'; /* in place of the NUL */
  client_put(client, text, len + 1);
  free(text);
}

/* Takes over the references of id and result. A request without id is not answered. */
static void answer(struct client *client, json_t *id, json_t *result) {
  if (id == NULL) {
    json_decref(result);
    return;
  }
  put_json(client, json_pack("{s:s, s:o, s:o}", "jsonrpc", "2.0", "result", result, "id", id));
}

static void answer_error(struct client *client, json_t *id, int code, const char *text) {
  if (id == NULL) id = json_null();
  json_t *message = text_to_json(slice_cstr(text));
  put_json(client, json_pack("{s:s, s:{s:i, s:o}, s:o}", "jsonrpc", "2.0", "error", "code", code,
                             "message", message, "id", id));
}

void call_refuse_line(struct client *client) {
  answer_error(client, NULL, RPC_REQUEST, "a line is at most 65536 bytes");
}

/* ---- commands of the node ---- */

struct call {
  struct client *client;
  json_t *id; /* a reference of ours, or NULL */
  const json_t *params;
};

static const char *param_text(const struct call *call, const char *name) {
  return json_string_value(json_object_get(call->params, name));
}

/* The entry that will be answered later; NULL: too many, and that was answered. ticket 0: a leave.
 */
static struct pending *wait_for(const struct call *call, uint64_t ticket) {
  struct client *client = call->client;
  struct control *control = client->owner;
  if (client->pending >= CONTROL_PENDING_MAX) {
    answer_error(client, call->id, 503, "too many commands at once; wait for answers");
    return NULL;
  }
  struct pending *pending = host_take(sizeof *pending);
  *pending = (struct pending){
      .next = control->pending, .ticket = ticket, .client = client, .id = call->id};
  control->pending = pending;
  client->pending++;
  return pending;
}

static void ask_node(const struct call *call, const struct node_command *command) {
  struct control *control = call->client->owner;
  struct pending *pending = wait_for(call, ++control->last_ticket);
  if (pending == NULL) return;
  pending->status = command->kind == COMMAND_STATUS;
  loop_step(control->loop,
            &(struct input){.kind = IN_COMMAND, .ticket = pending->ticket, .command = command});
}

static void do_plain(const struct call *call, enum node_command_kind kind) {
  ask_node(call, &(struct node_command){.kind = kind});
}

static void do_uri(const struct call *call, enum node_command_kind kind) {
  const char *uri = param_text(call, "uri"), *contact = param_text(call, "contact");
  const json_t *expires = json_object_get(call->params, "expires");
  bool needs_contact = kind == COMMAND_PUT || kind == COMMAND_REMOVE;
  json_int_t seconds = expires != NULL ? json_integer_value(expires) : 0;
  if (uri == NULL || (needs_contact && contact == NULL)) {
    answer_error(call->client, call->id, RPC_PARAMS,
                 needs_contact ? "params: uri and contact are needed, as strings"
                               : "params: uri is needed, as a string");
    return;
  }
  if (expires != NULL && (!json_is_integer(expires) || seconds < 1 || seconds > INT32_MAX)) {
    answer_error(call->client, call->id, RPC_PARAMS, "params: expires is a number of seconds");
    return;
  }
  ask_node(call,
           &(struct node_command){.kind = kind,
                                  .uri = slice_cstr(uri),
                                  .contact = contact != NULL ? slice_cstr(contact) : SLICE_EMPTY,
                                  .expires_s = (uint32_t)seconds,
                                  .trace = json_is_true(json_object_get(call->params, "trace"))});
}

static struct pending *take_pending(struct control *control, uint64_t ticket) {
  for (struct pending **at = &control->pending; *at != NULL; at = &(*at)->next) {
    struct pending *pending = *at;
    if (pending->ticket != ticket) continue;
    *at = pending->next;
    return pending;
  }
  return NULL;
}

static void finish(struct pending *pending, json_t *result, int code, const char *text) {
  struct client *client = pending->client;
  if (client == NULL) {
    json_decref(pending->id);
    json_decref(result);
  } else {
    client->pending--;
    const struct control_hooks *hooks = &client->owner->hooks;
    if (result != NULL && pending->status) hooks->status(hooks->context, result);
    if (result != NULL)
      answer(client, pending->id, result);
    else
      answer_error(client, pending->id, code, text);
  }
  free(pending);
}

void control_reply(struct control *control, uint64_t ticket, const struct node_reply *reply) {
  if (control == NULL) return;
  if (ticket == CONTROL_LEAVE_TICKET) {
    control->hooks.left(control->hooks.context, reply);
    return;
  }
  struct pending *pending = take_pending(control, ticket);
  if (pending == NULL) return;
  char text[256];
  snprintf(text, sizeof text, "%.*s", (int)(reply->text.len < 255 ? reply->text.len : 255),
           reply->text.len > 0 ? reply->text.at : "");
  finish(pending, reply->code == 200 ? reply_to_json(reply) : NULL, reply->code, text);
}

void control_left(struct control *control, const char *why) {
  for (struct pending *pending; (pending = take_pending(control, 0)) != NULL;)
    finish(pending, why == NULL ? json_true() : NULL, 503, why != NULL ? why : "");
}

/* ---- the daemon's own ---- */

static void do_status(const struct call *call) { do_plain(call, COMMAND_STATUS); }
static void do_ring(const struct call *call) { do_plain(call, COMMAND_RING); }
static void do_peers(const struct call *call) { do_plain(call, COMMAND_PEERS); }
static void do_records(const struct call *call) { do_plain(call, COMMAND_RECORDS); }
static void do_bindings(const struct call *call) { do_plain(call, COMMAND_BINDINGS); }
static void do_lookup(const struct call *call) { do_uri(call, COMMAND_LOOKUP); }
static void do_presence(const struct call *call) { do_uri(call, COMMAND_PRESENCE); }
static void do_watchers(const struct call *call) { do_uri(call, COMMAND_WATCHERS); }
static void decide(const struct call *call, enum node_command_kind kind) {
  const struct control_hooks *hooks = &call->client->owner->hooks;
  const char *uri = param_text(call, "uri"), *contact = param_text(call, "contact");
  struct why why = {""};
  if (uri == NULL || contact == NULL) {
    answer_error(call->client, call->id, RPC_PARAMS, "params: uri and contact, as strings");
    return;
  }
  const struct node_command command = {
      .kind = kind, .uri = slice_cstr(uri), .contact = slice_cstr(contact)};
  if (hooks->decide == NULL || hooks->decide(hooks->context, &command, &why))
    ask_node(call, &command);
  else
    answer_error(call->client, call->id, 503, why.text);
}

static void do_allow(const struct call *call) { decide(call, COMMAND_ALLOW); }
static void do_ask(const struct call *call) { decide(call, COMMAND_ASK); }
static void do_block(const struct call *call) { decide(call, COMMAND_BLOCK); }
static void do_get(const struct call *call) { do_uri(call, COMMAND_GET); }
static void do_put(const struct call *call) { do_uri(call, COMMAND_PUT); }
static void do_remove(const struct call *call) { do_uri(call, COMMAND_REMOVE); }

static void do_put_immut(const struct call *call) {
  const char *text = param_text(call, "value");
  const json_t *expires = json_object_get(call->params, "expires");
  json_int_t seconds = expires != NULL ? json_integer_value(expires) : 0;
  uint8_t value[IMMUTABLE_BYTES_MAX + 2];
  size_t len = sizeof value;
  if (text == NULL || !base64_decode(slice_cstr(text), value, &len)) {
    answer_error(call->client, call->id, RPC_PARAMS,
                 "params: value is needed, in base64, of at most 12000 bytes");
    return;
  }
  if (expires != NULL && (!json_is_integer(expires) || seconds < 1 || seconds > INT32_MAX)) {
    answer_error(call->client, call->id, RPC_PARAMS, "params: expires is a number of seconds");
    return;
  }
  ask_node(call, &(struct node_command){.kind = COMMAND_PUT_IMMUT,
                                        .value = slice_of(value, len),
                                        .expires_s = (uint32_t)seconds});
}

static void do_get_immut(const struct call *call) { do_uri(call, COMMAND_GET_IMMUT); }

/* A value under `private:` of an address, signed by the key that this peer has for it. */
static void do_store(const struct call *call) {
  const char *key = param_text(call, "key"), *value = param_text(call, "value");
  if (key == NULL || value == NULL)
    answer_error(call->client, call->id, RPC_PARAMS, "params: key and value, as strings");
  else
    ask_node(call, &(struct node_command){
                       .kind = COMMAND_STORE, .uri = slice_cstr(key), .value = slice_cstr(value)});
}

static void do_fetch(const struct call *call) {
  const char *key = param_text(call, "key");
  if (key == NULL)
    answer_error(call->client, call->id, RPC_PARAMS, "params: key, as a string");
  else
    ask_node(call, &(struct node_command){.kind = COMMAND_FETCH, .uri = slice_cstr(key)});
}

/* {"what": "send", "address": FROM, "to": TO, "text": TEXT}, or {"what": "list", "address": ...} */
static void do_message(const struct call *call) {
  const char *what = param_text(call, "what"), *address = param_text(call, "address");
  const char *to = param_text(call, "to"), *text = param_text(call, "text");
  char key[1024];
  if (what != NULL && address != NULL && strcmp(what, "list") == 0 && strlen(address) < 1000) {
    const char *bare = strncmp(address, "sip:", 4) == 0 ? address + 4 : address;
    snprintf(key, sizeof key, "offline:%s", bare);
    ask_node(call, &(struct node_command){.kind = COMMAND_FETCH, .uri = slice_cstr(key)});
  } else if (what != NULL && address != NULL && to != NULL && text != NULL &&
             strcmp(what, "send") == 0) {
    ask_node(call, &(struct node_command){.kind = COMMAND_MESSAGE,
                                          .uri = slice_cstr(address),
                                          .contact = slice_cstr(to),
                                          .value = slice_cstr(text)});
  } else {
    answer_error(call->client, call->id, RPC_PARAMS,
                 "params: what (send: address, to and text; list: address), as strings");
  }
}

static void do_publish(const struct call *call) {
  if (param_text(call, "uri") != NULL)
    do_uri(call, COMMAND_PUBLISH);
  else
    do_plain(call, COMMAND_PUBLISH);
}

static void do_leave(const struct call *call) {
  struct control_hooks *hooks = &call->client->owner->hooks;
  if (wait_for(call, 0) != NULL) hooks->leave(hooks->context);
}

static void do_log(const struct call *call) {
  struct control *control = call->client->owner;
  const char *name = param_text(call, "level");
  enum trace_level level = control->loop->log->level;
  if (name != NULL && !log_level_parse(slice_cstr(name), &level)) {
    answer_error(call->client, call->id, RPC_PARAMS, "level: error, warning, info or debug");
    return;
  }
  if (name != NULL) control->hooks.set_log(control->hooks.context, level);
  answer(call->client, call->id, json_pack("{s:s}", "level", log_level_name(level)));
}

static void do_reload(const struct call *call) {
  struct control_hooks *hooks = &call->client->owner->hooks;
  struct why why = {""};
  if (hooks->reload(hooks->context, &why))
    answer(call->client, call->id, json_true());
  else
    answer_error(call->client, call->id, 400, why.text);
}

static void do_users(const struct call *call) {
  struct control_hooks *hooks = &call->client->owner->hooks;
  struct why why = {""};
  if (hooks->users(hooks->context, &why))
    answer(call->client, call->id, json_true());
  else
    answer_error(call->client, call->id, 400, why.text);
}

static void do_trace(const struct call *call) {
  struct client *client = call->client;
  if (!client->traces) client->owner->tracing++;
  client->traces = true;
  answer(client, call->id, json_true());
}

static const struct {
  const char *name;
  void (*run)(const struct call *call);
} methods[] = {
    {"status", do_status},
    {"ring", do_ring},
    {"peers", do_peers},
    {"records", do_records},
    {"bindings", do_bindings},
    {"lookup", do_lookup},
    {"presence", do_presence},
    {"watchers", do_watchers},
    {"allow", do_allow},
    {"ask", do_ask},
    {"block", do_block},
    {"get", do_get},
    {"put", do_put},
    {"remove", do_remove},
    {"put-immut", do_put_immut},
    {"get-immut", do_get_immut},
    {"fetch", do_fetch},
    {"store", do_store},
    {"message", do_message},
    {"publish", do_publish},
    {"leave", do_leave},
    {"log", do_log},
    {"reload", do_reload},
    {"users", do_users},
    {"trace", do_trace},
};

static void run_method(struct client *client, const json_t *request) {
  json_t *id = json_object_get(request, "id");
  const char *method = json_string_value(json_object_get(request, "method"));
  struct call call = {client, json_incref(id), json_object_get(request, "params")};
  bool params_good = call.params == NULL || json_is_object(call.params);
  bool id_good = id == NULL || json_is_string(id) || json_is_number(id) || json_is_null(id);
  if (method == NULL || !id_good || !params_good) {
    json_decref(id);
    answer_error(client, NULL, RPC_REQUEST, "needs method (a string); params is an object");
    return;
  }
  for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
    if (strcmp(methods[i].name, method) != 0) continue;
    methods[i].run(&call);
    return;
  }
  answer_error(
      client, call.id, RPC_METHOD,
      "no such method; there are status ring peers records bindings lookup get put remove "
      "put-immut get-immut fetch store message publish presence watchers allow ask block leave log "
      "reload users trace");
}

void call_line(struct client *client, struct slice line) {
  if (slice_trim(line).len == 0) return;
  json_error_t error;
  json_t *request = json_loadb(line.at, line.len, JSON_REJECT_DUPLICATES, &error);
  if (request == NULL)
    answer_error(client, NULL, RPC_PARSE, error.text);
  else if (!json_is_object(request))
    answer_error(client, NULL, RPC_REQUEST, "one object a line, please");
  else
    run_method(client, request);
  json_decref(request);
}

/* ---- traces ---- */

uint64_t control_trace_mask(const struct control *control) {
  return control != NULL && control->tracing > 0 ? UINT64_MAX : 0;
}

void control_trace(struct control *control, const struct trace *trace) {
  if (control == NULL || control->tracing == 0) return;
  json_t *params = trace_to_json(trace, control->loop->clock_offset_us);
  json_t *note =
      json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method", "trace", "params", params);
  char *text = note != NULL ? json_dumps(note, JSON_COMPACT) : NULL;
  json_decref(note);
  if (text == NULL) return;
  size_t len = strlen(text);
  text[len] = '\n';
  for (struct client *next, *client = control->clients; client != NULL; client = next) {
    next = client->next;
    if (client->traces) client_put(client, text, len + 1);
  }
  free(text);
}

/* ---- ends ---- */

void call_forget(struct control *control, struct client *client) {
  if (client->traces) control->tracing--;
  client->traces = false;
  for (struct pending *pending = control->pending; pending != NULL; pending = pending->next)
    if (pending->client == client) pending->client = NULL;
}

void call_free(struct control *control) {
  for (struct pending *next, *pending = control->pending; pending != NULL; pending = next) {
    next = pending->next;
    json_decref(pending->id);
    free(pending);
  }
  control->pending = NULL;
}
