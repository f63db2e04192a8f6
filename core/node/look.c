/* SPDX-License-Identifier: BSD-2-Clause */
#include "node/look.h"

#include "base/assert.h"
#include "dht/merge.h"

#define LOOK_TIME SEC(4)     /* then what is known has to do */
#define LOOK_ANSWERS_MAX 16u /* with records: what was known, what is held here, and copies */
#define ASK_TIME SEC(2)
#define LOOK_SUCCESSORS 3u /* of one peer, believed in as far as they answer */

enum look_state {
  LOOK_NEW,
  LOOK_ASKED,
  LOOK_TOLD, /* answered */
  LOOK_GONE, /* did not, or is not who it was said to be */
};
struct look_peer {
  struct peer peer;
  enum look_state state;
  unsigned ask; /* number of the ask: places move */
};
struct look_answer {
  char *body; /* owned */
  size_t len;
  uint32_t refused; /* bit per record */
};
struct look {
  /* Sorted clockwise from this peer: `before` of them lie before the key, the others at it or
   * after it. */
  struct look_peer peer[LOOK_PEERS_MAX];
  unsigned count, before;
  unsigned asked, waiting;
  bool for_data; /* else: who is responsible? */
  bool sure;     /* somebody said that there is nothing (404): if so, that is an answer */
  bool left_out; /* there was no room to ask somebody: what is not found may be there */
  struct look_answer answer[LOOK_ANSWERS_MAX];
  unsigned answer_count;
  unsigned pending; /* records under verification */
  bool judging;
};

static struct look *look_of(const struct node *node, uint64_t user, struct errand **errand) {
  *errand = tag_of(user) == TAG_LOOK ? ticket_object(&node->errands, user) : NULL;
  return *errand == NULL ? NULL : (*errand)->look;
}

void look_free(struct node *node, struct errand *errand) {
  struct look *look = errand->look;
  if (look == NULL) return;
  for (unsigned i = 0; i < look->answer_count; i++)
    memory_give(node->config.memory, look->answer[i].body, look->answer[i].len);
  memory_give(node->config.memory, look, sizeof *look);
  errand->look = NULL;
}

/* ---- whom to ask ---- */

static bool is_before(const struct node *node, const struct errand *errand, const struct key *id) {
  return key_in_range_open_open(id, &node->config.id, &errand->key);
}

/* Places in order of the distance from the key, whichever side. */
static struct look_peer *nth_before(struct look *look, unsigned n) {
  return n < look->before ? &look->peer[look->before - 1 - n] : NULL;
}
static struct look_peer *nth_after(struct look *look, unsigned n) {
  return look->before + n < look->count ? &look->peer[look->before + n] : NULL;
}

/* The farthest of one side of the key that is not being asked: its answer needs its place. */
static unsigned farthest_idle(const struct look *look, bool before) {
  unsigned from = before ? 0 : look->before, to = before ? look->before : look->count;
  for (unsigned n = 0; n < to - from; n++) {
    unsigned at = before ? from + n : to - 1 - n;
    if (look->peer[at].state != LOOK_ASKED) return at;
  }
  return LOOK_PEERS_MAX;
}

/* Of what is known, the farthest before the key is the least use, or the farthest after it. */
static void make_room(struct look *look, bool before) {
  if (look->count < LOOK_PEERS_MAX) return;
  bool drop_before = look->before > LOOK_PEERS_MAX / 2 || (before && look->before > 0);
  unsigned at = farthest_idle(look, drop_before);
  if (at == LOOK_PEERS_MAX) at = farthest_idle(look, !drop_before);
  ASSERT(at < look->count); /* LOOK_AT_ONCE are asked at most */
  if (at < look->before) look->before--;
  look->count--;
  memmove(&look->peer[at], &look->peer[at + 1], (look->count - at) * sizeof look->peer[0]);
}

static void add(struct node *node, struct errand *errand, const struct peer *peer) {
  struct look *look = errand->look;
  const struct key *self = &node->config.id;
  if (!peer_is(peer) || key_is_zero(&peer->id) || key_equal(&peer->id, self)) return;
  bool before = is_before(node, errand, &peer->id);
  struct key distance = key_distance(self, &peer->id);
  for (unsigned i = 0; i < look->count; i++)
    if (key_equal(&look->peer[i].peer.id, &peer->id) &&
        endpoint_same_address(&look->peer[i].peer.at, &peer->at))
      return; /* the same at another address is asked, too: one of the two is a lie */
  make_room(look, before);
  unsigned at = 0;
  for (; at < look->count; at++) {
    struct key other = key_distance(self, &look->peer[at].peer.id);
    if (key_compare(&distance, &other) < 0) break;
  }
  memmove(&look->peer[at + 1], &look->peer[at], (look->count - at) * sizeof look->peer[0]);
  look->peer[at] = (struct look_peer){.peer = *peer};
  look->count++;
  if (before) look->before++;
}

/* Those of the nearest `wanted` that are not gone. NULL: all of them have answered, or are asked.
 */
static struct look_peer *next_of(struct look *look, bool before, unsigned wanted) {
  unsigned live = 0;
  for (unsigned n = 0; live < wanted; n++) {
    struct look_peer *peer = before ? nth_before(look, n) : nth_after(look, n);
    if (peer == NULL) return NULL;
    if (peer->state == LOOK_NEW) return peer;
    live += peer->state != LOOK_GONE;
  }
  return NULL;
}

static const struct look_peer *nearest_told(const struct look *look) {
  for (unsigned i = look->before; i < look->count; i++)
    if (look->peer[i].state == LOOK_TOLD) return &look->peer[i];
  return NULL;
}

/* is what was found where the responsible peer should be? */
static bool is_plausible(const struct node *node, const struct errand *errand) {
  const struct look_peer *found = nearest_told(errand->look);
  return found != NULL && overlay_is_plausible(node->overlay, &errand->key, &found->peer.id);
}

static struct look_peer *whom_next(const struct node *node, const struct errand *errand) {
  struct look *look = errand->look;
  if (look->asked >= LOOK_ASKS_MAX) return NULL;
  struct look_peer *next = next_of(look, true, LOOK_BEFORE);
  if (next == NULL) next = next_of(look, false, node->config.replicas + LOOK_MORE);
  if (next == NULL && look->waiting == 0 && !is_plausible(node, errand))
    next = next_of(look, true, LOOK_BEFORE_WIDE);
  return next;
}

/* ---- asking ---- */

/* The same of all: those before the key redirect it, those it is directed to say what they hold. */
static struct slice question(struct step *s, const struct errand *errand) {
  size_t mark = outbox_mark(s->out);
  xml_put_query(&s->out->bytes, errand->key_text, NULL);
  struct slice query = outbox_text(s->out, mark);
  mark = outbox_mark(s->out);
  xml_put_call(&s->out->bytes, XML_GET, &query, 1, NULL);
  return outbox_text(s->out, mark);
}

static void ask(struct step *s, struct errand *errand, struct look_peer *peer) {
  struct look *look = errand->look;
  bool before = is_before(s->node, errand, &peer->peer.id);
  unsigned item = look->asked++;
  const struct own_request own = {
      .kind = HOP_CALL,
      .user = tag_handle(TAG_LOOK, pool_handle_of(&s->node->errands, errand), item),
      .to = &peer->peer,
      .target = {.key = before ? errand->key : peer->peer.id, .direct = !before},
      .body = question(s, errand),
      .deadline = usec_min(errand->deadline, s->now + ASK_TIME),
      .redirect = before,
  };
  bool asked = forward_own(s, &own);
  peer->state = asked ? LOOK_ASKED : LOOK_GONE;
  peer->ask = item;
  if (asked)
    look->waiting++;
  else
    look->left_out = true;
}

static void judge(struct step *s, struct errand *errand);

static void go_on(struct step *s, struct errand *errand) {
  struct look *look = errand->look;
  while (look->waiting < LOOK_AT_ONCE && outbox_has(s->out, 16, 32768)) {
    struct look_peer *next = whom_next(s->node, errand);
    if (next == NULL) break;
    ask(s, errand, next);
  }
  if (look->waiting == 0) judge(s, errand);
}

/* ---- answers ---- */

/* Nearly all have none: those that should hold copies, and, where copies move, a few others. */
static bool has_records(struct node *node, struct slice text) {
  struct xml_body body;
  const char *why;
  return xml_body_read(node->config.xml, text, &body, &why) == OK && body.record_count > 0;
}

static void keep_answer(struct node *node, struct look *look, struct slice body) {
  if (look->answer_count == LOOK_ANSWERS_MAX || !has_records(node, body)) return;
  char *copy = memory_take(node->config.memory, body.len);
  if (copy == NULL) return;
  memcpy(copy, body.at, body.len);
  look->answer[look->answer_count++] = (struct look_answer){.body = copy, .len = body.len};
}

/* Who is at the key's other side is named by those behind it: a predecessor has answered the one
 * that names it, so nobody before the key can hide it. */
static void add_neighbors(struct step *s, struct errand *errand, struct slice text) {
  struct xml_body body;
  const char *why;
  if (xml_body_read(s->node->config.xml, text, &body, &why) != OK) return;
  unsigned successors = 0;
  for (unsigned i = 0; i < body.overlay.peer_count; i++) {
    const struct xml_peer *named = &body.overlay.peer[i];
    if (named->role == XML_PEER_PREDECESSOR ||
        (named->role == XML_PEER_SUCCESSOR && successors++ < LOOK_SUCCESSORS))
      add(s->node, errand, &named->peer);
  }
}

/* Who was said to be responsible, to be asked like any other. */
static void add_self(struct step *s, struct errand *errand, struct slice text) {
  struct xml_body body;
  const char *why;
  if (text.len == 0 || xml_body_read(s->node->config.xml, text, &body, &why) != OK) return;
  for (unsigned i = 0; i < body.overlay.peer_count; i++)
    if (body.overlay.peer[i].role == XML_PEER_SELF)
      add(s->node, errand, &body.overlay.peer[i].peer);
}

void look_on_answer(struct step *s, uint64_t user, uint16_t status, struct slice body,
                    const struct peer *contacts, unsigned count) {
  struct errand *errand;
  struct look *look = look_of(s->node, user, &errand);
  if (look == NULL || look->judging) return;
  struct look_peer *peer = NULL;
  for (unsigned i = 0; i < look->count && peer == NULL; i++) {
    struct look_peer *other = &look->peer[i];
    if (other->state == LOOK_ASKED && other->ask == item_of(user)) peer = other;
  }
  if (peer == NULL) return;
  look->waiting--;
  bool before = is_before(s->node, errand, &peer->peer.id);
  bool good = status == (before ? 302 : 200);
  peer->state = good ? LOOK_TOLD : LOOK_GONE;
  if (good && before)
    for (unsigned i = 0; i < count && i < LOOK_NAMES_MAX; i++) add(s->node, errand, &contacts[i]);
  if (good && !before) {
    add_neighbors(s, errand, body);
    if (look->for_data) keep_answer(s->node, look, body);
  }
  go_on(s, errand);
}

/* ---- what came of it ---- */

static void verify(struct step *s, struct errand *errand) {
  struct look *look = errand->look;
  struct handle handle = pool_handle_of(&s->node->errands, errand);
  for (unsigned k = 0; k < look->answer_count; k++) {
    struct look_answer *answer = &look->answer[k];
    struct xml_body body;
    const char *why;
    enum err err =
        xml_body_read(s->node->config.xml, slice_of(answer->body, answer->len), &body, &why);
    for (unsigned i = 0; err == OK && i < body.record_count && i < LOOK_RECORDS_MAX; i++) {
      if (!outbox_has(s->out, 16, body.record[i].bytes.len + 32768)) {
        answer->refused |= (uint32_t)1 << i;
        continue;
      }
      struct output *out = outbox_add(s->out, OUT_VERIFY);
      out->ticket = tag_handle(TAG_ERRAND, handle, k * LOOK_RECORDS_MAX + i);
      out->data = outbox_copy(s->out, body.record[i].bytes);
      look->pending++;
    }
  }
}

struct looked {
  struct record record;
  struct slice bytes; /* in the answer */
};

/* Adds a record, or lets it replace an older version of its identity. */
static unsigned keep_best(struct looked *best, unsigned count, const struct looked *other) {
  struct record_id id = record_id_of(&other->record);
  for (unsigned i = 0; i < count; i++) {
    struct record_id known = record_id_of(&best[i].record);
    if (record_id_compare(&known, &id) != 0) continue;
    if (record_compare(&best[i].record, &other->record) < 0) best[i] = *other;
    return count;
  }
  if (count < ANSWER_RECORDS_MAX) best[count++] = *other;
  return count;
}

static unsigned best_of(struct node *node, const struct errand *errand,
                        const struct look_answer *answer, struct looked *best, unsigned count) {
  struct xml_body body;
  const char *why;
  char key_text[XML_CANONICAL_BYTES_MAX];
  if (xml_body_read(node->config.xml, slice_of(answer->body, answer->len), &body, &why) != OK)
    return count;
  for (unsigned i = 0; i < body.record_count && i < LOOK_RECORDS_MAX; i++) {
    struct looked found = {.bytes = body.record[i].bytes};
    if ((answer->refused >> i & 1) != 0) continue;
    struct buf canonical = buf_over(key_text, sizeof key_text);
    if (xml_record_identify(node->config.crypto, &body.record[i], &canonical, &found.record,
                            &why) != OK ||
        !key_equal(&found.record.key, &errand->key))
      continue;
    /* who holds it has judged it, but whether it counts is not asked here */
    if (!key_equal(&body.record[i].signer, &body.record[i].owner)) continue;
    /* one that came escaped lies in the reader, and is gone with the next answer */
    if (found.bytes.at < answer->body || found.bytes.at >= answer->body + answer->len) continue;
    count = keep_best(best, count, &found);
  }
  return count;
}

/* the highest version of each wins; what that removes, or what has expired, is not there.
 */
static void tell_records(struct step *s, struct errand *errand) {
  struct node *node = s->node;
  struct look *look = errand->look;
  struct looked best[ANSWER_RECORDS_MAX];
  struct slice texts[ANSWER_RECORDS_MAX];
  unsigned count = 0, live = 0;
  size_t bytes = 0;
  for (unsigned k = 0; k < look->answer_count; k++)
    count = best_of(node, errand, &look->answer[k], best, count);
  for (unsigned i = 0; i < count; i++) {
    const struct record *record = &best[i].record;
    if (record->tombstone || record->expires <= node_wall(node, s->now)) continue;
    if (bytes + best[i].bytes.len > ANSWER_BYTES_MAX) break;
    texts[live++] = best[i].bytes;
    bytes += best[i].bytes.len;
  }
  bool told = nearest_told(look) != NULL || count > 0;
  bool sure = look->sure && !look->left_out;
  struct slice body = SLICE_EMPTY;
  if (live > 0) {
    size_t mark = outbox_mark(s->out);
    xml_put_answer(&s->out->bytes, -1, texts, live, NULL);
    body = outbox_text(s->out, mark);
  }
  look_free(node, errand);
  errand_looked(s, errand, live > 0 ? 200 : told && sure ? 404 : 503, body, NULL);
}

/* Who is responsible is known only when all were heard who might be nearer: where many are silent
 * the time or the asks end first, and the usual way may still get through. */
static void tell_peer(struct step *s, struct errand *errand) {
  struct look *look = errand->look;
  bool whole = look->waiting == 0 && look->asked < LOOK_ASKS_MAX && !look->left_out;
  const struct look_peer *found = whole ? nearest_told(look) : NULL;
  struct peer peer = {0};
  if (found != NULL) peer = found->peer;
  look_free(s->node, errand);
  errand_looked(s, errand, found != NULL ? 200 : 503, SLICE_EMPTY, &peer);
}

static void judge(struct step *s, struct errand *errand) {
  struct look *look = errand->look;
  look->judging = true;
  if (!look->for_data) {
    tell_peer(s, errand);
    return;
  }
  verify(s, errand);
  if (look->pending == 0) tell_records(s, errand);
}

void look_on_verified(struct step *s, struct errand *errand, unsigned item, enum err status) {
  struct look *look = errand->look;
  unsigned k = item / LOOK_RECORDS_MAX;
  if (look == NULL || !look->judging || look->pending == 0 || k >= look->answer_count) return;
  if (status != OK) look->answer[k].refused |= (uint32_t)1 << item % LOOK_RECORDS_MAX;
  if (--look->pending == 0) tell_records(s, errand);
}

void look_on_timer(struct step *s, struct errand *errand) {
  struct look *look = errand->look;
  ASSERT(look != NULL);
  if (look->judging) { /* what has not been verified is not believed */
    look_free(s->node, errand);
    errand_looked(s, errand, 503, SLICE_EMPTY, NULL);
    return;
  }
  timers_set(&s->node->timers, &errand->timer, errand->deadline + SEC(1));
  judge(s, errand);
}

bool look_begin(struct step *s, struct errand *errand, struct slice known, bool sure) {
  struct node *node = s->node;
  struct peer next[LOOK_OWN_MAX];
  if (errand->looked || !overlay_is_member(node->overlay)) return false;
  struct look *look = memory_take(node->config.memory, sizeof *look);
  if (look == NULL) return false;
  errand->look = look;
  errand->looked = true;
  look->sure = sure;
  look->for_data = errand->kind == ERRAND_GET || errand->stage == STAGE_READING ||
                   errand->stage == STAGE_VERIFYING;
  errand->stage = STAGE_LOOKING;
  errand->waiting = false;
  if (look->for_data) {
    keep_answer(node, look, known);
    if (dht_is_holder(node->dht, &errand->key)) /* else it may be of long ago */
      keep_answer(node, look, operation_held_records(s, &errand->key));
  }
  unsigned count = forward_around(s, &errand->key, next, LOOK_OWN_MAX);
  for (unsigned i = 0; i < count; i++) add(node, errand, &next[i]);
  if (!look->for_data) add_self(s, errand, known);
  timers_set(&node->timers, &errand->timer, usec_min(errand->deadline, s->now + LOOK_TIME));
  go_on(s, errand);
  return true;
}
