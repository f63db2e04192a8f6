/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/assert.h"
#include "base/plant.h"
#include "node/mail.h"
#include "sip/digest.h"

#define OPERATIONS_CHUNK 16u
#define LINKS_BESIDE 256u /* besides learnt peers: neighbours, fingers, and whom looks ask */
#define ERRANDS_CHUNK 16u
#define TRIM_US SEC(2)
#define NONCES_MAX 8192u

_Static_assert(NODE_SHA256 == 1 << DIGEST_SHA256 && NODE_MD5 == 1 << DIGEST_MD5, "named twice");

void node_config_defaults(struct node_config *config) {
  *config = (struct node_config){
      .peer_transport = TRANSPORT_TCP,
      .overlay = SLICE("locser"),
      .digest_algorithms = NODE_SHA256 | NODE_MD5,
      .record_route = true,
      .wary = PLANTED(19) ? NODE_TRUSTS : NODE_LOOKS_AGAIN, /* 19: all that is said is believed */
      .successors = 8,
      .replicas = 3,
      .stabilize_us = SEC(5),
      .lookup_timeout_us = SEC(8),
      .limits = {.hops_max = 16384,
                 .operations_max = 4096,
                 .retry_copies_max = 4096,
                 .records_max = 200000,
                 .record_bytes_max = (uint64_t)256 << 20,
                 .bindings_max = 20000,
                 .transactions_max = 8192,
                 .transaction_bytes_max = (uint64_t)64 << 20,
                 .learnt_peers_max = 4096,
                 .owner_records_max = 4096,
                 .owner_bytes_max = (uint64_t)16 << 20,
                 .source_requests = 100,
                 .source_puts = 20,
                 .source_bytes = 256 * 1024,
                 .source_datagrams = 50},
      .trusted = {{.addr = {127}, .family = 4, .bits = 8},
                  {.addr = {[15] = 1}, .family = 6, .bits = 128}},
      .trusted_count = 2,
  };
}

/* ---- making and unmaking ---- */

static void edge_config_of(const struct node_config *config, const uint8_t seed[16],
                           struct edge_config *out) {
  *out = (struct edge_config){
      .limits = {.bindings_max = config->limits.bindings_max,
                 .bindings_per_aor_max = 10,
                 .transactions_max = config->limits.transactions_max,
                 .forks_max = 10,
                 .bytes_max = config->limits.transaction_bytes_max,
                 .expires_min_s = 60,
                 .expires_default_s = 3600,
                 .expires_max_s = 86400,
                 .subscriptions_max = config->limits.subscriptions_max,
                 .nonces_max = NONCES_MAX},
      .user = config->user,
      .user_count = config->user_count,
      .algorithms = config->digest_algorithms,
      .domain_count = config->domain_count,
      .listen_count = config->listen_count,
      .advertise = config->advertise,
      .digest_off = config->digest_off,
      .record_route = config->record_route,
      .redirect = config->redirect,
      .memory = config->memory,
      .crypto = config->crypto,
      .xml = config->xml,
      .id = config->id,
      .watchers = (enum event_decision)config->watchers,
      .seed = seed,
  };
  for (unsigned i = 0; i < config->domain_count; i++) out->domain[i] = config->domain[i];
  for (unsigned i = 0; i < config->listen_count; i++) out->listen[i] = config->listen[i];
  out->trusted_count = config->trusted_count;
  for (unsigned i = 0; i < config->trusted_count; i++) out->trusted[i] = config->trusted[i];
}

static bool make_edge(struct node *node, const struct node_config *config) {
  struct edge_config edge;
  uint8_t seed[16];
  rng_fill(&node->rng, seed, sizeof seed);
  edge_config_of(config, seed, &edge);
  node->edge = edge_new(&edge);
  return node->edge != NULL;
}

static bool make_overlay(struct node *node, const struct node_config *config) {
  uint8_t seed[16];
  rng_fill(&node->rng, seed, sizeof seed);
  const struct overlay_config overlay = {
      .self = node->self,
      .successors = config->successors,
      .fingers_max = config->limits.learnt_peers_max,
      .strangers = config->strangers,
      .stabilize_us = config->stabilize_us,
      .fingers_us = 6 * config->stabilize_us,
      .memory = config->memory,
      .seed = seed,
  };
  node->overlay = overlay_new(&overlay);
  return node->overlay != NULL;
}

static bool make_dht(struct node *node, const struct node_config *config) {
  uint8_t seed[16];
  rng_fill(&node->rng, seed, sizeof seed);
  const struct dht_limits limits = {.records_max = config->limits.records_max,
                                    .bytes_max = config->limits.record_bytes_max,
                                    .puts_max = config->limits.operations_max,
                                    .owner_records_max = config->limits.owner_records_max,
                                    .owner_bytes_max = config->limits.owner_bytes_max,
                                    .replicas = config->replicas};
  node->dht = dht_new(&limits, node->overlay, config->memory, seed);
  return node->dht != NULL;
}

static enum write_mode policy_of(enum node_policy policy) {
  switch (policy) {
    case NODE_CLOSED:
      return WRITE_CLOSED;
    case NODE_OPEN:
      return WRITE_OPEN;
    case NODE_LABORATORY:
      break;
  }
  return WRITE_LABORATORY;
}

/* False: no memory. */
static bool set_config(struct node *node, const struct node_config *config) {
  size_t bytes = config->join_count * sizeof config->join[0];
  size_t trusted = config->trusted_count * sizeof config->trusted[0];
  node->config = (struct node_settings){.id = config->id,
                                        .advertise = config->advertise,
                                        .peer_transport = config->peer_transport,
                                        .create_after_us = config->create_after_us,
                                        .lookup_timeout_us = config->lookup_timeout_us,
                                        .replicas = config->replicas,
                                        .wary = config->wary,
                                        .policy = policy_of(config->policy),
                                        .memory = config->memory,
                                        .crypto = config->crypto,
                                        .xml = config->xml};
  if (trusted > 0) {
    node->config.trusted = memory_take(config->memory, trusted);
    if (node->config.trusted == NULL) return false;
    memcpy(node->config.trusted, config->trusted, trusted);
    node->config.trusted_count = config->trusted_count;
  }
  if (bytes == 0) return true;
  node->config.join = memory_take(config->memory, bytes);
  if (node->config.join == NULL) return false;
  memcpy(node->config.join, config->join, bytes);
  node->config.join_count = config->join_count;
  return true;
}

static void set_names(struct node *node, const struct node_config *config) {
  size_t len = config->overlay.len;
  ASSERT(len <= sizeof node->overlay_name);
  if (len > 0) memcpy(node->overlay_name, config->overlay.at, len);
  node->config.overlay = slice_of(node->overlay_name, len);
  node->self = (struct peer){config->id, config->advertise, config->incarnation};
  node->self.at.transport = TRANSPORT_TCP;
  struct buf host = buf_over(node->self_host, sizeof node->self_host);
  endpoint_put(&host, &config->advertise);
  node->self_host_len = (uint8_t)host.len;
}

struct node *node_new(const struct node_config *config, usec now) {
  struct node *node = memory_take(config->memory, sizeof *node);
  if (node == NULL) return NULL;
  bool complete = set_config(node, config);
  node->wall_seen_at = now;
  node->create_at = USEC_NEVER;
  rng_init(&node->rng, config->seed);
  rng_fill(&node->rng, &node->hash, sizeof node->hash);
  set_names(node, config);
  const struct node_limits *limits = &config->limits;
  const uint32_t per_s[SOURCE_METERS] = {[SOURCE_REQUESTS] = limits->source_requests,
                                         [SOURCE_PUTS] = limits->source_puts,
                                         [SOURCE_BYTES] = limits->source_bytes,
                                         [SOURCE_DATAGRAMS] = limits->source_datagrams};
  sources_init(&node->sources, config->memory, node->hash, per_s);
  links_init(&node->links, config->memory, node->hash, limits->learnt_peers_max + LINKS_BESIDE);
  hops_init(&node->hops, config->memory, node->hash, limits->hops_max, limits->retry_copies_max);
  pool_init(&node->operations, config->memory, sizeof(struct operation), OPERATIONS_CHUNK,
            limits->operations_max);
  pool_init(&node->errands, config->memory, sizeof(struct errand), ERRANDS_CHUNK,
            limits->operations_max);
  pins_init(node, limits->operations_max);
  pool_init(&node->letters, config->memory, sizeof(struct letter), 16, LETTERS_MAX);
  pool_init(&node->mailboxes, config->memory, sizeof(struct mailbox), 16, MAILBOXES_MAX);
  pool_init(&node->lates, config->memory, sizeof(struct late), 16, LATES_MAX);
  if (!complete || !make_overlay(node, config) || !make_dht(node, config) ||
      !make_edge(node, config)) {
    node_free(node);
    return NULL;
  }
  return node;
}

void node_free(struct node *node) {
  if (node == NULL) return;
  const struct memory *memory = node->config.memory;
  uint32_t index = 0;
  for (void *op; (op = pool_next(&node->operations, &index)) != NULL;) operation_close(node, op);
  index = 0;
  for (void *errand; (errand = pool_next(&node->errands, &index)) != NULL;) {
    errand_close(node, errand);
  }
  if (node->edge != NULL) edge_free(node->edge);
  if (node->dht != NULL) dht_free(node->dht);
  if (node->overlay != NULL) overlay_free(node->overlay);
  letters_free(node);
  mailboxes_free(node);
  lates_free(node);
  pins_free(node);
  pool_free(&node->errands);
  pool_free(&node->operations);
  hops_free(&node->hops);
  links_free(&node->links);
  sources_free(&node->sources);
  memory_give(memory, node->told, sizeof *node->told);
  memory_give(memory, node->config.trusted,
              node->config.trusted_count * sizeof *node->config.trusted);
  memory_give(memory, node->config.join, node->config.join_count * sizeof *node->config.join);
  memory_give(memory, node, sizeof *node);
}

enum err node_reconfigure(struct node *node, const struct node_config *config) {
  struct edge_config edge;
  const uint8_t unused[16] = {0};
  edge_config_of(config, unused, &edge);
  return edge_reconfigure(node->edge, &edge);
}

/* ---- steps ---- */

static void on_start(struct step *s) {
  struct node *node = s->node;
  struct overlay_calls calls;
  calls.count = 0;
  if (node->config.join_count == 0) {
    overlay_create(node->overlay, s->now, s->out);
  } else {
    overlay_join(node->overlay, s->now, node->config.join, node->config.join_count, &calls);
    usec wait = node->config.create_after_us;
    /* Spread, so that peers that all come back at once do not all begin a ring of their own. */
    if (wait > 0) node->create_at = s->now + wait + rng_below(&node->rng, wait);
  }
  pump_overlay(s, &calls);
}

/* merged like any copy. */
static void on_restore(struct step *s, const struct record *record) {
  struct dht_effects fx;
  fx.count = 0;
  if (PLANTED(9)) return; /* the journal is written, but never read */
  if (dht_restore(s->node->dht, node_wall(s->node, s->now), record, &fx) != OK) {
    outbox_trace(s->out, &(struct trace){.kind = TRACE_STORE_FAILED,
                                         .at = s->now,
                                         .key = record->key,
                                         .a = SLICE("a stored record does not fit any more")});
  }
  pump_dht(s, &fx);
}

static void on_flow(struct step *s, const struct input *input) {
  if (input->status == OK) return;
  if (input->ticket != 0) forward_on_undelivered(s, input->ticket);
  /* Where peers prove who they are, a connection that proved nobody says nothing about whoever
   * lives at its address; what was sent over it has failed by its own ticket. */
  if (input->peer.family != 0 && (input->proven != NULL || !links_are_proven(s->node)))
    forward_on_link_closed(s, &input->peer, input->proven);
  struct edge_calls calls;
  calls.count = 0;
  edge_on_flow_closed(s->node->edge, s->now, node_wall(s->node, s->now), input->flow, input->ticket,
                      &calls, s->out);
  pump_edge(s, &calls);
}

static void on_stored(struct step *s, const struct input *input) {
  if (tag_of(input->ticket) != TAG_STORE) return;
  struct dht_effects fx;
  fx.count = 0;
  dht_on_stored(s->node->dht, s->now, (uint32_t)input->ticket, input->status, &fx);
  pump_dht(s, &fx);
}

static void on_verified(struct step *s, const struct input *input) {
  struct operation *op = operation_of(s->node, input->ticket);
  struct errand *errand = errand_of(s->node, input->ticket);
  enum err status = PLANTED(16) || PLANTED(19) ? OK : input->status; /* whoever signed it */
  const struct verified verified = {status, input->issued, input->data};
  if (op != NULL) operation_on_verified(s, op, item_of(input->ticket), &verified);
  if (errand != NULL) errand_on_verified(s, errand, item_of(input->ticket), &verified);
  struct mailbox *box = mailbox_of(s->node, input->ticket);
  if (box != NULL) mailbox_on_verified(s, box, &verified);
}

/* without a ticket: somebody's second key was made. */
static void on_user(struct step *s, const struct input *input) {
  struct errand *errand = errand_of(s->node, input->ticket);
  if (errand != NULL)
    errand_on_user(s, errand, input->status == OK ? &input->record : NULL, input->data,
                   input->before);
  else if (input->ticket == 0)
    (void)certify_begin(s, input->data, 0, FOR_NOBODY, 0);
}

static void on_signed(struct step *s, const struct input *input) {
  struct errand *errand = errand_of(s->node, input->ticket);
  struct letter *letter = letter_of(s->node, input->ticket);
  if (errand != NULL) errand_on_signed(s, errand, input->status, input->data);
  if (letter != NULL) letter_on_signed(s, letter, input->status, input->data);
}

static void on_resolved(struct step *s, const struct input *input) {
  struct edge_calls calls;
  calls.count = 0;
  edge_on_resolved(s->node->edge, s->now, node_wall(s->node, s->now), input->ticket, input->status,
                   input->dns, input->dns_count, &calls, s->out);
  pump_edge(s, &calls);
}

static void own_timers(struct step *s) {
  struct node *node = s->node;
  struct timer *timer;
  while (outbox_has(s->out, 64, 224 * 1024) &&
         (timer = timers_pop(&node->timers, s->now)) != NULL) {
    uint64_t owner = timer->owner;
    struct operation *op = operation_of(node, owner);
    struct errand *errand = errand_of(node, owner);
    if (op != NULL) operation_on_timer(s, op);
    if (errand != NULL) errand_on_timer(s, errand);
    struct mailbox *box = mailbox_of(node, owner);
    if (box != NULL) mailbox_on_timer(s, box);
    struct letter *letter = letter_of(s->node, owner);
    if (letter != NULL) letter_on_timer(s, letter);
    late_on_timer(s, owner);
    pins_on_timer(s, owner);
  }
}

static void create_if_alone(struct step *s) {
  struct node *node = s->node;
  if (s->now < node->create_at) return;
  node->create_at = USEC_NEVER;
  if (!overlay_is_member(node->overlay)) overlay_create(node->overlay, s->now, s->out);
}

/* What a burst took goes back when there was none for so long. No reason to wake up. */
static void trim(struct step *s) {
  struct node *node = s->node;
  if (s->now < node->trim_at) return;
  node->trim_at = s->now + TRIM_US;
  pool_trim(&node->operations);
  pool_trim(&node->errands);
  pool_trim(&node->links.pool);
  pool_trim(&node->sources.rows);
  pins_trim(node);
  pool_trim(&node->letters);
  pool_trim(&node->mailboxes);
  pool_trim(&node->lates);
  hops_trim(&node->hops);
  dht_trim(node->dht);
  edge_trim(node->edge);
}

static void on_tick(struct step *s) {
  struct node *node = s->node;
  msec_wall wall = node_wall(node, s->now);
  trim(s);
  create_if_alone(s);
  own_timers(s);
  forward_on_timer(s);
  if (outbox_has(s->out, 64, 160 * 1024)) {
    struct overlay_calls calls;
    calls.count = 0;
    overlay_on_tick(node->overlay, s->now, &calls, s->out);
    pump_overlay(s, &calls);
  }
  if (outbox_has(s->out, 64, 256 * 1024)) {
    struct dht_effects fx;
    fx.count = 0;
    dht_on_tick(node->dht, s->now, wall, &fx);
    pump_dht(s, &fx);
  }
  struct edge_calls edge_calls;
  edge_calls.count = 0;
  edge_on_tick(node->edge, s->now, wall, &edge_calls, s->out);
  pump_edge(s, &edge_calls);
}

/* Counts what this step sends and, if anybody wants to see it, traces it. */
static void note_sent(struct step *s, uint32_t first) {
  struct node *node = s->node;
  bool traced = (s->out->trace_mask >> TRACE_SIP_OUT & 1) != 0;
  for (uint32_t i = first, last = s->out->count; i < last; i++) {
    const struct output *out = &s->out->item[i];
    if (out->kind != OUT_SEND) continue;
    node->stats.messages_out++;
    node->stats.bytes_out += out->data.len;
    struct sip_message message;
    struct sip_problem problem;
    if (!traced || !outbox_has(s->out, 1, 4096) ||
        sip_message_parse(out->data, SIP_STREAM, &message, &problem) != OK) {
      continue;
    }
    const struct trace trace = {.kind = TRACE_SIP_OUT,
                                .at = s->now,
                                .peer = out->peer,
                                .status = message.status,
                                .a = message.method_text,
                                .b = message.call_id};
    outbox_trace(s->out, &trace);
  }
}

void node_step(struct node *node, usec now, const struct input *input, struct outbox *out) {
  struct step step = {.node = node, .now = now, .out = out, .proven = input->proven};
  ASSERT(outbox_ready(out));
  uint32_t first = out->count;
  switch (input->kind) {
    case IN_TICK:
      on_tick(&step);
      break;
    case IN_CLOCK:
      node->wall_seen = input->wall;
      node->wall_seen_at = now;
      break;
    case IN_RESTORE:
      on_restore(&step, &input->record);
      break;
    case IN_START:
      on_start(&step);
      break;
    case IN_MESSAGE:
      receive_message(&step, input);
      break;
    case IN_FLOW:
      on_flow(&step, input);
      break;
    case IN_STORED:
      on_stored(&step, input);
      break;
    case IN_SIGNED:
      on_signed(&step, input);
      break;
    case IN_VERIFIED:
      on_verified(&step, input);
      break;
    case IN_USER:
      on_user(&step, input);
      break;
    case IN_OPENED: {
      struct errand *errand = errand_of(node, input->ticket);
      if (errand != NULL) grant_on_opened(&step, errand, input->status);
      break;
    }
    case IN_SEALED: {
      struct letter *letter = letter_of(node, input->ticket);
      if (letter != NULL) letter_on_sealed(&step, letter, input->status, input->data);
      break;
    }
    case IN_UNSEALED: {
      struct mailbox *box = mailbox_of(node, input->ticket);
      if (box != NULL) mailbox_on_unsealed(&step, box, input->status, input->data);
      break;
    }
    case IN_RESOLVED:
      on_resolved(&step, input);
      break;
    case IN_COMMAND:
      command_run(&step, input->ticket, input->command);
      break;
  }
  pump_ring_changed(&step);
  note_sent(&step, first);
}

usec node_deadline(const struct node *node) {
  usec deadline = timers_deadline(&node->timers);
  deadline = usec_min(deadline, timers_deadline(&node->hops.timers));
  deadline = usec_min(deadline, overlay_deadline(node->overlay));
  deadline = usec_min(deadline, dht_deadline(node->dht));
  deadline = usec_min(deadline, edge_deadline(node->edge));
  deadline = usec_min(deadline, node->create_at);
  return overlay_generation(node->overlay) == node->ring_generation ? deadline : 0;
}

unsigned node_peers(const struct node *node, struct peer *out, unsigned max) {
  unsigned count = overlay_successors(node->overlay, out, max);
  struct peer others[64];
  unsigned known = overlay_known_peers(node->overlay, others, 64);
  for (unsigned i = 0; i < known && count < max; i++) {
    bool listed = false;
    for (unsigned j = 0; j < count && !listed; j++) listed = peer_same(&others[i], &out[j]);
    if (!listed) out[count++] = others[i];
  }
  return count;
}

struct node_stats node_stats(const struct node *node) {
  struct node_stats stats = node->stats;
  struct dht_stats dht = dht_stats(node->dht);
  struct edge_stats edge = edge_stats(node->edge);
  struct peer peers[64];
  stats.hops = node->hops.pool.used;
  stats.operations = node->operations.used;
  stats.records = dht.records;
  stats.tombstones = dht.tombstones;
  stats.record_bytes = dht.bytes;
  stats.bindings = edge.bindings;
  stats.transactions = edge.transactions;
  stats.known_peers = overlay_known_peers(node->overlay, peers, 64);
  stats.member = overlay_is_member(node->overlay);
  stats.ready = stats.member /* */ && dht.complete;
  return stats;
}
