/* SPDX-License-Identifier: BSD-2-Clause */
/* Which key an address has in an open overlay: looked up under `certificate:ADDRESS` through the
 * ring, by the peer that judges a write or a read, and remembered for a while.
 */
#include "base/assert.h"
#include "base/record_layout.h"
#include "locser/target.h"
#include "node/mail.h"
#include "usage/certificate.h"

/* One that is told may do as much as a write. */
#define TELL_ITEMS 48u
#define TELL_BYTES ((size_t)192 * 1024)

void pins_init(struct node *node, uint32_t operations_max) {
  const struct memory *memory = node->config.memory;
  uint32_t max = operations_max < PINS_MAX ? operations_max : PINS_MAX;
  pool_init(&node->pins.pool, memory, sizeof(struct pin), 64, max);
  pool_init(&node->pins.waiters, memory, sizeof(struct pin_waiter), 64, PIN_WAITERS_MAX);
  map_init(&node->pins.by_key, memory);
}

void pins_free(struct node *node) {
  map_free(&node->pins.by_key);
  pool_free(&node->pins.waiters);
  pool_free(&node->pins.pool);
}

void pins_trim(struct node *node) {
  pool_trim(&node->pins.pool);
  pool_trim(&node->pins.waiters);
}

/* ---- the table ---- */

static uint64_t hash_of(const struct node *node, const struct key *key) {
  return hash_bytes(node->hash, key, sizeof *key);
}

static struct pin *find(const struct node *node, const struct key *key) {
  const struct pins *pins = &node->pins;
  struct map_cursor c;
  uint64_t hash = hash_of(node, key);
  for (uint32_t i = map_first(&pins->by_key, hash, &c); i != MAP_END;
       i = map_next(&pins->by_key, &c)) {
    struct pin *pin = pool_at_index(&pins->pool, i);
    if (pin != NULL && key_equal(&pin->key, key)) return pin;
  }
  return NULL;
}

static void drop(struct node *node, struct pin *pin) {
  struct handle handle = pool_handle_of(&node->pins.pool, pin);
  ASSERT(pin->first_waiter == 0);
  timers_clear(&node->timers, &pin->timer);
  bool there = map_remove(&node->pins.by_key, hash_of(node, &pin->key), handle.index);
  ASSERT(there);
  pool_give(&node->pins.pool, handle);
}

/* Full: the next remembered one gives way. */
static struct pin *take(struct node *node, const struct key *key) {
  struct pins *pins = &node->pins;
  struct handle handle;
  struct pin *pin = pool_take(&pins->pool, &handle);
  for (unsigned tries = 0; pin == NULL && tries < 2; tries++) {
    struct pin *old = pool_next(&pins->pool, &pins->hand);
    while (old != NULL && old->stage != PIN_REMEMBERED) old = pool_next(&pins->pool, &pins->hand);
    if (old == NULL)
      pins->hand = 0;
    else
      drop(node, old);
    pin = pool_take(&pins->pool, &handle);
  }
  if (pin == NULL) return NULL;
  pin->key = *key;
  pin->stage = PIN_REMEMBERED; /* nobody asks yet */
  pin->timer.owner = tag_handle(TAG_PIN, handle, 0);
  if (map_put(&pins->by_key, hash_of(node, key), handle.index) == OK) return pin;
  pool_give(&pins->pool, handle);
  return NULL;
}

static bool key_of_address(const struct node *node, struct slice address, struct buf *text,
                           struct key *out) {
  certificate_put_key(text, address);
  if (text->overflow) return false;
  *out = crypto_key(node->config.crypto, buf_slice(text));
  return true;
}

/* ---- reading certificates ---- */

static void consider(struct slice record, msec_wall now, struct pin_facts *best) {
  struct record_layout layout;
  struct certificate_value value;
  const char *why;
  if (record_layout_read(record, &layout, &why) != OK || layout.removed ||
      !certificate_read_value(layout.content, &value))
    return;
  struct write_pin pin = {.state = WRITE_PIN_KNOWN, .key = layout.owner, .since = value.since};
  (void)certificate_read_before(value.before, layout.key_text, &layout.owner, now, &pin.before,
                                &pin.named);
  msec_wall expires = 0;
  if (!xml_time_parse(layout.expires, &expires)) return;
  if (best->pin.state == WRITE_PIN_KNOWN && !write_pin_wins(&pin, &best->pin)) return;
  *best = (struct pin_facts){pin, expires, value.receives.len > 0};
}

void pins_held(const struct step *s, const struct key *key, struct pin_facts *out) {
  struct record record;
  uint32_t cursor = 0;
  *out = (struct pin_facts){.pin = {.state = WRITE_PIN_NONE}};
  while (dht_find(s->node->dht, node_wall(s->node, s->now), key, &cursor, &record))
    consider(record.bytes, node_wall(s->node, s->now), out);
}

static void read_answer(struct step *s, uint16_t status, struct slice text, uint64_t refused,
                        struct pin_facts *out) {
  struct xml_body body;
  const char *why;
  *out = (struct pin_facts){.pin = {.state = WRITE_PIN_UNREACHABLE}};
  if (status == 404) out->pin.state = WRITE_PIN_NONE;
  if (status != 200 || xml_body_read(s->node->config.xml, text, &body, &why) != OK) return;
  out->pin.state = WRITE_PIN_NONE;
  for (unsigned i = 0; i < body.record_count; i++)
    if ((refused >> i & 1) == 0) consider(body.record[i].bytes, node_wall(s->node, s->now), out);
}

/* ---- asking ---- */

static bool wait(struct node *node, struct pin *pin, uint64_t ticket) {
  struct handle handle;
  if (ticket == 0) return true;
  struct pin_waiter *waiter = pool_take(&node->pins.waiters, &handle);
  if (waiter == NULL) return false;
  *waiter = (struct pin_waiter){ticket, pin->first_waiter};
  pin->first_waiter = handle.index + 1;
  return true;
}

static bool is_fresh(const struct step *s, const struct pin *pin) {
  return pin->stage == PIN_TELLING || (pin->stage == PIN_REMEMBERED && pin->until > s->now &&
                                       pin->facts.expires > node_wall(s->node, s->now));
}

/* False: it cannot be asked for. */
static bool begin(struct step *s, struct pin *pin, struct slice key_text) {
  struct node *node = s->node;
  if (node->pins.asking >= PINS_ASKING_MAX) return false;
  struct errand *errand = errand_open(s, ERRAND_GET, FOR_PIN, pin->timer.owner, key_text, NULL);
  if (errand == NULL) return false;
  pin->stage = PIN_ASKING;
  node->pins.asking++;
  errand_start(s, errand);
  return true;
}

bool pins_ask(struct step *s, struct slice address, uint64_t waiter, struct pin_facts *out) {
  struct node *node = s->node;
  char text[XML_CANONICAL_BYTES_MAX + 16];
  struct buf key_text = buf_over(text, sizeof text);
  struct key key;
  *out = (struct pin_facts){.pin = {.state = WRITE_PIN_UNREACHABLE}};
  if (!key_of_address(node, address, &key_text, &key)) return true;
  struct pin *pin = find(node, &key);
  if (pin != NULL && is_fresh(s, pin)) {
    *out = pin->facts;
    return true;
  }
  if (pin != NULL && pin->stage == PIN_ASKING) return !wait(node, pin, waiter);
  if (pin == NULL) pin = take(node, &key);
  if (pin == NULL || !wait(node, pin, waiter)) return true;
  /* The answer may be there when this returns; it is told in a step of its own all the same. */
  if (begin(s, pin, buf_slice(&key_text))) return false;
  pin->facts = *out;
  pin->stage = PIN_TELLING;
  timers_set(&node->timers, &pin->timer, s->now);
  return false;
}

bool pins_doubt(struct step *s, struct slice address) {
  char text[XML_CANONICAL_BYTES_MAX + 16];
  struct buf key_text = buf_over(text, sizeof text);
  struct key key;
  if (!key_of_address(s->node, address, &key_text, &key)) return false;
  struct pin *pin = find(s->node, &key);
  if (pin == NULL || pin->stage != PIN_REMEMBERED ||
      pin->until - PIN_REMEMBERED_US + PIN_SURE_US > s->now)
    return false;
  drop(s->node, pin);
  return true;
}

bool pins_is_news(const struct step *s, struct slice address, const struct key *owner) {
  char text[XML_CANONICAL_BYTES_MAX + 16];
  struct buf key_text = buf_over(text, sizeof text);
  struct key key;
  if (!key_of_address(s->node, address, &key_text, &key)) return false;
  const struct pin *pin = find(s->node, &key);
  return pin != NULL && is_fresh(s, pin) && pin->facts.pin.state == WRITE_PIN_KNOWN &&
         key_equal(&pin->facts.pin.key, owner) &&
         pin->until - PIN_REMEMBERED_US + PIN_SURE_US + PIN_NEWS_GRACE_US > s->now;
}

bool pins_recall(const struct step *s, struct slice address, struct pin_facts *out) {
  char text[XML_CANONICAL_BYTES_MAX + 16];
  struct buf key_text = buf_over(text, sizeof text);
  struct key key;
  if (!key_of_address(s->node, address, &key_text, &key)) return false;
  const struct pin *pin = find(s->node, &key);
  if (pin == NULL || !is_fresh(s, pin)) return false;
  *out = pin->facts;
  return true;
}

/* ---- answers ---- */

void pins_drop_others(struct step *s, struct slice address, const struct key *owner) {
  static const char *const schemes[] = {"sip:", "presence:", "private:"};
  for (unsigned i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
    char text[XML_CANONICAL_BYTES_MAX + 16];
    struct buf key_text = buf_over(text, sizeof text);
    struct dht_effects fx;
    fx.count = 0;
    buf_put_cstr(&key_text, schemes[i]);
    buf_put(&key_text, address);
    if (key_text.overflow) return;
    struct key key = crypto_key(s->node->config.crypto, buf_slice(&key_text));
    unsigned dropped = dht_drop_others(s->node->dht, s->now, &key, owner, &fx);
    for (unsigned k = 0; k < dropped; k++)
      pins_refused(s, &key, buf_slice(&key_text), WRITE_OTHER_KEY);
    pump_dht(s, &fx);
  }
}

static void settle(struct step *s, struct pin *pin, struct slice address,
                   const struct pin_facts *facts) {
  struct node *node = s->node;
  if (pin->stage == PIN_ASKING) node->pins.asking--;
  pin->stage = PIN_TELLING;
  pin->facts = *facts;
  pin->until = s->now + PIN_REMEMBERED_US;
  timers_set(&node->timers, &pin->timer, s->now);
  if (facts->pin.state == WRITE_PIN_KNOWN) pins_drop_others(s, address, &facts->pin.key);
}

static struct pin *pin_of(const struct node *node, uint64_t ticket) {
  return tag_of(ticket) == TAG_PIN ? ticket_object(&node->pins.pool, ticket) : NULL;
}

void pins_on_answer(struct step *s, uint64_t ticket, struct slice key_text, uint16_t status,
                    struct slice body, uint64_t refused) {
  struct pin *pin = pin_of(s->node, ticket);
  struct pin_facts facts;
  if (pin == NULL || pin->stage != PIN_ASKING) return;
  read_answer(s, status, body, refused, &facts);
  settle(s, pin, slice_skip(key_text, slice_find_byte(key_text, ':') + 1), &facts);
}

void pins_learn(struct step *s, struct slice address, const struct pin_facts *facts) {
  struct node *node = s->node;
  char text[XML_CANONICAL_BYTES_MAX + 16];
  struct buf key_text = buf_over(text, sizeof text);
  struct key key;
  if (!key_of_address(node, address, &key_text, &key)) return;
  struct pin *pin = find(node, &key);
  if (pin != NULL && pin->stage != PIN_REMEMBERED)
    return; /* those who wait are told what is asked */
  if (facts == NULL) {
    if (pin != NULL) drop(node, pin);
    return;
  }
  if (pin == NULL) pin = take(node, &key);
  if (pin == NULL) return;
  if (slice_starts(address, SLICE("sip:"))) address = slice_skip(address, 4);
  settle(s, pin, address, facts);
}

void pins_on_timer(struct step *s, uint64_t ticket) {
  struct node *node = s->node;
  struct pin *pin;
  while ((pin = pin_of(node, ticket)) != NULL && pin->stage == PIN_TELLING &&
         pin->first_waiter != 0) {
    if (!outbox_has(s->out, TELL_ITEMS, TELL_BYTES)) {
      timers_set(&node->timers, &pin->timer, s->now);
      return;
    }
    struct pin_waiter *first = pool_at_index(&node->pins.waiters, pin->first_waiter - 1);
    struct pin_waiter waiter = *first;
    struct pin_facts facts = pin->facts;
    pin->first_waiter = waiter.next;
    pool_give(&node->pins.waiters, pool_handle_of(&node->pins.waiters, first));
    struct operation *op = operation_of(node, waiter.ticket);
    struct errand *errand = errand_of(node, waiter.ticket);
    if (op != NULL) operation_on_pin(s, op, item_of(waiter.ticket), &facts);
    struct mailbox *box = mailbox_of(node, waiter.ticket);
    if (errand != NULL) errand_on_pin(s, errand, &facts);
    if (box != NULL) mailbox_on_pin(s, box, &facts);
  }
  if (pin == NULL || pin->stage != PIN_TELLING) return;
  pin->stage = PIN_REMEMBERED;
  if (pin->facts.pin.state != WRITE_PIN_KNOWN) drop(node, pin);
}

/* ---- what the policy needs ---- */

void pins_refused(struct step *s, const struct key *key, struct slice key_text, const char *why) {
  s->node->stats.not_allowed++;
  outbox_trace(s->out, &(struct trace){.kind = TRACE_NOT_ALLOWED,
                                       .at = s->now,
                                       .key = *key,
                                       .a = key_text,
                                       .b = slice_cstr(why)});
}

void pins_signer(const struct key *key, const struct verified *verified, struct write_signer *out) {
  struct slice rest = verified->names;
  *out = (struct write_signer){.key = *key, .issued = verified->issued};
  while (rest.len > 0 && out->name_count < WRITE_NAMES_MAX) {
    size_t end = slice_find_byte(rest, '\n');
    out->names[out->name_count++] = slice_first(rest, end);
    rest = slice_skip(rest, end + 1);
  }
}
