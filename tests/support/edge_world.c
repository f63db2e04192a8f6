/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/edge_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sip/print.h"
#include "xml/body.h"

#define OUT_BYTES OUTBOX_STEP_BYTES /* no more than what a step may count on */
#define LINK_FLOW 1000u             /* accepted from the other edge */
#define LINK_OPENED 2000u           /* opened to the other edge */

static const uint8_t seeds[WORLD_EDGES][16] = {{1}, {2}};

static struct endpoint endpoint_of(const char *text, enum transport transport) {
  struct endpoint e = {0};
  bool parsed = endpoint_parse(slice_cstr(text), transport, 5060, &e);
  assert_true(parsed);
  return e;
}

void world_config(struct edge_world *w, struct edge_config *config, unsigned index) {
  const char *at = index == 0 ? "192.0.2.1:5060" : "192.0.2.2:5060";
  w->at[index] = endpoint_of(at, TRANSPORT_TCP);
  if (w->xml == NULL) {
    test_memory_init(&w->reader_memory, TEST_MEMORY_UNLIMITED);
    w->xml = xml_reader_new(&w->reader_memory.memory, 7);
    assert_non_null(w->xml);
  }
  *config = (struct edge_config){
      .limits = {.bindings_max = 64,
                 .bindings_per_aor_max = 16,
                 .transactions_max = 128,
                 .forks_max = 10,
                 .bytes_max = 1 << 20,
                 .expires_min_s = 60,
                 .expires_default_s = 3600,
                 .expires_max_s = 3600,
                 .subscriptions_max = 64,
                 .nonces_max = 16},
      .domain = {SLICE("example.net")},
      .domain_count = 1,
      .trusted = {{.family = 4}}, /* all: who may have half of a table is another test */
      .trusted_count = 1,
      .listen = {endpoint_of(at, TRANSPORT_UDP), w->at[index]},
      .listen_count = 2,
      .advertise = w->at[index],
      .digest_off = true,
      .algorithms = 3,
      .record_route = true,
      .memory = &w->memory.memory,
      .crypto = &w->crypto,
      .xml = w->xml,
      .seed = seeds[index],
      .id = {{(uint8_t)(index + 1)}},
      .ticket_tag = 3,
  };
}

void world_open_config(struct edge_world *w, unsigned edges, const struct edge_config *config) {
  w->now = SEC(1000);
  w->wall = 1777636800000;
  w->edge_count = edges;
  for (unsigned i = 0; i < edges; i++) {
    struct edge_config own;
    world_config(w, &own, i);
    w->edge[i] = edge_new(i == 0 && config != NULL ? config : &own);
  }
}

void world_begin(struct edge_world *w, struct edge_config *config) {
  *w = (struct edge_world){0};
  test_memory_init(&w->memory, TEST_MEMORY_UNLIMITED);
  crypto_openssl(&w->crypto);
  world_config(w, config, 0);
}

void world_open(struct edge_world *w, unsigned edges) {
  struct edge_config config;
  world_begin(w, &config);
  world_open_config(w, edges, &config);
  for (unsigned i = 0; i < edges; i++) assert_non_null(w->edge[i]);
}

static void free_kept(struct edge_world *w);

static void free_call(struct edge_call *call) {
  free((void *)(uintptr_t)call->aor.at);
  free((void *)(uintptr_t)call->contact.uri.at);
  free((void *)(uintptr_t)call->contact.instance.at);
  for (unsigned i = 0; i < call->contact.path_count; i++)
    free((void *)(uintptr_t)call->contact.path[i].at);
}

void world_close(struct edge_world *w) {
  for (unsigned i = 0; i < w->edge_count; i++) edge_free(w->edge[i]);
  for (unsigned i = 0; i < w->sent_count; i++) free(w->sent[i].bytes);
  for (unsigned i = 0; i < w->held_count; i++) free_call(&w->held[i]);
  for (unsigned i = 0; i < WORLD_RECORDS_MAX; i++)
    if (w->record[i].used) {
      struct edge_call held = {.contact = w->record[i].contact};
      held.aor = slice_cstr(w->record[i].aor);
      free_call(&held);
    }
  free_kept(w);
  xml_reader_free(w->xml);
  crypto_openssl_free(&w->crypto);
  assert_int_equal(w->memory.blocks, 0);
}

/* ---- the location service ---- */

static struct slice copy_slice(struct slice s) {
  char *at = malloc(s.len + 1);
  assert_non_null(at);
  if (s.len > 0) memcpy(at, s.at, s.len);
  at[s.len] = 0;
  return slice_of(at, s.len);
}

static struct contact copy_contact(const struct contact *contact) {
  struct contact copy = *contact;
  copy.uri = copy_slice(contact->uri);
  copy.instance = copy_slice(contact->instance);
  for (unsigned i = 0; i < copy.path_count; i++) copy.path[i] = copy_slice(contact->path[i]);
  return copy;
}

static bool same_nonce(const struct contact *a, const struct contact *b) {
  if (a->reg_id != 0 && b->reg_id != 0)
    return a->reg_id == b->reg_id && slice_equal(a->instance, b->instance);
  return slice_equal(a->uri, b->uri);
}

static struct world_record *find_record(struct edge_world *w, struct slice aor,
                                        const struct contact *contact) {
  for (unsigned i = 0; i < WORLD_RECORDS_MAX; i++) {
    struct world_record *r = &w->record[i];
    if (r->used && slice_equal(slice_cstr(r->aor), aor) && same_nonce(&r->contact, contact))
      return r;
  }
  return NULL;
}

static void forget_record(struct world_record *record) {
  struct edge_call held = {.aor = slice_cstr(record->aor), .contact = record->contact};
  free_call(&held);
  *record = (struct world_record){0};
}

static void bind_record(struct edge_world *w, const struct edge_call *call) {
  struct world_record *old = find_record(w, call->aor, &call->contact);
  if (old != NULL) forget_record(old);
  if (call->kind != EDGE_BIND) return;
  for (unsigned i = 0; i < WORLD_RECORDS_MAX; i++) {
    struct world_record *r = &w->record[i];
    if (r->used) continue;
    *r = (struct world_record){.used = true, .contact = copy_contact(&call->contact)};
    r->aor = (char *)(uintptr_t)copy_slice(call->aor).at;
    return;
  }
  fail();
}

unsigned world_records(const struct edge_world *w, const char *aor) {
  unsigned count = 0;
  for (unsigned i = 0; i < WORLD_RECORDS_MAX; i++)
    count += w->record[i].used && strcmp(w->record[i].aor, aor) == 0;
  return count;
}

/* ---- one step ---- */

struct step_memory {
  struct output item[OUTBOX_STEP_ITEMS];
  struct outbox out;
  struct edge_calls calls;
  char *bytes;
};

static struct step_memory *step_open(void) {
  struct step_memory *s = calloc(1, sizeof *s);
  assert_non_null(s);
  s->bytes = malloc(OUT_BYTES);
  assert_non_null(s->bytes);
  outbox_init(&s->out, s->item, OUTBOX_STEP_ITEMS, s->bytes, OUT_BYTES);
  s->out.trace_mask = UINT64_MAX;
  return s;
}

static void step_close(struct edge_world *w, unsigned edge, struct step_memory *s);

static void deliver(struct edge_world *w, unsigned edge, uint32_t flow, const struct endpoint *from,
                    struct slice bytes) {
  struct sip_message message;
  struct sip_problem problem;
  char *copy = malloc(bytes.len + 1);
  assert_non_null(copy);
  memcpy(copy, bytes.at, bytes.len);
  if (sip_message_parse(slice_of(copy, bytes.len), SIP_DATAGRAM, &message, &problem) != OK)
    fail_msg("an edge wrote what does not parse: %s\n%.*s", problem.reason, (int)bytes.len, copy);
  struct step_memory *s = step_open();
  edge_on_message(w->edge[edge], w->now, w->wall, &message, flow, from, &s->calls, &s->out);
  free(copy);
  step_close(w, edge, s);
}

static void keep_sent(struct edge_world *w, unsigned edge, const struct output *output) {
  assert_true(w->sent_count < WORLD_SENT_MAX);
  struct slice copy = copy_slice(output->data);
  w->sent[w->sent_count++] = (struct sent){.edge = edge,
                                           .flow = output->flow,
                                           .peer = output->peer,
                                           .ticket = output->ticket,
                                           .bytes = (char *)(uintptr_t)copy.at,
                                           .len = copy.len};
}

static void carry(struct edge_world *w, unsigned edge, const struct output *output) {
  unsigned other = 1 - edge;
  if (w->edge_count == 2 && output->flow == 0 && endpoint_equal(&output->peer, &w->at[other])) {
    struct endpoint from = w->at[edge];
    from.port = 40000;
    deliver(w, other, LINK_FLOW, &from, output->data);
  } else if (output->flow == LINK_FLOW) {
    deliver(w, other, LINK_OPENED, &w->at[edge], output->data);
  } else {
    keep_sent(w, edge, output);
  }
}

/* ---- what homes put and tell ---- */

static bool text_is(const char *text, struct slice s) { return slice_equal(slice_cstr(text), s); }

static void keep_value(struct edge_world *w, const struct edge_call *call) {
  struct world_kept *kept = NULL;
  for (unsigned i = 0; i < w->kept_count; i++)
    if (text_is(w->kept[i].key, call->aor) && text_is(w->kept[i].nonce, call->nonce))
      kept = &w->kept[i];
  if (kept == NULL) {
    assert_true(w->kept_count < WORLD_RECORDS_MAX);
    kept = &w->kept[w->kept_count++];
    kept->key = (char *)(uintptr_t)copy_slice(call->aor).at;
    kept->nonce = (char *)(uintptr_t)copy_slice(call->nonce).at;
  }
  free(kept->value);
  kept->value = (char *)(uintptr_t)copy_slice(call->value).at;
}

void world_keep(struct edge_world *w, const char *key, struct slice nonce, struct slice value) {
  const struct edge_call call = {.aor = slice_cstr(key), .nonce = nonce, .value = value};
  keep_value(w, &call);
}

static void find_values(struct edge_world *w, unsigned edge, const struct edge_call *call,
                        struct step_memory *s) {
  struct slice values[WORLD_RECORDS_MAX];
  unsigned count = 0;
  for (unsigned i = 0; i < w->kept_count; i++)
    if (text_is(w->kept[i].key, call->aor)) values[count++] = slice_cstr(w->kept[i].value);
  edge_on_found(w->edge[edge], w->now, w->wall, call->user, count == 0 ? ERR_NOT_FOUND : OK, values,
                count, &s->calls, &s->out);
}

static void tell_edge(struct edge_world *w, unsigned edge, const struct edge_call *call,
                      struct step_memory *s) {
  uint16_t status = 503;
  char address[400];
  w->tells++;
  assert_true(slice_starts(call->aor, SLICE("presence:")));
  snprintf(address, sizeof address, "sip:%.*s", (int)(call->aor.len - 9), call->aor.at + 9);
  for (unsigned i = 0; i < w->edge_count; i++) {
    if (w->dead[i] || !endpoint_equal(&w->at[i], &call->to.at)) continue;
    const struct edge_event event = {.watch = call->watch,
                                     .address = slice_cstr(address),
                                     .content = call->value,
                                     .version = ++w->version,
                                     .expires = w->wall + (msec_wall)call->granted_s * 1000};
    struct step_memory *other = step_open();
    status = edge_on_event(w->edge[i], w->now, w->wall, &event, &other->calls, &other->out);
    step_close(w, i, other);
  }
  edge_on_told(w->edge[edge], w->now, w->wall, call->user, status, &s->calls, &s->out);
}

static void free_kept(struct edge_world *w) {
  for (unsigned i = 0; i < w->kept_count; i++) {
    free(w->kept[i].key);
    free(w->kept[i].nonce);
    free(w->kept[i].value);
  }
}

static void hold_late(struct edge_world *w, unsigned edge, const struct edge_call *call) {
  assert_true(w->late_count < 8);
  struct edge_call *late = &w->late[w->late_count];
  *late = *call;
  late->aor = copy_slice(call->aor);
  late->nonce = copy_slice(call->nonce);
  late->value = copy_slice(call->value);
  w->late_edge[w->late_count++] = edge;
}

static void answer_presence(struct edge_world *w, unsigned edge, const struct edge_call *call) {
  if (call->kind == EDGE_KEEP && w->keep_late) {
    hold_late(w, edge, call);
    return;
  }
  struct step_memory *s = step_open();
  if (call->kind == EDGE_KEEP) {
    uint16_t status = w->bind_status == OK ? 200 : 403;
    if (status == 200) keep_value(w, call);
    edge_on_told(w->edge[edge], w->now, w->wall, call->user, status, &s->calls, &s->out);
  } else if (call->kind == EDGE_FIND) {
    find_values(w, edge, call, s);
  } else {
    tell_edge(w, edge, call, s);
  }
  step_close(w, edge, s);
}

static void answer_call(struct edge_world *w, unsigned edge, const struct edge_call *call,
                        enum err status) {
  struct step_memory *s = step_open();
  if (call->kind == EDGE_LOCATE) {
    struct contact contacts[WORLD_RECORDS_MAX];
    unsigned count = 0;
    for (unsigned i = 0; i < WORLD_RECORDS_MAX; i++)
      if (w->record[i].used && slice_equal(slice_cstr(w->record[i].aor), call->aor))
        contacts[count++] = w->record[i].contact;
    edge_on_located(w->edge[edge], w->now, w->wall, call->user, status, contacts, count, &s->calls,
                    &s->out);
  } else if (call->kind == EDGE_MAIL) {
    edge_on_kept(w->edge[edge], w->now, w->wall, call->user, 480, NULL, &s->calls, &s->out);
  } else {
    if (status == OK) bind_record(w, call);
    if (call->user != 0)
      edge_on_bound(w->edge[edge], w->now, w->wall, call->user, status, NULL, &s->calls, &s->out);
  }
  step_close(w, edge, s);
}

static void take_call(struct edge_world *w, unsigned edge, const struct edge_call *call) {
  w->looks += call->kind == EDGE_ARRIVED;
  w->missed += call->kind == EDGE_MISSED;
  if (call->kind == EDGE_ARRIVED || call->kind == EDGE_MISSED || call->kind == EDGE_DELIVERED)
    return; /* nothing waits */
  w->binds += call->kind == EDGE_BIND;
  w->unbinds += call->kind == EDGE_UNBIND;
  w->locates += call->kind == EDGE_LOCATE;
  if (call->kind == EDGE_KEEP || call->kind == EDGE_FIND || call->kind == EDGE_TELL) {
    answer_presence(w, edge, call);
    return;
  }
  if (!w->hold) {
    answer_call(w, edge, call, call->kind == EDGE_LOCATE ? w->locate_status : w->bind_status);
    return;
  }
  assert_true(w->held_count < WORLD_HELD_MAX);
  struct edge_call *held = &w->held[w->held_count];
  *held = *call;
  held->aor = copy_slice(call->aor);
  held->contact = copy_contact(&call->contact);
  w->held_edge[w->held_count++] = edge;
}

void world_release(struct edge_world *w, unsigned i, enum err status) {
  assert_true(i < w->held_count);
  answer_call(w, w->held_edge[i], &w->held[i], status);
}

static void resolve(struct edge_world *w, unsigned edge, const struct output *question) {
  struct zone_answer answer;
  w->names++;
  if (w->zone == NULL) return;
  zone_ask(w->zone, question, &answer);
  struct step_memory *s = step_open();
  edge_on_resolved(w->edge[edge], w->now, w->wall, question->ticket, answer.status, answer.record,
                   answer.count, &s->calls, &s->out);
  step_close(w, edge, s);
}

static void step_close(struct edge_world *w, unsigned edge, struct step_memory *s) {
  assert_false(s->out.bytes.overflow);
  for (uint32_t i = 0; i < s->out.count; i++) {
    if (s->item[i].kind == OUT_TRACE) w->traces[s->item[i].trace.kind]++;
    if (s->item[i].kind == OUT_SEND) carry(w, edge, &s->item[i]);
    if (s->item[i].kind == OUT_RESOLVE) resolve(w, edge, &s->item[i]);
  }
  for (unsigned i = 0; i < s->calls.count; i++) take_call(w, edge, &s->calls.call[i]);
  free(s->bytes);
  free(s);
}

/* ---- phones ---- */

struct phone phone_udp(unsigned edge, const char *at) {
  return (struct phone){edge, 0, endpoint_of(at, TRANSPORT_UDP)};
}

struct phone phone_tcp(unsigned edge, const char *at, uint32_t flow) {
  return (struct phone){edge, flow, endpoint_of(at, TRANSPORT_TCP)};
}

const char *phone_text(const struct phone *phone) {
  static char texts[4][64];
  static unsigned turn;
  char *at = texts[turn++ % 4];
  struct buf text = buf_over(at, sizeof texts[0] - 1);
  endpoint_put(&text, &phone->at);
  at[text.len] = 0;
  return at;
}

bool world_try_send(struct edge_world *w, const struct phone *phone, struct slice bytes) {
  struct sip_message message;
  struct sip_problem problem;
  if (sip_message_parse(bytes, phone->flow == 0 ? SIP_DATAGRAM : SIP_STREAM, &message, &problem) !=
      OK)
    return false;
  deliver(w, phone->edge, phone->flow, &phone->at, bytes);
  return true;
}

static size_t with_crlf(const char *text, char *out, size_t cap) {
  size_t len = 0;
  for (; *text != 0; text++) {
    assert_true(len + 2 < cap);
    if (*text == '\n' && (len == 0 || out[len - 1] != '\r')) out[len++] = '\r';
    out[len++] = *text;
  }
  out[len] = 0;
  return len;
}

void world_send(struct edge_world *w, const struct phone *phone, const char *format, ...) {
  static char text[70000], bytes[70000];
  va_list list;
  va_start(list, format);
  int n = vsnprintf(text, sizeof text, format, list);
  va_end(list);
  assert_true(n > 0 && (size_t)n < sizeof text);
  size_t len = with_crlf(text, bytes, sizeof bytes);
  if (!world_try_send(w, phone, slice_of(bytes, len))) fail_msg("does not parse: %s", bytes);
}

static bool is_to(const struct sent *sent, const struct phone *phone) {
  if (sent->edge != phone->edge && phone->flow != 0) return false;
  if (phone->flow != 0) return sent->flow == phone->flow;
  return sent->flow == 0 && endpoint_equal(&sent->peer, &phone->at);
}

struct sent *world_next(struct edge_world *w, const struct phone *phone) {
  for (unsigned i = 0; i < w->sent_count; i++) {
    struct sent *sent = &w->sent[i];
    if (sent->taken || !is_to(sent, phone)) continue;
    sent->taken = true;
    return sent;
  }
  return NULL;
}

struct sent *world_expect(struct edge_world *w, const struct phone *phone, const char *start) {
  struct sent *sent = world_next(w, phone);
  if (sent == NULL) {
    fail_msg("nothing came, want: %s", start);
    return NULL;
  }
  if (strncmp(sent->bytes, start, strlen(start)) != 0)
    fail_msg("want: %s\ngot: %s", start, sent->bytes);
  return sent;
}

void world_expect_nothing(struct edge_world *w, const struct phone *phone) {
  const struct sent *sent = world_next(w, phone);
  if (sent != NULL) fail_msg("want nothing, got: %s", sent->bytes);
}

void world_register(struct edge_world *w, const struct phone *phone, const char *user,
                    unsigned cseq, unsigned expires) {
  const char *at = phone_text(phone);
  world_send(w, phone,
             "REGISTER sip:example.net SIP/2.0\nVia: SIP/2.0/UDP %s;branch=z9hG4bKr%u;rport\n"
             "Max-Forwards: 70\nFrom: <sip:%s@example.net>;tag=r\nTo: <sip:%s@example.net>\n"
             "Call-ID: r\nCSeq: %u REGISTER\nContact: <sip:%s@%s>;expires=%u\n"
             "Content-Length: 0\n\n",
             at, cseq, user, user, cseq, user, at, expires);
  world_expect(w, phone, "SIP/2.0 200");
}

void world_answer(struct edge_world *w, const struct phone *phone, const struct sent *request,
                  unsigned status, const char *lines) {
  static char bytes[70000];
  char crlf[4096];
  struct sip_message message;
  struct sip_problem problem;
  assert_int_equal(
      sip_message_parse(slice_of(request->bytes, request->len), SIP_DATAGRAM, &message, &problem),
      OK);
  struct buf out = buf_over(bytes, sizeof bytes);
  char tag[24];
  snprintf(tag, sizeof tag, "t%u", (unsigned)phone->at.port);
  unsigned edge = phone->flow == 0 ? request->edge : phone->edge;
  struct endpoint source = w->at[edge];
  sip_put_response_head(&out, &message, (uint16_t)status, NULL,
                        status == 100 ? SLICE_EMPTY : slice_cstr(tag), &source);
  for (unsigned i = 0; i < message.header_count; i++)
    if (message.header[i].id == SIP_H_RECORD_ROUTE) buf_put(&out, message.header[i].line);
  with_crlf(lines, crlf, sizeof crlf);
  buf_put_cstr(&out, crlf);
  sip_put_body(&out, NULL, SLICE_EMPTY);
  assert_false(out.overflow);
  deliver(w, edge, phone->flow, &phone->at, buf_slice(&out));
}

/* ---- time ---- */

static void keep_those(struct edge_world *w) {
  w->keep_late = false;
  while (w->late_count > 0) {
    struct edge_call call = w->late[--w->late_count];
    answer_presence(w, w->late_edge[w->late_count], &call);
    free((char *)(uintptr_t)call.aor.at);
    free((char *)(uintptr_t)call.nonce.at);
    free((char *)(uintptr_t)call.value.at);
  }
}

static bool tick(struct edge_world *w) {
  bool due = false;
  for (unsigned i = 0; i < w->edge_count; i++) {
    if (edge_deadline(w->edge[i]) > w->now) continue;
    due = true;
    struct step_memory *s = step_open();
    edge_on_tick(w->edge[i], w->now, w->wall, &s->calls, &s->out);
    step_close(w, i, s);
  }
  return due;
}

void world_tick(struct edge_world *w) { (void)tick(w); }

void world_advance(struct edge_world *w, usec us) {
  usec end = w->now + us;
  keep_those(w);
  for (;;) {
    usec next = end;
    for (unsigned i = 0; i < w->edge_count; i++) next = usec_min(next, edge_deadline(w->edge[i]));
    if (next > w->now) {
      w->wall += (next - w->now) / 1000;
      w->now = next;
    }
    if (!tick(w) && w->now >= end) return;
  }
}

static void end_flow(struct edge_world *w, unsigned edge, uint32_t flow, uint64_t ticket) {
  struct step_memory *s = step_open();
  edge_on_flow_closed(w->edge[edge], w->now, w->wall, flow, ticket, &s->calls, &s->out);
  step_close(w, edge, s);
  world_advance(w, 0);
}

void world_close_flow(struct edge_world *w, unsigned edge, uint32_t flow) {
  end_flow(w, edge, flow, 0);
}

void world_fail_ticket(struct edge_world *w, unsigned edge, uint64_t ticket) {
  end_flow(w, edge, 0, ticket);
}

/* ---- reading ---- */

bool sent_has(const struct sent *message, const char *text) {
  return strstr(message->bytes, text) != NULL;
}

static char *scratch(void) {
  static char text[8][2048];
  static unsigned next;
  return text[next++ % 8];
}

const char *sent_header(const struct sent *message, const char *name, unsigned n) {
  struct sip_message parsed;
  struct sip_problem problem;
  assert_int_equal(
      sip_message_parse(slice_of(message->bytes, message->len), SIP_DATAGRAM, &parsed, &problem),
      OK);
  for (unsigned i = 0; i < parsed.header_count; i++) {
    if (!slice_equal_nocase(parsed.header[i].name, slice_cstr(name)) || n-- > 0) continue;
    char *text = scratch();
    snprintf(text, 2048, "%.*s", SLICE_FMT(parsed.header[i].value));
    return text;
  }
  return NULL;
}

const char *sent_routes(const struct sent *message, bool caller) {
  static char text[4096];
  text[0] = 0;
  unsigned count = 0;
  while (sent_header(message, "Record-Route", count) != NULL) count++;
  size_t len = 0;
  for (unsigned i = 0; i < count; i++) {
    const char *value = sent_header(message, "Record-Route", caller ? count - 1 - i : i);
    len += (size_t)snprintf(text + len, sizeof text - len, "Route: %s\n", value);
  }
  return text;
}
