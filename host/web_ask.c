/* SPDX-License-Identifier: BSD-2-Clause */
/* Questions: JSON-RPC 2.0 over POST /api and over /events, those of the control socket's methods
 * that change nothing (docs/web.md, R-7.75), and what an address's owner decides. */
#include <stdlib.h>
#include <string.h>

#include "host/reply_json.h"
#include "host/web_internal.h"

/* Codes of JSON-RPC 2.0 section 5.1. */
enum { RPC_PARSE = -32700, RPC_REQUEST = -32600, RPC_METHOD = -32601, RPC_PARAMS = -32602 };

static const struct {
  const char *name;
  enum node_command_kind kind;
  bool about;   /* needs params.uri */
  bool decides; /* and params.contact and params.proof */
} methods[] = {
    {"status", COMMAND_STATUS, false, false},
    {"ring", COMMAND_RING, false, false},
    {"peers", COMMAND_PEERS, false, false},
    {"records", COMMAND_RECORDS, false, false},
    {"bindings", COMMAND_BINDINGS, false, false},
    {"lookup", COMMAND_LOOKUP, true, false},
    {"get", COMMAND_GET, true, false},
    {"allow", COMMAND_ALLOW, true, true},
    {"ask", COMMAND_ASK, true, true},
    {"block", COMMAND_BLOCK, true, true},
};

/* Takes over the reference. */
static void put(struct web_client *client, json_t *object) {
  if (client->kind == WEB_EVENTS) {
    web_events_put(client, object, false);
    return;
  }
  web_http_answer_json(client, json_dumps(object, JSON_COMPACT));
  json_decref(object);
}

/* Takes over the references of id and result. */
static void answer(struct web_client *client, json_t *id, json_t *result) {
  put(client, json_pack("{s:s, s:o, s:o}", "jsonrpc", "2.0", "result", result, "id",
                        id != NULL ? id : json_null()));
}

static void answer_error(struct web_client *client, json_t *id, int code, struct slice text) {
  put(client, json_pack("{s:s, s:{s:i, s:o}, s:o}", "jsonrpc", "2.0", "error", "code", code,
                        "message", text_to_json(text), "id", id != NULL ? id : json_null()));
}

static void ask_node(struct web_client *client, json_t *id, json_t *params,
                     const struct node_command *command) {
  struct web *web = client->web;
  if (client->pending >= WEB_PENDING_MAX) {
    answer_error(client, id, 503, SLICE("too many questions at once; wait for answers"));
    return;
  }
  struct web_pending *pending = host_take(sizeof *pending);
  web->last_ticket++;
  *pending = (struct web_pending){.next = web->pending,
                                  .ticket = web->last_ticket,
                                  .number = client->number,
                                  .kind = command->kind,
                                  .id = id,
                                  .params = command->needs_proof ? json_incref(params) : NULL};
  web->pending = pending;
  client->pending++;
  loop_step(web->loop,
            &(struct input){.kind = IN_COMMAND, .ticket = pending->ticket, .command = command});
}

static struct slice text_of(const char *text) {
  return text != NULL ? slice_cstr(text) : SLICE_EMPTY;
}

static void run(struct web_client *client, const json_t *request) {
  json_t *id = json_object_get(request, "id");
  const char *name = json_string_value(json_object_get(request, "method"));
  json_t *params = json_object_get(request, "params");
  const char *uri = json_string_value(json_object_get(params, "uri"));
  bool id_good = id == NULL || json_is_string(id) || json_is_number(id) || json_is_null(id);
  if (name == NULL || !id_good || (params != NULL && !json_is_object(params))) {
    answer_error(client, NULL, RPC_REQUEST, SLICE("needs method (a string); params is an object"));
    return;
  }
  for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
    if (strcmp(methods[i].name, name) != 0) continue;
    const char *contact = json_string_value(json_object_get(params, "contact"));
    const char *proof = json_string_value(json_object_get(params, "proof"));
    const struct node_command command = {.kind = methods[i].kind,
                                         .uri = text_of(uri),
                                         .contact = text_of(contact),
                                         .proof = text_of(proof),
                                         .needs_proof = methods[i].decides,
                                         .trace = json_is_true(json_object_get(params, "trace"))};
    if (methods[i].about && uri == NULL)
      answer_error(client, json_incref(id), RPC_PARAMS,
                   SLICE("params: uri is needed, as a string"));
    else if (methods[i].decides && (contact == NULL || proof == NULL))
      answer_error(client, json_incref(id), RPC_PARAMS,
                   SLICE("params: uri, contact and proof are needed, as strings"));
    else
      ask_node(client, json_incref(id), params, &command);
    return;
  }
  answer_error(client, json_incref(id), RPC_METHOD,
               SLICE("no such method; there are status ring peers records bindings lookup get "
                     "allow ask block"));
}

void web_ask(struct web_client *client, struct slice text) {
  json_error_t error;
  json_t *request = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES, &error);
  if (request == NULL)
    answer_error(client, NULL, RPC_PARSE, slice_cstr(error.text));
  else if (!json_is_object(request))
    answer_error(client, NULL, RPC_REQUEST, SLICE("one object, please"));
  else
    run(client, request);
  json_decref(request);
}

/* ---- answers ---- */

static struct web_pending *take_pending(struct web *web, uint64_t ticket) {
  for (struct web_pending **at = &web->pending; *at != NULL; at = &(*at)->next) {
    struct web_pending *pending = *at;
    if (pending->ticket != ticket) continue;
    *at = pending->next;
    return pending;
  }
  return NULL;
}

/* A Path holds the tokens by which a phone is reached: nobody's business. */
static json_t *without_path(json_t *rows) {
  size_t i;
  json_t *row;
  json_array_foreach(rows, i, row) { json_object_del(row, "path"); }
  return rows;
}

static json_t *result_of(struct web *web, const struct node_reply *reply) {
  json_t *result = reply_to_json(reply);
  if (reply->kind == COMMAND_STATUS) web->setup.status(web->setup.context, result);
  return reply->kind == COMMAND_GET ? without_path(result) : result;
}

/* A decision that counts and is not kept is said to have failed: it ends with the process. */
static bool keep(struct web *web, const struct web_pending *pending, struct why *why) {
  const struct node_command command = {
      .kind = pending->kind,
      .uri = text_of(json_string_value(json_object_get(pending->params, "uri"))),
      .contact = text_of(json_string_value(json_object_get(pending->params, "contact")))};
  return web->setup.decide(web->setup.context, &command, why);
}

void web_reply(struct web *web, uint64_t ticket, const struct node_reply *reply) {
  if (web == NULL || web->stopped) return;
  if (ticket < LOOP_TICKET_WEB + WEB_STATE_PARTS) {
    web_events_part(web, (unsigned)(ticket - LOOP_TICKET_WEB),
                    reply->code == 200 ? result_of(web, reply) : json_null());
    return;
  }
  struct web_pending *pending = take_pending(web, ticket);
  if (pending == NULL) return;
  struct web_client *client = web_client_of(web, pending->number);
  struct why why = {""};
  bool kept = reply->code != 200 || pending->params == NULL || keep(web, pending, &why);
  if (client == NULL || client->dropped) {
    json_decref(pending->id);
  } else {
    client->pending--;
    if (!kept)
      answer_error(client, pending->id, 503, slice_cstr(why.text));
    else if (reply->code == 200)
      answer(client, pending->id, result_of(web, reply));
    else
      answer_error(client, pending->id, reply->code, reply->text);
  }
  json_decref(pending->params);
  free(pending);
}

void web_ask_free(struct web *web) {
  for (struct web_pending *next, *pending = web->pending; pending != NULL; pending = next) {
    next = pending->next;
    json_decref(pending->id);
    json_decref(pending->params);
    free(pending);
  }
}
