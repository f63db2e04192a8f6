/* SPDX-License-Identifier: BSD-2-Clause */
/* The homes of an address that is watched at this peer: they are asked for
 * each watcher, and nobody sees what a home says before that home has let him. */
#include "edge/remote.h"

#define ASK_US SEC(120) /* is a home there still? */
#define TRY_US SEC(10)  /* and has it answered, or has nobody heard of it since? */
#define TURNS 8u
#define LOOK_US SEC(30) /* for one for which there was no place */
#define TRIES_MAX 4u    /* then what it said counts no more */

static struct presentity *presentity_of(const struct edge *edge,
                                        const struct subscription *subscription) {
  return event_at(&edge->presence->presentities, subscription->presentity);
}

static bool wants(const struct subscription *subscription) {
  return subscription->package == EVENT_PRESENCE && subscription->end == NULL;
}

static bool is_heard(const struct edge_step *step, const struct home *home) {
  return peer_is(&home->peer) && home->until > step->now;
}

/* ---- what they decided (R-12.18) ---- */

enum event_decision homes_decision(const struct edge *edge, const struct subscription *subscription,
                                   const enum event_decision *own) {
  bool allowed = own != NULL && *own == EVENT_ALLOW, asked = own != NULL && *own == EVENT_ASK;
  if (own != NULL && *own == EVENT_BLOCK) return EVENT_BLOCK;
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

bool homes_hold(const struct edge_step *step, const struct presentity *presentity,
                const struct subscription *subscription) {
  if (presentity->homes == NULL || slice_equal(presentity->aor, subscription->watcher))
    return false;
  for (unsigned i = 0; i < EVENT_HOMES_MAX; i++) {
    const struct home *home = &presentity->homes[i];
    if (home->document.len > 0 && is_heard(step, home) && subscription->granted[i] == 0)
      return true;
  }
  return false;
}

static void judge_all(struct edge_step *step, struct presentity *presentity) {
  struct subscription *subscription;
  for (uint32_t i = presentity->subscriptions; i != 0; i = subscription->next) {
    subscription = event_at(&step->edge->presence->subscriptions, i);
    event_judge(step, presentity, subscription);
  }
}

/* ---- which there are ---- */

void homes_forget(struct edge *edge, struct presentity *presentity) {
  if (presentity->homes == NULL) return;
  for (unsigned i = 0; i < EVENT_HOMES_MAX; i++) edge_drop(edge, &presentity->homes[i].document);
  memory_give(edge->memory, presentity->homes, EVENT_HOMES_MAX * sizeof *presentity->homes);
  presentity->homes = NULL;
}

static void ask_again(struct edge_step *step, struct presentity *presentity, unsigned place) {
  struct subscription *subscription;
  for (uint32_t i = presentity->subscriptions; i != 0; i = subscription->next) {
    subscription = event_at(&step->edge->presence->subscriptions, i);
    subscription->told &= (uint8_t) ~(1u << place);
  }
}

void homes_ask_all(struct edge_step *step, struct presentity *presentity) {
  for (unsigned i = 0; i < EVENT_HOMES_MAX; i++) ask_again(step, presentity, i);
  remote_queue(step, presentity);
}

/* What it has decided counts no more. */
static void forget_grants(struct edge_step *step, struct presentity *presentity, unsigned place) {
  struct subscription *subscription;
  for (uint32_t i = presentity->subscriptions; i != 0; i = subscription->next) {
    subscription = event_at(&step->edge->presence->subscriptions, i);
    subscription->granted[place] = 0;
  }
  ask_again(step, presentity, place);
}

/* Nobody has that place. */
static void leave_place(struct home *home) { *home = (struct home){.turn = home->turn}; }

/* It is gone: neither does what it said. */
static void give_up(struct edge_step *step, struct presentity *presentity, unsigned place) {
  struct home *home = &presentity->homes[place];
  bool had = home->document.len > 0;
  edge_drop(step->edge, &home->document);
  forget_grants(step, presentity, place);
  judge_all(step, presentity);
  if (had) event_changed(step, presentity, false);
}

static bool is_better(const struct edge_step *step, const struct home *a, const struct home *b) {
  if (is_heard(step, a) != is_heard(step, b)) return !is_heard(step, a);
  return a->tries > b->tries;
}

/* It told nothing, or not for long, and did not answer when it was asked. */
static bool may_go(const struct edge_step *step, const struct home *home) {
  return !is_heard(step, home) || home->tries >= TRIES_MAX ||
         (home->tries > 1 && home->document.len == 0);
}

/* The place of that peer; one that is free, or of one that is gone, if it has none. A home in every
 * place: -1, and it is looked for again. */
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
    if (may_go(step, home) && (best < 0 || is_better(step, home, &presentity->homes[best])))
      best = i;
  }
  if (best < 0) {
    if (presentity->timer.set && presentity->timer.at > step->now + LOOK_US)
      timers_set(&edge->timers, &presentity->timer, step->now + LOOK_US);
    return -1;
  }
  uint8_t turn = (uint8_t)((presentity->homes[best].turn + 1) % TURNS);
  edge_drop(edge, &presentity->homes[best].document);
  presentity->homes[best] = (struct home){.peer = *peer,
                                          .until = step->now + SEC(REMOTE_WATCH_LIFE_S),
                                          .ask_at = step->now + ASK_US,
                                          .tries = 1, /* it may be gone since */
                                          .turn = turn};
  forget_grants(step, presentity, (unsigned)best);
  remote_wake(step, presentity, step->now + ASK_US);
  return best;
}

static bool is_self(const struct edge *edge, const struct peer *peer) {
  return peer_same(peer, &edge->config.self);
}

/* It is there: it says something. */
static void is_awake(struct home *home) {
  home->tries = 0;
  home->trying = false;
  home->wait_until = 0;
}

void homes_take(struct edge_step *step, struct presentity *presentity, const struct peer *peer) {
  if (is_self(step->edge, peer)) return;
  int place = find_home(step, presentity, peer);
  if (place < 0) return;
  struct home *home = &presentity->homes[place];
  if (home->document.len == 0) home->until = step->now + SEC(REMOTE_WATCH_LIFE_S);
  remote_queue(step, presentity);
}

/* ---- asking them ---- */

static void tell_watch(struct edge_step *step, struct presentity *presentity,
                       struct subscription *subscription, unsigned place) {
  struct presence *p = step->edge->presence;
  struct presence_value value = {.kind = PRESENCE_WATCH,
                                 .token = remote_put_token(step, subscription->token),
                                 .text = presentity->aor};
  struct slice key = remote_put_key(step, "presence:", subscription->watcher);
  unsigned turn = presentity->homes[place].turn;
  uint64_t user = remote_put_user(pool_handle_of(&p->subscriptions, subscription), USER_WATCH,
                                  place + EVENT_HOMES_MAX * turn);
  struct edge_call *call = remote_tell(step, user, key, &presentity->homes[place].peer, &value,
                                       "watch-", REMOTE_WATCH_LIFE_S);
  call->signer = outbox_copy(step->out, subscription->watcher);
  call->watch = true;
  subscription->asking |= (uint8_t)(1u << place);
  p->tells++;
}

/* One that does not answer is asked by one watcher at a time. */
static bool tell_home(struct edge_step *step, struct presentity *presentity, unsigned place,
                      unsigned *count) {
  struct home *home = &presentity->homes[place];
  struct subscription *subscription;
  for (uint32_t i = presentity->subscriptions; i != 0; i = subscription->next) {
    subscription = event_at(&step->edge->presence->subscriptions, i);
    if (((subscription->told | subscription->asking) >> place & 1) != 0 || !wants(subscription))
      continue;
    if (!remote_may_tell(step, *count)) return false;
    tell_watch(step, presentity, subscription, place);
    (*count)++;
    if (home->tries == 0) continue;
    home->trying = true;
    home->wait_until = step->now + TRY_US;
    remote_wake(step, presentity, home->wait_until);
    break;
  }
  return true;
}

bool homes_tell(struct edge_step *step, struct presentity *presentity, unsigned *count) {
  for (unsigned place = 0; presentity->homes != NULL && place < EVENT_HOMES_MAX; place++) {
    const struct home *home = &presentity->homes[place];
    if (!is_heard(step, home)) continue;
    if (home->wait_until > step->now)
      remote_wake(step, presentity, home->wait_until);
    else if (!tell_home(step, presentity, place, count))
      return false;
  }
  return true;
}

static void is_silent(struct edge_step *step, struct presentity *presentity, unsigned place) {
  struct home *home = &presentity->homes[place];
  if (home->tries > 0 && !home->trying) return; /* one of many that were asked before */
  home->trying = false;
  if (home->tries < UINT8_MAX) home->tries++;
  home->wait_until = step->now + remote_pause(home->tries);
  remote_wake(step, presentity, home->wait_until);
  if (home->tries == TRIES_MAX) give_up(step, presentity, place);
}

/* 404: it is no home any more. 403: it has as many watchers as it can. */
void homes_on_told(struct edge_step *step, struct subscription *subscription, unsigned place_turn,
                   uint16_t status) {
  struct presentity *presentity = presentity_of(step->edge, subscription);
  unsigned place = place_turn % EVENT_HOMES_MAX;
  subscription->asking &= (uint8_t) ~(1u << place);
  if (presentity->homes == NULL) return;
  struct home *home = &presentity->homes[place];
  if (home->turn != place_turn / EVENT_HOMES_MAX || !peer_is(&home->peer)) {
    remote_queue(step, presentity); /* another one has this place now */
    return;
  }
  if (status == 503) {
    is_silent(step, presentity, place);
    return;
  }
  bool was_silent = home->tries > 0;
  is_awake(home);
  subscription->told |= (uint8_t)(1u << place);
  if (was_silent) remote_queue(step, presentity);
  if (status == 404) {
    give_up(step, presentity, place);
    leave_place(home);
  }
  if (status == 403 && subscription->granted[place] == 0) {
    subscription->granted[place] = 1 + EVENT_ASK;
    event_judge(step, presentity, subscription);
  }
}

/* By one watcher, who is enough to find that a home is gone. */
void homes_on_again(struct edge_step *step, struct presentity *presentity) {
  for (unsigned place = 0; presentity->homes != NULL && place < EVENT_HOMES_MAX; place++) {
    struct home *home = &presentity->homes[place];
    struct subscription *subscription;
    if (!peer_is(&home->peer)) continue;
    if (home->until <= step->now) {
      give_up(step, presentity, place);
      leave_place(home);
      continue;
    }
    if (home->ask_at <= step->now) {
      home->ask_at = step->now + ASK_US;
      for (uint32_t i = presentity->subscriptions; i != 0; i = subscription->next) {
        subscription = event_at(&step->edge->presence->subscriptions, i);
        if (!wants(subscription)) continue;
        subscription->told &= (uint8_t) ~(1u << place);
        break;
      }
    }
    remote_wake(step, presentity, usec_min(home->ask_at, home->until));
  }
}

/* ---- what they say ---- */

static struct subscription *find_watcher(const struct edge *edge,
                                         const struct presentity *presentity, uint64_t token) {
  struct subscription *subscription;
  for (uint32_t i = presentity->subscriptions; i != 0; i = subscription->next) {
    subscription = event_at(&edge->presence->subscriptions, i);
    if (subscription->token == token && wants(subscription)) return subscription;
  }
  return NULL;
}

/* One that is older than what is known, as it may come when two overtake each other, is not. */
static void take_document(struct edge_step *step, struct presentity *presentity, struct home *home,
                          const struct edge_event *event, struct slice document) {
  struct edge *edge = step->edge;
  const char *why;
  msec_wall life = event->expires - step->wall, most = (msec_wall)REMOTE_STATE_LIFE_S * 1000;
  home->version = event->version;
  home->until = step->now + MSEC(life < most ? life : most);
  if (slice_equal(home->document, document)) return;
  if (document.len > 0 && presence_check(edge->config.xml, document, &why) != OK) return;
  edge_drop(edge, &home->document);
  home->document = edge_keep(edge, document);
  event_changed(step, presentity, false);
}

/* He may see now what he might not before. */
static void grant(struct edge_step *step, struct presentity *presentity,
                  struct subscription *subscription, unsigned place, enum event_decision decision) {
  bool held = homes_hold(step, presentity, subscription);
  subscription->granted[place] = (uint8_t)(1 + decision);
  event_judge(step, presentity, subscription);
  if (held && subscription->decision == EVENT_ALLOW && !homes_hold(step, presentity, subscription))
    notify_queue(step, subscription);
}

/* GONE decides nothing. */
static enum event_decision decision_of(enum presence_decision decision) {
  if (decision == PRESENCE_ACTIVE) return EVENT_ALLOW;
  return decision == PRESENCE_PENDING ? EVENT_ASK : EVENT_BLOCK;
}

static uint64_t token_at(struct slice tokens, size_t at) {
  uint64_t token = 0;
  (void)slice_hex_to_u64(slice_first(slice_skip(tokens, at), PRESENCE_TOKEN_BYTES), &token);
  return token;
}

uint16_t homes_on_state(struct edge_step *step, const struct edge_event *event,
                        const struct presence_value *value) {
  struct edge *edge = step->edge;
  struct presentity *presentity = event_presentity(edge, event->address);
  size_t each = PRESENCE_TOKEN_BYTES + 1, at = 0;
  struct subscription *subscription = NULL;
  if (presentity == NULL) return 404;
  for (; at < value->token.len && subscription == NULL; at += each)
    subscription = find_watcher(edge, presentity, token_at(value->token, at));
  int place = subscription == NULL ? -1 : find_home(step, presentity, &value->from);
  if (place < 0) return 404;
  struct home *home = &presentity->homes[place];
  is_awake(home);
  bool old = event->version < home->version;
  if (!old && home->life != value->life) {
    if (home->life != 0) forget_grants(step, presentity, (unsigned)place);
    home->life = value->life;
    remote_queue(step, presentity);
  }
  for (at = 0; at < value->token.len && value->decision != PRESENCE_GONE; at += each) {
    subscription = find_watcher(edge, presentity, token_at(value->token, at));
    if (subscription != NULL)
      grant(step, presentity, subscription, (unsigned)place, decision_of(value->decision));
  }
  if (old || value->decision == PRESENCE_PENDING || value->decision == PRESENCE_REJECTED)
    return 200;
  take_document(step, presentity, home, event,
                value->decision == PRESENCE_GONE ? SLICE_EMPTY : value->text);
  return 200;
}

/* A home that began, or begins again. Others that are gone are found so, too. */
uint16_t homes_on_here(struct edge_step *step, const struct edge_event *event,
                       const struct presence_value *value, uint64_t token) {
  struct presentity *presentity = event_presentity(step->edge, event->address);
  if (presentity == NULL || presentity->token != token || is_self(step->edge, &value->from))
    return 404;
  int place = find_home(step, presentity, &value->from);
  if (place < 0) return 503;
  is_awake(&presentity->homes[place]);
  ask_again(step, presentity, (unsigned)place);
  for (unsigned i = 0; i < EVENT_HOMES_MAX; i++)
    if (i != (unsigned)place) presentity->homes[i].ask_at = step->now;
  homes_on_again(step, presentity);
  remote_queue(step, presentity);
  return 200;
}
