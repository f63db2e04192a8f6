/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/ledger.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/immutable.h"
#include "sim/liar.h"

#define ANSWER_US SEC(30) /* a command is answered by then */
#define EXPIRES_S 7200u
#define WRITING_MS 20u /* from a command until its record is made */

static struct key key_of(const struct ledger *ledger, const char *text) {
  return crypto_key(ledger->world->crypto, slice_cstr(text));
}

/* Owner and nonce are nobody's. */
static void open_immutable(const struct ledger *ledger, struct item *item, uint32_t i) {
  char key[IMMUTABLE_KEY_BYTES];
  struct buf text = buf_over(key, sizeof key);
  snprintf(item->contact, sizeof item->contact, "value %u", i);
  immutable_put_key(&text, ledger->world->crypto, slice_cstr(item->contact));
  snprintf(item->address, sizeof item->address, "%.*s", (int)text.len, text.at);
  item->immutable = true;
  item->home = SIM_NONE;
  item->key = key_of(ledger, item->address);
  item->id = (struct record_id){.key = item->key};
}

static void open_pin(const struct ledger *ledger, struct item *item) {
  char key[100];
  snprintf(key, sizeof key, "certificate:%s", item->address + 4);
  item->pin =
      (struct record_id){.key = key_of(ledger, key), .nonce = key_of(ledger, "certificate")};
}

void ledger_open(struct ledger *ledger, struct world *world, uint32_t items, uint64_t seed) {
  *ledger = (struct ledger){.world = world, .count = items};
  uint8_t bytes[16] = {'l'};
  for (unsigned i = 0; i < 8; i++) bytes[8 + i] = (uint8_t)(seed >> 8 * i);
  rng_init(&ledger->rng, bytes);
  ledger->item = sim_take(items * sizeof *ledger->item);
  for (uint32_t i = 0; i < items; i++) {
    struct item *item = &ledger->item[i];
    if (i % 1000 * 619 % 1000 < world->weather.of[IMMUTABLE]) {
      open_immutable(ledger, item, i);
      continue;
    }
    snprintf(item->address, sizeof item->address, "sip:u%u@example.net", i / 2);
    snprintf(item->contact, sizeof item->contact, "sip:u%u@192.0.2.%u", i / 2, i % 250 + 1);
    item->home = SIM_NONE;
    item->key = key_of(ledger, item->address);
    if (world->weather.of[PINS] != 0) open_pin(ledger, item);
    struct key nonce = key_of(ledger, item->contact);
    char hex[KEY_HEX + 1] = {0};
    struct buf text = buf_over(hex, KEY_HEX);
    key_put(&text, &nonce);
    item->id = (struct record_id){.key = item->key, .nonce = key_of(ledger, hex)};
  }
}

void ledger_close(struct ledger *ledger) { free(ledger->item); }

/* ---- who holds what ---- */

static bool is_on_disk(const struct ledger *ledger, const struct record_id *id, uint64_t version,
                       uint32_t peer) {
  const struct record *record = disk_find(&ledger->world->peer[peer].disk, id);
  return record != NULL && record->version >= version;
}

/* Is this very version, or a newer one, on that disk? */
static bool has_on_disk(const struct ledger *ledger, const struct item *item, uint32_t peer) {
  return is_on_disk(ledger, &item->id, item->version, peer);
}

static bool is_pinned(const struct item *item) { return !key_is_zero(&item->pin.nonce); }

static uint64_t newest_version(const struct ledger *ledger, const struct item *item, bool *removed,
                               msec_wall *expires) {
  uint64_t version = 0;
  for (uint32_t i = 0; i < ledger->world->peer_count; i++) {
    const struct record *record = disk_find(&ledger->world->peer[i].disk, &item->id);
    if (record == NULL || record->version <= version) continue;
    version = record->version;
    *removed = record->tombstone;
    *expires = record->expires;
  }
  return version;
}

/* Disks of peers that are up (settled: and members), or all. */
enum which { ALL_DISKS, UP_DISKS, SETTLED_DISKS };
static unsigned holders_of(const struct ledger *ledger, const struct record_id *id,
                           uint64_t version, enum which which) {
  const struct world *world = ledger->world;
  unsigned count = 0;
  for (uint32_t i = 0; i < world->peer_count; i++) {
    const struct sim_peer *peer = &world->peer[i];
    if (which != ALL_DISKS && peer->state != PEER_UP) continue;
    if (which == SETTLED_DISKS && !node_stats(peer->node).ready) continue;
    count += is_on_disk(ledger, id, version, i);
  }
  return count;
}
static unsigned holders(const struct ledger *ledger, const struct item *item, enum which which) {
  return holders_of(ledger, &item->id, item->version, which);
}
static unsigned pin_holders(const struct ledger *ledger, const struct item *item,
                            enum which which) {
  return holders_of(ledger, &item->pin, 0, which);
}

static unsigned should_hold(const struct ledger *ledger) {
  uint32_t k = ledger->world->weather.of[REPLICAS], up = ledger->world->up_count;
  return up < k ? up : k;
}

/* One that held it is gone, or lost its disk. */
static void count_loss(struct ledger *ledger, struct item *item) {
  unsigned wanted = should_hold(ledger) > item->copies ? should_hold(ledger) : item->copies;
  if (holders(ledger, item, SETTLED_DISKS) + 1 >= wanted) item->lost = 0;
  item->lost++;
}

static void count_pin_loss(struct ledger *ledger, struct item *item) {
  unsigned wanted = should_hold(ledger) > item->pin_copies ? should_hold(ledger) : item->pin_copies;
  if (pin_holders(ledger, item, SETTLED_DISKS) + 1 >= wanted) item->pin_lost = 0;
  item->pin_lost++;
}

static bool pin_is_lost(const struct ledger *ledger, const struct item *item, bool strict) {
  return is_pinned(item) && item->pin_lost >= item->pin_copies &&
         (!strict || pin_holders(ledger, item, UP_DISKS) == 0);
}

/* Nothing is demanded: as many holders as were promised are lost, and, when all that return have
 * returned, with the disks of all of them. */
static bool is_excused_if(const struct ledger *ledger, const struct item *item, bool strict) {
  if (pin_is_lost(ledger, item, strict)) return true;
  if (item->lost < item->copies) return item->doubtful && !strict;
  return !strict || holders(ledger, item, UP_DISKS) == 0;
}

static bool is_excused(const struct ledger *ledger, const struct item *item) {
  return is_excused_if(ledger, item, ledger->strict);
}

static bool is_reading(const struct item *item) {
  return item->doing == COMMAND_GET || item->doing == COMMAND_GET_IMMUT;
}

static bool is_known(const struct item *item) {
  return item->state == ITEM_LIVE || item->state == ITEM_REMOVED;
}

void ledger_on_gone(struct ledger *ledger, uint32_t peer) {
  for (uint32_t i = 0; i < ledger->count; i++) {
    struct item *item = &ledger->item[i];
    bool left = ledger->world->peer[peer].left; /* what it held is elsewhere now */
    if (!left && is_known(item) && has_on_disk(ledger, item, peer)) count_loss(ledger, item);
    if (!left && is_known(item) && is_pinned(item) && is_on_disk(ledger, &item->pin, 0, peer))
      count_pin_loss(ledger, item);
    if (item->ticket == 0 || item->asked != peer) continue;
    if (!is_reading(item)) item->state = ITEM_UNKNOWN;
    item->ticket = 0;
    ledger->counts.unanswered++;
  }
}

void ledger_doubt(struct ledger *ledger) {
  for (uint32_t i = 0; i < ledger->count; i++) ledger->item[i].doubtful = true;
}

/* ---- asking ---- */

static enum node_command_kind kind_for(const struct item *item, enum node_command_kind kind) {
  if (!item->immutable) return kind;
  return kind == COMMAND_GET ? COMMAND_GET_IMMUT : COMMAND_PUT_IMMUT;
}

static void ask(struct ledger *ledger, struct item *item, uint32_t peer,
                enum node_command_kind kind) {
  kind = kind_for(item, kind);
  const struct node_command command = {.kind = kind,
                                       .value = slice_cstr(item->contact),
                                       .uri = slice_cstr(item->address),
                                       .contact = slice_cstr(item->contact),
                                       .expires_s = EXPIRES_S};
  item->doing = kind;
  item->asked = peer;
  item->asked_at = ledger->world->now;
  item->ticket = ledger->world->ticket + 1; /* it may be answered at once */
  world_ask(ledger->world, peer, &command);
}

/* With pins an address has one home: who came first. */
static uint32_t first_home(struct ledger *ledger, const struct item *item) {
  const struct item *other = &ledger->item[(uint32_t)(item - ledger->item) ^ 1];
  bool shared = is_pinned(item) && other < ledger->item + ledger->count && is_pinned(other) &&
                (other->state != ITEM_NEW || other->ticket != 0);
  return shared ? other->home : truth_random_up(ledger->world, &ledger->rng);
}

/* The one home that writes this item; a dead one is waited for, unless it was never asked. */
static uint32_t home_of(struct ledger *ledger, struct item *item) {
  struct world *world = ledger->world;
  if (item->state == ITEM_NEW || item->immutable) {
    item->home = first_home(ledger, item);
    if (item->home == SIM_NONE) return SIM_NONE;
    if (!item->immutable)
      item->id.owner = item->pin.owner = world_owner(world, item->home, slice_cstr(item->address));
  }
  const struct sim_peer *home = &world->peer[item->home];
  bool can = home->state == PEER_UP && !home->leaving && home->paused_until <= world->now;
  return can ? item->home : SIM_NONE;
}

void ledger_operate(struct ledger *ledger) {
  struct item *item = &ledger->item[rng_below(&ledger->rng, ledger->count)];
  uint64_t choice = rng_below(&ledger->rng, 10);
  uint32_t reader = truth_random_up(ledger->world, &ledger->rng);
  if (item->ticket != 0 || reader == SIM_NONE) return;
  if (ledger->world->lying && ledger->world->peer[reader].lies != 0) return;
  uint32_t home = home_of(ledger, item);
  bool writes = item->state != ITEM_LIVE || choice < 2;
  if (is_known(item) && !writes && choice >= 4)
    ask(ledger, item, reader, COMMAND_GET);
  else if (item->state == ITEM_REMOVED && choice < 5)
    ask(ledger, item, reader, COMMAND_GET);
  else if (home == SIM_NONE)
    return;
  else
    ask(ledger, item, home, writes ? COMMAND_PUT : COMMAND_REMOVE);
}

void ledger_put_all(struct ledger *ledger) {
  for (uint32_t i = 0; i < ledger->count; i++) {
    struct item *item = &ledger->item[i];
    uint32_t home = item->ticket == 0 ? home_of(ledger, item) : SIM_NONE;
    if (home != SIM_NONE) ask(ledger, item, home, COMMAND_PUT);
  }
}

void ledger_read_all(struct ledger *ledger) {
  for (uint32_t i = 0; i < ledger->count; i++) {
    struct item *item = &ledger->item[i];
    uint32_t reader = truth_random_up(ledger->world, &ledger->rng);
    if (is_known(item) && item->ticket == 0 && reader != SIM_NONE)
      ask(ledger, item, reader, COMMAND_GET);
  }
}

uint32_t ledger_busy(const struct ledger *ledger) {
  uint32_t busy = 0;
  for (uint32_t i = 0; i < ledger->count; i++) busy += ledger->item[i].ticket != 0;
  return busy;
}

void ledger_check_answers(struct ledger *ledger) {
  for (uint32_t i = 0; i < ledger->count; i++) {
    const struct item *item = &ledger->item[i];
    const struct sim_peer *peer = &ledger->world->peer[item->asked];
    if (item->ticket == 0 || ledger->world->now < item->asked_at + ANSWER_US) continue;
    if (ledger->world->now < peer->paused_until + ANSWER_US) continue;
    world_fail(ledger->world, "peer %u does not answer a command about %s", item->asked,
               item->address);
  }
}

/* ---- answers ---- */

/* Everything that was promised so far was kept at least until now; the promise is renewed. */
static void promise(struct ledger *ledger, struct item *item, enum item_state state,
                    unsigned copies) {
  struct world *world = ledger->world;
  bool removed = false, expected = state == ITEM_REMOVED;
  bool doubt = world->parted || world->lying || world->wrong_suspicions > 0; /* */
  bool doubtful = item->doubtful || doubt || item->lost >= item->copies;
  item->state = state;
  item->version = newest_version(ledger, item, &removed, &item->expires);
  item->copies = copies;
  item->lost = 0;
  item->pin_lost = 0;
  /* who writes may remember for minutes a pin that all its holders took with them */
  item->pin_copies = is_pinned(item) ? pin_holders(ledger, item, UP_DISKS) : 0;
  if (item->pin_copies > should_hold(ledger)) item->pin_copies = should_hold(ledger);
  item->doubtful = doubt;
  unsigned on_disks = item->version == 0 ? 0 : holders(ledger, item, ALL_DISKS);
  if (removed != expected && doubtful) { /* on the other side of the network is a newer one */
    item->state = ITEM_UNKNOWN;
    return;
  }
  if (removed != expected)
    world_fail(world, "%s was %s, and the newest version there is says otherwise", item->address,
               expected ? "removed" : "put");
  if (on_disks < copies && !ledger->world->wiped)
    world_fail(world, "%s was acknowledged on %u copies, and %u disks have it", item->address,
               copies, on_disks);
}

static void on_written(struct ledger *ledger, struct item *item, const struct node_reply *reply) {
  bool put = item->doing == COMMAND_PUT || item->doing == COMMAND_PUT_IMMUT;
  ledger->counts.puts += put;
  ledger->counts.removes += !put;
  uint64_t n = reply->row_count > 0 ? reply->row[0].n : 0;
  if (reply->code != 200) {
    item->state = ITEM_UNKNOWN;
    ledger->counts.refused++;
    return;
  }
  ledger->counts.puts_good += put;
  ledger->counts.removes_good += !put;
  if (put)
    promise(ledger, item, ITEM_LIVE, (unsigned)n);
  else if (n > 0)
    promise(ledger, item, ITEM_REMOVED, 1);
  else /* it removed what it saw, and saw nothing: as a read */
    item->state = ITEM_UNKNOWN;
}

/* Whatever the weather: what is read under a hash has that hash. */
static bool is_value(struct ledger *ledger, const struct item *item, uint32_t peer,
                     const struct node_reply *reply) {
  char text[64];
  struct buf base64 = buf_over(text, sizeof text);
  buf_put_base64(&base64, item->contact, slice_cstr(item->contact).len);
  if (reply->code != 200) return false;
  if (reply->row_count == 1 && slice_equal(reply->row[0].text, buf_slice(&base64))) return true;
  world_fail(ledger->world, "peer %u reads another value under %s", peer, item->address);
  return false;
}

static bool has_contact(const struct node_reply *reply, const char *contact) {
  for (unsigned i = 0; i < reply->row_count; i++)
    if (slice_equal(reply->row[i].text, slice_cstr(contact))) return true;
  return false;
}

/* The contact of an item is the same in all its versions, but it does not end at the same time: in
 * half of its record's life after it was written, or a moment before. */
static bool has_version(const struct item *item, const struct node_reply *reply) {
  for (unsigned i = 0; i < reply->row_count; i++)
    if (slice_equal(reply->row[i].text, slice_cstr(item->contact)))
      return reply->row[i].n + EXPIRES_S * 1000 + WRITING_MS >= item->expires;
  return false;
}

/* Whoever lies: nobody acts on what its owner has not signed. */
static void check_not_forged(struct ledger *ledger, uint32_t peer, const struct node_reply *reply) {
  const char forged[] = {'s', 'i', 'p', ':', LIAR_MARK};
  for (unsigned i = 0; i < reply->row_count; i++)
    if (slice_starts(reply->row[i].text, slice_of(forged, sizeof forged)))
      world_fail(ledger->world, "peer %u believes a forged record", peer);
}

static void on_read_of_liars(struct ledger *ledger, const struct item *item,
                             const struct node_reply *reply, bool seen) {
  struct ledger_counts *counts = &ledger->counts;
  bool live = item->state == ITEM_LIVE;
  counts->lied++;
  if (reply->code != 200 && reply->code != 404)
    counts->lied_failed++;
  else if (seen && !item->immutable && (!live || !has_version(item, reply)))
    counts->lied_old++;
  else if (seen != live)
    counts->lied_missed++;
  else
    counts->lied_right++;
}

static void on_read(struct ledger *ledger, struct item *item, uint32_t peer,
                    const struct node_reply *reply) {
  bool seen = item->immutable ? is_value(ledger, item, peer, reply)
                              : reply->code == 200 && has_contact(reply, item->contact);
  if (ledger->world->lying) {
    check_not_forged(ledger, peer, reply);
    on_read_of_liars(ledger, item, reply, seen);
    return;
  }
  ledger->counts.gets++;
  bool sure = reply->code == 200 || reply->code == 404;
  bool right = sure && seen == (item->state == ITEM_LIVE);
  item->missed = !right;
  ledger->counts.gets_good += right;
  bool strict = ledger->strict && item->asked_at >= ledger->healed_at; /* */
  if (right || (!sure && !strict)) return;
  if (is_excused_if(ledger, item, strict)) {
    ledger->counts.excused++;
    return;
  }
  world_fail(ledger->world, "peer %u answers %u for %s: %s, %u copies promised, %u lost since",
             peer, reply->code, item->address,
             !sure                      ? "it must be sure in calm weather"
             : item->state == ITEM_LIVE ? "a live record is not seen"
                                        : "a removed record came back",
             item->copies, item->lost);
}

void ledger_on_reply(struct ledger *ledger, uint32_t peer, uint64_t ticket,
                     const struct node_reply *reply) {
  for (uint32_t i = 0; i < ledger->count; i++) {
    struct item *item = &ledger->item[i];
    if (item->ticket != ticket) continue;
    item->ticket = 0;
    if (is_reading(item))
      on_read(ledger, item, peer, reply);
    else
      on_written(ledger, item, reply);
    return;
  }
}

/* ---- after healing ---- */

static const struct record *held_by(const struct world *world, uint32_t peer,
                                    const struct record_id *id, struct record *out) {
  uint32_t cursor = 0;
  while (node_inspect_each(world->peer[peer].node, &cursor, out)) {
    struct record_id other = record_id_of(out);
    if (record_id_compare(id, &other) == 0) return out;
  }
  return NULL;
}

/* Do those agree that should hold it? *out: what the responsible peer has. */
static bool copies_differ(const struct ledger *ledger, const struct record_id *id,
                          const uint32_t *ring, uint32_t count, struct record *out, bool *held) {
  const struct world *world = ledger->world;
  uint32_t place = truth_place(world, ring, count, &id->key);
  struct record other;
  *held = held_by(world, ring[place], id, out) != NULL;
  for (unsigned k = 1; k < should_hold(ledger); k++) {
    bool has = held_by(world, ring[(place + k) % count], id, &other) != NULL;
    if (has != *held || (has && !key_equal(&out->digest, &other.digest))) return true;
  }
  return false;
}

/* Of a pin that anybody still has, too: without it what it pins is nobody's. */
static bool pin_differs(const struct ledger *ledger, const struct item *item, const uint32_t *ring,
                        uint32_t count) {
  struct record first;
  bool held;
  if (!is_pinned(item)) return false;
  return copies_differ(ledger, &item->pin, ring, count, &first, &held) ||
         (!held && pin_holders(ledger, item, UP_DISKS) > 0);
}

static bool differs(const struct ledger *ledger, const struct item *item, const uint32_t *ring,
                    uint32_t count) {
  struct record first;
  bool held;
  if (copies_differ(ledger, &item->id, ring, count, &first, &held)) return true;
  if (!is_known(item) || is_excused(ledger, item)) return false;
  return (held && !first.tombstone) != (item->state == ITEM_LIVE) ||
         pin_differs(ledger, item, ring, count);
}

void ledger_tell(const struct ledger *ledger, const struct item *item, char *text, size_t room) {
  const struct world *world = ledger->world;
  uint32_t *ring = sim_take((world->up_count + 1) * sizeof *ring);
  uint32_t count = truth_ring(world, ring);
  uint32_t place = truth_place(world, ring, count, &item->key);
  int used = snprintf(text, room, "wanted %llu;", (unsigned long long)item->version);
  for (uint32_t k = 0; k < count && (size_t)used < room; k++) {
    struct record record;
    uint32_t peer = ring[(place + k) % count];
    bool held = held_by(world, peer, &item->id, &record) != NULL;
    if (!held && k >= should_hold(ledger)) continue;
    used += snprintf(text + used, room - (size_t)used, " %s%u %s %llu",
                     k < should_hold(ledger) ? "peer " : "(peer) ", peer,
                     !held              ? "none"
                     : record.tombstone ? "removed"
                                        : "live",
                     held ? (unsigned long long)record.version : 0);
  }
  free(ring);
}

const struct item *ledger_differing(struct ledger *ledger) {
  uint32_t *ring = sim_take((ledger->world->up_count + 1) * sizeof *ring);
  uint32_t count = truth_ring(ledger->world, ring);
  const struct item *found = NULL;
  for (uint32_t i = 0; i < ledger->count && found == NULL; i++) {
    const struct item *item = &ledger->item[i];
    if (item->state != ITEM_NEW && differs(ledger, item, ring, count)) found = item;
  }
  free(ring);
  return found;
}

void ledger_rebase(struct ledger *ledger) {
  for (uint32_t i = 0; i < ledger->count; i++) {
    struct item *item = &ledger->item[i];
    if (item->state == ITEM_NEW) continue;
    item->doubtful = false;
    if (!is_known(item)) continue;
    if (is_excused(ledger, item)) {
      item->state = ITEM_UNKNOWN;
      continue;
    }
    item->copies = item->pin_copies = should_hold(ledger);
    item->lost = item->pin_lost = 0;
  }
}
