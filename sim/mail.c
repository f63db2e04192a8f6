/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim/mail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "sim/ledger.h"
#include "sim/phone.h"

#define COME_US SEC(40)  /* a phone registers again, in the mean, while messages are left */
#define AGAIN_US SEC(25) /* and while they are collected */
#define ANSWER_US MSEC(2)
#define PATIENCE_US SEC(40) /* for the answer to a command */

enum mail_act { MAIL_COME = 64, MAIL_SEND, MAIL_ANSWER };

void mail_open(struct mail *mail, struct world *world, uint64_t seed) {
  uint8_t bytes[16] = {'m'};
  *mail = (struct mail){.world = world};
  mail->users = world->weather.of[USERS];
  mail->wanted = world->weather.of[MESSAGES];
  if (mail->wanted == 0 || mail->users < 2) return;
  for (unsigned i = 0; i < 8; i++) bytes[8 + i] = (uint8_t)(seed >> 8 * i);
  rng_init(&mail->rng, bytes);
  mail->user = sim_take(mail->users * sizeof *mail->user);
  mail->letter = sim_take(mail->wanted * sizeof *mail->letter);
  mail->answer = sim_take(MAIL_ANSWERS * sizeof *mail->answer);
  for (uint32_t i = 0; i < mail->users; i++)
    mail->user[i] = (struct mail_user){.home = SIM_NONE, .sending = SIM_NONE};
}

void mail_close(struct mail *mail) {
  free(mail->user);
  free(mail->letter);
  free(mail->answer);
}

static void act_at(struct mail *mail, usec at, enum mail_act act, uint32_t argument) {
  world_act(mail->world, at, (uint32_t)act | argument << 8);
}

static usec around(struct mail *mail, usec mean) { return rng_between(&mail->rng, 1, 2 * mean); }

/* ---- phones ---- */

static struct endpoint phone_address(uint32_t user) {
  return (struct endpoint){.addr = {127, 1, (uint8_t)(user >> 8), (uint8_t)user},
                           .port = 5060,
                           .family = 4,
                           .transport = TRANSPORT_UDP};
}

static void say(struct mail *mail, uint32_t peer, uint32_t user, struct slice text) {
  const struct input input = {.kind = IN_MESSAGE, .peer = phone_address(user), .data = text};
  world_step(mail->world, peer, &input);
}

/* Its phone registers somewhere. */
static void come(struct mail *mail, uint32_t user) {
  char text[1024];
  uint32_t peer = truth_random_up(mail->world, &mail->rng);
  if (peer == SIM_NONE) return;
  uint32_t number = ++mail->user[user].number;
  int len = snprintf(text, sizeof text,
                     "REGISTER sip:example.net SIP/2.0\r\n"
                     "Via: SIP/2.0/UDP 127.1.%u.%u:5060;branch=z9hG4bKm%u.%u;rport\r\n"
                     "Max-Forwards: 70\r\nFrom: <sip:m%u@example.net>;tag=1\r\n"
                     "To: <sip:m%u@example.net>\r\nCall-ID: %u.%u\r\nCSeq: 1 REGISTER\r\n"
                     "Contact: <sip:m%u@127.1.%u.%u:5060>\r\nExpires: 600\r\n"
                     "Content-Length: 0\r\n\r\n",
                     user >> 8 & 255, user & 255, user, number, user, user, user, number, user,
                     user >> 8 & 255, user & 255);
  say(mail, peer, user, slice_of(text, (size_t)len));
}

/* The phone takes everything. */
static void answer(struct mail *mail, uint32_t peer, uint32_t user, struct slice text) {
  uint32_t place = mail->answers++ % MAIL_ANSWERS;
  struct mail_answer *to = &mail->answer[place];
  *to = (struct mail_answer){.peer = peer, .life = mail->world->peer[peer].life, .user = user};
  to->len = phone_put_answer(to->text, sizeof to->text, text, "200 OK");
  act_at(mail, mail->world->now + ANSWER_US, MAIL_ANSWER, place);
}

static void give_answer(struct mail *mail, uint32_t place) {
  const struct mail_answer *from = &mail->answer[place];
  if (!world_is_up(mail->world, from->peer) || mail->world->peer[from->peer].life != from->life)
    return;
  say(mail, from->peer, from->user, slice_of(from->text, from->len));
}

/* */
static void check_order(struct mail *mail, uint32_t index) {
  const struct mail_letter *letter = &mail->letter[index];
  for (uint32_t i = letter->before; i != SIM_NONE; i = mail->letter[i].before)
    if (mail->letter[i].kept && !mail->letter[i].heard)
      world_fail(mail->world, "message %u of user %u for user %u came before message %u", index,
                 letter->from, letter->to, i);
}

static void hear(struct mail *mail, uint32_t user, uint32_t index, struct slice call_id) {
  const struct hash_key key = {1, 2};
  uint64_t id = hash_slice(key, call_id);
  if (index >= mail->letters || mail->letter[index].to != user) {
    world_fail(mail->world, "user %u hears what nobody said to it", user);
    return;
  }
  struct mail_letter *letter = &mail->letter[index];
  if (letter->heard) {
    mail->counts.repeats++;
    if (letter->id != id) world_fail(mail->world, "message %u came twice, by different ids", index);
    return;
  }
  letter->heard = true;
  letter->id = id;
  mail->counts.delivered++;
  check_order(mail, index);
}

void mail_on_datagram(struct mail *mail, uint32_t peer, const struct output *out) {
  struct slice text = out->data;
  uint32_t user = (uint32_t)out->peer.addr[2] << 8 | out->peer.addr[3];
  uint64_t index;
  if (mail->user == NULL || out->peer.addr[0] != 127 || user >= mail->users ||
      !slice_starts(text, SLICE("MESSAGE ")))
    return;
  struct slice body = slice_skip(text, slice_find(text, SLICE("\r\n\r\n")) + 4);
  struct slice id = slice_skip(text, slice_find(text, SLICE("\r\nCall-ID: ")) + 11);
  id = slice_first(id, slice_find_byte(id, '\r'));
  if (!slice_take(&body, SLICE("message ")) || !slice_to_u64(body, UINT32_MAX, &index)) return;
  answer(mail, peer, user, text);
  hear(mail, user, (uint32_t)index, id);
}

/* ---- leaving messages ---- */

static void give_up(struct mail *mail, struct mail_user *user) {
  mail->counts.unanswered++;
  user->sending = SIM_NONE;
}

/* The last one to the same user, by the same. */
static uint32_t last_of(const struct mail *mail, uint32_t from, uint32_t to) {
  for (uint32_t i = mail->letters; i-- > 0;)
    if (mail->letter[i].from == from && mail->letter[i].to == to) return i;
  return SIM_NONE;
}

static void leave(struct mail *mail) {
  struct world *world = mail->world;
  uint32_t from = (uint32_t)rng_below(&mail->rng, mail->users);
  uint32_t to = (uint32_t)rng_below(&mail->rng, mail->users);
  struct mail_user *user = &mail->user[from];
  char from_text[40], to_text[40], text[40];
  if (user->sending != SIM_NONE &&
      (!world_is_up(world, user->home) || world->peer[user->home].life != user->life ||
       world->now > user->asked_at + PATIENCE_US))
    give_up(mail, user);
  if (user->sending != SIM_NONE || from == to) return;
  if (user->home == SIM_NONE || !world_is_up(world, user->home) || world->peer[user->home].leaving)
    user->home = truth_random_up(world, &mail->rng);
  if (user->home == SIM_NONE) return;
  mail->letter[mail->letters] =
      (struct mail_letter){.from = from, .to = to, .before = last_of(mail, from, to)};
  snprintf(from_text, sizeof from_text, "sip:m%u@example.net", from);
  snprintf(to_text, sizeof to_text, "sip:m%u@example.net", to);
  snprintf(text, sizeof text, "message %u", mail->letters);
  user->sending = mail->letters++;
  user->life = world->peer[user->home].life;
  user->asked_at = world->now;
  user->ticket = world->ticket + 1; /* the answer may come at once */
  mail->counts.sent++;
  world_ask(world, user->home,
            &(struct node_command){.kind = COMMAND_MESSAGE,
                                   .uri = slice_cstr(from_text),
                                   .contact = slice_cstr(to_text),
                                   .value = slice_cstr(text)});
}

bool mail_on_reply(struct mail *mail, uint64_t ticket, const struct node_reply *reply) {
  if (reply->kind != COMMAND_MESSAGE) return false;
  for (uint32_t i = 0; i < mail->users; i++) {
    struct mail_user *user = &mail->user[i];
    if (user->sending == SIM_NONE || user->ticket != ticket) continue;
    mail->letter[user->sending].kept = reply->code == 200;
    mail->counts.kept += reply->code == 200;
    mail->counts.refused += reply->code != 200;
    user->sending = SIM_NONE;
    break;
  }
  return true;
}

/* ---- phases ---- */

void mail_register(struct mail *mail, usec span) {
  for (uint32_t i = 0; mail->user != NULL && i < mail->users; i++)
    act_at(mail, mail->world->now + rng_below(&mail->rng, span), MAIL_COME, i);
}

void mail_begin(struct mail *mail, usec span) {
  if (mail->user == NULL) return;
  mail->sending = true;
  mail->gap = span / mail->wanted / 2 + 1;
  act_at(mail, mail->world->now, MAIL_SEND, 0);
  for (uint32_t i = 0; i < mail->users; i++)
    act_at(mail, mail->world->now + around(mail, COME_US), MAIL_COME, i);
}

void mail_collect(struct mail *mail) {
  if (mail->user == NULL) return;
  mail->sending = false;
  mail->collecting = true;
  mail_register(mail, AGAIN_US);
}

bool mail_is_done(const struct mail *mail) {
  for (uint32_t i = 0; i < mail->letters; i++)
    if (mail->letter[i].kept && !mail->letter[i].heard) return false;
  return true;
}

void mail_check(struct mail *mail) {
  for (uint32_t i = 0; i < mail->letters; i++)
    if (mail->letter[i].kept && !mail->letter[i].heard) {
      world_fail(mail->world, "message %u of user %u for user %u was kept, and never came", i,
                 mail->letter[i].from, mail->letter[i].to);
      return;
    }
}

bool mail_on_act(struct mail *mail, uint32_t what) {
  uint32_t argument = what >> 8;
  switch ((enum mail_act)(what & 255)) {
    case MAIL_COME:
      come(mail, argument);
      if (mail->sending || (mail->collecting && !mail_is_done(mail)))
        act_at(mail, mail->world->now + (mail->sending ? around(mail, COME_US) : AGAIN_US),
               MAIL_COME, argument);
      return true;
    case MAIL_SEND:
      if (!mail->sending || mail->letters >= mail->wanted) return true;
      leave(mail);
      act_at(mail, mail->world->now + around(mail, mail->gap), MAIL_SEND, 0);
      return true;
    case MAIL_ANSWER:
      give_answer(mail, argument);
      return true;
  }
  return false;
}
