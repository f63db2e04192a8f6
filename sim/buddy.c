/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/buddy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/ledger.h"
#include "sim/phone.h"

#define BEAT_US SEC(20)    /* a phone registers again, in the mean */
#define REFRESH_US SEC(60) /* and subscribes again */
#define CHANGE_US SEC(15)  /* somebody's state changes; each one's, in the mean */
#define BLOCK_US SEC(10)   /* somebody is blocked */
#define STEP_US MSEC(1)
#define ANSWER_US MSEC(2)

enum buddy_act { BUDDY_BEAT = 96, BUDDY_NEXT, BUDDY_ANSWER, BUDDY_CHANGE, BUDDY_BLOCK };

void buddy_open(struct buddies *buddies, struct world *world, uint64_t seed) {
  uint8_t bytes[16] = {'b'};
  *buddies = (struct buddies){.world = world};
  if (world->weather.of[WATCHERS] == 0 || world->weather.of[WATCHED] == 0) return;
  buddies->watched = world->weather.of[WATCHED];
  buddies->count = buddies->watched + world->weather.of[WATCHERS];
  for (unsigned i = 0; i < 8; i++) bytes[8 + i] = (uint8_t)(seed >> 8 * i);
  rng_init(&buddies->rng, bytes);
  buddies->user = sim_take(buddies->count * sizeof *buddies->user);
  buddies->answer = sim_take(BUDDY_ANSWERS * sizeof *buddies->answer);
  for (uint32_t i = 0; i < buddies->count; i++)
    buddies->user[i] = (struct buddy){.peer = SIM_NONE, .state = 1};
}

void buddy_close(struct buddies *buddies) {
  free(buddies->user);
  free(buddies->answer);
}

static void act_at(struct buddies *buddies, usec at, enum buddy_act act, uint32_t argument) {
  world_act(buddies->world, at, (uint32_t)act | argument << 8);
}

static usec around(struct buddies *buddies, usec mean) {
  return rng_between(&buddies->rng, 1, 2 * mean);
}

static bool is_watched(const struct buddies *buddies, uint32_t user) {
  return user < buddies->watched;
}

/* Whom a watcher watches. */
static uint32_t whom(const struct buddies *buddies, uint32_t user) {
  return buddies->watched == 0 ? 0 : (user - buddies->watched) % buddies->watched;
}

/* ---- what phones say ---- */

static void say(struct buddies *buddies, uint32_t peer, uint32_t user, struct slice text) {
  const struct input input = {.kind = IN_MESSAGE,
                              .peer = {.addr = {127, 2, (uint8_t)(user >> 8), (uint8_t)user},
                                       .port = 5060,
                                       .family = 4,
                                       .transport = TRANSPORT_UDP},
                              .data = text};
  world_step(buddies->world, peer, &input);
}

/* lines: further ones. dialog: the number of its Call-ID; to_tag may be empty. */
static void ask(struct buddies *buddies, uint32_t user, const char *method, uint32_t to,
                uint32_t dialog, const char *to_tag, const char *lines, const char *body) {
  char text[2000], uri[64];
  struct buddy *phone = &buddies->user[user];
  unsigned high = user >> 8 & 255, low = user & 255;
  uint32_t number = ++phone->cseq;
  snprintf(uri, sizeof uri, "sip:p%u@example.net", to);
  if (strcmp(method, "REGISTER") == 0) snprintf(uri, sizeof uri, "sip:example.net");
  if (to_tag[0] != '\0') {
    struct endpoint at = world_address(phone->peer);
    struct buf out = buf_over(uri, sizeof uri - 1);
    buf_put_cstr(&out, "sip:");
    endpoint_put(&out, &at);
    uri[out.len] = '\0';
  }
  int len = snprintf(
      text, sizeof text,
      "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP 127.2.%u.%u:5060;branch=z9hG4bKb%u.%u;rport\r\n"
      "Max-Forwards: 70\r\nFrom: <sip:p%u@example.net>;tag=1\r\n"
      "To: <sip:p%u@example.net>%s%s\r\nCall-ID: b%u.%u\r\nCSeq: %u %s\r\n"
      "Contact: <sip:p%u@127.2.%u.%u:5060>\r\n%sContent-Length: %u\r\n\r\n%s",
      method, uri, high, low, user, number, user, to, to_tag[0] != '\0' ? ";tag=" : "", to_tag,
      user, dialog, number, method, user, high, low, lines, (unsigned)strlen(body), body);
  say(buddies, phone->peer, user, slice_of(text, (size_t)len));
}

static void publish(struct buddies *buddies, uint32_t user) {
  struct buddy *phone = &buddies->user[user];
  char lines[160], body[300];
  snprintf(lines, sizeof lines,
           "Event: presence\r\nExpires: 600\r\nContent-Type: application/pidf+xml\r\n%s%s%s",
           phone->etag[0] != '\0' ? "SIP-If-Match: " : "", phone->etag,
           phone->etag[0] != '\0' ? "\r\n" : "");
  snprintf(body, sizeof body,
           "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"sip:p%u@example.net\">"
           "<tuple id=\"t\"><status><basic>open</basic></status><note>state %u of %u</note></tuple>"
           "</presence>",
           user, phone->state, user);
  phone->sent = phone->state;
  phone->sent_at = buddies->world->now;
  ask(buddies, user, "PUBLISH", user, 1, "", lines, body);
}

static bool command(struct buddies *buddies, uint32_t user, uint32_t watcher) {
  char from[40], to[40];
  snprintf(from, sizeof from, "sip:p%u@example.net", user);
  snprintf(to, sizeof to, "sip:p%u@example.net", watcher);
  buddies->asked = buddies->world->ticket + 1; /* the answer comes at once */
  world_ask(buddies->world, buddies->user[user].peer,
            &(struct node_command){
                .kind = COMMAND_BLOCK, .uri = slice_cstr(from), .contact = slice_cstr(to)});
  bool good = buddies->asked == 0;
  buddies->asked = 0;
  return good;
}

bool buddy_on_reply(struct buddies *buddies, uint64_t ticket, const struct node_reply *reply) {
  if (reply->kind != COMMAND_BLOCK) return false;
  if (ticket == buddies->asked && reply->code == 200) buddies->asked = 0;
  return true;
}

/* at each home by itself, before anything is published there. */
static void say_rules(struct buddies *buddies, uint32_t user) {
  struct buddy *phone = &buddies->user[user];
  phone->rules_said = true;
  for (uint32_t i = buddies->watched; i < buddies->count; i++)
    if (whom(buddies, i) == user && buddies->user[i].blocked && !command(buddies, user, i))
      phone->rules_said = false;
}

static void subscribe(struct buddies *buddies, uint32_t user) {
  struct buddy *phone = &buddies->user[user];
  if (phone->dialog == 0) {
    phone->dialog = 10 + ++buddies->dialogs;
    phone->tag[0] = '\0';
    phone->active = false;
    phone->shown_count = 0;
  }
  phone->subscribed_at = buddies->world->now;
  ask(buddies, user, "SUBSCRIBE", whom(buddies, user), phone->dialog, phone->tag,
      "Event: presence\r\nExpires: 600\r\n", "");
}

/* What it has to do once it is registered. */
static void go_on(struct buddies *buddies, uint32_t user) {
  struct buddy *phone = &buddies->user[user];
  usec due = phone->subscribed_at + REFRESH_US;
  if (phone->peer == SIM_NONE || !world_is_up(buddies->world, phone->peer) || !phone->registered)
    return;
  if (!is_watched(buddies, user)) {
    if (!phone->rejected && (phone->dialog == 0 || buddies->world->now >= due))
      subscribe(buddies, user);
    return;
  }
  if (!phone->rules_said) say_rules(buddies, user);
  if (phone->rules_said && phone->sent != phone->state) publish(buddies, user);
}

static void go_on_later(struct buddies *buddies, uint32_t user) {
  act_at(buddies, buddies->world->now + STEP_US, BUDDY_NEXT, user);
}

/* Registers again; elsewhere, if its peer is gone. A peer that began again knows nothing of it. */
static void beat(struct buddies *buddies, uint32_t user) {
  struct world *world = buddies->world;
  struct buddy *phone = &buddies->user[user];
  if (phone->peer == SIM_NONE || !world_is_up(world, phone->peer) ||
      world->peer[phone->peer].leaving) {
    phone->peer = truth_random_up(world, &buddies->rng);
    if (phone->peer == SIM_NONE) return;
    phone->life = world->peer[phone->peer].life;
    phone->registered = phone->rules_said = false;
    phone->sent = phone->dialog = 0;
    phone->etag[0] = '\0';
  } else if (phone->life != world->peer[phone->peer].life) {
    phone->life = world->peer[phone->peer].life;
    phone->registered = phone->rules_said = false;
    phone->sent = 0;          /* its tag is tried: 412 */
    phone->subscribed_at = 0; /* and its dialog: 481 */
  }
  ask(buddies, user, "REGISTER", user, 2, "", "Expires: 600\r\n", "");
}

/* ---- what they hear ---- */

static struct slice line_of(struct slice text, const char *name) {
  struct slice line = slice_skip(text, slice_find(text, slice_cstr(name)) + strlen(name));
  return slice_first(line, slice_find_byte(line, '\r'));
}

static void answer(struct buddies *buddies, uint32_t peer, uint32_t user, struct slice text,
                   bool known) {
  uint32_t place = buddies->answers++ % BUDDY_ANSWERS;
  struct buddy_answer *to = &buddies->answer[place];
  *to = (struct buddy_answer){.peer = peer, .life = buddies->world->peer[peer].life, .user = user};
  to->len =
      phone_put_answer(to->text, sizeof to->text, text, known ? "200 OK" : "481 No Such Dialog");
  act_at(buddies, buddies->world->now + ANSWER_US, BUDDY_ANSWER, place);
}

static void give_answer(struct buddies *buddies, uint32_t place) {
  const struct buddy_answer *from = &buddies->answer[place];
  const struct world *world = buddies->world;
  if (!world_is_up(world, from->peer) || world->peer[from->peer].life != from->life) return;
  say(buddies, from->peer, from->user, slice_of(from->text, from->len));
}

static void note_state(struct buddies *buddies, uint32_t user, uint32_t state, uint32_t of) {
  struct buddy *phone = &buddies->user[user];
  const struct buddy *other = &buddies->user[whom(buddies, user)];
  struct buddy_counts *counts = &buddies->counts;
  if (of != whom(buddies, user) || state > other->state) {
    world_fail(buddies->world, "user %u sees state %u of %u, which it never watched", user, state,
               of);
    return;
  }
  if (phone->blocked && state > phone->blocked_after)
    world_fail(buddies->world, "user %u sees state %u of %u, who had blocked it after %u", user,
               state, of, phone->blocked_after);
  if (buddies->quiet && state == other->state && phone->shown != state) {
    usec took = buddies->world->now - other->sent_at;
    counts->heard++;
    counts->took_sum += took;
    counts->took_max = usec_max(counts->took_max, took);
  }
  phone->shown = state;
  phone->shown_count++;
}

static void on_notify(struct buddies *buddies, uint32_t user, struct slice text) {
  struct buddy *phone = &buddies->user[user];
  struct slice status = line_of(text, "\r\nSubscription-State: "), rest = text;
  uint64_t state, of;
  buddies->counts.notifies++;
  phone->active = slice_starts(status, SLICE("active"));
  if (slice_starts(status, SLICE("terminated"))) {
    phone->dialog = 0;
    phone->rejected = slice_find(status, SLICE("rejected")) < status.len;
    if (!phone->rejected) go_on_later(buddies, user);
  }
  uint32_t last = phone->shown;
  for (phone->shown_count = 0;;) {
    rest = slice_skip(rest, slice_find(rest, SLICE("<note>state ")) + 12);
    struct slice number = slice_first(rest, slice_find_byte(rest, ' '));
    struct slice owner = slice_skip(rest, number.len + 4);
    owner = slice_first(owner, slice_find_byte(owner, '<'));
    if (!slice_to_u64(number, UINT32_MAX, &state) || !slice_to_u64(owner, UINT32_MAX, &of)) break;
    note_state(buddies, user, (uint32_t)state, (uint32_t)of);
  }
  if (phone->shown_count == 0) phone->shown = last;
}

static void keep(char *out, size_t room, struct slice text) {
  size_t len = text.len < room ? text.len : 0;
  memcpy(out, text.at, len);
  out[len] = '\0';
}

static void on_response(struct buddies *buddies, uint32_t user, struct slice text) {
  struct buddy *phone = &buddies->user[user];
  struct slice cseq = line_of(text, "\r\nCSeq: ");
  uint64_t number, status;
  struct slice word = slice_first(cseq, slice_find_byte(cseq, ' '));
  if (!slice_to_u64(slice_first(slice_skip(text, 8), 3), 999, &status) || status < 200) return;
  if (!slice_to_u64(word, UINT32_MAX, &number) || number > phone->cseq) return;
  struct slice method = slice_skip(cseq, word.len + 1);
  bool good = status == 200;
  if (slice_equal(method, SLICE("REGISTER"))) {
    phone->registered = phone->registered || good;
    if (phone->registered) go_on_later(buddies, user);
  } else if (slice_equal(method, SLICE("PUBLISH"))) {
    if (good) keep(phone->etag, sizeof phone->etag, line_of(text, "\r\nSIP-ETag: "));
    if (!good) phone->sent = 0;
    if (status != 412) return;
    phone->etag[0] = '\0';
    go_on_later(buddies, user);
  } else if (slice_equal(method, SLICE("SUBSCRIBE"))) {
    char call_id[40];
    snprintf(call_id, sizeof call_id, "b%u.%u", user, phone->dialog);
    if (!slice_equal(line_of(text, "\r\nCall-ID: "), slice_cstr(call_id))) return;
    struct slice to = line_of(text, "\r\nTo: ");
    if (good)
      keep(phone->tag, sizeof phone->tag, slice_skip(to, slice_find(to, SLICE(";tag=")) + 5));
    if (good) return;
    phone->dialog = 0;
    if (status == 481) go_on_later(buddies, user);
  }
}

void buddy_on_datagram(struct buddies *buddies, uint32_t peer, const struct output *out) {
  struct slice text = out->data;
  uint32_t user = (uint32_t)out->peer.addr[2] << 8 | out->peer.addr[3];
  char call_id[40];
  if (out->peer.addr[0] != 127 || out->peer.addr[1] != 2 || user >= buddies->count) return;
  if (slice_starts(text, SLICE("SIP/2.0 "))) {
    if (peer == buddies->user[user].peer) on_response(buddies, user, text);
  } else if (slice_starts(text, SLICE("NOTIFY "))) {
    snprintf(call_id, sizeof call_id, "b%u.%u", user, buddies->user[user].dialog);
    bool known = slice_equal(line_of(text, "\r\nCall-ID: "), slice_cstr(call_id));
    answer(buddies, peer, user, text, known);
    if (known) on_notify(buddies, user, text);
  }
}

/* ---- what they do ---- */

void buddy_begin(struct buddies *buddies, usec span) {
  for (uint32_t i = 0; i < buddies->count; i++)
    act_at(buddies, buddies->world->now + rng_below(&buddies->rng, span), BUDDY_BEAT, i);
}

void buddy_change(struct buddies *buddies) {
  if (buddies->count == 0) return;
  buddies->changing = true;
  act_at(buddies, buddies->world->now, BUDDY_CHANGE, 0);
  act_at(buddies, buddies->world->now + BLOCK_US, BUDDY_BLOCK, 0);
}

void buddy_settle(struct buddies *buddies) { buddies->changing = false; }

static void change(struct buddies *buddies, uint32_t user) {
  buddies->user[user].state++;
  buddies->counts.changes++;
  go_on(buddies, user);
}

void buddy_change_all(struct buddies *buddies) {
  buddies->quiet = true;
  for (uint32_t i = 0; i < buddies->watched; i++) change(buddies, i);
}

/* A few; what is published later must not come to him. */
static void block(struct buddies *buddies) {
  uint32_t watchers = buddies->count - buddies->watched;
  uint32_t user = buddies->watched + (uint32_t)rng_below(&buddies->rng, watchers);
  struct buddy *phone = &buddies->user[user], *owner = &buddies->user[whom(buddies, user)];
  if (phone->blocked || owner->peer == SIM_NONE || !owner->rules_said ||
      !world_is_up(buddies->world, owner->peer) ||
      buddies->world->peer[owner->peer].life != owner->life)
    return;
  if (!command(buddies, whom(buddies, user), user)) return;
  phone->blocked = true;
  phone->blocked_after = owner->state;
  buddies->counts.blocks++;
}

bool buddy_on_act(struct buddies *buddies, uint32_t what) {
  uint32_t argument = what >> 8;
  usec now = buddies->world->now;
  switch ((enum buddy_act)(what & 255)) {
    case BUDDY_BEAT:
      beat(buddies, argument);
      act_at(buddies, now + around(buddies, BEAT_US), BUDDY_BEAT, argument);
      return true;
    case BUDDY_NEXT:
      go_on(buddies, argument);
      return true;
    case BUDDY_ANSWER:
      give_answer(buddies, argument);
      return true;
    case BUDDY_CHANGE:
      if (!buddies->changing) return true;
      change(buddies, (uint32_t)rng_below(&buddies->rng, buddies->watched));
      act_at(buddies, now + around(buddies, CHANGE_US / buddies->watched), BUDDY_CHANGE, 0);
      return true;
    case BUDDY_BLOCK:
      if (!buddies->changing) return true;
      block(buddies);
      act_at(buddies, now + around(buddies, BLOCK_US), BUDDY_BLOCK, 0);
      return true;
  }
  return false;
}

/* ---- R-10.25 ---- */

static bool is_at_home(const struct buddies *buddies, const struct buddy *phone) {
  return phone->registered && world_is_up(buddies->world, phone->peer) &&
         buddies->world->peer[phone->peer].life == phone->life;
}

const char *buddy_differs(const struct buddies *buddies, uint32_t *who) {
  for (*who = 0; *who < buddies->count; (*who)++)
    if (!is_at_home(buddies, &buddies->user[*who])) return "is registered nowhere";
  for (uint32_t i = buddies->watched; i < buddies->count; i++) {
    const struct buddy *phone = &buddies->user[i], *other = &buddies->user[whom(buddies, i)];
    *who = i;
    if (phone->blocked) {
      if (!phone->rejected) return "is blocked, and was not told so";
      continue;
    }
    if (phone->rejected) return "was rejected, and is not blocked";
    if (phone->dialog == 0 || !phone->active) return "has no active subscription";
    if (phone->shown_count > 1) return "is shown more than one state";
    if (phone->shown_count == 0) return "is shown no state";
    if (phone->shown != other->state) return "is shown an old state";
  }
  return NULL;
}

void buddy_check(struct buddies *buddies) {
  uint32_t who = 0;
  const char *why = buddy_differs(buddies, &who);
  if (why == NULL) return;
  const struct buddy *phone = &buddies->user[who];
  uint32_t of = is_watched(buddies, who) ? who : whom(buddies, who);
  const struct buddy *other = &buddies->user[of];
  world_fail(buddies->world,
             "user %u at peer %u %s: %u of user %u at peer %u, who published %u and %u", who,
             phone->peer, why, phone->shown, of, other->peer, other->sent, other->state);
}
