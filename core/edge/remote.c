/* SPDX-License-Identifier: BSD-2-Clause */
/* Presence between homes. A peer with a phone of an address says in a record
 * that it is a home of it; one with a watcher says in another that somebody there watches. Whoever
 * of the two comes later finds the other. Who watches, and what there is to see, they tell each
 * other alone. */
#include "base/assert.h"
#include "edge/events.h"
#include "usage/presence.h"

#define HOME_LIFE_S 7200u
#define HOME_REFRESH SEC(3300)
#define WATCH_LIFE_S 1300u /* of what a watcher's home says and gets */
#define WATCH_REFRESH SEC(600)
#define STATE_LIFE_S 1300u
#define RETRY SEC(5)
#define HOME_PACE_US MSEC(20) /* addresses made known: 50 in a second */
#define TELL_COUNT 8u         /* messages to other homes at once, then */
#define TELL_PACE_US MSEC(16) /* so many after so long: 500 in a second */
#define TELLS_MAX 64u         /* that wait for their answer */
#define TRIES_MAX 4u
#define CALLS_SPARE 8u

/* `user` of a call: the handle of its object, and these bits of the index. */
enum user_kind { USER_SUBSCRIPTION, USER_REMOTE, USER_HOMES, USER_PEERS };
#define USER_KIND_SHIFT 29u
#define USER_PLACE_SHIFT 27u
#define USER_INDEX_MASK (((uint64_t)1 << USER_PLACE_SHIFT) - 1)

static uint64_t put_user(struct handle handle, enum user_kind kind, unsigned place) {
  return handle_pack(handle) | (uint64_t)kind << USER_KIND_SHIFT |
         (uint64_t)place << USER_PLACE_SHIFT;
}
static struct handle handle_of(uint64_t user) {
  return handle_unpack((user & ~(uint64_t)UINT32_MAX) | (user & USER_INDEX_MASK));
}
static enum user_kind kind_of(uint64_t user) {
  return (enum user_kind)(user >> USER_KIND_SHIFT & 3);
}
static unsigned place_of(uint64_t user) { return (unsigned)(user >> USER_PLACE_SHIFT & 3); }

/* "bob@example.net" */
static struct slice address_of(struct slice aor) { return slice_skip(aor, 4); }

static struct slice put_key(struct edge_step *step, const char *scheme, struct slice aor) {
  size_t mark = outbox_mark(step->out);
  buf_put_cstr(&step->out->bytes, scheme);
  buf_put(&step->out->bytes, address_of(aor));
  return outbox_text(step->out, mark);
}

static struct slice put_token(struct edge_step *step, uint64_t token) {
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

/* ---- what is remembered ---- */

void remote_forget(struct edge *edge, struct presentity *presentity) {
  if (presentity->homes == NULL) return;
  for (unsigned i = 0; i < EVENT_HOMES_MAX; i++) edge_drop(edge, &presentity->homes[i].document);
  memory_give(edge->memory, presentity->homes, EVENT_HOMES_MAX * sizeof *presentity->homes);
  presentity->homes = NULL;
}

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

enum event_decision remote_decision(const struct edge *edge,
                                    const struct subscription *subscription) {
  bool allowed = false, asked = false;
  for (unsigned i = 0; i < EVENT_HOMES_MAX; i++) {
    if (subscription->granted[i] == 0) continue;
    enum event_decision decision = (enum event_decision)(subscription->granted[i] - 1);
    if (decision == EVENT_BLOCK) return EVENT_BLOCK;
    allowed = allowed || decision == EVENT_ALLOW;
    asked = asked || decision == EVENT_ASK;
  }
  if (allowed) return EVENT_ALLOW;
  return asked ? EVENT_ASK : edge->config.watchers;
}

/* ---- telling ---- */

static void arm(struct edge *edge, usec at) {
  struct timer *timer = &edge->presence->tell;
  if (!timer->set || timer->at > at) timers_set(&edge->timers, timer, at);
}

static void queue(struct edge_step *step, struct presentity *presentity, usec at) {
  struct presence *p = step->edge->presence;
  uint32_t index = event_index(&p->presentities, presentity);
  arm(step->edge, at);
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

static bool may_tell(const struct edge_step *step, unsigned count) {
  return count < TELL_COUNT && step->edge->presence->tells < TELLS_MAX &&
         edge_calls_left(step) > CALLS_SPARE;
}

static struct edge_call *tell(struct edge_step *step, uint64_t user, struct slice key,
                              const struct peer *to, struct presence_value *value, const char *kind,
                              uint32_t life_s) {
  struct slice nonce = put_nonce(step, kind, value->token);
  struct slice text = put_value(step, value);
  struct edge_call *call = add_call(step, EDGE_TELL, user, key);
  call->to = *to;
  call->nonce = nonce;
  call->value = text;
  call->granted_s = life_s;
  return call;
}

static void tell_remote(struct edge_step *step, struct presentity *presentity,
                        struct remote *remote) {
  struct presence *p = step->edge->presence;
  struct presence_value value = {.kind = PRESENCE_STATE, .token = put_token(step, remote->token)};
  bool here = compose_is_here(step, presentity);
  if (remote->decision == EVENT_BLOCK)
    value.decision = PRESENCE_REJECTED;
  else if (remote->decision == EVENT_ASK)
    value.decision = PRESENCE_PENDING;
  else if (!here)
    value.decision = PRESENCE_GONE;
  else
    value.text = compose_here(step, presentity);
  struct slice key = put_key(step, "presence:", presentity->aor);
  uint64_t user = put_user(pool_handle_of(&p->remotes, remote), USER_REMOTE, 0);
  struct edge_call *call = tell(step, user, key, &remote->peer, &value, "state-", STATE_LIFE_S);
  call->signer = outbox_copy(step->out, presentity->aor);
  remote->due = false;
  remote->sending = true;
  p->tells++;
}

static void tell_watch(struct edge_step *step, struct presentity *presentity,
                       struct subscription *subscription, unsigned place) {
  struct presence *p = step->edge->presence;
  struct presence_value value = {.kind = PRESENCE_WATCH,
                                 .token = put_token(step, subscription->token),
                                 .text = presentity->aor};
  struct slice key = put_key(step, "presence:", subscription->watcher);
  uint64_t user =
      put_user(pool_handle_of(&p->subscriptions, subscription), USER_SUBSCRIPTION, place);
  struct edge_call *call =
      tell(step, user, key, &presentity->homes[place].peer, &value, "watch-", WATCH_LIFE_S);
  call->signer = outbox_copy(step->out, subscription->watcher);
  call->watch = true;
  subscription->asking |= (uint8_t)(1u << place);
  p->tells++;
}

/* False: there is more to tell than may be now. */
static bool tell_all(struct edge_step *step, struct presentity *presentity, unsigned *count) {
  const struct presence *p = step->edge->presence;
  struct remote *remote;
  struct subscription *subscription;
  for (uint32_t i = presentity->remotes; i != 0; i = remote->next) {
    remote = event_at(&p->remotes, i);
    if (!remote->due || remote->sending) continue;
    if (!may_tell(step, *count)) return false;
    tell_remote(step, presentity, remote);
    (*count)++;
  }
  for (uint32_t i = presentity->subscriptions; i != 0 && presentity->homes != NULL;
       i = subscription->next) {
    subscription = event_at(&p->subscriptions, i);
    for (unsigned place = 0; place < EVENT_HOMES_MAX; place++) {
      bool known = peer_is(&presentity->homes[place].peer);
      if (!known || ((subscription->told | subscription->asking) >> place & 1) != 0) continue;
      if (subscription->package != EVENT_PRESENCE || subscription->end != NULL) continue;
      if (!may_tell(step, *count)) return false;
      tell_watch(step, presentity, subscription, place);
      (*count)++;
    }
  }
  return true;
}

static void on_tell_timer(struct edge_step *step) {
  struct presence *p = step->edge->presence;
  unsigned count = 0;
  while (p->tell_first != 0) {
    struct presentity *presentity = event_at(&p->presentities, p->tell_first);
    if (!tell_all(step, presentity, &count)) {
      arm(step->edge, step->now + TELL_PACE_US);
      return;
    }
    p->tell_first = presentity->tell_next;
    if (p->tell_first == 0) p->tell_last = 0;
    presentity->telling = false;
    event_presentity_leave(step, presentity);
  }
}

static void all_due(struct edge_step *step, struct presentity *presentity) {
  struct remote *remote;
  for (uint32_t i = presentity->remotes; i != 0; i = remote->next) {
    remote = event_at(&step->edge->presence->remotes, i);
    remote->due = true;
    remote->tries = 0;
  }
  if (presentity->remotes != 0) queue(step, presentity, step->now);
}

/* ---- answers ---- */

static void subscription_told(struct edge_step *step, struct subscription *subscription,
                              unsigned place, uint16_t status) {
  struct presentity *presentity =
      event_at(&step->edge->presence->presentities, subscription->presentity);
  subscription->asking &= (uint8_t) ~(1u << place);
  if (status == 503 && ++subscription->tries < TRIES_MAX) {
    queue(step, presentity, step->now + RETRY);
    return;
  }
  subscription->told |= (uint8_t)(1u << place);
  if (status == 200 || presentity->homes == NULL) return;
  /* It is gone, or is no home any more: what it said counts no more. */
  struct home *home = &presentity->homes[place];
  if (home->document.len == 0) return;
  edge_drop(step->edge, &home->document);
  event_changed(step, presentity, false);
}

static void remote_told(struct edge_step *step, struct remote *remote, uint16_t status) {
  struct presentity *presentity = event_at(&step->edge->presence->presentities, remote->presentity);
  remote->sending = false;
  if (status == 503 && ++remote->tries < TRIES_MAX) {
    remote->due = true;
    queue(step, presentity, step->now + RETRY);
  } else if (status != 200) {
    drop_remote(step, remote);
    event_presentity_leave(step, presentity);
  } else if (remote->due) {
    queue(step, presentity, step->now);
  }
}

/* The ring did not take a record: an address may publish before its first REGISTER has made its
 * certificates known, and is then refused. */
static void kept(struct edge_step *step, struct presentity *presentity, enum user_kind kind,
                 uint16_t status) {
  if (status == 200) {
    presentity->tries = 0;
    return;
  }
  usec wait = RETRY << (presentity->tries < 6 ? presentity->tries++ : 6);
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
  if (kind_of(user) == USER_SUBSCRIPTION) {
    struct subscription *subscription = pool_at(&p->subscriptions, handle_of(user));
    if (subscription != NULL) subscription_told(&step, subscription, place_of(user), status);
  } else {
    struct remote *remote = pool_at(&p->remotes, handle_of(user));
    if (remote != NULL) remote_told(&step, remote, status);
  }
}

/* ---- the homes of an address that is watched here ---- */

static void clear_place(struct edge_step *step, struct presentity *presentity, unsigned place) {
  struct subscription *subscription;
  for (uint32_t i = presentity->subscriptions; i != 0; i = subscription->next) {
    subscription = event_at(&step->edge->presence->subscriptions, i);
    subscription->told &= (uint8_t) ~(1u << place);
    subscription->tries = 0;
  }
}

/* The place of that peer; one that is free, or whose time is over, if it has none. A home in every
 * place: -1. */
static int find_home(struct edge_step *step, struct presentity *presentity,
                     const struct peer *peer) {
  struct edge *edge = step->edge;
  int best = -1;
  if (presentity->homes == NULL)
    presentity->homes = memory_take(edge->memory, EVENT_HOMES_MAX * sizeof *presentity->homes);
  if (presentity->homes == NULL) return -1;
  for (int i = 0; i < (int)EVENT_HOMES_MAX; i++) {
    struct home *home = &presentity->homes[i];
    if (peer_is(&home->peer) && peer_same(&home->peer, peer)) {
      home->peer.at = peer->at;
      return i;
    }
    if (best < 0 && (!peer_is(&home->peer) || home->until <= step->now)) best = i;
  }
  if (best < 0) return -1;
  struct home *home = &presentity->homes[best];
  struct subscription *subscription;
  edge_drop(edge, &home->document);
  *home = (struct home){.peer = *peer, .until = step->now + 2 * WATCH_REFRESH};
  for (uint32_t i = presentity->subscriptions; i != 0; i = subscription->next) {
    subscription = event_at(&edge->presence->subscriptions, i);
    subscription->granted[best] = 0;
  }
  clear_place(step, presentity, (unsigned)best);
  return best;
}

static bool is_self(const struct edge *edge, const struct peer *peer) {
  return peer_same(peer, &edge->config.self);
}

static void take_home(struct edge_step *step, struct presentity *presentity,
                      const struct peer *peer) {
  if (is_self(step->edge, peer)) return;
  if (find_home(step, presentity, peer) >= 0) queue(step, presentity, step->now);
}

static void say_here(struct edge_step *step, struct presentity *presentity,
                     const struct presence_value *watching) {
  if (is_self(step->edge, &watching->from) || edge_calls_left(step) <= CALLS_SPARE) return;
  struct presence_value value = {.kind = PRESENCE_HERE, .token = watching->token};
  struct slice key = put_key(step, "presence:", presentity->aor);
  struct edge_call *call = tell(step, 0, key, &watching->from, &value, "here-", STATE_LIFE_S);
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
    if (presentity->timer.set && presentity->timer.at > now + RETRY)
      timers_set(&edge->timers, &presentity->timer, now + RETRY);
    return;
  }
  for (unsigned i = 0; i < count && status == OK; i++) {
    char text[16];
    struct buf room = buf_over(text, sizeof text);
    struct presence_value value;
    if (!presence_read_value(values[i], &room, &value)) continue;
    if (kind_of(user) == USER_HOMES && value.kind == PRESENCE_HOME)
      take_home(&step, presentity, &value.from);
    else if (kind_of(user) == USER_PEERS && value.kind == PRESENCE_PEER && value.token.len != 0)
      say_here(&step, presentity, &value);
  }
}

/* ---- making itself known ---- */

static void keep_home(struct edge_step *step, struct presentity *presentity) {
  struct presence *p = step->edge->presence;
  char id_text[KEY_HEX + 1];
  struct buf id = buf_over(id_text, sizeof id_text);
  struct presence_value value = {.kind = PRESENCE_HOME};
  key_put(&id, &step->edge->config.self.id);
  struct slice key = put_key(step, "presence:", presentity->aor);
  struct slice nonce = put_nonce(step, "home-", buf_slice(&id));
  struct slice text = put_value(step, &value);
  struct slice signer = outbox_copy(step->out, presentity->aor);
  uint64_t user = put_user(pool_handle_of(&p->presentities, presentity), USER_PEERS, 0);
  struct edge_call *call = add_call(step, EDGE_KEEP, user, key);
  call->nonce = nonce;
  call->value = text;
  call->signer = signer;
  call->granted_s = HOME_LIFE_S;
  presentity->home = true;
  presentity->home_at = step->now;
  key = put_key(step, "subscribe:presence:", presentity->aor);
  add_call(step, EDGE_FIND, user, key);
}

static void keep_peer(struct edge_step *step, struct presentity *presentity) {
  struct presence *p = step->edge->presence;
  struct presence_value value = {.kind = PRESENCE_PEER,
                                 .token = put_token(step, presentity->token)};
  struct slice key = put_key(step, "subscribe:presence:", presentity->aor);
  struct slice text = put_value(step, &value);
  uint64_t user = put_user(pool_handle_of(&p->presentities, presentity), USER_HOMES, 0);
  struct edge_call *call = add_call(step, EDGE_KEEP, user, key);
  call->nonce = value.token;
  call->value = text;
  call->granted_s = WATCH_LIFE_S;
  key = put_key(step, "presence:", presentity->aor);
  add_call(step, EDGE_FIND, user, key);
  for (unsigned i = 0; i < EVENT_HOMES_MAX; i++) clear_place(step, presentity, i);
  queue(step, presentity, step->now);
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
  if (edge_calls_left(step) <= CALLS_SPARE) {
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
               step->now + (watched ? WATCH_REFRESH : HOME_REFRESH));
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
    on_home_timer(step, presentity);
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
    queue(step, presentity, step->now);
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
    remote->tries = 0;
    queue(step, presentity, step->now);
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

static struct remote *add_remote(struct edge *edge, struct presentity *presentity,
                                 struct slice watcher) {
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
  remote->next = presentity->remotes;
  presentity->remotes = handle.index + 1;
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
    remote = add_remote(edge, presentity, event->address);
    if (remote == NULL) return 503;
    remote->token = token;
    remote->decision = event_decide(edge, presentity, remote->watcher);
    event_watchers_changed(step, presentity);
  }
  msec_wall life = event->expires - step->wall, most = (msec_wall)WATCH_LIFE_S * 1000;
  remote->peer = value->from;
  remote->due = true;
  remote->tries = 0;
  timers_set(&edge->timers, &remote->timer, step->now + MSEC(life < most ? life : most));
  queue(step, presentity, step->now);
  return 200;
}

static struct subscription *find_watcher(const struct edge *edge,
                                         const struct presentity *presentity, uint64_t token) {
  struct subscription *subscription;
  for (uint32_t i = presentity->subscriptions; i != 0; i = subscription->next) {
    subscription = event_at(&edge->presence->subscriptions, i);
    if (subscription->token == token && subscription->package == EVENT_PRESENCE &&
        subscription->end == NULL)
      return subscription;
  }
  return NULL;
}

/* One that is older than what is known, as it may come when two overtake each other, is not. */
static void take_document(struct edge_step *step, struct presentity *presentity, struct home *home,
                          const struct edge_event *event, struct slice document) {
  struct edge *edge = step->edge;
  const char *why;
  msec_wall life = event->expires - step->wall, most = (msec_wall)STATE_LIFE_S * 1000;
  if (event->version < home->version) return;
  home->version = event->version;
  home->until = step->now + MSEC(life < most ? life : most);
  if (slice_equal(home->document, document)) return;
  if (document.len > 0 && presence_check(edge->config.xml, document, &why) != OK) return;
  edge_drop(edge, &home->document);
  home->document = edge_keep(edge, document);
  event_changed(step, presentity, false);
}

static uint16_t on_state(struct edge_step *step, const struct edge_event *event,
                         const struct presence_value *value, uint64_t token) {
  struct edge *edge = step->edge;
  struct presentity *presentity = event_presentity(edge, event->address);
  struct subscription *subscription =
      presentity == NULL ? NULL : find_watcher(edge, presentity, token);
  int place = subscription == NULL ? -1 : find_home(step, presentity, &value->from);
  if (place < 0) return 404;
  struct home *home = &presentity->homes[place];
  switch (value->decision) {
    case PRESENCE_ACTIVE:
      subscription->granted[place] = 1 + EVENT_ALLOW;
      take_document(step, presentity, home, event, value->text);
      break;
    case PRESENCE_PENDING:
      subscription->granted[place] = 1 + EVENT_ASK;
      break;
    case PRESENCE_REJECTED:
      subscription->granted[place] = 1 + EVENT_BLOCK;
      break;
    case PRESENCE_GONE:
      take_document(step, presentity, home, event, SLICE_EMPTY);
      break;
  }
  event_judge(step, presentity, subscription);
  return 200;
}

static uint16_t on_here(struct edge_step *step, const struct edge_event *event,
                        const struct presence_value *value, uint64_t token) {
  struct presentity *presentity = event_presentity(step->edge, event->address);
  if (presentity == NULL || presentity->token != token || is_self(step->edge, &value->from))
    return 404;
  int place = find_home(step, presentity, &value->from);
  if (place < 0) return 503;
  clear_place(step, presentity, (unsigned)place);
  queue(step, presentity, step->now);
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
      !slice_hex_to_u64(value.token, &token) || event->expires <= wall)
    return 400;
  if (event->watch)
    return value.kind == PRESENCE_WATCH ? on_watch(&step, event, &value, token) : 400;
  if (value.kind == PRESENCE_STATE) return on_state(&step, event, &value, token);
  return value.kind == PRESENCE_HERE ? on_here(&step, event, &value, token) : 400;
}
