/* SPDX-License-Identifier: BSD-2-Clause */
/* The table: identities, kept bytes, timers. The machines are in transaction_server.c and
 * transaction_client.c. */
#include "sip/transaction.h"

#include "base/assert.h"
#include "sip/transaction_table.h"

#define POOL_CHUNK 64u
#define CLIENT_BIT ((uint32_t)1 << 31)
#define INDEX_MASK (TRANSACTIONS_MAX - 1)
/* What an answer of the table's own adds to the bytes of its request. */
#define OWN_BYTES_MAX 1024u
#define COOKIE SLICE("z9hG4bK")

/* --- identity --- */

/* Two hashes under different secrets, each chained part by part through its key. The chain starts
 * from a number, so that identities of different sorts never meet. */
static void id_start(const struct transactions *t, struct transaction_id *id, uint64_t start) {
  id->place = hash_bytes(t->place_key, &start, sizeof start);
  id->check = hash_bytes(t->check_key, &start, sizeof start);
}

static void id_add(const struct transactions *t, struct transaction_id *id, struct slice part) {
  id->place = hash_slice((struct hash_key){t->place_key.k0 ^ id->place, t->place_key.k1}, part);
  id->check = hash_slice((struct hash_key){t->check_key.k0 ^ id->check, t->check_key.k1}, part);
}

static void id_add_nocase(const struct transactions *t, struct transaction_id *id,
                          struct slice part) {
  id->place =
      hash_slice_nocase((struct hash_key){t->place_key.k0 ^ id->place, t->place_key.k1}, part);
  id->check =
      hash_slice_nocase((struct hash_key){t->check_key.k0 ^ id->check, t->check_key.k1}, part);
}

enum id_sort { ID_SERVER = 1, ID_SERVER_2543, ID_CLIENT };

static uint64_t id_first(enum id_sort sort, enum sip_method method, uint32_t number) {
  return (uint64_t)sort << 56 | (uint64_t)method << 32 | number;
}

bool transaction_has_cookie(struct slice branch) {
  return branch.len > COOKIE.len && slice_starts_nocase(branch, COOKIE);
}

struct transaction_id transaction_id_of_request(const struct transactions *t,
                                                const struct sip_message *msg,
                                                enum sip_method method, struct slice to_tag) {
  struct transaction_id id;
  if (transaction_has_cookie(msg->via.branch)) {
    if (method == SIP_ACK) method = SIP_INVITE;
    id_start(t, &id, id_first(ID_SERVER, method, msg->via.port));
    id_add(t, &id, msg->via.branch);
    id_add_nocase(t, &id, msg->via.host);
  } else {
    id_start(t, &id, id_first(ID_SERVER_2543, method, msg->cseq));
    id_add(t, &id, msg->via.text);
    id_add(t, &id, msg->uri_text);
    id_add(t, &id, msg->call_id);
    id_add(t, &id, msg->from_tag);
    id_add(t, &id, to_tag);
  }
  if (method == SIP_METHOD_OTHER) id_add(t, &id, msg->method_text);
  return id;
}

struct transaction_id transaction_id_of_client(const struct transactions *t, struct slice branch,
                                               struct slice method) {
  struct transaction_id id;
  enum sip_method known = sip_method_of(method);
  id_start(t, &id, id_first(ID_CLIENT, known, 0));
  id_add(t, &id, branch);
  if (known == SIP_METHOD_OTHER) id_add(t, &id, method);
  return id;
}

/* --- the table --- */

void transactions_init(struct transactions *t, const struct transactions_config *config,
                       struct rng *rng) {
  ASSERT(config->servers_max <= TRANSACTIONS_MAX && config->clients_max <= TRANSACTIONS_MAX);
  ASSERT(config->ticket_tag < 128);
  *t = (struct transactions){.memory = config->memory,
                             .timing = config->timing,
                             .bytes_max = config->bytes_max,
                             .ticket_tag = config->ticket_tag};
  if (t->timing.t1_us == 0) t->timing = TRANSACTION_TIMING_RFC3261;
  ASSERT(t->timing.t2_us > 0);
  t->place_key = (struct hash_key){rng_u64(rng), rng_u64(rng)};
  t->check_key = (struct hash_key){rng_u64(rng), rng_u64(rng)};
  pool_init(&t->server, t->memory, sizeof(struct transaction), POOL_CHUNK, config->servers_max);
  pool_init(&t->client, t->memory, sizeof(struct transaction), POOL_CHUNK, config->clients_max);
  map_init(&t->map, t->memory);
}

static void free_kept(struct transactions *t, struct pool *pool) {
  uint32_t index = 0;
  for (struct transaction *x; (x = pool_next(pool, &index)) != NULL;) {
    transaction_forget(t, &x->request);
    transaction_forget(t, &x->answer);
  }
  pool_free(pool);
}

void transactions_free(struct transactions *t) {
  free_kept(t, &t->server);
  free_kept(t, &t->client);
  map_free(&t->map);
  memory_give(t->memory, t->held, TRANSACTION_SOURCES * sizeof *t->held);
  t->held = NULL;
  t->timers = (struct timers){0};
}

void transactions_trim(struct transactions *t) {
  pool_trim(&t->server);
  pool_trim(&t->client);
}

static struct pool *pool_of(struct transactions *t, bool client) {
  return client ? &t->client : &t->server;
}

struct handle transaction_handle(const struct transactions *t, const struct transaction *x) {
  return pool_handle_of(x->client ? &t->client : &t->server, x);
}

struct transaction *transaction_server(const struct transactions *t, struct handle handle) {
  return pool_at(&t->server, handle);
}

struct transaction *transaction_client(const struct transactions *t, struct handle handle) {
  return pool_at(&t->client, handle);
}

static uint32_t map_value(const struct transactions *t, const struct transaction *x) {
  return transaction_handle(t, x).index | (x->client ? CLIENT_BIT : 0);
}

static bool has_id(const struct transaction *x, const struct transaction_id *id) {
  return (x->id.place == id->place && x->id.check == id->check) ||
         (x->ack_id.place == id->place && x->ack_id.check == id->check);
}

struct transaction *transaction_find(const struct transactions *t,
                                     const struct transaction_id *id) {
  struct map_cursor c;
  for (uint32_t i = map_first(&t->map, id->place, &c); i != MAP_END; i = map_next(&t->map, &c)) {
    const struct pool *pool = (i & CLIENT_BIT) != 0 ? &t->client : &t->server;
    struct transaction *x = pool_at_index(pool, i & INDEX_MASK);
    if (x != NULL && has_id(x, id)) return x;
  }
  return NULL;
}

enum err transaction_take(struct transactions *t, enum transaction_role role,
                          const struct transaction_id *id, struct transaction **out) {
  bool client = role == ROLE_CLIENT;
  struct pool *pool = pool_of(t, client);
  struct handle handle;
  struct transaction *x = pool_take(pool, &handle);
  if (x == NULL) return pool->used == pool->limit ? ERR_FULL : ERR_MEMORY;
  x->id = *id;
  x->client = client;
  x->timer.owner = handle_pack(handle);
  x->timer.kind = (uint8_t)role;
  x->timing = t->timing;
  x->resend_at = USEC_NEVER;
  x->end_at = USEC_NEVER;
  enum err err = map_put(&t->map, id->place, map_value(t, x));
  if (err != OK) {
    pool_give(pool, handle);
    return err;
  }
  *out = x;
  return OK;
}

void transaction_drop(struct transactions *t, struct transaction *x) {
  if (x->share != 0) t->held[x->share - 1]--;
  uint32_t value = map_value(t, x);
  bool found = map_remove(&t->map, x->id.place, value);
  ASSERT(found);
  if (x->ack_id.place != 0) map_remove(&t->map, x->ack_id.place, value);
  timers_clear(&t->timers, &x->timer);
  transaction_forget(t, &x->request);
  transaction_forget(t, &x->answer);
  pool_give(pool_of(t, x->client), transaction_handle(t, x));
}

enum err transaction_keep(struct transactions *t, struct kept *kept, struct slice bytes) {
  transaction_forget(t, kept);
  if (bytes.len > UINT32_MAX || bytes.len > t->bytes_max - t->bytes_used) return ERR_FULL;
  if (bytes.len == 0) return OK;
  char *at = t->memory->take(t->memory->context, bytes.len);
  if (at == NULL) return ERR_MEMORY;
  memcpy(at, bytes.at, bytes.len);
  *kept = (struct kept){at, (uint32_t)bytes.len};
  t->bytes_used += bytes.len;
  return OK;
}

void transaction_forget(struct transactions *t, struct kept *kept) {
  memory_give(t->memory, kept->at, kept->len);
  t->bytes_used -= kept->len;
  *kept = (struct kept){0};
}

/* --- output --- */

/* A ticket is generation (32), role (1), tag (7), index (24). */
static uint64_t ticket_of(const struct transactions *t, const struct transaction *x) {
  uint64_t low = map_value(t, x) | (uint32_t)t->ticket_tag << 24;
  return (x->timer.owner & ~(uint64_t)UINT32_MAX) | low;
}

static struct transaction *of_ticket(const struct transactions *t, uint64_t ticket) {
  uint32_t low = (uint32_t)ticket;
  if ((low & ~CLIENT_BIT) >> 24 != t->ticket_tag) return NULL;
  struct handle handle = {low & INDEX_MASK, (uint32_t)(ticket >> 32)};
  return (low & CLIENT_BIT) != 0 ? transaction_client(t, handle) : transaction_server(t, handle);
}

void transaction_output(const struct transactions *t, const struct transaction *x,
                        struct slice bytes, struct outbox *out) {
  if (transaction_is_own(x)) return;
  struct output *output = outbox_add(out, OUT_SEND);
  output->flow = x->to.flow;
  output->peer = x->to.at;
  output->ticket = ticket_of(t, x);
  output->data = outbox_keep(out, bytes);
}

bool transaction_parse(const struct transaction *x, struct slice bytes, struct sip_message *out) {
  struct sip_problem problem;
  enum sip_carrier carrier = transaction_is_stream(x) ? SIP_STREAM : SIP_DATAGRAM;
  return bytes.len > 0 && sip_message_parse(bytes, carrier, out, &problem) == OK;
}

struct sip_target sip_reply_target(const struct sip_message *request,
                                   const struct sip_target *from) {
  struct sip_target to = *from;
  enum transport transport = (enum transport)from->at.transport;
  if (transport == TRANSPORT_UDP && request->via.rport.at != NULL) return to;
  if (transport == TRANSPORT_WS || transport == TRANSPORT_WSS) return to;
  to.at.port = request->via.port;
  if (to.at.port == 0) to.at.port = transport == TRANSPORT_TLS ? 5061 : 5060;
  return to;
}

struct transaction_event transaction_event(const struct transactions *t,
                                           enum transaction_event_kind kind,
                                           const struct transaction *x) {
  return (struct transaction_event){.kind = kind,
                                    .client = x->client,
                                    .method = x->method,
                                    .handle = transaction_handle(t, x),
                                    .user = x->user};
}

/* --- time --- */

void transaction_arm(struct transactions *t, struct transaction *x) {
  usec at = usec_min(x->resend_at, x->end_at);
  if (at == USEC_NEVER)
    timers_clear(&t->timers, &x->timer);
  else
    timers_set(&t->timers, &x->timer, at);
}

usec transactions_deadline(const struct transactions *t) { return timers_deadline(&t->timers); }

static enum transaction_event_kind ending_of(const struct transaction *x) {
  switch (x->state) {
    case STATE_TRYING:
    case STATE_PROCEEDING:
      return TRANSACTION_TIMEOUT;
    case STATE_COMPLETED: /* Timer H: nobody confirmed the answer */
      return !x->client && x->method == SIP_INVITE ? TRANSACTION_TIMEOUT : TRANSACTION_TERMINATED;
    case STATE_FAILED:
      return TRANSACTION_TRANSPORT_ERROR;
    case STATE_CONFIRMED:
    case STATE_ACCEPTED:
      break;
  }
  return TRANSACTION_TERMINATED;
}

static struct transaction *of_timer(const struct transactions *t, const struct timer *timer) {
  struct handle handle = handle_unpack(timer->owner);
  return timer->kind == ROLE_CLIENT ? transaction_client(t, handle) : transaction_server(t, handle);
}

bool transactions_next(struct transactions *t, usec now, struct transaction_event *event,
                       struct outbox *out) {
  while (outbox_has(out, 1, SIP_MESSAGE_BYTES_MAX + OWN_BYTES_MAX)) {
    struct timer *timer = timers_pop(&t->timers, now);
    if (timer == NULL) return false;
    struct transaction *x = of_timer(t, timer);
    ASSERT(x != NULL);
    if (x->end_at > now) {
      if (x->client)
        transaction_client_resend(t, now, x, out);
      else
        transaction_server_resend(t, now, x, out);
      transaction_arm(t, x);
      continue;
    }
    bool quiet = x->quiet;
    *event = transaction_event(t, ending_of(x), x);
    transaction_drop(t, x);
    if (!quiet) return true;
  }
  return false;
}

/* --- transport --- */

static bool awaits_answer(const struct transaction *x) {
  return x->client && (x->state == STATE_TRYING || x->state == STATE_PROCEEDING);
}

static void fail(struct transactions *t, usec now, struct transaction *x) {
  x->state = STATE_FAILED;
  x->resend_at = USEC_NEVER;
  x->end_at = now;
  transaction_forget(t, &x->request);
  transaction_arm(t, x);
}

bool transactions_on_undelivered(struct transactions *t, usec now, uint64_t ticket) {
  struct transaction *x = of_ticket(t, ticket);
  if (x == NULL) return false;
  if (awaits_answer(x)) fail(t, now, x);
  if (!x->client) x->to.flow = 0; /* the next answer goes to the address (RFC 3261 18.2.2) */
  return true;
}

void transactions_on_flow_closed(struct transactions *t, usec now, uint32_t flow) {
  if (flow == 0) return;
  uint32_t index = 0;
  for (struct transaction *x; (x = pool_next(&t->client, &index)) != NULL;)
    if (x->to.flow == flow && awaits_answer(x)) fail(t, now, x);
  index = 0;
  for (struct transaction *x; (x = pool_next(&t->server, &index)) != NULL;)
    if (x->to.flow == flow) x->to.flow = 0;
}
