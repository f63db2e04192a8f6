/* SPDX-License-Identifier: BSD-2-Clause */
#include "support/world.h"
#include "base/succession.h"
#include "sim/record_model.h"
#include "sim/seal_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "usage/certificate.h"
#include "xml/body.h"

enum net_event_kind { EVENT_TICK, EVENT_INPUT, EVENT_JOURNAL };

/* Something that will happen at a node, in the life that it has now. */
struct net_event {
  usec at;
  uint64_t sequence;
  enum net_event_kind kind;
  uint32_t node, life;
  struct input input; /* data and record.bytes point behind the event */
};

/* One end of a connection. Flow f is net->flow[f - 1]. */
struct net_flow {
  uint32_t node, life; /* whose end this is */
  uint32_t other;      /* the other end; 0: a stranger's */
  struct endpoint peer;
  bool open, is_link;
  usec last_at; /* when the last message to this end arrives: streams keep order */
};

/* ---- queue ---- */

static bool is_before(const struct net_event *a, const struct net_event *b) {
  return a->at != b->at ? a->at < b->at : a->sequence < b->sequence;
}

static void push(struct net *net, struct net_event *event) {
  if (net->heap_count == net->heap_room) {
    net->heap_room = net->heap_room == 0 ? 256 : net->heap_room * 2;
    net->heap = realloc(net->heap, net->heap_room * sizeof *net->heap);
    ASSERT(net->heap != NULL);
  }
  event->sequence = net->sequence++;
  uint32_t i = net->heap_count++;
  while (i > 0 && is_before(event, net->heap[(i - 1) / 2])) {
    net->heap[i] = net->heap[(i - 1) / 2];
    i = (i - 1) / 2;
  }
  net->heap[i] = event;
}

static struct net_event *pop(struct net *net) {
  struct net_event *first = net->heap[0], *last = net->heap[--net->heap_count];
  uint32_t i = 0;
  for (;;) {
    uint32_t child = 2 * i + 1;
    if (child >= net->heap_count) break;
    if (child + 1 < net->heap_count && is_before(net->heap[child + 1], net->heap[child])) child++;
    if (!is_before(net->heap[child], last)) break;
    net->heap[i] = net->heap[child];
    i = child;
  }
  net->heap[i] = last;
  return first;
}

static void *take(size_t bytes) {
  void *at = calloc(1, bytes > 0 ? bytes : 1);
  ASSERT(at != NULL);
  return at;
}

/* The input's bytes are copied. */
static void later(struct net *net, usec at, uint32_t node, enum net_event_kind kind,
                  const struct input *input) {
  size_t data = input != NULL ? input->data.len : 0;
  size_t record = input != NULL ? input->record.bytes.len : 0;
  size_t before = input != NULL ? input->before.len : 0;
  struct net_event *event = take(sizeof *event + data + record + before);
  char *bytes = (char *)(event + 1);
  event->at = at;
  event->kind = kind;
  event->node = node;
  event->life = net->at[node].life;
  if (input != NULL) event->input = *input;
  if (data > 0) memcpy(bytes, input->data.at, data);
  if (record > 0) memcpy(bytes + data, input->record.bytes.at, record);
  if (data > 0) event->input.data = slice_of(bytes, data);
  if (record > 0) event->input.record.bytes = slice_of(bytes + data, record);
  if (before > 0) memcpy(bytes + data + record, input->before.at, before);
  if (before > 0) event->input.before = slice_of(bytes + data + record, before);
  push(net, event);
}

/* ---- the network ---- */

struct endpoint net_address(uint32_t i) {
  return (struct endpoint){.addr = {10, 0, (uint8_t)(i >> 8), (uint8_t)(i + 1)},
                           .port = 5060,
                           .family = 4,
                           .transport = TRANSPORT_TCP};
}

static uint32_t node_at(const struct net *net, const struct endpoint *at) {
  for (uint32_t i = 0; i < net->count; i++) {
    struct endpoint own = net_address(i);
    if (endpoint_same_address(&own, at)) return i;
  }
  return NET_NONE;
}

static usec latency(struct net *net) {
  return rng_between(&net->rng, net->latency_min_us, net->latency_max_us);
}

static bool hears(const struct net *net, uint32_t from, uint32_t to) {
  return net->at[to].side == net->at[from].side && !net->at[to].paused;
}

static struct net_flow *flow_at(struct net *net, uint32_t f) {
  return f == 0 || f > net->flow_count ? NULL : &net->flow[f - 1];
}

static bool flow_is_live(struct net *net, const struct net_flow *flow) {
  return flow->open && net_runs(net, flow->node) && net->at[flow->node].life == flow->life;
}

static uint32_t flow_new(struct net *net, uint32_t node, uint32_t other,
                         const struct endpoint *peer) {
  if (net->flow_count == net->flow_room) {
    net->flow_room = net->flow_room == 0 ? 256 : net->flow_room * 2;
    net->flow = realloc(net->flow, net->flow_room * sizeof *net->flow);
    ASSERT(net->flow != NULL);
  }
  net->flow[net->flow_count] = (struct net_flow){
      .node = node, .life = net->at[node].life, .other = other, .peer = *peer, .open = true};
  return ++net->flow_count;
}

static void report_closed(struct net *net, uint32_t node, uint32_t flow,
                          const struct endpoint *peer, uint64_t ticket, usec at) {
  const struct input input = {
      .kind = IN_FLOW, .status = ERR_CLOSED, .flow = flow, .ticket = ticket, .peer = *peer};
  later(net, at, node, EVENT_INPUT, &input);
}

/* This end hears that the connection is gone. */
static void close_end(struct net *net, uint32_t f, usec at) {
  struct net_flow *flow = flow_at(net, f);
  if (flow == NULL || !flow->open) return;
  flow->open = false;
  if (!net_runs(net, flow->node) || net->at[flow->node].life != flow->life) return;
  if (flow->is_link) {
    uint32_t to = node_at(net, &flow->peer);
    if (to != NET_NONE && net->at[flow->node].link[to] == f) net->at[flow->node].link[to] = 0;
  }
  report_closed(net, flow->node, f, &flow->peer, 0, at);
}

void net_close_flow(struct net *net, uint32_t f) {
  struct net_flow *flow = flow_at(net, f);
  if (flow == NULL || !flow->open) return;
  usec at = net->now + latency(net);
  if (flow->other != 0) close_end(net, flow->other, at);
  close_end(net, f, net->now);
}

/* Over TLS each node has shown its key to the other. */
static const struct key *proven_on(struct net *net, const struct net_flow *flow) {
  const struct net_flow *other = flow_at(net, flow->other);
  if (other == NULL || net->at[flow->node].config.peer_transport != TRANSPORT_TLS) return NULL;
  return &net->at[other->node].config.id;
}

/* A message into the end `f`. */
static void deliver(struct net *net, uint32_t f, struct slice data) {
  struct net_flow *flow = flow_at(net, f);
  flow->last_at = usec_max(flow->last_at, net->now + latency(net));
  const struct input input = {.kind = IN_MESSAGE,
                              .flow = f,
                              .peer = flow->peer,
                              .data = data,
                              .proven = proven_on(net, flow)};
  net->messages++;
  later(net, flow->last_at, flow->node, EVENT_INPUT, &input);
}

static uint32_t open_link(struct net *net, uint32_t from, uint32_t to) {
  struct endpoint peer = net_address(to), ephemeral = net_address(from);
  ephemeral.port = (uint16_t)(20000 + net->flow_count % 40000);
  uint32_t mine = flow_new(net, from, 0, &peer);
  uint32_t others = flow_new(net, to, mine, &ephemeral);
  flow_at(net, mine)->other = others;
  flow_at(net, mine)->is_link = true;
  net->at[from].link[to] = mine;
  net->opened++;
  const struct input input = {.kind = IN_FLOW, .status = OK, .flow = mine, .peer = peer};
  later(net, net->now + 2 * latency(net), from, EVENT_INPUT, &input);
  flow_at(net, others)->last_at = net->now + 2 * latency(net); /* the handshake */
  return mine;
}

static void put_letter(struct net *net, uint32_t node, const struct output *out) {
  /* the last place is for the letter that net_take hands out */
  unsigned n = net->inbox_count < NET_INBOX_MAX - 1 ? net->inbox_count++ : NET_INBOX_MAX - 2;
  struct net_letter *letter = &net->inbox[n];
  free(letter->text);
  *letter = (struct net_letter){.node = node, .flow = out->flow, .to = out->peer};
  letter->text = take(out->data.len + 1);
  letter->len = out->data.len;
  memcpy(letter->text, out->data.at, out->data.len);
}

static void send_on_flow(struct net *net, uint32_t i, const struct output *out) {
  struct net_flow *flow = flow_at(net, out->flow);
  if (flow == NULL || flow->node != i || !flow_is_live(net, flow)) {
    if (out->ticket != 0) report_closed(net, i, 0, &out->peer, out->ticket, net->now);
  } else if (flow->other == 0) {
    put_letter(net, i, out);
  } else if (hears(net, i, flow_at(net, flow->other)->node)) {
    deliver(net, flow->other, out->data);
  }
}

static void send_over_link(struct net *net, uint32_t i, uint32_t to, const struct output *out) {
  struct net_node *target = &net->at[to];
  if (!hears(net, i, to)) return;
  if (target->node == NULL) {
    if (!target->silent) {
      report_closed(net, i, 0, &out->peer, out->ticket, net->now + net->refuse_us);
    }
    return;
  }
  uint32_t f = net->at[i].link[to];
  if (f == 0) f = open_link(net, i, to);
  uint32_t other = flow_at(net, f)->other;
  if (!flow_is_live(net, flow_at(net, other))) { /* it lives anew, and knows nothing of this */
    report_closed(net, i, 0, &out->peer, out->ticket, net->now + 2 * latency(net));
    close_end(net, f, net->now + 2 * latency(net));
    return;
  }
  deliver(net, other, out->data);
}

void net_say(struct net *net, uint32_t i, uint32_t flow, struct slice message) {
  send_on_flow(net, i, &(struct output){.kind = OUT_SEND, .flow = flow, .data = message});
}

static void send_datagram(struct net *net, uint32_t i, uint32_t to, const struct output *out) {
  struct endpoint from = net_address(i);
  from.transport = TRANSPORT_UDP;
  const struct input input = {.kind = IN_MESSAGE, .peer = from, .data = out->data};
  if (!hears(net, i, to) || !net_runs(net, to)) return;
  if (net->loss_permille > 0 && rng_below(&net->rng, 1000) < net->loss_permille) return;
  net->messages++;
  later(net, net->now + latency(net), to, EVENT_INPUT, &input);
}

static void carry_send(struct net *net, uint32_t i, const struct output *out) {
  if (net->on_send != NULL) net->on_send(net, i, out);
  uint32_t to = node_at(net, &out->peer);
  if (out->flow != 0) {
    send_on_flow(net, i, out);
  } else if (to == NET_NONE) {
    put_letter(net, i, out);
  } else if (endpoint_is_stream(&out->peer)) {
    send_over_link(net, i, to, out);
  } else {
    send_datagram(net, i, to, out);
  }
}

/* ---- journal and keys ---- */

static void free_record(struct record *record) {
  free((void *)(uintptr_t)record->bytes.at);
  *record = (struct record){0};
}

static void journal_erase(struct net_node *node, const struct record *record) {
  struct record_id id = record_id_of(record);
  for (unsigned k = 0; k < node->journal_count; k++) {
    struct record_id other = record_id_of(&node->journal[k]);
    if (record_id_compare(&id, &other) != 0) continue;
    free_record(&node->journal[k]);
    node->journal[k] = node->journal[--node->journal_count];
    return;
  }
}

static void journal_write(struct net_node *node, const struct record *record) {
  journal_erase(node, record);
  node->journal = realloc(node->journal, (node->journal_count + 1) * sizeof *node->journal);
  ASSERT(node->journal != NULL);
  struct record copy = *record;
  char *bytes = take(record->bytes.len);
  memcpy(bytes, record->bytes.at, record->bytes.len);
  copy.bytes = slice_of(bytes, record->bytes.len);
  node->journal[node->journal_count++] = copy;
}

static void carry_store(struct net *net, uint32_t i, const struct output *out) {
  bool fails =
      net->journal_fail_permille > 0 && rng_below(&net->rng, 1000) < net->journal_fail_permille;
  const struct input input = {.kind = IN_STORED,
                              .status = fails ? ERR_IO : OK,
                              .ticket = out->ticket,
                              .record = out->record};
  later(net, net->now + net->journal_us, i, EVENT_JOURNAL, &input);
}

/* A peer's own key is that of its address as a user. */
static bool is_peer_itself(const struct net *net, uint32_t i, struct slice address) {
  char own_text[KEY_HEX + 32];
  struct buf own = buf_over(own_text, sizeof own_text);
  buf_put_cstr(&own, "sip:");
  key_put(&own, &net->at[i].config.id);
  buf_put_cstr(&own, PEER_USER_DOMAIN);
  return slice_equal(address, buf_slice(&own));
}

struct key net_owner(const struct net *net, uint32_t i, struct slice address) {
  const struct net_node *node = &net->at[i];
  char who[600];
  struct buf name = buf_over(who, sizeof who);
  if (is_peer_itself(net, i, address)) return node->config.id;
  struct key hash = crypto_key(&net->crypto, address);
  if (!key_is_zero(&node->taken) && key_equal(&node->taken, &hash)) return node->taken_owner;
  buf_put(&name, slice_first(address, 512));
  buf_put_hex(&name, node->config.id.byte, KEY_BYTES);
  return crypto_key(&net->crypto, buf_slice(&name));
}

struct key net_succeed(struct net *net, uint32_t i, struct slice address) {
  struct net_node *node = &net->at[i];
  char plain_text[1024], key_text[256], until_text[40];
  struct buf plain = buf_over(plain_text, sizeof plain_text);
  struct buf key = buf_over(key_text, sizeof key_text), until = buf_over(until_text, 40);
  struct buf statement = buf_over(node->before, sizeof node->before);
  struct key owner = net_owner(net, i, address),
             next = crypto_key(&net->crypto, slice_of(&owner, 20));
  certificate_put_key(&key, address);
  xml_put_time(&until, net_wall(net) + (msec_wall)90 * 86400000);
  succession_put_unsigned(&plain, buf_slice(&key), buf_slice(&until), net_wall(net) * 256, &next);
  enum err err = record_model_sign(&net->crypto, &owner, buf_slice(&plain), &statement);
  ASSERT(err == OK);
  node->before_len = statement.len;
  node->taken = crypto_key(&net->crypto, address);
  node->taken_owner = next;
  return next;
}

/* The certificates that the model of signing has are the owner itself. */
static void carry_user(struct net *net, uint32_t i, const struct output *out) {
  struct key owner = net_owner(net, i, out->text);
  const struct slice certificate = slice_of(owner.byte, KEY_BYTES);
  const struct net_node *node = &net->at[i];
  bool taken = key_equal(&node->taken_owner, &owner);
  const struct input input = {
      .kind = IN_USER,
      .before = taken ? slice_of(node->before, node->before_len) : SLICE_EMPTY,
      .ticket = out->ticket,
      .data = certificate,
      .record = {.owner = owner, .bytes = net->one_certificate ? SLICE_EMPTY : certificate}};
  net->signatures++;
  later(net, net->now + net->keys_us, i, EVENT_INPUT, &input);
}

/* In the model a sealed value names the peers, and the keys in it are its owner's. One address. */
static void carry_open(struct net *net, uint32_t i, const struct output *out) {
  struct net_node *node = &net->at[i];
  char hex[KEY_HEX];
  struct buf id = buf_over(hex, sizeof hex);
  key_put(&id, &node->config.id);
  bool granted = slice_find(out->data, buf_slice(&id)) < out->data.len;
  if (granted) {
    node->before_len = 0;
    node->taken = crypto_key(&net->crypto, out->text);
    node->taken_owner = out->record.owner;
  }
  const struct input input = {
      .kind = IN_OPENED, .status = granted ? OK : ERR_NOT_FOUND, .ticket = out->ticket};
  later(net, net->now + net->keys_us, i, EVENT_INPUT, &input);
}

static void carry_sign(struct net *net, uint32_t i, const struct output *out) {
  char text[XML_RECORD_BYTES_MAX + RECORD_SIGNATURE_ROOM];
  struct buf record = buf_over(text, sizeof text);
  struct key owner = net_owner(net, i, out->text);
  net->signatures++;
  const struct input input = {.kind = IN_SIGNED,
                              .status = record_model_sign(&net->crypto, &owner, out->data, &record),
                              .ticket = out->ticket,
                              .data = buf_slice(&record)};
  later(net, net->now + net->keys_us, i, EVENT_INPUT, &input);
}

static void carry_verify(struct net *net, uint32_t i, const struct output *out) {
  const char *why;
  bool refused = net->refuse_text != NULL &&
                 slice_find(out->data, slice_cstr(net->refuse_text)) < out->data.len;
  enum err verified = record_model_verify(&net->crypto, out->data, &why);
  const struct input input = {
      .kind = IN_VERIFIED,
      .status = net->verifier_busy ? ERR_BUSY
                : refused          ? ERR_REFUSED
                                   : verified,
      .ticket = out->ticket,
      .issued = net->issued_names != NULL,
      .data = slice_cstr(net->issued_names != NULL ? net->issued_names : "")};
  later(net, net->now + net->keys_us, i, EVENT_INPUT, &input);
}

static void carry_seal(struct net *net, uint32_t i, const struct output *out) {
  static char text[65536];
  struct buf result = buf_over(text, sizeof text);
  struct key owner = net_owner(net, i, out->text);
  enum err status = out->kind == OUT_SEAL
                        ? seal_model_make(&net->crypto, out->text, out->data, &result)
                        : seal_model_open(&net->crypto, &owner, out->data, &result);
  const struct input input = {.kind = out->kind == OUT_SEAL ? IN_SEALED : IN_UNSEALED,
                              .status = status,
                              .ticket = out->ticket,
                              .data = buf_slice(&result)};
  later(net, net->now + net->keys_us, i, EVENT_INPUT, &input);
}

/* ---- replies ---- */

static void free_reply(struct net_reply *reply) {
  for (unsigned k = 0; k < reply->row_count; k++) {
    free((void *)(uintptr_t)reply->row[k].text.at);
    free((void *)(uintptr_t)reply->row[k].text2.at);
  }
  free(reply->row);
  *reply = (struct net_reply){0};
}

static struct slice copy_text(struct slice s) {
  char *text = take(s.len + 1);
  if (s.len > 0) memcpy(text, s.at, s.len);
  return slice_of(text, s.len);
}

static void carry_reply(struct net *net, const struct output *out) {
  struct net_reply *reply = &net->reply[out->ticket % 64];
  if (reply->ticket != out->ticket) return; /* asked long ago */
  ASSERT(!reply->done);                     /* one reply to one command */
  reply->done = true;
  reply->code = out->reply->code;
  struct slice text = slice_first(out->reply->text, sizeof reply->text - 1);
  if (text.len > 0) memcpy(reply->text, text.at, text.len);
  reply->row_count = out->reply->row_count;
  reply->row = take(reply->row_count * sizeof *reply->row);
  for (unsigned k = 0; k < reply->row_count; k++) {
    reply->row[k] = out->reply->row[k];
    reply->row[k].text = copy_text(out->reply->row[k].text);
    reply->row[k].text2 = copy_text(out->reply->row[k].text2);
  }
}

/* ---- steps ---- */

static void carry_out(struct net *net, uint32_t i) {
  for (uint32_t k = 0; k < net->box.count; k++) {
    const struct output *out = &net->box.item[k];
    switch (out->kind) {
      case OUT_SEND:
        carry_send(net, i, out);
        break;
      case OUT_CLOSE:
        net_close_flow(net, out->flow);
        break;
      case OUT_STORE:
        carry_store(net, i, out);
        break;
      case OUT_ERASE:
        journal_erase(&net->at[i], &out->record);
        break;
      case OUT_SIGN:
        carry_sign(net, i, out);
        break;
      case OUT_VERIFY:
        carry_verify(net, i, out);
        break;
      case OUT_USER:
        carry_user(net, i, out);
        break;
      case OUT_RESOLVE:
        break; /* as where no DNS answers */
      case OUT_SEAL:
      case OUT_UNSEAL:
        carry_seal(net, i, out);
        break;
      case OUT_OPEN:
        carry_open(net, i, out);
        break;
      case OUT_REPLY:
        carry_reply(net, out);
        break;
      case OUT_TRACE:
        if (net->on_trace != NULL) net->on_trace(net, i, &out->trace);
        break;
    }
  }
}

static void set_tick(struct net *net, uint32_t i) {
  struct net_node *node = &net->at[i];
  usec at = node_deadline(node->node);
  if (at == USEC_NEVER || at >= node->tick_at) return;
  node->tick_at = usec_max(at, net->now);
  later(net, node->tick_at, i, EVENT_TICK, NULL);
}

void net_step(struct net *net, uint32_t i, const struct input *input) {
  net->steps++;
  ASSERT(++net->steps_at_once < 200000); /* something is due for ever */
  outbox_reset(&net->box);
  net->box.trace_mask = net->on_trace != NULL ? UINT64_MAX : 0;
  node_step(net->at[i].node, net->now, input, &net->box);
  carry_out(net, i);
  set_tick(net, i);
}

static void happen(struct net *net, struct net_event *event) {
  struct net_node *node = &net->at[event->node];
  if (node->node == NULL || node->life != event->life) return;
  switch (event->kind) {
    case EVENT_TICK:
      if (event->at != node->tick_at) return;
      node->tick_at = USEC_NEVER;
      if (node->paused) {
        node->tick_at = net->now + MSEC(100);
        later(net, node->tick_at, event->node, EVENT_TICK, NULL);
        return;
      }
      net_step(net, event->node, &(struct input){.kind = IN_TICK});
      break;
    case EVENT_JOURNAL:
      if (event->input.status == OK) journal_write(node, &event->input.record);
      net_step(net, event->node, &event->input);
      break;
    case EVENT_INPUT:
      if (event->input.kind == IN_MESSAGE && node->paused) return;
      if (event->input.kind == IN_MESSAGE && net->on_hear != NULL &&
          net->on_hear(net, event->node, &event->input))
        return;
      net_step(net, event->node, &event->input);
      break;
  }
}

void net_run_until(struct net *net, usec end) {
  while (net->heap_count > 0 && net->heap[0]->at <= end) {
    struct net_event *event = pop(net);
    if (event->at > net->now) {
      net->now = event->at;
      net->steps_at_once = 0;
    }
    happen(net, event);
    free(event);
  }
  if (end > net->now) net->now = end;
}

bool net_run_while(struct net *net, bool (*holds)(struct net *net), usec every, usec limit) {
  for (usec end = net->now + limit; net->now < end;) {
    if (holds(net)) return true;
    net_run_for(net, every);
  }
  return holds(net);
}

/* ---- nodes ---- */

void net_open(struct net *net, unsigned seed_number) {
  const uint8_t seed[16] = {(uint8_t)seed_number, (uint8_t)(seed_number >> 8), 77};
  memset(net, 0, sizeof *net);
  rng_init(&net->rng, seed);
  test_memory_init(&net->memory, TEST_MEMORY_UNLIMITED);
  crypto_openssl(&net->crypto);
  net->xml = node_reader_new(&net->memory.memory, rng_u64(&net->rng));
  ASSERT(net->xml != NULL);
  net->at = take(NET_NODES_MAX * sizeof *net->at);
  net->items = take(OUTBOX_STEP_ITEMS * sizeof *net->items);
  net->bytes = take(OUTBOX_STEP_BYTES);
  outbox_init(&net->box, net->items, OUTBOX_STEP_ITEMS, net->bytes, OUTBOX_STEP_BYTES);
  net->now = SEC(1000);
  net->latency_min_us = MSEC(1);
  net->latency_max_us = MSEC(20);
  net->refuse_us = MSEC(2);
  net->journal_us = MSEC(5);
  net->keys_us = 200;
  net->ticket = 1;
  node_config_defaults(&net->config);
}

static void start(struct net *net, uint32_t i) {
  struct net_node *node = &net->at[i];
  rng_fill(&net->rng, node->config.seed, sizeof node->config.seed);
  node->config.incarnation = ++node->life;
  node->tick_at = USEC_NEVER;
  node->silent = node->paused = false;
  memset(node->link, 0, sizeof node->link);
  node->node = node_new(&node->config, net->now);
  ASSERT(node->node != NULL);
  net_step(net, i, &(struct input){.kind = IN_CLOCK, .wall = net_wall(net)});
  for (unsigned k = 0; k < node->journal_count; k++) {
    /* a step may erase what lapsed */
    struct record copy = node->journal[k];
    copy.bytes = copy_text(copy.bytes);
    unsigned before = node->journal_count;
    net_step(net, i, &(struct input){.kind = IN_RESTORE, .record = copy});
    if (node->journal_count < before) k--;
    free((void *)(uintptr_t)copy.bytes.at);
  }
  net_step(net, i, &(struct input){.kind = IN_START});
}

uint32_t net_add(struct net *net, const struct key *id, uint32_t join) {
  ASSERT(net->count < NET_NODES_MAX);
  uint32_t i = net->count++;
  struct net_node *node = &net->at[i];
  test_memory_init(&node->memory, TEST_MEMORY_UNLIMITED);
  node->config = net->config;
  if (id != NULL) {
    node->config.id = *id;
  } else {
    rng_fill(&net->rng, &node->config.id, sizeof node->config.id);
  }
  node->config.advertise = net_address(i);
  node->config.listen[0] = node->config.listen[1] = net_address(i);
  node->config.listen[1].transport = TRANSPORT_UDP;
  node->config.listen_count = 2;
  node->config.memory = &node->memory.memory;
  node->config.crypto = &net->crypto;
  node->config.xml = net->xml;
  if (join != NET_NONE) {
    node->config.join[0] = net_address(join);
    if (node->config.join_count == 0) node->config.join_count = 1;
  }
  start(net, i);
  return i;
}

void net_kill(struct net *net, uint32_t i, bool silent) {
  struct net_node *node = &net->at[i];
  for (uint32_t f = 1; f <= net->flow_count; f++) {
    struct net_flow *flow = flow_at(net, f);
    if (flow->node != i || !flow_is_live(net, flow)) continue;
    if (!silent && flow->other != 0) close_end(net, flow->other, net->now + latency(net));
    flow->open = false;
  }
  node_free(node->node);
  node->node = NULL;
  node->silent = silent;
}

void net_restart(struct net *net, uint32_t i) {
  struct net_node *node = &net->at[i];
  ASSERT(node->node == NULL);
  /* As a peer that remembers whom it knew; alone, it begins a ring again. */
  unsigned known = 0;
  for (uint32_t k = 0; k < net->count && known < NODE_JOIN_MAX; k++) {
    if (k != i && net_runs(net, k)) node->config.join[known++] = net_address(k);
  }
  if (known > 0) node->config.join_count = known;
  start(net, i);
}

unsigned net_running(const struct net *net) {
  unsigned n = 0;
  for (uint32_t i = 0; i < net->count; i++) n += net_runs(net, i);
  return n;
}

bool net_close(struct net *net) {
  bool clean = true;
  for (uint32_t i = 0; i < net->count; i++) {
    struct net_node *node = &net->at[i];
    if (node->node != NULL) node_free(node->node);
    clean = clean && node->memory.blocks == 0;
    for (unsigned k = 0; k < node->journal_count; k++) free_record(&node->journal[k]);
    free(node->journal);
  }
  for (uint32_t k = 0; k < net->heap_count; k++) free(net->heap[k]);
  for (unsigned k = 0; k < 64; k++) free_reply(&net->reply[k]);
  for (unsigned k = 0; k < NET_INBOX_MAX; k++) free(net->inbox[k].text);
  free(net->heap);
  free(net->flow);
  free(net->at);
  free(net->items);
  free(net->bytes);
  node_reader_free(net->xml);
  crypto_openssl_free(&net->crypto);
  return clean && net->memory.blocks == 0;
}

/* ---- commands ---- */

uint64_t net_ask(struct net *net, uint32_t i, const struct node_command *command) {
  uint64_t ticket = net->ticket++;
  struct net_reply *reply = &net->reply[ticket % 64];
  free_reply(reply);
  reply->ticket = ticket;
  net_step(net, i, &(struct input){.kind = IN_COMMAND, .ticket = ticket, .command = command});
  return ticket;
}

const struct net_reply *net_reply_of(const struct net *net, uint64_t ticket) {
  return &net->reply[ticket % 64];
}

const struct net_reply *net_command(struct net *net, uint32_t i, const struct node_command *command,
                                    usec limit) {
  const struct net_reply *reply = net_reply_of(net, net_ask(net, i, command));
  for (usec end = net->now + limit; !reply->done && net->now < end;) {
    if (net->heap_count == 0) break;
    net_run_until(net, usec_min(end, usec_max(net->now, net->heap[0]->at)));
  }
  return reply;
}

/* ---- strangers ---- */

uint32_t net_connect(struct net *net, uint32_t i, const struct endpoint *from) {
  return flow_new(net, i, 0, from);
}

void net_inject(struct net *net, uint32_t i, uint32_t flow, const struct endpoint *from,
                struct slice message) {
  char *copy = take(message.len); /* to the byte, for the sanitizer */
  if (message.len > 0) memcpy(copy, message.at, message.len);
  const struct input input = {
      .kind = IN_MESSAGE, .flow = flow, .peer = *from, .data = slice_of(copy, message.len)};
  net_step(net, i, &input);
  free(copy);
}
