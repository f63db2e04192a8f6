/* SPDX-License-Identifier: BSD-2-Clause */
/* Presence between homes. A peer with a phone of an address says in a record
 * that it is a home of it; one with a watcher says in another that somebody there watches. Whoever
 * of the two comes later finds the other. Who watches, and what there is to see, they tell each
 * other alone: here is what a home tells, in one message to all watchers of a peer. */
#include "edge/remote.h"

#include "base/assert.h"

#define HOME_LIFE_S 7200u
#define HOME_REFRESH SEC(3300)
#define HOME_PACE_US MSEC(20) /* addresses made known: 50 in a second */
#define TELL_COUNT 8u         /* messages to other homes at once, then */
#define TELL_PACE_US MSEC(16) /* so many after so long: 500 in a second */
#define TELLS_MAX 64u         /* that wait for their answer */
#define PAUSES 5u             /* each twice as long as the one before, up to 80 s */

#define USER_KIND_SHIFT 29u
#define USER_PLACE_SHIFT 24u
#define USER_INDEX_MASK (((uint64_t)1 << USER_PLACE_SHIFT) - 1)

uint64_t remote_put_user(struct handle handle, enum remote_user kind, unsigned place) {
  return handle_pack(handle) | (uint64_t)kind << USER_KIND_SHIFT |
         (uint64_t)place << USER_PLACE_SHIFT;
}
static struct handle handle_of(uint64_t user) {
  return handle_unpack((user & ~(uint64_t)UINT32_MAX) | (user & USER_INDEX_MASK));
}
static enum remote_user kind_of(uint64_t user) {
  return (enum remote_user)(user >> USER_KIND_SHIFT & 3);
}
static unsigned place_of(uint64_t user) {
  return (unsigned)(user >> USER_PLACE_SHIFT & (REMOTE_PLACES - 1));
}

usec remote_pause(uint8_t tries) {
  return REMOTE_RETRY << (tries < PAUSES ? (tries > 0 ? tries - 1u : 0u) : PAUSES - 1u);
}

/* "bob@example.net" */
static struct slice address_of(struct slice aor) { return slice_skip(aor, 4); }

struct slice remote_put_key(struct edge_step *step, const char *scheme, struct slice aor) {
  size_t mark = outbox_mark(step->out);
  buf_put_cstr(&step->out->bytes, scheme);
  buf_put(&step->out->bytes, address_of(aor));
  return outbox_text(step->out, mark);
}

struct slice remote_put_token(struct edge_step *step, uint64_t token) {
  size_t mark = outbox_mark(step->out);
  buf_put_hex64(&step->out->bytes, token, PRESENCE_TOKEN_BYTES);
  return outbox_text(step->out, mark);
}

static struct slice put_nonce(struct edge_step *step, const char *kind, struct slice name) {
  size_t mark = outbox_mark(step->out);
  buf_put_cstr(&step->out->bytes, kind);
  buf_put(&step->out->bytes, name);
  return outbox_text(step->out, mark);
}

static struct slice put_value(struct edge_step *step, struct presence_value *value) {
  size_t mark = outbox_mark(step->out);
  value->from = step->edge->config.self;
  presence_put_value(&step->out->bytes, value);
  return outbox_text(step->out, mark);
}

static struct edge_call *add_call(struct edge_step *step, enum edge_call_kind kind, uint64_t user,
                                  struct slice key) {
  ASSERT(edge_calls_left(step) > 0);
  struct edge_call *call = &step->calls->call[step->calls->count++];
  *call = (struct edge_call){.kind = kind, .user = user, .aor = key};
  return call;
}

/* ---- watchers at other peers ---- */

static void drop_remote(struct edge_step *step, struct remote *remote) {
  struct edge *edge = step->edge;
  struct presence *p = edge->presence;
  struct presentity *presentity = event_at(&p->presentities, remote->presentity);
  uint32_t own = event_index(&p->remotes, remote), *link = &presentity->remotes;
  while (*link != own) link = &((struct remote *)event_at(&p->remotes, *link))->next;
  *link = remote->next;
  presentity->remote_count--;
  timers_clear(&edge->timers, &remote->timer);
  edge_drop(edge, &remote->watcher);
  pool_give(&p->remotes, pool_handle_of(&p->remotes, remote));
  event_watchers_changed(step, presentity);
}

/* ---- telling ---- */

static void arm(struct edge *edge, usec at) {
  struct timer *timer = &edge->presence->tell;
  at = usec_max(at, edge->presence->tell_next_at);
  if (!timer->set || timer->at > at) timers_set(&edge->timers, timer, at);
}

void remote_queue(struct edge_step *step, struct presentity *presentity) {
  struct presence *p = step->edge->presence;
  uint32_t index = event_index(&p->presentities, presentity);
  arm(step->edge, step->now);
  if (presentity->telling) return;
  presentity->telling = true;
  presentity->tell_next = 0;
  struct presentity *last = event_at(&p->presentities, p->tell_last);
  if (last != NULL)
    last->tell_next = index;
  else
    p->tell_first = index;
  p->tell_last = index;
}

void remote_wake(struct edge_step *step, struct presentity *presentity, usec at) {
  struct edge *edge = step->edge;
  presentity->again.kind = EDGE_TIMER_AGAIN;
  presentity->again.owner = handle_pack(pool_handle_of(&edge->presence->presentities, presentity));
  if (!presentity->again.set || presentity->again.at > at)
    timers_set(&edge->timers, &presentity->again, at);
}

bool remote_may_tell(const struct edge_step *step, unsigned count) {
  return count < TELL_COUNT && step->edge->presence->tells < TELLS_MAX &&
         edge_calls_left(step) > REMOTE_CALLS_SPARE;
}

struct edge_call *remote_tell(struct edge_step *step, uint64_t user, struct slice key,
                              const struct peer *to, struct presence_value *value, const char *kind,
                              uint32_t life_s) {
  struct slice nonce = put_nonce(step, kind, slice_first(value->token, PRESENCE_TOKEN_BYTES));
  struct slice text = put_value(step, value);
  struct edge_call *call = add_call(step, EDGE_TELL, user, key);
  call->to = *to;
  call->nonce = nonce;
  call->value = text;
  call->granted_s = life_s;
  return call;
}

static struct remote *remote_at(const struct edge *edge, uint32_t index) {
  return event_at(&edge->presence->remotes, index);
}

/* Of those from `first` on that are of its peer, the next one to be told that. 0: none. */
static uint32_t next_due(const struct edge_step *step, uint32_t first,
                         enum event_decision decision) {
  const struct remote *head = remote_at(step->edge, first), *remote;
  for (uint32_t i = first; i != 0; i = remote->next) {
    remote = remote_at(step->edge, i);
    if (!peer_same(&remote->peer, &head->peer)) return 0;
    if (remote->due && remote->batch == 0 && remote->decision == decision &&
        remote->wait_until <= step->now)
      return i;
  }
  return 0;
}

/* All of them that fit one message, from `first` on. */
static struct slice put_batch(struct edge_step *step, uint32_t first, uint8_t batch) {
  enum event_decision decision = remote_at(step->edge, first)->decision;
  size_t mark = outbox_mark(step->out);
  uint32_t i = first;
  for (unsigned count = 0; i != 0 && count < PRESENCE_TOKENS_MAX; count++) {
    struct remote *remote = remote_at(step->edge, i);
    if (count > 0) buf_put_char(&step->out->bytes, ' ');
    buf_put_hex64(&step->out->bytes, remote->token, PRESENCE_TOKEN_BYTES);
    remote->due = false;
    remote->batch = batch;
    i = next_due(step, i, decision);
  }
  return outbox_text(step->out, mark);
}

static void tell_batch(struct edge_step *step, struct presentity *presentity, uint32_t first,
                       unsigned place) {
  struct presence *p = step->edge->presence;
  const struct remote *remote = remote_at(step->edge, first);
  struct presence_value value = {.kind = PRESENCE_STATE, .life = p->life};
  if (remote->decision == EVENT_BLOCK)
    value.decision = PRESENCE_REJECTED;
  else if (remote->decision == EVENT_ASK)
    value.decision = PRESENCE_PENDING;
  else if (!compose_is_here(step, presentity))
    value.decision = PRESENCE_GONE;
  else
    value.text = compose_here(step, presentity);
  value.token = put_batch(step, first, (uint8_t)(place + 1));
  struct slice key = remote_put_key(step, "presence:", presentity->aor);
  uint64_t user = remote_put_user(pool_handle_of(&p->presentities, presentity), USER_BATCH, place);
  struct edge_call *call =
      remote_tell(step, user, key, &remote->peer, &value, "state-", REMOTE_STATE_LIFE_S);
  call->signer = outbox_copy(step->out, presentity->aor);
  presentity->batches |= (uint32_t)1 << place;
  p->tells++;
}

static bool free_place(const struct presentity *presentity, unsigned *out) {
  for (*out = 0; *out < REMOTE_PLACES; (*out)++)
    if ((presentity->batches >> *out & 1) == 0) return true;
  return false;
}

/* The first after those of the same peer. *refusing: one of them has not been refused yet, as its
 * peer has not answered. */
static uint32_t next_peer(struct edge_step *step, struct presentity *presentity, uint32_t first,
                          bool *refusing) {
  const struct remote *head = remote_at(step->edge, first), *remote;
  uint32_t i = first;
  for (*refusing = false; i != 0; i = remote->next) {
    remote = remote_at(step->edge, i);
    if (!peer_same(&remote->peer, &head->peer)) break;
    if (remote->decision != EVENT_ALLOW && (remote->due || remote->batch != 0)) *refusing = true;
    if (remote->due && remote->wait_until > step->now)
      remote_wake(step, presentity, remote->wait_until);
  }
  return i;
}

/* All that is due to one peer. Nothing is shown there before it knows who must not see it. */
static bool tell_peer(struct edge_step *step, struct presentity *presentity, uint32_t first,
                      unsigned *count) {
  static const enum event_decision order[] = {EVENT_BLOCK, EVENT_ASK, EVENT_ALLOW};
  uint32_t due;
  unsigned place;
  bool refusing;
  for (unsigned i = 0; i < sizeof order / sizeof *order; i++) {
    (void)next_peer(step, presentity, first, &refusing);
    if (order[i] == EVENT_ALLOW && refusing) break;
    for (due = first; (due = next_due(step, due, order[i])) != 0;) {
      if (!remote_may_tell(step, *count)) return false;
      if (!free_place(presentity, &place)) break; /* an answer goes on with it */
      tell_batch(step, presentity, due, place);
      (*count)++;
    }
  }
  return true;
}

/* False: there is more to tell than may be now. */
static bool tell_all(struct edge_step *step, struct presentity *presentity, unsigned *count) {
  bool refusing;
  for (uint32_t i = presentity->remotes; i != 0; i = next_peer(step, presentity, i, &refusing))
    if (!tell_peer(step, presentity, i, count)) return false;
  return homes_tell(step, presentity, count);
}

static void on_tell_timer(struct edge_step *step) {
  struct presence *p = step->edge->presence;
  unsigned count = 0;
  while (p->tell_first != 0) {
    struct presentity *presentity = event_at(&p->presentities, p->tell_first);
    bool all = tell_all(step, presentity, &count);
    if (count > 0) p->tell_next_at = step->now + TELL_PACE_US;
    if (!all) {
      arm(step->edge, step->now + TELL_PACE_US);
      return;
    }
    p->tell_first = presentity->tell_next;
    if (p->tell_first == 0) p->tell_last = 0;
    presentity->telling = false;
    event_presentity_leave(step, presentity);
  }
}

/* Of each peer with watchers, one who may see it is enough. */
static void all_due(struct edge_step *step, struct presentity *presentity) {
  const struct remote *last = NULL; /* of whose peer one is */
  for (uint32_t i = presentity->remotes; i != 0;) {
    struct remote *remote = remote_at(step->edge, i);
    i = remote->next;
    if (remote->decision != EVENT_ALLOW) continue;
    if (last != NULL && peer_same(&last->peer, &remote->peer)) continue;
    last = remote;
    remote->due = true;
  }
  if (presentity->remotes != 0) remote_queue(step, presentity);
}

/* ---- answers ---- */

/* 404: it has none of them; the others of that peer have not got what was in it. Who was refused
 * watches no more. */
static void batch_told(struct edge_step *step, struct presentity *presentity, unsigned place,
                       uint16_t status) {
  bool lost = false;
  presentity->batches &= ~((uint32_t)1 << place);
  for (uint32_t i = presentity->remotes; i != 0;) {
    struct remote *remote = remote_at(step->edge, i);
    i = remote->next;
    if (remote->batch != place + 1) continue;
    remote->batch = 0;
    if (status == 200 && (remote->decision != EVENT_BLOCK || remote->due)) {
      remote->tries = 0;
    } else if (status == 503) {
      if (remote->tries < UINT8_MAX) remote->tries++;
      remote->due = true;
      remote->wait_until = step->now + remote_pause(remote->tries);
    } else {
      lost = lost || (status != 200 && remote->decision == EVENT_ALLOW);
      drop_remote(step, remote);
    }
  }
  if (lost) all_due(step, presentity);
  remote_queue(step, presentity);
}

/* only after its own record is there, or of two that begin at once none finds the other.
 */
static void find_others(struct edge_step *step, const struct presentity *presentity,
                        enum remote_user kind) {
  const char *scheme = kind == USER_HOMES ? "presence:" : "subscribe:presence:";
  struct handle own = pool_handle_of(&step->edge->presence->presentities, presentity);
  struct slice key = remote_put_key(step, scheme, presentity->aor);
  add_call(step, EDGE_FIND, remote_put_user(own, kind, 0), key);
}

/* The ring did not take a record: an address may publish before its first REGISTER has made its
 * certificates known, and is then refused. */
static void kept(struct edge_step *step, struct presentity *presentity, enum remote_user kind,
                 uint16_t status) {
  find_others(step, presentity, kind);
  if (status == 200) {
    presentity->tries = 0;
    return;
  }
  usec wait = REMOTE_RETRY << (presentity->tries < 6 ? presentity->tries++ : 6);
  if (kind == USER_PEERS) presentity->home = false;
  presentity->timer.kind = EDGE_TIMER_HOME;
  presentity->timer.owner =
      handle_pack(pool_handle_of(&step->edge->presence->presentities, presentity));
  if (!presentity->timer.set || presentity->timer.at > step->now + wait)
    timers_set(&step->edge->timers, &presentity->timer, step->now + wait);
}

void edge_on_told(struct edge *edge, usec now, msec_wall wall, uint64_t user, uint16_t status,
                  struct edge_calls *calls, struct outbox *out) {
  struct edge_step step = {edge, now, wall, calls, out};
  struct presence *p = edge->presence;
  if (user == 0 || p == NULL) return;
  if (kind_of(user) == USER_HOMES || kind_of(user) == USER_PEERS) {
    struct presentity *presentity = pool_at(&p->presentities, handle_of(user));
    if (presentity != NULL) kept(&step, presentity, kind_of(user), status);
    return;
  }
  p->tells--;
  if (p->tell_first != 0) arm(edge, now + TELL_PACE_US);
  if (kind_of(user) == USER_WATCH) {
    struct subscription *subscription = pool_at(&p->subscriptions, handle_of(user));
    if (subscription != NULL) homes_on_told(&step, subscription, place_of(user), status);
  } else {
    struct presentity *presentity = pool_at(&p->presentities, handle_of(user));
    if (presentity != NULL) batch_told(&step, presentity, place_of(user), status);
  }
}

/* ---- making itself known ---- */

static bool is_self(const struct edge *edge, const struct peer *peer) {
  return peer_same(peer, &edge->config.self);
}

static void say_here(struct edge_step *step, struct presentity *presentity,
                     const struct presence_value *watching) {
  if (is_self(step->edge, &watching->from) || edge_calls_left(step) <= REMOTE_CALLS_SPARE) return;
  struct presence_value value = {.kind = PRESENCE_HERE, .token = watching->token};
  struct slice key = remote_put_key(step, "presence:", presentity->aor);
  struct edge_call *call =
      remote_tell(step, 0, key, &watching->from, &value, "here-", REMOTE_STATE_LIFE_S);
  call->signer = outbox_copy(step->out, presentity->aor);
}

void edge_on_found(struct edge *edge, usec now, msec_wall wall, uint64_t user, enum err status,
                   const struct slice *values, unsigned count, struct edge_calls *calls,
                   struct outbox *out) {
  struct edge_step step = {edge, now, wall, calls, out};
  struct presence *p = edge->presence;
  struct presentity *presentity = p == NULL ? NULL : pool_at(&p->presentities, handle_of(user));
  if (presentity == NULL) return;
  if (status != OK && status != ERR_NOT_FOUND) {
    if (presentity->timer.set && presentity->timer.at > now + REMOTE_RETRY)
      timers_set(&edge->timers, &presentity->timer, now + REMOTE_RETRY);
    return;
  }
  for (unsigned i = 0; i < count && status == OK; i++) {
    char text[16];
    struct buf room = buf_over(text, sizeof text);
    struct presence_value value;
    if (!presence_read_value(values[i], &room, &value)) continue;
    if (kind_of(user) == USER_HOMES && value.kind == PRESENCE_HOME)
      homes_take(&step, presentity, &value.from);
    else if (kind_of(user) == USER_PEERS && value.kind == PRESENCE_PEER && value.token.len != 0)
      say_here(&step, presentity, &value);
  }
}

static void keep_home(struct edge_step *step, struct presentity *presentity) {
  struct presence *p = step->edge->presence;
  char id_text[KEY_HEX + 1];
  struct buf id = buf_over(id_text, sizeof id_text);
  struct presence_value value = {.kind = PRESENCE_HOME};
  key_put(&id, &step->edge->config.self.id);
  struct slice key = remote_put_key(step, "presence:", presentity->aor);
  struct slice nonce = put_nonce(step, "home-", buf_slice(&id));
  struct slice text = put_value(step, &value);
  struct slice signer = outbox_copy(step->out, presentity->aor);
  uint64_t user = remote_put_user(pool_handle_of(&p->presentities, presentity), USER_PEERS, 0);
  struct edge_call *call = add_call(step, EDGE_KEEP, user, key);
  call->nonce = nonce;
  call->value = text;
  call->signer = signer;
  call->granted_s = HOME_LIFE_S;
  presentity->home = true;
  presentity->home_at = step->now;
}

static void keep_peer(struct edge_step *step, struct presentity *presentity) {
  struct presence *p = step->edge->presence;
  struct presence_value value = {.kind = PRESENCE_PEER,
                                 .token = remote_put_token(step, presentity->token)};
  struct slice key = remote_put_key(step, "subscribe:presence:", presentity->aor);
  struct slice text = put_value(step, &value);
  uint64_t user = remote_put_user(pool_handle_of(&p->presentities, presentity), USER_HOMES, 0);
  struct edge_call *call = add_call(step, EDGE_KEEP, user, key);
  call->nonce = value.token;
  call->value = text;
  call->granted_s = REMOTE_WATCH_LIFE_S;
  homes_ask_all(step, presentity);
}

static bool is_watched(const struct edge *edge, const struct presentity *presentity) {
  const struct subscription *subscription;
  for (uint32_t i = presentity->subscriptions; i != 0; i = subscription->next) {
    subscription = event_at(&edge->presence->subscriptions, i);
    if (subscription->package == EVENT_PRESENCE && subscription->end == NULL) return true;
  }
  return false;
}

static void on_home_timer(struct edge_step *step, struct presentity *presentity) {
  struct edge *edge = step->edge;
  bool here = compose_is_here(step, presentity), watched = is_watched(edge, presentity);
  if (edge_calls_left(step) <= REMOTE_CALLS_SPARE) {
    timers_set(&edge->timers, &presentity->timer, step->now + HOME_PACE_US);
    return;
  }
  if (!here && presentity->home && presentity->home_at + HOME_REFRESH <= step->now) {
    while (presentity->remotes != 0)
      drop_remote(step, event_at(&edge->presence->remotes, presentity->remotes));
    presentity->home = false;
  }
  bool due = !presentity->home || presentity->home_at + HOME_REFRESH <= step->now;
  if (here && due) keep_home(step, presentity);
  if (watched) keep_peer(step, presentity);
  if (!watched) presentity->token = 0;
  if (watched || presentity->home)
    timers_set(&edge->timers, &presentity->timer,
               step->now + (watched ? REMOTE_WATCH_REFRESH : HOME_REFRESH));
  else
    event_presentity_leave(step, presentity);
}

void remote_on_timer(struct edge_step *step, struct timer *timer) {
  struct presence *p = step->edge->presence;
  if (timer->kind == EDGE_TIMER_TELL) {
    on_tell_timer(step);
  } else if (timer->kind == EDGE_TIMER_REMOTE) {
    struct remote *remote = pool_at(&p->remotes, handle_unpack(timer->owner));
    ASSERT(remote != NULL);
    struct presentity *presentity = event_at(&p->presentities, remote->presentity);
    drop_remote(step, remote);
    event_presentity_leave(step, presentity);
  } else {
    struct presentity *presentity = pool_at(&p->presentities, handle_unpack(timer->owner));
    ASSERT(presentity != NULL);
    if (timer->kind == EDGE_TIMER_HOME) {
      on_home_timer(step, presentity);
    } else {
      homes_on_again(step, presentity);
      remote_queue(step, presentity);
    }
  }
}

/* Many that come at once are made known one after the other. */
static void make_known(struct edge_step *step, struct presentity *presentity) {
  struct edge *edge = step->edge;
  struct presence *p = edge->presence;
  usec at = p->home_next > step->now ? p->home_next : step->now;
  if (presentity->timer.set && presentity->timer.at <= at) return;
  presentity->timer.kind = EDGE_TIMER_HOME;
  presentity->timer.owner = handle_pack(pool_handle_of(&p->presentities, presentity));
  timers_set(&edge->timers, &presentity->timer, at);
  p->home_next = at + HOME_PACE_US;
}

void remote_on_change(struct edge_step *step, struct presentity *presentity) {
  if (step->edge->config.alone) return;
  if (!presentity->home && compose_is_here(step, presentity)) make_known(step, presentity);
  all_due(step, presentity);
}

void remote_on_watched(struct edge_step *step, struct presentity *presentity) {
  if (step->edge->config.alone) return;
  if (presentity->token != 0) {
    remote_queue(step, presentity);
    return;
  }
  do {
    presentity->token = rng_u64(&step->edge->rng);
  } while (presentity->token == 0);
  make_known(step, presentity);
}

void remote_on_rule(struct edge_step *step, struct presentity *presentity, struct slice watcher) {
  struct remote *remote;
  for (uint32_t i = presentity->remotes; i != 0; i = remote->next) {
    remote = event_at(&step->edge->presence->remotes, i);
    if (!slice_equal(remote->watcher, watcher)) continue;
    enum event_decision decision = event_decide(step->edge, presentity, watcher);
    if (remote->decision == decision) continue;
    remote->decision = decision;
    remote->due = true;
    remote_queue(step, presentity);
  }
}

/* ---- what other homes say ---- */

static struct remote *find_remote(const struct edge *edge, const struct presentity *presentity,
                                  const struct peer *peer, uint64_t token) {
  struct remote *remote;
  for (uint32_t i = presentity->remotes; i != 0; i = remote->next) {
    remote = event_at(&edge->presence->remotes, i);
    if (remote->token == token && peer_same(&remote->peer, peer)) return remote;
  }
  return NULL;
}

/* It was silent, and says something: what waits for it waits no longer. */
static void is_awake(const struct edge *edge, const struct presentity *presentity,
                     const struct peer *peer) {
  struct remote *remote;
  for (uint32_t i = presentity->remotes; i != 0; i = remote->next) {
    remote = remote_at(edge, i);
    if (!peer_same(&remote->peer, peer)) continue;
    remote->tries = 0;
    remote->wait_until = 0;
  }
}

/* Behind another one of its peer, if there is one. */
static uint32_t *link_for(const struct edge *edge, struct presentity *presentity,
                          const struct peer *peer) {
  struct remote *remote;
  for (uint32_t i = presentity->remotes; i != 0; i = remote->next) {
    remote = remote_at(edge, i);
    if (peer_same(&remote->peer, peer)) return &remote->next;
  }
  return &presentity->remotes;
}

static struct remote *add_remote(struct edge *edge, struct presentity *presentity,
                                 struct slice watcher, const struct peer *peer) {
  struct presence *p = edge->presence;
  struct handle handle;
  struct remote *remote = pool_take(&p->remotes, &handle);
  if (remote == NULL) return NULL;
  remote->watcher = edge_keep(edge, watcher);
  if (remote->watcher.at == NULL) {
    pool_give(&p->remotes, handle);
    return NULL;
  }
  remote->timer.kind = EDGE_TIMER_REMOTE;
  remote->timer.owner = handle_pack(handle);
  remote->presentity = event_index(&p->presentities, presentity);
  remote->peer = *peer;
  uint32_t *link = link_for(edge, presentity, peer);
  remote->next = *link;
  *link = handle.index + 1;
  presentity->remote_count++;
  return remote;
}

static uint16_t on_watch(struct edge_step *step, const struct edge_event *event,
                         const struct presence_value *value, uint64_t token) {
  struct edge *edge = step->edge;
  struct presentity *presentity = event_presentity(edge, value->text);
  if (presentity == NULL || (!presentity->home && !compose_is_here(step, presentity))) return 404;
  struct remote *remote = find_remote(edge, presentity, &value->from, token);
  if (remote != NULL && !slice_equal(remote->watcher, event->address)) return 403;
  if (remote == NULL) {
    if (presentity->subscription_count + presentity->remote_count >= EVENT_WATCHERS_MAX) return 403;
    remote = add_remote(edge, presentity, event->address, &value->from);
    if (remote == NULL) return 403;
    remote->token = token;
    remote->decision = event_decide(edge, presentity, remote->watcher);
    event_watchers_changed(step, presentity);
  }
  msec_wall life = event->expires - step->wall, most = (msec_wall)REMOTE_WATCH_LIFE_S * 1000;
  remote->peer.at = value->from.at;
  remote->due = true;
  is_awake(edge, presentity, &remote->peer);
  timers_set(&edge->timers, &remote->timer, step->now + MSEC(life < most ? life : most));
  remote_queue(step, presentity);
  return 200;
}

uint16_t edge_on_event(struct edge *edge, usec now, msec_wall wall, const struct edge_event *event,
                       struct edge_calls *calls, struct outbox *out) {
  struct edge_step step = {edge, now, wall, calls, out};
  char text[PRESENCE_TEXT_MAX];
  struct buf room = buf_over(text, sizeof text);
  struct presence_value value;
  uint64_t token;
  if (edge->config.limits.subscriptions_max == 0 || edge->config.alone) return 404;
  if (!presence_read_value(event->content, &room, &value) || !peer_is(&value.from) ||
      !slice_hex_to_u64(slice_first(value.token, PRESENCE_TOKEN_BYTES), &token) ||
      event->expires <= wall)
    return 400;
  if (event->watch)
    return value.kind == PRESENCE_WATCH ? on_watch(&step, event, &value, token) : 400;
  if (value.kind == PRESENCE_STATE) return homes_on_state(&step, event, &value);
  return value.kind == PRESENCE_HERE ? homes_on_here(&step, event, &value, token) : 400;
}
