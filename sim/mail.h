/* SPDX-License-Identifier: BSD-2-Clause */
/* People who leave messages for each other and have phones that come and go,
 * and whether each promise was kept: what was acknowledged comes, in order for each sender, and
 * what comes twice has the same id. All users' keys are at all peers. */
#ifndef SIM_MAIL_H
#define SIM_MAIL_H

#include "sim/world.h"

struct mail_counts {
  uint64_t sent, kept, refused, unanswered; /* messages; of kept ones all must come */
  uint64_t delivered, repeats;
};

struct mail_user {
  uint32_t home;    /* where it sends from */
  uint32_t sending; /* its letter under way, or SIM_NONE */
  uint32_t number;  /* of requests */
  uint64_t ticket;
  uint32_t life; /* of the peer that was asked */
  usec asked_at;
};
struct mail_letter {
  uint32_t from, to;
  uint32_t before; /* the one that the same sender left for the same user before; or SIM_NONE */
  bool kept, heard;
  uint64_t id; /* hash of the Call-ID it came by */
};
struct mail_answer {
  uint32_t peer, life, user;
  size_t len;
  char text[1200];
};
#define MAIL_ANSWERS 1024u

struct mail {
  struct world *world;
  struct rng rng;
  struct mail_user *user;
  struct mail_letter *letter;
  uint32_t users, letters, wanted;
  struct mail_answer *answer; /* MAIL_ANSWERS of them, used in turn */
  uint32_t answers;
  bool sending, collecting;
  usec gap; /* between messages */
  struct mail_counts counts;
};

/* Nothing where the weather has no messages. */
void mail_open(struct mail *mail, struct world *world, uint64_t seed);
void mail_close(struct mail *mail);
/* Everybody registers once within `span`, so that each has a key. */
void mail_register(struct mail *mail, usec span);
/* Messages are left for `span`, and now and then somebody comes. */
void mail_begin(struct mail *mail, usec span);
/* No more of them; everybody comes, again and again, until mail_is_done. */
void mail_collect(struct mail *mail);
bool mail_is_done(const struct mail *mail);
/* It is time that all has come. */
void mail_check(struct mail *mail);

/* For the watch of the world. False: it is not the mail's. */
bool mail_on_act(struct mail *mail, uint32_t what);
bool mail_on_reply(struct mail *mail, uint64_t ticket, const struct node_reply *reply);
void mail_on_datagram(struct mail *mail, uint32_t peer, const struct output *out);

#endif
